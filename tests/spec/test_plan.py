"""Plans: order, counts, and identities that change exactly when a product does."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cdmrun.errors import UserError
from cdmrun.spec.cards import card_path
from cdmrun.spec.identity import canonical, identity_fields, run_id
from cdmrun.spec.plan import build_plan, read_card, write_cards
from cdmrun.spec.plan_types import STAGE_OF_KIND, Plan

from .conftest import RING, TEXT, Write


def ids(plan: Plan, kind: str) -> set[str]:
    return {run.id for run in plan.runs.values() if run.kind == kind}


def changed(write: Write, old: str, new: str, text: str = TEXT) -> dict[str, bool]:
    """Which kinds of products an edit of a spec makes anew, wholly or in part."""
    assert old in text
    before, after = build_plan([write(text)]), build_plan([write(text.replace(old, new))])
    return {kind: bool(ids(after, kind) - ids(before, kind)) for kind in STAGE_OF_KIND if ids(before, kind)}


def test_counts_and_order(write: Write) -> None:
    plan = build_plan([write(TEXT)])
    counts = Counter(run.kind for run in plan.runs.values())
    once = {"data": 1, "judges": 1, "anchors": 1, "teachers": 1, "draws": 1}
    assert counts == {**once, "students": 4, "samples": 8, "scores": 8}
    seen: set[str] = set()
    for key, run in plan.runs.items():
        assert set(run.inputs.values()) <= seen
        assert key == run.key
        seen.add(key)
    (experiment,) = plan.experiments
    assert [(e.method, e.family, e.name, e.role, e.seed) for e in experiment.entries[:4]] == [
        ("tau_leaping", "factorized", "tau_leaping", "baseline", 0),
        ("analytic", "factorized", "analytic", "baseline", 0),
        ("cdm", "hmm", "cdm-hmm", "student", 0),
        ("progressive", "factorized", "halving", "student", 0),
    ]
    assert experiment.entries[3].nfe == (1, 2, 4, 8)
    assert experiment.entries[0].process == "absorbing"
    assert experiment.metrics == ("nll_bound", "judge_nll")


def test_configs_and_slugs(write: Write) -> None:
    plan = build_plan([write(TEXT)])
    first = {run.kind: run for run in reversed(plan.runs.values())}
    assert first["data"].config == {"kind": "kjv", "length": 64}
    assert first["judges"].slug == "ngram6-kjv"
    assert first["teachers"].slug == "network-absorbing-kjv"
    assert set(first["teachers"].config) == {"forward_process", "teacher", "seed"}
    assert set(first["teachers"].config["teacher"]) == {"kind", "prediction", "model", "train"}
    assert first["draws"].config == {"substeps": 64, "draws": 4096, "levels": 8, "seed": 0}
    assert first["draws"].slug == "kjv-absorbing-64x4096"
    assert first["students"].slug == "cdm-hmm-kjv"
    assert set(first["students"].inputs) == {"data", "teacher", "draws"}
    assert first["students"].config["train"]["lr"] == 2e-3
    assert first["samples"].config == {
        "sampler": "tau_leaping",
        "nfe": [1, 2, 4],
        "hold": "rate",
        "jumps": "any_jump",
        "grid": "uniform",
        "final": "denoise",
        "count": 200,
        "compile": False,
        "seed": 0,
    }
    assert first["scores"].config == {
        "metrics": ["nll_bound", "judge_nll"],
        "held_out": 1024,
        "held_out_split": "test",
        "draws": 4,
        "timing": True,
        "infills": 256,
        "compile": False,
        "seed": 0,
    }
    assert first["anchors"].config == {"metrics": ["nll_bound", "judge_nll"], "count": 200}
    assert set(first["anchors"].inputs) == {"data", "judge"}
    assert plan.experiments[0].anchors == first["anchors"].key
    assert set(first["scores"].inputs) == {"samples", "model", "teacher", "data", "judge"}


def test_no_judge_unless_asked(write: Write) -> None:
    plan = build_plan([write(TEXT.replace(", judge_nll", ""))])
    assert not ids(plan, "judges")
    assert all("judge" not in run.inputs for run in plan.runs.values())


def test_methods_and_seeds_share_what_they_are_read_against(write: Write) -> None:
    other = TEXT.replace("states: 128", "states: 64").replace("name: text", "name: more-text")
    assert ids(build_plan([write(TEXT)]), "anchors") == ids(build_plan([write(other)]), "anchors")
    # what has neither floor nor ceiling is read against nothing
    alone = build_plan([write(RING.replace("students:", "evaluation: {metrics: [kl_bound]}\nstudents:"))])
    assert not ids(alone, "anchors")
    assert alone.experiments[0].anchors == ""


def test_exact_spec(write: Write) -> None:
    plan = build_plan([write(RING)])
    counts = Counter(run.kind for run in plan.runs.values())
    assert counts == {"data": 1, "anchors": 1, "teachers": 1, "students": 1, "samples": 1, "scores": 1}
    spec = plan.experiments[0].spec
    student = spec["students"]["joint"]
    assert student["target"] == {"kind": "exact"}
    assert student["init"] == "random"
    assert student["model"] == {"layers": 2, "width": 64, "heads": 2, "conv": 3, "mlp": 4}
    assert spec["evaluation"]["metrics"] == ["tv", "kl", "kl_bound", "nll", "nll_bound"]
    assert spec["forward_process"]["alpha_min"] == 1e-5
    assert spec["report"]["figures"][1] == {"x": "seconds_per_sample", "y": "tv", "hue": "name"}


NOTHING = dict.fromkeys(["data", "judges", "anchors", "teachers", "draws", "students", "samples", "scores"], False)
STUDENT = {**NOTHING, "students": True, "samples": True, "scores": True}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: text-absorbing", "name: other", NOTHING),
        ("  halving:", "  renamed:", NOTHING),
        ("lr: 2e-3", "lr: 0.002", NOTHING),
        ("lr: 2e-3", "lr: 2e-3, checkpoint_every: 5, log_every: 1", NOTHING),
        ("kind: network", "kind: network\n  seed: 0.0", NOTHING),
        ("length: 64", "length: 64.0", NOTHING),
        ("nfe: [1, 2, 4, 8]", "nfe: [8, 4, 2, 1]", NOTHING),
        ("[nll_bound, judge_nll]", "[judge_nll, nll_bound]", NOTHING),
        ("{kind: hmm, states: 128}", "{states: 128, kind: hmm}", NOTHING),
        ("kind: network", "kind: network\n  model: {layers: 3}", NOTHING),
        ("states: 128}", "states: 128}\n    decoding: auto", NOTHING),
        ("states: 128}", "states: 128}\n    decoding: scan", {**NOTHING, "samples": True, "scores": True}),
        ("states: 128", "states: 64", STUDENT),
        ("[8, 4, 2, 1]", "[4, 2, 1]", STUDENT),
        ("lr: 2e-3", "lr: 1e-3", {**STUDENT, "teachers": True, "draws": True}),
        ("absorbing}", "absorbing, alpha_min: 0.01}", {**STUDENT, "teachers": True, "draws": True}),
        ("length: 64", "length: 32", dict.fromkeys(NOTHING, True)),
        ("samples: 200", "samples: 300", {**NOTHING, "anchors": True, "samples": True, "scores": True}),
        ("samples: 200", "samples: 200, held_out: 9", {**NOTHING, "scores": True}),
        ("samples: 200", "samples: 200, compile: false", NOTHING),
        ("samples: 200", "samples: 200, compile: true", {**NOTHING, "samples": True, "scores": True}),
        (
            "samples: 200",
            "samples: 200, judge: {order: 3}",
            {**NOTHING, "judges": True, "anchors": True, "scores": True},
        ),
    ],
)
def test_what_an_edit_makes_anew(write: Write, old: str, new: str, expected: dict[str, bool]) -> None:
    assert changed(write, old, new) == expected


def test_one_students_edit_leaves_the_other_alone(write: Write) -> None:
    before = build_plan([write(TEXT)])
    after = build_plan([write(TEXT.replace("states: 128", "states: 64"))])
    new = [key for key in after.runs if key not in before.runs]
    assert Counter(key.split("/")[0] for key in new) == {"students": 2, "samples": 2, "scores": 2}
    assert all("cdm-hmm" in key for key in new)


def test_a_teacher_is_shared_between_specs_and_seeds(write: Write) -> None:
    other = TEXT.replace("text-absorbing", "other").replace("states: 128", "states: 32")
    plan = build_plan([write(TEXT), write(other, "b.yaml")])
    assert len(ids(plan, "teachers")) == 1
    assert len(ids(plan, "students")) == 6
    per_seed = build_plan([write(TEXT.replace("kind: network", "kind: network\n  per_seed: true"))])
    assert len(ids(per_seed, "teachers")) == 2
    assert ids(plan, "teachers") < ids(per_seed, "teachers")


def test_data_files_count_by_content(write: Write) -> None:
    table = RING.replace("{kind: potts_ring, states: 3, length: 3}", "{kind: table, file: p.npy}")
    write(table)
    np.save("p.npy", np.full((2, 2), 0.25))
    first = build_plan([Path("a.yaml")])
    Path("p.npy").rename("q.npy")
    renamed = build_plan([write(table.replace("p.npy", "q.npy"))])
    assert list(renamed.runs) == list(first.runs)
    np.save("q.npy", np.array([[0.5, 0.25], [0.25, 0]]))
    edited = build_plan([Path("a.yaml")])
    assert not set(edited.runs) & set(first.runs)


def test_a_generator_counts_by_value(write: Write) -> None:
    listed = RING.replace("{kind: uniform}", "{kind: matrix, generator: [[-1, 1, 0], [1, -2, 1], [0, 1, -1]]}")
    plan = build_plan([write(listed)])
    np.save("q.npy", np.array([[-1, 1, 0], [1, -2, 1], [0, 1, -1]]))
    filed = build_plan([write(RING.replace("{kind: uniform}", "{kind: matrix, generator: q.npy}"))])
    assert list(plan.runs) == list(filed.runs)
    assert filed.experiments[0].spec["forward_process"]["generator"][0] == [-1.0, 1.0, 0.0]


def test_added_defaults_and_private_keys_leave_identity_alone() -> None:
    schema = {
        "properties": {
            "kept": {"type": "integer"},
            "private": {"x-identity": False},
            "added": {"x-added-default": 3},
            "inner": {"properties": {"added": {"x-added-default": None}}},
        }
    }
    old = {"kept": 1, "inner": {}}
    assert identity_fields(schema, {"kept": 1, "private": 9, "added": 3, "inner": {"added": None}}) == old
    assert identity_fields(schema, {"kept": 1, "added": 4, "inner": {}}) == {**old, "added": 4}


def test_ids_chain_and_ignore_order() -> None:
    assert run_id("students", {"a": 1, "b": 2}, {"x": "1", "y": "2"}) == run_id(
        "students", {"b": 2, "a": 1}, {"y": "2", "x": "1"}
    )
    assert run_id("students", {"a": 1}, {"x": "1"}) != run_id("students", {"a": 1}, {"x": "2"})
    assert canonical({"b": 1, "a": "é"}) == '{"a":"é","b":1}'


def test_cards(write: Write) -> None:
    plan, out = build_plan([write(TEXT)]), Path("out")
    assert write_cards(plan, out) == len(plan.runs)
    assert write_cards(plan, out) == 0
    for key, run in plan.runs.items():
        assert read_card(card_path(out, key)) == run
    key = next(iter(plan.runs))
    card = json.loads(card_path(out, key).read_text())
    assert card["experiments"] == ["text-absorbing"]
    assert card["stage"] == "fetch"
    card_path(out, key).write_text("{")
    with pytest.raises(UserError, match="not readable"):
        read_card(card_path(out, key))
    card_path(out, key).write_text("[]")
    with pytest.raises(UserError, match="not a run card"):
        read_card(card_path(out, key))
    assert write_cards(plan, out) == 1


def test_a_thousand_experiments_are_planned_quickly(write: Write) -> None:
    values = list(range(1, 1001))
    path = write(TEXT + f"matrix: {{students.cdm-hmm.family.states: {values}}}\n")
    start = time.process_time()
    plan = build_plan([path])
    assert len(plan.experiments) == 1000
    assert len(ids(plan, "students")) == 2002
    assert time.process_time() - start < 15


def test_the_released_grid_is_the_teachers_in_training_only(write: Write) -> None:
    text = RING.replace("uniform", "absorbing").split("students")[0]
    path = write(text + "students:\n  halving: {method: progressive, nfe: [2, 1], grid: released}\n")
    grids = {run.kind: run.config["grid"] for run in build_plan([path]).runs.values() if "grid" in run.config}
    assert grids == {"students": "released", "samples": "uniform"}


def test_another_held_out_split_scores_anew_and_trains_nothing(write: Write) -> None:
    samples = "evaluation: {samples: 200,"
    assert samples in TEXT
    on_test, on_judge = (
        build_plan([write(TEXT.replace(samples, f"{samples} held_out_split: {split},"))]) for split in ("test", "judge")
    )
    assert build_plan([write(TEXT)]).runs.keys() == on_test.runs.keys()
    changed = set(on_judge.runs) - set(on_test.runs)
    assert changed
    assert {on_judge.runs[key].kind for key in changed} == {"scores"}
