"""Score entropy: against the generator's own formula, its minimum, and what a network trained by it comes to say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from science_cases import KINDS, Case, generator, make_case, times
from torch import Tensor

from cdmrun.models import EnumeratedTeacher, NetworkModel, NetworkShape
from cdmrun.processes import Absorbing
from cdmrun.processes.enumeration import enumerate_states
from cdmrun.training.score_entropy import ScoreEntropy, score_entropy
from cdmrun.training.sources import table_source


def random_pair(case: Case, t: float, count: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """(x_0, x_t, log s), the last arbitrary."""
    x_0 = table_source(case.table)(count, generator(1))
    x_t = case.process.noise(x_0, 0.0, t, generator(2))
    log_s = torch.randn(*x_t.shape, case.process.states, dtype=torch.float64, generator=generator(3))
    return x_0, x_t, log_s


@pytest.mark.parametrize("kind", KINDS)
def test_agrees_with_the_formula_written_out(kind: str) -> None:
    case, t = make_case(kind, V=3, L=2, seed=4), 0.4
    x_0, x_t, log_s = random_pair(case, t)
    found = score_entropy(case.process, log_s, x_0, x_t, times(t, 5))
    kernel, generator_matrix = case.reference.kernel(0.0, t), case.reference.generator
    h = 1e-6  # σ_t from the schedule's own α, by a central difference
    low, high = (float(case.process.schedule.alpha(torch.tensor(t + d, dtype=torch.float64))) for d in (-h, h))
    sigma = -(np.log(high) - np.log(low)) / (2 * h)
    for row in range(5):
        total = 0.0
        for i in range(2):
            start, now = int(x_0[row, i]), int(x_t[row, i])
            for y in range(case.process.states):
                if y != now:
                    s, r = float(log_s[row, i, y].exp()), kernel[start, y] / kernel[start, now]
                    constant = r * (np.log(r) - 1) if r > 0 else 0.0
                    total += sigma * generator_matrix[y, now] * (s - r * np.log(s) + constant)
        assert float(found[row]) == pytest.approx(total, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_is_least_at_the_density_ratios(kind: str) -> None:
    """In expectation over p(x_0 | x_t), in full: the gradient vanishes there, and every other answer costs more."""
    case, t = make_case(kind, V=3, L=2, seed=6), 0.5
    teacher = EnumeratedTeacher(case.process, torch.from_numpy(case.table))
    clean = enumerate_states(3, 2)
    x_t = enumerate_states(case.process.states, 2)
    if isinstance(case.process, Absorbing):
        x_t = x_t[(x_t == case.process.mask).any(-1)]
    at = times(t, len(x_t))
    log_r = teacher.ratios(x_t, at).clamp_min(1e-300).log()
    weight = teacher(x_t, at).log_probs.exp()

    def expected(log_s: Tensor) -> Tensor:
        rows, columns = (weight > 0).nonzero(as_tuple=True)
        each = score_entropy(case.process, log_s[rows], clean[columns], x_t[rows], at[rows])
        return (weight[rows, columns] * each).sum()

    at_truth = log_r.clone().requires_grad_()
    loss = expected(at_truth)
    loss.backward()
    assert at_truth.grad is not None
    assert float(at_truth.grad.abs().max()) < 1e-10 * max(1.0, float(loss.detach()))
    for seed in range(4):
        nudge = 0.1 * torch.randn(log_r.shape, dtype=torch.float64, generator=generator(seed))
        assert float(expected(log_r + nudge)) > float(loss.detach()) + 1e-6


def test_stays_finite_where_nothing_is_left_of_the_data() -> None:
    case = make_case("absorbing", V=3, L=4)
    torch.manual_seed(0)
    shape = NetworkShape(4, trunk={"layers": 1, "width": 8, "heads": 2}, prediction="ratio")
    model = NetworkModel(case.process, shape)
    t = times(1.0 - 1e-9, 5)
    x_0 = torch.zeros(5, 4, dtype=torch.long)
    x_t = torch.full((5, 4), 3)
    loss = score_entropy(case.process, model.log_ratios(x_t, t), x_0, x_t, t)
    torch.testing.assert_close(loss / 4, torch.full_like(loss, np.log(3)), rtol=1e-5, atol=0)  # −log 1/V a token
    loss.sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("kind", ["absorbing", "uniform"])
def test_a_network_comes_to_know_the_conditionals(kind: str) -> None:
    """On an enumerable target, at several levels of noise, and from the loss alone."""
    case = make_case(kind, V=3, L=2, seed=2, alpha_min=0.0 if kind == "absorbing" else 1e-3)
    teacher = EnumeratedTeacher(case.process, torch.from_numpy(case.table))
    torch.manual_seed(0)
    shape = NetworkShape(2, trunk={"layers": 1, "width": 16, "heads": 1}, prediction="ratio")
    model = NetworkModel(case.process, shape)

    def distance() -> float:
        """Mean TV of the conditionals under p_t, over times."""
        found = []
        for t in (0.2, 0.5, 0.8, 1.0):
            law = teacher.at_time(t).law
            x_t = enumerate_states(case.process.states, 2)
            at = times(t, len(x_t))
            gap = (model(x_t, at).marginals() - teacher(x_t, at).marginals()).abs().sum(-1).mean(-1) / 2
            found.append(float((law * gap).sum()))
        return sum(found) / len(found)

    with torch.no_grad():
        before = distance()
    objective = ScoreEntropy(model, table_source(case.table), 128)
    steps = 200
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        optimiser.zero_grad()
        objective(generator(step)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        after = distance()
    assert before > 0.25
    assert after < 0.2 * before
