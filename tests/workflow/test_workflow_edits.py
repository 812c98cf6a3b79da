"""Exactly what each kind of edit to a spec, the code or the schema makes the real Snakefile do again."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from workflow_cases import DIGITS, TINY, edited, plan_into, planned_jobs

from cdmrun.spec import schema, shown, validate
from cdmrun.spec.state import states
from cdmrun.stages import provenance


def test_nfe_of_one_student(folder: Path, spec: Path) -> None:
    edited(folder, "family: {kind: factorized}\n    nfe: [1, 2]", "family: {kind: factorized}\n    nfe: [1, 2, 4]")
    assert planned_jobs(folder, spec) == {"student": 1, "samples": 1, "scores": 1, "table": 1, "report": 1}


def test_nfe_of_one_baseline(folder: Path, spec: Path) -> None:
    edited(folder, "analytic: {nfe: [1, 2]}", "analytic: {nfe: [1, 2, 4]}")
    assert planned_jobs(folder, spec) == {"samples": 1, "scores": 1, "table": 1, "report": 1}


def test_forward_process(folder: Path, spec: Path) -> None:
    edited(folder, "{kind: uniform}", "{kind: uniform, schedule: cosine}")
    everything_but_data = {"teacher": 1, "student": 3, "samples": 5, "scores": 5, "table": 1, "report": 1}
    assert planned_jobs(folder, spec) == everything_but_data


def test_data(folder: Path, spec: Path) -> None:
    edited(folder, "length: 2}", "length: 3}")
    assert planned_jobs(folder, spec)["fetch"] == 1


def test_evaluation(folder: Path, spec: Path) -> None:
    edited(folder, "samples: 16", "samples: 32")
    assert planned_jobs(folder, spec) == {"samples": 5, "scores": 5, "table": 1, "report": 1}


def test_metrics(folder: Path, spec: Path) -> None:
    edited(folder, "{samples: 16}", "{samples: 16, metrics: [tv]}")
    assert planned_jobs(folder, spec) == {"anchors": 1, "scores": 5, "table": 1, "report": 1}


def test_training_of_one_student(folder: Path, spec: Path) -> None:
    """The `spec` fixture takes the edit back: after that there is nothing to do, which is the scenario of a revert."""
    edited(folder, "{steps: 3, batch: 8}", "{steps: 4, batch: 8}")
    assert planned_jobs(folder, spec) == {"student": 1, "samples": 1, "scores": 1, "table": 1, "report": 1}


def test_teacher(tmp_path: Path) -> None:
    """A trained teacher: an edit makes it anew and all that stands on it; a revert finds the first one again."""
    spec = tmp_path / "digits.yaml"
    spec.write_text(DIGITS)
    everything = {
        "fetch": 1,
        "anchors": 1,
        "teacher": 1,
        "draws": 1,
        "student": 2,
        "samples": 3,
        "scores": 3,
        "table": 1,
        "report": 1,
    }
    assert planned_jobs(tmp_path, spec) == everything
    pretend_complete(tmp_path, spec)
    assert planned_jobs(tmp_path, spec) == {}
    spec.write_text(DIGITS.replace("train: {steps: 4, batch: 8}", "train: {steps: 4, batch: 8, lr: 1e-3}"))
    assert planned_jobs(tmp_path, spec) == {
        rule: count for rule, count in everything.items() if rule not in ("fetch", "anchors")
    }
    # what the teacher is trained with, but no part of what it is
    spec.write_text(DIGITS.replace("train: {steps: 4, batch: 8}", "train: {steps: 4, batch: 8, checkpoint_every: 5}"))
    assert planned_jobs(tmp_path, spec) == {}
    spec.write_text(DIGITS)
    assert planned_jobs(tmp_path, spec) == {}


def pretend_complete(folder: Path, spec: Path) -> None:
    """Leave the files by which Snakemake knows that everything is made."""
    results = folder / "results"
    plan = plan_into(results, spec)
    tables = [
        f"tables/{e.name}{end}" for e in plan.experiments for end in (".scores.csv", ".summary.csv", ".md", ".tex")
    ]
    for name in [*(f"{key}/manifest.json" for key in plan.runs), *tables, "report.html"]:
        path = results / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    for experiment in plan.experiments:
        shown.record(results, experiment.name, [experiment])
    shown.record(results, shown.REPORT, plan.experiments)


def test_metric_code(folder: Path, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit to a metric: no job, but scores are stale; one option makes those anew, at the cost of evaluations."""
    plan = plan_into(folder / "results", spec)
    package = tmp_path / "cdmrun"
    shutil.copytree(provenance.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "PACKAGE", package)
    monkeypatch.setattr(provenance, "fingerprint", provenance.fingerprint.__wrapped__)
    made_by = {run.stage: provenance.fingerprint(run.stage, *run.sources) for run in plan.runs.values()}
    with manifests_by(folder / "results", made_by):
        assert {state.state for state in states(plan, folder / "results").values()} == {"fresh"}
        with open(package / "metrics/divergences.py", "a") as stream:
            stream.write("# an edit\n")
        found = states(plan, folder / "results")
        assert {key.split("/")[0] for key, state in found.items() if state.state != "fresh"} == {"scores", "anchors"}
        assert {found[key].state for key in found if key.startswith(("scores/", "anchors/"))} == {"stale-code"}
        assert planned_jobs(folder, spec) == {}
        both = planned_jobs(folder, spec, options=["--forcerun", "scores", "anchors"])
        assert both == {"anchors": 1, "scores": 5, "table": 1, "report": 1}


@contextlib.contextmanager
def manifests_by(results: Path, made_by: dict[str, str]) -> Iterator[None]:
    """Manifests as though code with these fingerprints had made the products; files keep their times."""
    kept = {path: (path.read_text(), path.stat()) for path in results.glob("*/*/manifest.json")}
    try:
        for path, (text, stat) in kept.items():
            manifest = json.loads(text)
            manifest["code"]["fingerprint"] = made_by[manifest["stage"]]
            path.write_text(json.dumps(manifest))
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        yield
    finally:
        for path, (text, stat) in kept.items():
            path.write_text(text)
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize(
    ("added", "students"), [({"x-added-default": False}, 0), ({}, 3)], ids=["declared", "forgotten"]
)
def test_new_key_of_the_schema(
    folder: Path, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, added: dict[str, bool], students: int
) -> None:
    """A key of a later version orphans nothing at its default, if it says so; else it would, hence frozen ids."""
    later = json.loads(schema.SCHEMA_PATH.read_text())
    later["$defs"]["train"]["properties"]["nesterov"] = {"type": "boolean", "default": False, **added}
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(later))
    caches = (schema.spec_schema, schema.branch_of, validate.validator)
    monkeypatch.setattr(schema, "SCHEMA_PATH", path)
    try:
        for cache in caches:
            cache.cache_clear()
        assert planned_jobs(folder, spec).get("student", 0) == students
        if added:
            assert planned_jobs(folder, spec) == {}
            # another value of it is another student
            edited(folder, "{steps: 3, batch: 8}", "{steps: 3, batch: 8, nesterov: true}")
            assert planned_jobs(folder, spec) == {"student": 1, "samples": 1, "scores": 1, "table": 1, "report": 1}
    finally:
        monkeypatch.undo()
        for cache in caches:
            cache.cache_clear()


def test_new_seed(folder: Path, spec: Path) -> None:
    edited(folder, "name: tiny\n", "name: tiny\nseeds: [0, 1]\n")
    assert planned_jobs(folder, spec) == {"student": 3, "samples": 5, "scores": 5, "table": 1, "report": 1}


def test_name_of_a_student(folder: Path, spec: Path) -> None:
    edited(folder, "  parts:", "  pieces:")
    assert planned_jobs(folder, spec) == {"table": 1, "report": 1}


def test_title(folder: Path, spec: Path) -> None:
    edited(folder, "name: tiny\n", "name: tiny\ntitle: A small one\n")
    assert planned_jobs(folder, spec) == {"table": 1, "report": 1}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: tiny\n", "# a comment\n\nname: tiny\n"),
        ("steps: 5, batch: 8}", "batch: 8, steps: 5, log_every: 7, checkpoint_every: 9}"),
        ("nfe: [2, 1]", "nfe: [1, 2]"),
        ("{kind: uniform}", "{kind: uniform, schedule: loglinear}"),
    ],
    ids=["comment", "what is no part of an identity", "order of step counts", "a default spelt out"],
)
def test_edits_that_change_nothing(folder: Path, spec: Path, old: str, new: str) -> None:
    edited(folder, old, new)
    assert set(planned_jobs(folder, spec)) <= {"table", "report"}
    assert not {"teacher", "student", "samples", "scores"} & set(planned_jobs(folder, spec))


def test_matrix_makes_experiments_and_shares(folder: Path, spec: Path) -> None:
    edited(folder, "evaluation:", "matrix: {students.whole.train.steps: [5, 6]}\nevaluation:")
    # the first of the two trainings is there already, and all else is shared
    assert planned_jobs(folder, spec) == {"student": 1, "samples": 1, "scores": 1, "table": 2, "report": 1}


def test_two_specs_share_a_teacher(folder: Path, spec: Path) -> None:
    other = folder / "other.yaml"
    other.write_text(TINY.replace("name: tiny", "name: other").replace("steps: 3", "steps: 4"))
    assert planned_jobs(folder, spec, other) == {"student": 1, "samples": 1, "scores": 1, "table": 1, "report": 1}


def test_a_look_at_what_would_run_leaves_signals_alone(tmp_path: Path) -> None:
    """Else SIGTERM to the group of a test run would end the programs of its tests, and not the run."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    handler = signal.getsignal(signal.SIGTERM)
    assert planned_jobs(tmp_path, tmp_path / "tiny.yaml")["teacher"] == 1
    assert signal.getsignal(signal.SIGTERM) == handler
