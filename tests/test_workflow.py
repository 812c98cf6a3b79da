"""The workflow through the real Snakefile: what it writes, and exactly what each kind of edit makes it do again."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pandas as pd
import pytest
from workflow_cases import TINY, plan_into, planned_jobs, run_command, run_workflow

SCORES = {
    *("experiment", "process", "method", "family", "nfe", "metric", "seed"),
    *("value", "unit", "seconds_per_sample", "run_id"),
}
SUMMARY = (SCORES - {"seed", "value"}) | {"mean", "ci_low", "ci_high", "n"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the tiny experiment has been run once."""
    folder = tmp_path_factory.mktemp("workflow")
    (folder / "tiny.yaml").write_text(TINY)
    done = run_workflow(folder, folder / "tiny.yaml")
    assert done.returncode == 0, done.stderr
    assert "18 of 18 steps (100%) done" in done.stdout + done.stderr
    return folder


def edited(folder: Path, old: str, new: str) -> Path:
    """The tiny spec with one edit, in its own place so that it is the same file to Snakemake."""
    assert old in TINY
    path = folder / "tiny.yaml"
    path.write_text(TINY.replace(old, new))
    return path


@pytest.fixture
def spec(folder: Path):  # type: ignore[no-untyped-def]
    """The tiny spec's path; edits to it are taken back afterwards, after which there is nothing to do."""
    path = folder / "tiny.yaml"
    yield path
    path.write_text(TINY)
    assert planned_jobs(folder, path) == {}


def test_contract_files(folder: Path) -> None:
    results = folder / "results"
    names = ("tables/tiny.md", "tables/tiny.tex", "report.html")
    for name in names:
        assert (results / name).stat().st_size > 100, name
    for suffix in (".png", ".svg", ".csv"):
        assert list((results / "figures").glob(f"tiny-*{suffix}")), suffix
    # the page needs nothing besides itself
    page = (results / "report.html").read_text()
    assert "<script src" not in page
    assert '<link rel="stylesheet" href' not in page


def test_contract_columns_and_rows(folder: Path) -> None:
    scores = pd.read_csv(folder / "results/tables/tiny.scores.csv")
    assert set(scores.columns) >= SCORES
    assert set(scores.method) == {"tau_leaping", "analytic", "cdm", "progressive"}
    assert set(scores.family) == {"factorized", "joint"}
    assert set(scores.metric) >= {"tv", "kl", "nll_bound"}
    # five entries, two step counts, four metrics
    assert len(scores) == 5 * 2 * 4
    assert scores.value.notna().all()
    assert (scores.seconds_per_sample > 0).all()
    summary = pd.read_csv(folder / "results/tables/tiny.summary.csv")
    assert set(summary.columns) >= SUMMARY
    assert (summary.n == 1).all()


def test_bound_is_above_the_exact_value(folder: Path) -> None:
    scores = pd.read_csv(folder / "results/tables/tiny.scores.csv")
    wide = scores.pivot_table(index=["name", "nfe"], columns="metric", values="value")
    assert (wide.nll_bound >= wide.nll - 1e-9).all()


def test_every_product_has_log_and_benchmark(folder: Path) -> None:
    results = folder / "results"
    products = [path.parent.relative_to(results) for path in results.glob("*/*/manifest.json")]
    assert len(products) == 1 + 1 + 3 + 5 + 5
    for product in products:
        assert (results / "logs" / f"{product}.log").exists()
        assert (results / "benchmarks" / f"{product}.tsv").exists()


def test_second_run_has_nothing_to_do_in_seconds(folder: Path) -> None:
    began = time.monotonic()
    again = run_workflow(folder, folder / "tiny.yaml")
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr
    assert time.monotonic() - began < 20


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
    assert planned_jobs(folder, spec) == {"scores": 5, "table": 1, "report": 1}


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


def test_without_snakemakes_memory(folder: Path, tmp_path: Path) -> None:
    """Deleting .snakemake and touching the teacher, as a copy between machines does, makes nothing anew."""
    results = folder / "results"
    (teacher,) = results.glob("teachers/*/manifest.json")
    shutil.move(folder / ".snakemake", tmp_path / "kept")
    try:
        teacher.touch()
        assert planned_jobs(folder, folder / "tiny.yaml") == {}
    finally:
        shutil.rmtree(folder / ".snakemake", ignore_errors=True)
        shutil.move(tmp_path / "kept", folder / ".snakemake")


def test_wrong_spec_ends_snakemake_with_its_place(folder: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(TINY.replace("nfe: [2, 1]", "nfe: [2, 0]").replace("kind: factorized", "kind: factorised"))
    done = run_workflow(tmp_path, wrong)
    shown = done.stdout + done.stderr
    assert done.returncode != 0
    assert f"{wrong}:14:20: students.parts.family.kind: 'factorised'" in shown
    assert "did you mean 'factorized'?" in shown
    assert f"{wrong}:20:14: students.halved.nfe[1]: must be at least 1, got 0" in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "results").exists()


def test_failing_job_keeps_the_rest(folder: Path, tmp_path: Path) -> None:
    """One student's weights are damaged: its own rows are missing, everything else is made, and Snakemake fails."""
    shutil.copytree(folder / "results", tmp_path / "results")
    spec = tmp_path / "tiny.yaml"
    spec.write_text(TINY)
    (weights,) = (tmp_path / "results").glob("students/cdm-joint-*/model.safetensors")
    weights.write_bytes(b"not weights")
    (samples,) = (tmp_path / "results").glob("samples/cdm-joint-*")
    (scores,) = (tmp_path / "results").glob("scores/cdm-joint-*")
    shutil.rmtree(samples)
    shutil.rmtree(scores)
    shutil.rmtree(tmp_path / "results/tables")
    done = run_workflow(tmp_path, spec)
    shown = done.stdout + done.stderr
    assert done.returncode != 0
    assert "model.safetensors: not the weights that model.json beside it describes" in shown
    assert "Traceback" not in shown
    partial = run_command("cdmrun", "table", spec, "--partial", "--out", tmp_path / "results")
    assert partial.returncode == 0, partial.stderr
    left = pd.read_csv(tmp_path / "results/tables/tiny.scores.csv")
    assert set(left.method) == {"tau_leaping", "analytic", "cdm", "progressive"}
    assert set(left.family) == {"factorized"}


def test_any_job_can_be_replayed_by_hand(folder: Path, tmp_path: Path) -> None:
    results = folder / "results"
    manifest = json.loads(next(results.glob("samples/analytic-*/manifest.json")).read_text())
    replay = run_command("cdmrun", "sample", manifest["key"], "--out", results)
    assert (replay.returncode, replay.stdout.strip()) == (0, f"{manifest['key']}: already there")
    # elsewhere, from its inputs alone, it gives the same samples
    copy = tmp_path / "results"
    plan = plan_into(copy, folder / "tiny.yaml")
    for key in {*plan.runs[manifest["key"]].inputs.values(), *(k for k in plan.runs if k.startswith("data/"))}:
        shutil.copytree(results / key, copy / key)
    assert run_command("cdmrun", "sample", manifest["key"], "--out", copy, "--threads", "1").returncode == 0
    again = json.loads((copy / manifest["key"] / "manifest.json").read_text())
    assert again["outputs"]["samples.npz"] == manifest["outputs"]["samples.npz"]


def test_status_of_a_complete_run(folder: Path) -> None:
    shown = run_command("cdmrun", "status", folder / "tiny.yaml", "--out", folder / "results", "--json")
    states = [state["state"] for state in json.loads(shown.stdout).values()]
    assert len(states) == 15
    assert set(states) <= {"fresh", "stale-code", "stale-upstream"}  # stale if code is edited while this runs
