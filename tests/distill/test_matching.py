"""Conditional distribution matching: what each loss is, where it vanishes, and what a factorised student can reach."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from matching_cases import (
    case_of,
    every_process,
    expected_divergence,
    expected_entropy,
    matching,
    other_table,
    student_of,
)
from science_cases import Case, chi_square_p, generator, make_case, times
from torch import Tensor

from cdmrun.distill import ExactMatching, SampledMatching, StepSchedule, divergence
from cdmrun.distill.divergences import DIVERGENCES
from cdmrun.models import ConditionalModel, EnumeratedTeacher
from cdmrun.models.families import Factorized, JointDistribution
from cdmrun.processes import ForwardProcess, time_grid
from cdmrun.processes.enumeration import state_codes
from cdmrun.training.sources import array_source, noised_pairs, rollout_pairs, table_source

BATCH = 20_000


def objective_for(
    case: Case, kind: str, table: np.ndarray, matches: str, nfe: list[int], batch: int = 300, by: str = "forward_kl"
) -> Any:
    """``exact``, ``sampled``, or ``known``: sampled from a law whose density is known."""
    student, source, steps = student_of(case, table, matches), table_source(case.table), StepSchedule(nfe)
    teacher = EnumeratedTeacher(case.process, torch.from_numpy(case.table))
    compared_by = divergence(by, 0.3 if by == "alpha" else None)
    if kind == "exact":
        return ExactMatching(student, teacher, source, steps, batch, compared_by)
    known = teacher if kind == "known" else None
    return SampledMatching(student, noised_pairs(source, case.process), steps, batch, compared_by, known)


@matching
@every_process
@pytest.mark.parametrize("nfe", [[1], [2], [1, 2, 4]])
def test_exact_matching_vanishes_at_a_match(kind: str, matches: str, nfe: list[int]) -> None:
    case = case_of(kind)
    loss = objective_for(case, "exact", case.table, matches, nfe)(generator())
    assert float(loss) == pytest.approx(0.0, abs=1e-12)


@matching
@every_process
@pytest.mark.parametrize("nfe", [1, 2])
def test_losses_are_the_divergence_and_the_divergence_plus_entropy(kind: str, matches: str, nfe: int) -> None:
    case = case_of(kind)
    wrong = other_table(case)
    divergence = expected_divergence(case, wrong, matches, nfe)
    entropy = expected_entropy(case, matches, nfe)
    for target, expected in [("exact", divergence), ("sampled", divergence + entropy)]:
        objective = objective_for(case, target, wrong, matches, [nfe], batch=5000)
        losses = np.array([float(objective(generator(seed))) for seed in range(8)])
        stderr = losses.std(ddof=1) / math.sqrt(len(losses))
        assert losses.mean() == pytest.approx(expected, abs=5 * stderr + 1e-9), target


@matching
@pytest.mark.parametrize("kind", ["absorbing", "uniform"])
@pytest.mark.parametrize("by", DIVERGENCES)
def test_every_divergence_vanishes_at_a_match_and_is_estimated_from_draws(kind: str, matches: str, by: str) -> None:
    """Each draw is worth zero at a match; elsewhere their mean is the sum over all outcomes."""
    case = case_of(kind)
    for target in ("exact", "known"):
        loss = objective_for(case, target, case.table, matches, [1, 2], by=by)(generator())
        assert float(loss) == pytest.approx(0.0, abs=1e-12), target
    means = []
    for target, batch in [("exact", 4000), ("known", 8000)]:
        objective = objective_for(case, target, other_table(case), matches, [2], batch, by)
        losses = np.array([float(objective(generator(seed))) for seed in range(6)])
        means.append((losses.mean(), losses.std(ddof=1) / math.sqrt(len(losses))))
    (exact, error), (drawn, more) = means
    assert exact > 0.003
    assert drawn == pytest.approx(exact, abs=5 * math.hypot(error, more))


def test_other_divergences_need_the_density_of_the_draws() -> None:
    with pytest.raises(ValueError, match="only forward_kl is unbiased"):
        objective_for(case_of("uniform"), "sampled", case_of("uniform").table, "clean", [1], by="reverse_kl")


def test_a_coin_by_hand() -> None:
    case = make_case("absorbing", V=2, L=1, table=np.array([0.75, 0.25]))
    loss = objective_for(case, "exact", np.array([0.5, 0.5]), "clean", [1])(generator())
    assert float(loss) == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5), abs=1e-12)


@matching
@every_process
def test_exact_matching_with_zeros_in_the_table_is_finite(kind: str, matches: str) -> None:
    case = make_case(kind, V=3, L=2, zeros=True, seed=4)
    assert (case.table == 0).any()
    for table in (case.table, other_table(case)):
        loss = float(objective_for(case, "exact", table, matches, [1, 2])(generator()))
        assert math.isfinite(loss)
        assert loss >= -1e-12


class Free(ConditionalModel):
    """A factorised student with one free law a position, whatever it is shown."""

    def __init__(self, process: ForwardProcess, logits: Tensor) -> None:
        super().__init__()
        self.process, self.length = process, logits.shape[0]
        self.logits = torch.nn.Parameter(logits)

    def forward(
        self, x_t: Tensor, t: Tensor, s: Tensor | None = None, spoken: Tensor | None = None
    ) -> JointDistribution:
        spoken = self.default_spoken(x_t) if spoken is None else spoken
        return Factorized(x_t, spoken, self.logits.log_softmax(-1).expand(len(x_t), -1, -1))


def test_the_factorised_optimum_is_the_teacher_s_marginals() -> None:
    """Distillation by forward KL gains a factorised student nothing; its floor is the total correlation."""
    case = make_case("absorbing", V=3, L=2, seed=3)
    marginals = [case.table.sum(1), case.table.sum(0)]
    student: Any = Free(case.process, torch.from_numpy(np.log(np.stack(marginals))))
    teacher = EnumeratedTeacher(case.process, torch.from_numpy(case.table))
    objective = ExactMatching(student, teacher, table_source(case.table), StepSchedule([1]), 5)
    loss = objective(generator())
    loss.backward()
    np.testing.assert_allclose(student.logits.grad.numpy(), 0.0, atol=1e-12)
    correlation = (case.table * np.log(case.table / np.outer(*marginals))).sum() / 2
    assert float(loss.detach()) == pytest.approx(correlation, abs=1e-12)
    with torch.no_grad():
        student.logits[0, 0] += 0.1
    assert float(objective(generator()).detach()) > correlation + 1e-5


def test_gradients_of_sampled_and_exact_matching_agree() -> None:
    case = make_case("absorbing", V=3, L=2, seed=3)
    gradients = []
    for build in ("exact", "sampled"):
        student: Any = Free(case.process, torch.zeros(2, 3, dtype=torch.float64))
        objective = objective_for(case, build, case.table, "clean", [1, 2], BATCH)
        objective.student = student
        objective(generator()).backward()
        gradients.append(student.logits.grad)
    torch.testing.assert_close(gradients[0], gradients[1], atol=0.005, rtol=0)


# -- which steps ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", ["uniform", "cosine"])
def test_steps_are_drawn_evenly_from_each_sampler(grid: str) -> None:
    at = StepSchedule([1, 2, 4], grid).draw(12_000, generator())
    for n in (1, 2, 4):
        mine = at.n == n
        assert int(mine.sum()) == 4000
        ends = time_grid(n, grid)
        for k in range(n):
            here = mine & (at.t == ends[k + 1]) & (at.s == ends[k])
            assert int(here.sum()) == pytest.approx(4000 / n, abs=5 * math.sqrt(4000 / n))
        assert set(at.t[mine].tolist()) <= set(ends[1:].tolist())


def test_sources_draw_what_they_are_given() -> None:
    rows = np.arange(12, dtype=np.uint8).reshape(4, 3)
    drawn = array_source(rows)(500, generator())
    assert drawn.dtype == torch.int64
    assert {tuple(row) for row in drawn.tolist()} == {tuple(row) for row in rows.tolist()}
    with pytest.raises(ValueError, match="no sequences"):
        array_source(rows[:0])
    table = np.array([[0.0, 0.5], [0.5, 0.0]])
    assert {tuple(row) for row in table_source(table)(200, generator()).tolist()} == {(0, 1), (1, 0)}


@pytest.mark.parametrize("t", [0.2, 0.5, 0.8, 1.0])
@every_process
def test_rollouts_have_the_joint_law_at_and_between_their_levels(kind: str, t: float) -> None:
    """With the exact conditional as teacher: the law of (x_0, x_t) under data and noise."""
    case = case_of(kind)
    process, reference, count = case.process, case.reference, 30_000
    source = table_source(case.table)
    levels = np.repeat([0.5, 1.0], count)
    x_0 = source(2 * count, generator(1))
    x_level = process.noise(x_0, 0.0, torch.from_numpy(levels), generator(2))
    pairs = rollout_pairs(levels, x_level.numpy().astype(np.uint16), x_0.numpy().astype(np.uint16), process)
    clean, noisy = pairs(times(t, 10_000), generator(3))
    codes = state_codes(clean, reference.V) * len(reference.states) + state_codes(noisy, process.states)
    law = (reference.p_0()[:, None] * reference.joint_kernel(0.0, t, clean_only=True)).ravel()
    assert chi_square_p(np.bincount(codes.numpy(), minlength=len(law)), law) > 1e-4
