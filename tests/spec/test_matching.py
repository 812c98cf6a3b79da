"""Targets and divergences of cdm students: defaults, what goes together, what a plan makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cdmrun.spec.plan import build_plan
from cdmrun.spec.plan_types import Run

from .conftest import RING, TEXT, Errors, Write

STUDENT = "  one:\n    method: cdm\n    family: {kind: hmm, states: 4}\n    nfe: [4, 1]\n"
NETWORK = TEXT.split("students:")[0] + "students:\n" + STUDENT
EXACT = RING.split("students:")[0] + "students:\n" + STUDENT.replace("kind: hmm, states: 4", "kind: factorized")


def students(path: Path) -> list[Run]:
    return [run for run in build_plan([path]).runs.values() if run.kind == "students"]


@pytest.mark.parametrize(
    ("base", "keys", "expected"),
    [
        (NETWORK, "target: {kind: soft}", {"kind": "soft", "contexts": "data", "positions": 1, "labelled": 0}),
        (EXACT, "target: {kind: soft}", {"kind": "soft", "contexts": "walk", "substeps": 8}),
        (NETWORK, "target: {kind: soft, contexts: walk}", {"kind": "soft", "contexts": "walk", "substeps": 8}),
        (
            NETWORK,
            "target: {kind: soft, contexts: draws, draws: 9}",
            {"kind": "soft", "contexts": "draws", "positions": 1, "substeps": 64, "draws": 9, "levels": 8},
        ),
        (EXACT, "target: {kind: bootstrap}", {"kind": "bootstrap", "substeps": 8}),
        (EXACT, "grid: cosine", {"kind": "exact"}),
    ],
)
def test_defaults_follow_from_kind_and_process(write: Write, base: str, keys: str, expected: dict[str, Any]) -> None:
    run, *_ = students(write(f"{base}    {keys}\n"))
    assert run.config["target"] == expected
    assert ("draws" in run.inputs) == ("draws" in expected)


def test_labels_are_shared_by_families_and_seeds_but_not_by_other_steps(write: Write) -> None:
    kept = "    target: {kind: soft, labelled: 64, positions: 2}\n"
    family = STUDENT.replace("one", "other").replace("kind: hmm, states: 4", "kind: mixture, components: 2")
    steps = STUDENT.replace("one", "shorter").replace("[4, 1]", "[2]")
    path = write(NETWORK + kept + family + kept + steps + kept)
    made = {run.key: run.inputs["labels"] for run in students(path)}
    labels = [run for run in build_plan([path]).runs.values() if run.kind == "labels"]
    assert len(made) == 6
    assert set(made.values()) == {run.key for run in labels}
    assert sorted(run.config["nfe"] for run in labels) == [[1, 4], [2]]
    assert len(set(made.values())) == 2


def test_draws_are_shared_by_rollouts_and_soft_contexts(write: Write) -> None:
    rolled = STUDENT.replace("one", "other") + "    target: {kind: rollout}\n"
    path = write(NETWORK + "    target: {kind: soft, contexts: draws}\n" + rolled)
    plan = build_plan([path])
    assert len([run for run in plan.runs.values() if run.kind == "draws"]) == 1


def test_alpha_has_a_default_and_only_where_it_has_a_meaning(write: Write) -> None:
    (run,) = students(write(EXACT + "    divergence: alpha\n"))
    assert run.config["alpha"] == 0.5
    (run,) = students(write(EXACT + "    divergence: reverse_kl\n"))
    assert "alpha" not in run.config


@pytest.mark.parametrize(
    ("base", "keys", "expected"),
    [
        (
            EXACT,
            "target: {kind: soft, contexts: data}",
            "target.contexts: data needs the absorbing process, not uniform: use walk",
        ),
        (
            NETWORK,
            "target: {kind: soft, substeps: 4}",
            "target.substeps: has a meaning for target.kind rollout or bootstrap or soft with contexts draws or soft "
            "with contexts walk only, here it is soft with contexts data: leave it out",
        ),
        (
            NETWORK,
            "target: {kind: bootstrap, positions: 4}",
            "target.positions: has a meaning for target.kind soft with contexts data or soft with contexts draws only",
        ),
        (
            NETWORK,
            "target: {kind: data, contexts: data}",
            "target.contexts: has a meaning for target.kind soft only, here it is data: leave it out",
        ),
        (
            NETWORK,
            "divergence: reverse_kl",
            "divergence: reverse_kl is biased with target.kind rollout, whose draws have an unknown density",
        ),
        (
            NETWORK,
            "divergence: alpha\n    target: {kind: soft, contexts: walk}",
            "divergence: alpha is biased with target.kind soft with contexts walk",
        ),
        (NETWORK, "alpha: 0.3", "alpha: has a meaning for divergence alpha only, here it is forward_kl: leave it out"),
    ],
)
def test_what_does_not_go_together_is_located(errors: Errors, base: str, keys: str, expected: str) -> None:
    (found,) = errors(f"{base}    {keys}\n")
    assert expected in str(found)
    assert str(found).startswith(f"a.yaml:{found.line}:")
    assert found.line > base.count("\n")


def test_any_divergence_goes_with_a_known_density(errors: Errors) -> None:
    for divergence in ("reverse_kl", "jensen_shannon", "total_variation", "alpha"):
        assert not errors(f"{EXACT}    divergence: {divergence}\n")
        assert not errors(f"{NETWORK}    divergence: {divergence}\n    target: {{kind: soft}}\n")


def test_one_student_for_all_step_counts_keeps_its_id(write: Write) -> None:
    """`per_nfe` came later: at false it is no part of an id, at true it is."""
    ids = [students(write(EXACT + keys))[0].id for n, keys in enumerate(["", "    per_nfe: false\n"])]
    ids.append(students(write(EXACT + "    per_nfe: true\n"))[0].id)
    assert ids[0] == ids[1] != ids[2]
