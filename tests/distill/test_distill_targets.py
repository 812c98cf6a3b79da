"""Soft and bootstrapped targets: where their losses and gradients vanish, and what their minimisers are."""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from matching_cases import (
    TableStudent,
    alpha_min_of,
    case_of,
    exact_rows,
    expected_divergence,
    gradient_scores,
    matching,
    other_table,
    student_of,
    walk_rows,
)
from science_cases import Case, generator, make_case
from test_progressive import Shifted
from torch import Tensor

from cdmrun.distill import (
    BootstrapMatching,
    ChainMatching,
    ExactMatching,
    KeptLabels,
    LastLinkMatching,
    SampledMatching,
    StepSchedule,
    TeacherLabels,
    divergence,
    label_arrays,
)
from cdmrun.distill.divergences import DIVERGENCES
from cdmrun.distill.labels import Labelled
from cdmrun.distill.steps import StepBatch
from cdmrun.models import EnumeratedTeacher
from cdmrun.processes import time_grid
from cdmrun.training.sources import noised_pairs, rollout_pairs, table_source

some_processes = pytest.mark.parametrize("kind", ["absorbing", "uniform", "matrix"])


def teacher_of(case: Case) -> EnumeratedTeacher:
    return EnumeratedTeacher(case.process, torch.from_numpy(case.table))


def rungs(matches: str, nfe: int, count: int) -> list[tuple[float, float]]:
    """Every (t, s) at which a bootstrapped student is asked."""
    grid = time_grid(nfe).tolist()
    ends = [(grid[k + 1], grid[k] if matches == "step" else 0.0) for k in range(nfe)]
    found = {(round(s + (t - s) * k / count, 12), s) for t, s in ends for k in range(1, count + 1)}
    return sorted(found)


def objective_of(target: str, student: Any, case: Case, nfe: int, batch: int, count: int) -> Any:
    teacher, source, steps = teacher_of(case), table_source(case.table), StepSchedule([nfe])
    if target == "exact":
        return ExactMatching(student, teacher, source, steps, batch)
    if target == "sampled":
        return SampledMatching(student, noised_pairs(source, case.process), steps, batch)
    if target == "rollout":  # with the teacher's own draws, from two levels
        rows, levels = source(60_000, generator(1)), np.repeat([0.5, 1.0], 30_000)
        noisy = case.process.noise(rows, 0.0, torch.from_numpy(levels), generator(2))
        arrays = [states.numpy().astype(np.uint16) for states in (noisy, rows)]
        return SampledMatching(student, rollout_pairs(levels, *arrays, case.process), steps, batch)
    if target == "chain":
        labels = TeacherLabels(teacher, noised_pairs(source, case.process), steps, student.matches)
        return ChainMatching(student, labels, batch)
    if target == "walk":
        return LastLinkMatching(student, teacher, source, steps, batch, count)
    return BootstrapMatching(student, teacher, source, steps, batch, count)  # the student is its own average


# -- the chain rule ---------------------------------------------------------------------------------------------------


@matching
@pytest.mark.parametrize(("by", "contexts"), [*((by, "teacher") for by in DIVERGENCES), ("forward_kl", "other")])
def test_chain_losses_vanish_at_a_match_draw_by_draw(matches: str, by: str, contexts: str) -> None:
    """Whatever the contexts are drawn from, and with two positions as with one."""
    case = make_case("absorbing", V=2, L=3, seed=3)
    source = table_source(case.table if contexts == "teacher" else other_table(case))
    student = TableStudent(teacher_of(case), matches, [(t, s) for t in (0.5, 1.0) for s in (0.0, 0.5) if s < t])
    student.answer_as(lambda t, s: exact_rows(teacher_of(case), t, s))
    for positions in (1, 2, 9):
        student.logits.grad = None
        pairs, steps = noised_pairs(source, case.process), StepSchedule([1, 2])
        compared_by = divergence(by, 0.4 if by == "alpha" else None)
        labels = TeacherLabels(teacher_of(case), pairs, steps, matches, positions)
        objective = ChainMatching(student, labels, 200, compared_by)
        loss = objective(generator())
        loss.backward()
        assert float(loss.detach()) == pytest.approx(0.0, abs=1e-12)
        assert student.logits.grad is not None
        if by != "total_variation":  # which has a kink there, on one side of which rounding falls
            assert float(student.logits.grad.abs().max()) < 1e-12


@matching
@pytest.mark.parametrize("positions", [1, 2])
def test_chain_losses_are_the_divergence_of_whole_sequences(matches: str, positions: int) -> None:
    """With contexts from the teacher's own law: KL by enumeration."""
    case = make_case("absorbing", V=2, L=3, seed=3)
    student = student_of(case, wrong := other_table(case), matches)
    pairs = noised_pairs(table_source(case.table), case.process)
    labels = TeacherLabels(teacher_of(case), pairs, StepSchedule([2]), matches, positions)
    objective = ChainMatching(student, labels, 2000)
    losses = np.array([float(objective(generator(seed))) for seed in range(12)])
    stderr = losses.std(ddof=1) / np.sqrt(len(losses))
    assert losses.mean() == pytest.approx(expected_divergence(case, wrong, matches, 2), abs=5 * stderr)


def test_the_chain_rule_needs_masks() -> None:
    case = case_of("uniform")
    with pytest.raises(ValueError, match="needs a process with masks"):
        objective_of("chain", student_of(case, case.table, "clean"), case, 1, 1, 1)


@matching
def test_kept_labels_are_what_the_teacher_said(matches: str) -> None:
    """Over all rows the loss with kept labels is that with the labels as they were made, for the step counts chosen."""
    case = make_case("absorbing", V=2, L=3, seed=3)
    student = student_of(case, other_table(case), matches)
    pairs = noised_pairs(table_source(case.table), case.process)
    made = TeacherLabels(teacher_of(case), pairs, StepSchedule([1, 2]), matches, positions=2)(600, generator())
    kept = KeptLabels(label_arrays(made), nfe=[2])
    drawn = kept(4000, generator(1))
    assert set(drawn.at.n.tolist()) == {2}
    rows = {tuple(row) for row in torch.cat([made.x, made.x_t, made.scored], 1)[made.at.n == 2].tolist()}
    assert {tuple(row) for row in torch.cat([drawn.x, drawn.x_t, drawn.scored], 1).tolist()} == rows
    only = made.at.n == 2
    replayed = replace(made, **{f.name: getattr(made, f.name)[only] for f in fields(made) if f.name != "at"})
    replayed = replace(replayed, at=StepBatch(made.at.t[only], made.at.s[only], made.at.n[only]))
    whole = float(ChainMatching(student, lambda batch, generator: replayed, 1)(generator()))
    losses = [float(ChainMatching(student, kept, 4000)(generator(seed))) for seed in range(8)]
    assert np.mean(losses) == pytest.approx(whole, abs=5 * np.std(losses, ddof=1) / 8**0.5)


def test_kept_labels_of_other_step_counts_are_refused() -> None:
    case = make_case("absorbing", V=2, L=3, seed=3)
    pairs = noised_pairs(table_source(case.table), case.process)
    made = TeacherLabels(teacher_of(case), pairs, StepSchedule([2]), "step")(4, generator())
    with pytest.raises(ValueError, match="no kept label"):
        KeptLabels(label_arrays(made), nfe=[4])


# -- walks and bootstrap ----------------------------------------------------------------------------------------------


def substeps_of(case: Case, matches: str, nfe: int, count: int, target: str) -> TableStudent:
    """The student that has the law of the teacher's analytic sub-steps wherever the objective asks it."""
    teacher, grid = teacher_of(case), time_grid(nfe).tolist()
    student = TableStudent(teacher, matches, rungs(matches, nfe, count if target == "bootstrap" else 1))

    def rows(t: float, s: float) -> Tensor:
        top = min(end for end in grid if end >= t - 1e-9)
        number = round(count * (t - s) / (top - s))  # how many sub-steps of the step from top to s lead on from t
        return walk_rows(teacher, [s + (t - s) * k / number for k in range(number, -1, -1)])

    student.answer_as(rows)
    return student


@pytest.mark.parametrize(("matches", "nfe"), [("clean", 1), ("step", 1), ("step", 2)])
@some_processes
@pytest.mark.parametrize(("target", "count"), [("walk", 1), ("walk", 3), ("bootstrap", 2)])
def test_the_minimiser_is_the_law_of_the_teachers_substeps(
    kind: str, matches: str, nfe: int, target: str, count: int
) -> None:
    """There the expected gradient vanishes, and at the teacher's own law it does not."""
    case = make_case(kind, V=2, L=2, seed=3, table=np.array([[0.45, 0.05], [0.1, 0.4]]), alpha_min=alpha_min_of(kind))
    student = substeps_of(case, matches, nfe, count, target)
    assert (
        gradient_scores(objective_of(target, student, case, nfe, 1000, count), student.logits, 16).max(initial=0.0)
        < 5.0
    )
    teacher = teacher_of(case)
    student.answer_as(lambda t, s: exact_rows(teacher, t, s))
    assert gradient_scores(objective_of(target, student, case, nfe, 1000, count), student.logits, 16).max() > 8.0


@pytest.mark.parametrize("matches", ["clean", "step"])
@some_processes
def test_all_targets_agree_where_substeps_lose_nothing(kind: str, matches: str) -> None:
    """Independent positions: one and the same student is the minimiser for every target."""
    case = make_case(kind, V=2, L=2, seed=3, table=np.outer([0.7, 0.3], [0.4, 0.6]), alpha_min=alpha_min_of(kind))
    teacher = teacher_of(case)
    for target in ("exact", "sampled", "rollout", "walk", "bootstrap", *(["chain"] if kind == "absorbing" else [])):
        student = TableStudent(teacher, matches, rungs(matches, 2, 4))
        student.answer_as(lambda t, s: exact_rows(teacher, t, s))
        objective = objective_of(target, student, case, 2, 1000, 2)
        assert gradient_scores(objective, student.logits, 12).max(initial=0.0) < 5.5, target


@some_processes
def test_more_substeps_come_closer_to_the_teacher(kind: str) -> None:
    case = make_case(kind, V=2, L=3, seed=3)
    teacher = teacher_of(case)
    top = 0.95
    exact = exact_rows(teacher, top, 0.0)
    lost = []
    for count in (4, 8, 16):
        rows = walk_rows(teacher, [top * k / count for k in range(count, -1, -1)])
        lost.append(0.5 * float((rows - exact).abs().sum(1).mean()))
    assert all(later < 0.75 * earlier for earlier, later in pairwise(lost))


@some_processes
def test_a_factorised_student_gains_nothing_by_soft_targets(kind: str) -> None:
    """With one link the loss is KL to the teacher's analytic step: zero for its own marginals, and never below."""
    case = make_case(kind, V=3, L=2, seed=5)
    student: Any = Shifted(teacher_of(case))
    objective = LastLinkMatching(student, teacher_of(case), table_source(case.table), StepSchedule([1, 2]), 300, 1)
    objective(generator()).backward()
    assert float(objective(generator()).detach()) == pytest.approx(0.0, abs=1e-12)
    assert float(student.shift.grad.abs().max()) < 1e-12
    with torch.no_grad():
        student.shift[0, 0] += 1.0
    assert float(objective(generator()).detach()) > 1e-3


def test_the_average_goes_the_rest_of_the_way() -> None:
    case = case_of("uniform")
    student = TableStudent(teacher_of(case), "clean", rungs("clean", 1, 2))
    objective, averaged = objective_of("bootstrap", student, case, 1, 4, 2), copy.deepcopy(student)
    objective.use_average(averaged)
    averaged.logits.data[..., 2] += 50.0
    x, t = torch.zeros(9, 2, dtype=torch.long), torch.full((9,), 0.5, dtype=torch.float64)
    assert torch.equal(objective._continued(x, t, t, generator()), student.sequences[[2] * 9])


@pytest.mark.parametrize("vocabulary", [2**15 - 1, 2**15, 40_000])
def test_kept_labels_hold_every_token_and_the_mask(vocabulary: int) -> None:
    last = torch.tensor([[vocabulary - 1, 0]])
    masked, one = torch.full_like(last, vocabulary), torch.ones(1, dtype=torch.float64)
    label = torch.zeros(1, 1, vocabulary)
    made = Labelled(
        last, masked, masked == vocabulary, last[:, 1:], torch.ones(1, 1), label, StepBatch(one, 0 * one, one)
    )
    found = KeptLabels(label_arrays(made), nfe=[1])(1, generator(0))
    assert torch.equal(found.x, last)
    assert torch.equal(found.x_t, masked)
