"""Every kernel's rows, likelihood and draws say the same; the number of network calls is what it claims."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from science_cases import KINDS, chi_square_p, generator, make_case, times

from cdmrun.models import ConditionalModel, EnumeratedTeacher, EvaluationCounter, NetworkModel, NetworkShape
from cdmrun.models.families import families
from cdmrun.processes import ForwardProcess
from cdmrun.processes.enumeration import enumerate_states, state_codes
from cdmrun.samplers import (
    Analytic,
    CleanStudent,
    Sampler,
    StepStudent,
    TauLeaping,
    ThetaRK2,
    ThetaTrapezoidal,
    TransitionKernel,
    analytic_sampler,
    student_sampler,
    tau_leaping_sampler,
    theta_sampler,
)

V, L = 3, 2
TIMES = (0.8, 0.35)


def network(process: ForwardProcess, family: str, matches: str) -> NetworkModel:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        options = {"hidden": 8} if family == "autoregressive" else {}
        trunk = {"layers": 1, "width": 12, "heads": 2}
        model = NetworkModel(process, NetworkShape(L, {"kind": family, **options}, trunk, matches, "leave_one_out"))
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return model.requires_grad_(False).eval()


def _enumerated(process: ForwardProcess) -> ConditionalModel:
    table = torch.rand(V, V, generator=generator(5), dtype=torch.float64) ** 2
    return EnumeratedTeacher(process, table / table.sum())


KERNELS: dict[str, Callable[[ForwardProcess], TransitionKernel]] = {
    "analytic": lambda process: Analytic(_enumerated(process)),
    **{
        f"tau-leaping-{jumps}": lambda process, jumps=jumps: TauLeaping(_enumerated(process), jumps=jumps)  # type: ignore[misc]
        for jumps in ("any_jump", "reject", "euler")
    },
    "theta-trapezoidal": lambda process: ThetaTrapezoidal(_enumerated(process), 0.4),
    "theta-rk2": lambda process: ThetaRK2(_enumerated(process), 0.4),
    "theta-denoise": lambda process: ThetaTrapezoidal(_enumerated(process), denoise=True),
    "clean-exact": lambda process: CleanStudent(_enumerated(process)),
    **{
        f"clean-{family}": lambda process, family=family: CleanStudent(network(process, family, "clean"))  # type: ignore[misc]
        for family in families()
    },
    **{
        f"step-{family}": lambda process, family=family: StepStudent(network(process, family, "step"))  # type: ignore[misc]
        for family in families()
    },
}

every_kernel = pytest.mark.parametrize("name", sorted(KERNELS))
every_process = pytest.mark.parametrize("kind", KINDS)


@every_kernel
@every_process
@torch.inference_mode()
def test_rows_sum_to_one_and_agree_with_the_likelihood(kind: str, name: str) -> None:
    process = make_case(kind, V=V).process
    kernel = KERNELS[name](process)
    states = enumerate_states(process.states, L)
    for t, s in (TIMES, (TIMES[0], 0.0)):
        rows = kernel.rows(states, times(t, len(states)), times(s, len(states)))
        torch.testing.assert_close(rows.sum(1), torch.ones(len(states), dtype=torch.float64), atol=1e-5, rtol=0)
        assert (rows >= 0).all()
        if (name == "clean-autoregressive" and s > 0) or not kernel.exact_log_prob:
            continue  # the likelihood is an estimate: below
        at, to = (rows > 1e-12).nonzero().unbind(1)
        log_prob = kernel.log_prob(states[to], states[at], times(t, len(at)), times(s, len(at)), generator())
        assert log_prob.dtype == torch.float64
        torch.testing.assert_close(log_prob.exp(), rows[at, to], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("name", ["clean-autoregressive", "theta-denoise", "theta-rk2", "theta-trapezoidal"])
@every_process
@torch.inference_mode()
def test_estimated_likelihoods_are_unbiased_for_the_kernel(kind: str, name: str) -> None:
    """Forced decoding, and importance sampling of the state in the middle of two stages."""
    process = make_case(kind, V=V).process
    kernel = KERNELS[name](process)
    x_t = torch.tensor([[0, 1]]) if kind != "absorbing" else torch.tensor([[V, V]])
    row = kernel.rows(x_t, times(TIMES[0], 1), times(TIMES[1], 1))[0]
    count = 3000
    for code in row.topk(4).indices.tolist():
        x_s = enumerate_states(process.states, L)[code].expand(count, -1)
        args = x_s, x_t.expand(count, -1), times(TIMES[0], count), times(TIMES[1], count)
        estimate = kernel.log_prob(*args, generator(code), draws=2).exp()
        stderr = float(estimate.std()) / count**0.5
        assert float(estimate.mean()) == pytest.approx(float(row[code]), abs=4 * stderr + 1e-6)


@every_kernel
@every_process
@torch.inference_mode()
def test_draws_follow_the_rows(kind: str, name: str) -> None:
    process = make_case(kind, V=V).process
    kernel = KERNELS[name](process)
    count = 3000
    starts = [[0, 1]] if kind != "absorbing" else [[V, V], [V, 1]]
    for start in starts:
        x_t = torch.tensor([start])
        row = kernel.rows(x_t, times(TIMES[0], 1), times(TIMES[1], 1))[0].numpy()
        drawn = kernel.sample(x_t.expand(count, -1), times(TIMES[0], count), times(TIMES[1], count), generator(11))
        counts = np.bincount(state_codes(drawn, process.states).numpy(), minlength=len(row))
        assert chi_square_p(counts, row / row.sum()) > 1e-4


SAMPLERS: dict[str, Callable[[ForwardProcess, int], Sampler]] = {
    "analytic": lambda process, nfe: analytic_sampler(_enumerated(process), nfe),
    "tau-leaping": lambda process, nfe: tau_leaping_sampler(_enumerated(process), nfe),
    "theta": lambda process, nfe: theta_sampler(_enumerated(process), 2 * nfe),
    "tau-leaping, no end": lambda process, nfe: tau_leaping_sampler(_enumerated(process), nfe, final="none"),
    "clean student": lambda process, nfe: student_sampler(network(process, "autoregressive", "clean"), nfe),
    "step student": lambda process, nfe: student_sampler(network(process, "hmm", "step"), nfe),
}


@pytest.mark.parametrize("nfe", [1, 3, 8])
@pytest.mark.parametrize("name", sorted(SAMPLERS))
@every_process
def test_counted_network_calls_are_the_designed_ones(kind: str, name: str, nfe: int) -> None:
    process = make_case(kind, V=V).process
    sampler = SAMPLERS[name](process, nfe)
    with EvaluationCounter(*sampler.models) as counter:
        drawn = sampler.sample(10, generator())
    calls = 2 * nfe if name == "theta" else nfe
    assert counter.calls == calls == sampler.nfe
    assert counter.per_sample(10) == calls
    assert drawn.shape == (10, L)
    if name != "tau-leaping, no end":
        assert int(drawn.max()) < V, "a mask is left over"
    sampler.sample(10, generator())
    assert counter.calls == calls, "the counter goes on counting after its block"
    assert torch.equal(drawn, sampler.sample(10, generator())), "draws depend on more than the generator"


def test_students_may_be_one_a_step_count() -> None:
    process = make_case("absorbing", V=V).process
    models = {n: network(process, "factorized", "clean") for n in (1, 2)}
    sampler = student_sampler(models, 2)
    assert {id(step.kernel.model) for step in sampler.steps} == {id(models[2])}


@pytest.mark.parametrize("matches", ["clean", "step"])
def test_a_way_of_decoding_reaches_the_family_and_changes_no_sample(matches: str) -> None:
    model = network(make_case("absorbing", V=V).process, "autoregressive", matches)
    drawn = [
        student_sampler(model, 2, decoding=decoding).sample(50, generator(3)) for decoding in ("sequential", "scan")
    ]
    assert torch.equal(*drawn)
    model.head.window = 9  # wider than any that is scanned
    with pytest.raises(ValueError, match="window is 9, at most 2"):
        student_sampler(model, 2, decoding="scan").sample(2, generator())
