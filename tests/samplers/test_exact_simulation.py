"""The oracles: their draws follow p_0 itself, at the number of network calls that theory gives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from science_cases import chi_square_p, generator, make_case, quick, random_generator
from scipy.linalg import expm
from scipy.stats import beta, kstest
from torch import Tensor

from cdmrun.errors import UserError
from cdmrun.models import ConditionalModel, EnumeratedTeacher, EvaluationCounter
from cdmrun.models.families.factorized import Factorized
from cdmrun.processes import Absorbing, ForwardProcess, Loglinear, Matrix, Uniform, make_schedule
from cdmrun.processes.enumeration import state_codes
from cdmrun.samplers import analytic_sampler
from cdmrun.samplers.exact_simulation import Envelope, FirstHitting, Uniformization, rate_bounds

COUNT = 4000
#: p-values below this reject; seeds are fixed, so a test either always passes or never does.
LEVEL = 1e-3

SPARSE = torch.tensor([[0.5, 0.0, 0.0], [0.0, 0.2, 0.0], [0.0, 0.0, 0.3]], dtype=torch.float64)


def table(V: int, L: int, seed: int = 0, zeros: bool = False) -> Tensor:
    return torch.from_numpy(make_case("uniform", V, L, seed=seed, zeros=zeros).table)


def process_of(kind: str, V: int, schedule: str = "loglinear") -> ForwardProcess:
    built = make_schedule(schedule, 1e-5, sigma_max=12.0)
    if kind == "uniform":
        return Uniform(V, built)
    rates = random_generator(V, np.random.default_rng(3), ordinal=kind == "ordinal")
    return Matrix(torch.from_numpy(rates), built)


def p_value(drawn: Tensor, law: Tensor) -> float:
    """χ² of draws against a table p_0 of shape (V, …, V)."""
    assert drawn.dtype == torch.int64
    assert int(drawn.min()) >= 0
    assert int(drawn.max()) < law.shape[0], "a mask is left over"
    counts = np.bincount(state_codes(drawn, law.shape[0]).numpy(), minlength=law.numel())
    return chi_square_p(counts, law.flatten().numpy())


class Stub(ConditionalModel):
    """A model without a network: marginals from a function of states and times; remembers what it was asked."""

    def __init__(self, process: ForwardProcess, length: int, belief: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.process, self.length, self.belief = process, length, belief
        self.asked: list[tuple[Tensor, Tensor]] = []

    def forward(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, spoken: Tensor | None = None) -> Factorized:
        self.asked.append((x_t.clone(), t.clone()))
        return Factorized(x_t, self.default_spoken(x_t), self.belief(x_t, t).clamp_min(1e-30).log())


# -- first hitting ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "alpha_min"), [("loglinear", 0.0), ("loglinear", 0.2), ("cosine", 0.0), ("geometric", 0.0)]
)
@pytest.mark.parametrize("zeros", [False, True])
def test_first_hitting_follows_the_data_in_length_many_calls(schedule: str, alpha_min: float, zeros: bool) -> None:
    law = table(3, 3, seed=4, zeros=zeros)
    oracle = FirstHitting(EnumeratedTeacher(Absorbing(3, make_schedule(schedule, alpha_min)), law))
    with EvaluationCounter(*oracle.models) as counter:
        drawn = oracle.sample(COUNT, generator(1))
    assert counter.calls == counter.per_sample(COUNT) == oracle.length == 3
    assert p_value(drawn, law) > LEVEL


class OneRowFits(FirstHitting):
    """The known mistake: which positions are masked is read off the first row, for all rows."""

    def _position(self, masked: Tensor, generator: torch.Generator) -> Tensor:
        own = masked[0].nonzero()[:, 0]
        return own[torch.randint(len(own), (len(masked),), generator=generator)]


def test_a_first_hitting_that_is_right_for_one_row_only_is_caught() -> None:
    law = table(2, 2, seed=1)
    teacher = EnumeratedTeacher(Absorbing(2), law)
    alone = torch.cat([OneRowFits(teacher).sample(1, generator(seed)) for seed in range(300)])
    assert p_value(alone, law) > LEVEL
    with pytest.raises(AssertionError, match="mask is left over"):
        p_value(OneRowFits(teacher).sample(COUNT, generator()), law)


def test_every_row_has_its_own_hitting_times_and_positions() -> None:
    """The levels 1 − α of the hits are L uniforms in decreasing order, and the positions a random permutation."""
    process, L, rows = Absorbing(2, make_schedule("cosine", 0.1)), 3, 2000
    model = Stub(process, L, lambda x, t: torch.full((*x.shape, 2), 0.5, dtype=torch.float64))
    FirstHitting(model).sample(rows, generator(2))
    levels = torch.stack([1.0 - process.schedule.alpha(t) for _, t in model.asked]) / 0.9  # [hit, row]
    assert (levels.diff(dim=0) < 0).all()
    for hit in range(L):
        assert len(levels[hit].unique()) == rows
        assert kstest(levels[hit].numpy(), beta(L - hit, hit + 1).cdf).pvalue > LEVEL
    masked = torch.stack([x == process.mask for x, _ in model.asked])  # [hit, row, L]
    assert (masked.sum(-1) == torch.tensor([3, 2, 1]).unsqueeze(-1)).all()
    orders = masked.sum(0) - 1  # the hit at which each position was revealed: one of 3! orders
    counts = np.unique(orders.numpy(), axis=0, return_counts=True)[1]
    assert len(counts) == 6
    assert chi_square_p(counts, np.full(6, 1 / 6)) > LEVEL


def test_first_hitting_asks_the_model_at_the_time_of_the_hit_in_that_row() -> None:
    """Beliefs that depend on the level m = 1 − α_t and on what the row holds, so that another row's time would not do.

    The token 0 has probability m at the first hit, and m at the second if the first was 0, else 1 − m. The levels are
    the ordered pair of two uniforms: E m₁ = 2/3, E m₂ = 1/3, E m₁m₂ = 1/4.
    """
    process = Absorbing(2, make_schedule("cosine"))

    def belief(x: Tensor, t: Tensor) -> Tensor:
        level = 1.0 - process.schedule.alpha(t)
        zero = torch.where((x == 1).any(-1), 1.0 - level, level)[:, None].expand(x.shape)
        return torch.stack([zero, 1.0 - zero], -1)

    drawn = FirstHitting(Stub(process, 2, belief)).sample(COUNT, generator(3))
    law = torch.tensor([[1 / 4, 1 / 3], [1 / 3, 1 / 12]], dtype=torch.float64)
    assert p_value(drawn, law) > LEVEL


# -- the bound that uniformization thins by --------------------------------------------------------------------------


def leaving_rates(rates: np.ndarray, tau: float) -> np.ndarray:
    """ρ_τ(a, x) = Σ_{y≠x} Q(y, x) K(a, y)/K(a, x) by loops."""
    kernel, size = expm(tau * rates), len(rates)
    return np.array(
        [
            [sum(rates[y, x] * kernel[a, y] for y in range(size) if y != x) / kernel[a, x] for x in range(size)]
            for a in range(size)
        ]
    )


@quick
@given(
    kind=st.sampled_from(["uniform", "dense", "ordinal"]),
    V=st.integers(2, 5),
    seed=st.integers(0, 99),
    tau=st.floats(0.02, 3.0),
    further=st.floats(0.0, 2.0),
)
def test_rate_bounds_hold_for_all_conditionals_from_there_on(
    kind: str, V: int, seed: int, tau: float, further: float
) -> None:
    if kind == "uniform":
        process: ForwardProcess = Uniform(V)
    else:
        process = Matrix(torch.from_numpy(random_generator(V, np.random.default_rng(seed), ordinal=kind == "ordinal")))
    bound = rate_bounds(process, torch.tensor([tau, tau + further], dtype=torch.float64)).numpy()
    rates = process.rate().numpy()
    np.testing.assert_allclose(bound[0], leaving_rates(rates, tau).max(0), rtol=1e-8)  # and it is attained
    assert (bound[1] <= bound[0] * (1 + 1e-12)).all()
    c = np.random.default_rng(seed).dirichlet(np.full(V, 0.3), size=20)
    assert (c @ leaving_rates(rates, tau + further) <= bound[0] * (1 + 1e-8)).all()


@pytest.mark.parametrize("tau", [1e-5, 1e-4])
def test_rate_bounds_reach_the_farthest_states_at_small_times(tau: float) -> None:
    """d steps away K_τ is of order τ^d, down to 1e-55 here, and ρ_τ = d/τ: the farthest state bounds the rate."""
    bound = rate_bounds(process_of("ordinal", 12), torch.tensor([tau], dtype=torch.float64))[0]
    farthest = torch.tensor([max(x, 11 - x) for x in range(12)]).double()
    torch.testing.assert_close(bound, farthest / tau, rtol=100 * tau, atol=0.0)


def test_candidates_come_where_the_integrated_bound_has_grown_by_the_exponential() -> None:
    envelope = Envelope.of(process_of("ordinal", 4), 1e-4)
    edges, bounds = envelope.edges.numpy(), envelope.bounds.numpy()
    assert edges[-1] == 1e-4
    assert edges[0] == pytest.approx(-math.log(1e-5))
    random = np.random.default_rng(0)
    rows = 200
    x = torch.from_numpy(random.integers(0, 4, (rows, 3)))
    tau = torch.from_numpy(np.append(edges[random.integers(0, len(edges), 20)], random.choice(edges, rows - 20) * 0.97))
    tau = tau.clamp_min(edges[-1])
    exponential = torch.from_numpy(random.exponential(size=rows) * 5.0)
    found, bound = envelope.next_candidate(x, tau, exponential)
    for row in range(rows):
        heights = bounds[:, x[row].numpy()].sum(1)
        lower, upper = float(found[row]), float(tau[row])
        inside = np.clip(np.minimum(edges[:-1], upper) - np.maximum(edges[1:], lower), 0.0, None)
        grown = float((inside * heights).sum())
        if lower > edges[-1]:
            assert grown == pytest.approx(float(exponential[row]), abs=1e-9)
            assert float(bound[row]) == pytest.approx(heights[np.searchsorted(-edges, -lower) - 1], rel=1e-12)
        else:
            assert grown <= float(exponential[row]) + 1e-9
    assert 5 < int((found == edges[-1]).sum()) < rows - 100  # both kinds occurred


# -- uniformization ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "schedule", "V", "L"),
    [
        ("uniform", "loglinear", 3, 2),
        ("uniform", "geometric", 2, 3),
        ("dense", "cosine", 3, 2),
        ("dense", "loglinear", 4, 2),
        ("ordinal", "loglinear", 4, 2),
    ],
)
def test_uniformization_follows_the_data(kind: str, schedule: str, V: int, L: int) -> None:
    law = table(V, L, seed=5)
    oracle = Uniformization(EnumeratedTeacher(process_of(kind, V, schedule), law))
    with EvaluationCounter(*oracle.models) as counter:
        drawn = oracle.sample(COUNT, generator(1))
    assert p_value(drawn, law) > LEVEL
    nfe = counter.rows / COUNT
    assert counter.per_sample(COUNT) == nfe
    stderr = math.sqrt(nfe / COUNT)
    assert nfe < oracle.nfe_bound + 4 * stderr
    assert nfe > 1 + L * math.log(1 / oracle.stop) / 2  # far more than its jumps
    if kind == "uniform":  # the bound is the same for all states: candidates are a Poisson number
        assert nfe == pytest.approx(oracle.nfe_bound, abs=4 * stderr)


@pytest.mark.parametrize("kind", ["uniform", "ordinal"])
def test_uniformization_follows_sparse_data(kind: str) -> None:
    """Zeros in p_0: rates diverge like 1/τ all the way down, and the last draw errs in first order of stop."""
    oracle = Uniformization(EnumeratedTeacher(process_of(kind, 3), SPARSE), stop=1e-6)
    assert p_value(oracle.sample(COUNT, generator(2)), SPARSE) > LEVEL


@pytest.mark.parametrize("stop", [0.3, 2.0])
def test_the_last_draw_is_exact_for_one_position_from_any_stop(stop: float) -> None:
    law = torch.tensor([0.7, 0.05, 0.0, 0.25], dtype=torch.float64)
    oracle = Uniformization(EnumeratedTeacher(process_of("dense", 4), law), stop)
    assert p_value(oracle.sample(COUNT, generator(4)), law) > LEVEL


def test_calls_differ_from_sample_to_sample_and_only_candidates_cost() -> None:
    oracle = Uniformization(EnumeratedTeacher(process_of("uniform", 3), table(3, 2)), stop=1e-3)
    sizes: list[int] = []
    handle = oracle.models[0].register_forward_hook(lambda module, inputs, output: sizes.append(len(inputs[0])))
    oracle.sample(300, generator())
    handle.remove()
    assert sizes[-1] == 300  # the last call, for every row
    assert sizes[:-1] == sorted(sizes[:-1], reverse=True)  # before it, for the rows that still have a candidate
    assert sizes[-2] < 30


@pytest.mark.parametrize("kind", ["absorbing", "uniform"])
def test_one_row_at_a_time_and_many_at_once_agree(kind: str) -> None:
    law = table(2, 2, seed=8)
    if kind == "absorbing":
        oracle: FirstHitting | Uniformization = FirstHitting(EnumeratedTeacher(Absorbing(2), law))
    else:
        oracle = Uniformization(EnumeratedTeacher(Uniform(2, Loglinear(1e-4)), law), stop=1e-3)
    source = generator(6)
    alone = torch.cat([oracle.sample(1, source) for _ in range(120)])
    together = torch.cat([oracle.sample(200, source) for _ in range(5)])
    assert p_value(alone, law) > LEVEL
    assert p_value(together, law) > LEVEL


@pytest.mark.parametrize("nfe", [1, 4])
@pytest.mark.parametrize("process", [Absorbing(3), Uniform(3)], ids=lambda process: process.kind)
def test_chi_square_rejects_what_is_not_exact(process: ForwardProcess, nfe: int) -> None:
    """The analytic sampler, in the place of an oracle and at the sample size of these tests."""
    law = table(3, 3, seed=4)
    drawn = analytic_sampler(EnumeratedTeacher(process, law), nfe).sample(COUNT, generator())
    assert p_value(drawn, law) < 1e-9


@pytest.mark.parametrize("kind", ["uniform", "dense", "ordinal"])
def test_any_conditionals_stay_below_the_bound(kind: str) -> None:
    """A network's may contradict one another: here, random ones that jump with every state and time, in float32."""

    def whimsical(x: Tensor, t: Tensor) -> Tensor:
        phases = (x.sum(-1, keepdim=True) + 1e4 * t.unsqueeze(-1)).unsqueeze(-1) * torch.arange(1.0, 7.0)
        return (8.0 * torch.sin(phases + x.unsqueeze(-1))).softmax(-1).float()

    oracle = Uniformization(Stub(process_of(kind, 6), 3, whimsical))
    drawn = oracle.sample(50, generator())
    assert drawn.shape == (50, 3)
    assert int(drawn.max()) < 6


def test_rates_above_the_bound_name_the_model() -> None:
    oracle = Uniformization(EnumeratedTeacher(process_of("uniform", 3), SPARSE))
    oracle.envelope = replace(oracle.envelope, bounds=oracle.envelope.bounds / 8, integral=oracle.envelope.integral / 8)
    with pytest.raises(RuntimeError, match="EnumeratedTeacher"):
        oracle.sample(100, generator())


def test_nan_is_refused() -> None:
    broken = Stub(process_of("uniform", 2), 2, lambda x, t: torch.full((*x.shape, 2), torch.nan))
    with pytest.raises(RuntimeError, match="Stub"):
        Uniformization(broken).sample(5, generator())


def test_draws_depend_on_the_generator_alone() -> None:
    law = table(3, 2)
    for oracle in (
        FirstHitting(EnumeratedTeacher(Absorbing(3), law)),
        Uniformization(EnumeratedTeacher(process_of("dense", 3), law)),
    ):
        first = oracle.sample(50, generator(1))
        assert first.shape == (50, 2)
        assert torch.equal(first, oracle.sample(50, generator(1)))
        assert not torch.equal(first, oracle.sample(50, generator(2)))


def test_processes_that_do_not_fit_are_user_errors() -> None:
    law = table(2, 2)
    with pytest.raises(UserError, match=r"this one is uniform[\s\S]*uniformization"):
        FirstHitting(EnumeratedTeacher(Uniform(2), law))
    with pytest.raises(UserError, match=r"this one is absorbing[\s\S]*first_hitting"):
        Uniformization(EnumeratedTeacher(Absorbing(2), law))
    with pytest.raises(UserError, match="α = 0 there"):
        Uniformization(EnumeratedTeacher(Uniform(2, Loglinear(0.0)), law))
    for stop in (0.0, 1e-7, 50.0, math.nan):
        with pytest.raises(UserError, match="cannot stop at"):
            Uniformization(EnumeratedTeacher(Uniform(2), law), stop=stop)
