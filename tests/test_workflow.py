"""The workflow through the real Snakefile: what it writes, and exactly what each kind of edit makes it do again."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from workflow_cases import (
    DIGITS,
    REPOSITORY,
    TEXT,
    TINY,
    plan_into,
    planned_jobs,
    run_command,
    run_workflow,
    seconds_of_programs,
    write_words,
)

from cdmrun.spec import schema, shown, validate
from cdmrun.spec.state import states
from cdmrun.stages import provenance

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
    done = run_workflow(folder, folder / "tiny.yaml", options=["--verbose"])
    assert done.returncode == 0, done.stderr
    shown = done.stdout + done.stderr
    assert "19 of 19 steps (100%) done" in shown
    assert shown.count("Ready jobs: ") <= 1 + 19, "Snakemake looks for jobs to start at first, and when one has ended"
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
    # five entries, two step counts, five metrics
    assert len(scores) == 5 * 2 * 5
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
    assert len(products) == 1 + 1 + 1 + 3 + 5 + 5
    for product in products:
        assert (results / "logs" / f"{product}.log").exists()
        assert (results / "benchmarks" / f"{product}.tsv").exists()


def test_second_run_has_nothing_to_do_in_seconds(folder: Path) -> None:
    began = seconds_of_programs()  # which a busy machine does not stretch
    again = run_workflow(folder, folder / "tiny.yaml")
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr
    assert seconds_of_programs() - began < 10


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


def test_an_edit_without_snakemakes_memory(folder: Path, spec: Path, tmp_path: Path) -> None:
    """What tables show is on record beside them: edits are noticed, and reverts, where Snakemake remembers nothing."""
    everything = {"student": 1, "samples": 1, "scores": 1, "table": 1, "report": 1}
    shutil.move(folder / ".snakemake", tmp_path / "kept")
    try:
        edited(folder, "{steps: 3, batch: 8}", "{steps: 4, batch: 8}")
        assert planned_jobs(folder, spec) == everything
        edited(folder, "name: tiny\n", "name: tiny\ntitle: A small one\n")
        assert planned_jobs(folder, spec) == {"table": 1, "report": 1}
        edited(folder, "name: tiny\n", "name: tiny\n")
        assert planned_jobs(folder, spec) == {}
        # one experiment fewer, or more: the report says so
        both = folder / "both.yaml"
        both.write_text(TINY.replace("name: tiny", "name: both"))
        assert planned_jobs(folder, spec, both) == {"table": 1, "report": 1}
    finally:
        shutil.rmtree(folder / ".snakemake", ignore_errors=True)
        shutil.move(tmp_path / "kept", folder / ".snakemake")


@pytest.mark.parametrize(
    ("gone", "jobs"),
    [
        ("students/cdm-joint-*", {"student": 1, "samples": 1, "scores": 1}),
        ("samples/analytic-*", {"samples": 1, "scores": 1}),
        ("teachers/*", {"teacher": 1, "student": 3, "samples": 5, "scores": 5}),
    ],
    ids=["student", "samples", "teacher"],
)
def test_a_deleted_product_is_made_again(folder: Path, spec: Path, tmp_path: Path, gone: str, jobs: dict) -> None:  # type: ignore[type-arg]
    """Though all that was made from it is there; and that, too."""
    (product,) = (folder / "results").glob(gone)
    shutil.move(product, tmp_path / "kept")
    try:
        assert planned_jobs(folder, spec) == {**jobs, "table": 1, "report": 1}
    finally:
        shutil.move(tmp_path / "kept", product)


def test_made_again_the_same_it_retrains_nothing(folder: Path, tmp_path: Path) -> None:
    """A teacher deleted comes out with the same bytes on a CPU: students are found to be of it, and stay."""
    shutil.copytree(folder / "results", tmp_path / "results")
    spec = tmp_path / "tiny.yaml"
    spec.write_text(TINY)
    (teacher,) = (tmp_path / "results").glob("teachers/*")
    shutil.rmtree(teacher)
    weights = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").glob("students/*/*.safetensors")}
    done = run_workflow(tmp_path, spec)
    assert done.returncode == 0, done.stderr
    assert (teacher / "manifest.json").exists()
    assert {path: path.stat().st_mtime_ns for path in weights} == weights
    assert planned_jobs(tmp_path, spec) == {}


def test_redone_otherwise_it_takes_along_what_was_made_from_it(folder: Path, spec: Path, tmp_path: Path) -> None:
    """A student made again by hand with other weights, after which nobody ran the workflow."""
    (manifest,) = (folder / "results").glob("students/cdm-joint-*/manifest.json")
    kept, stat = manifest.read_text(), manifest.stat()
    said = json.loads(kept)
    said["outputs"]["model.safetensors"] = "0" * 64
    try:
        manifest.write_text(json.dumps(said))
        assert planned_jobs(folder, spec) == {"samples": 1, "scores": 1, "table": 1, "report": 1}
    finally:
        manifest.write_text(kept)
        os.utime(manifest, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_partial_tables_are_completed(folder: Path, tmp_path: Path) -> None:
    """Tables and report of what there is, written by hand, never pass for complete ones."""
    shutil.copytree(folder / "results", tmp_path / "results")
    shutil.copytree(folder / ".snakemake", tmp_path / ".snakemake")
    spec = tmp_path / "tiny.yaml"
    spec.write_text(TINY)
    (gone,) = (tmp_path / "results").glob("scores/cdm-joint-*")
    shutil.rmtree(gone)
    for command in ("table", "report"):
        made = run_command("cdmrun", command, spec, "--partial", "--out", tmp_path / "results")
        assert made.returncode == 0, made.stderr
    assert planned_jobs(tmp_path, spec) == {"scores": 1, "table": 1, "report": 1}
    shutil.rmtree(tmp_path / ".snakemake")
    assert planned_jobs(tmp_path, spec) == {"scores": 1, "table": 1, "report": 1}


def test_a_look_at_what_would_run_leaves_signals_alone(tmp_path: Path) -> None:
    """Else SIGTERM to the group of a test run would end the programs of its tests, and not the run."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    handler = signal.getsignal(signal.SIGTERM)
    assert planned_jobs(tmp_path, tmp_path / "tiny.yaml")["teacher"] == 1
    assert signal.getsignal(signal.SIGTERM) == handler


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


def test_failing_experiment_stops_no_other(tmp_path: Path) -> None:
    """A text that only its stage finds too short: the other experiment gets its tables, the report says what failed."""
    (tmp_path / "words.txt").write_text("Too short to be cut into sequences.\n")
    bad, good = tmp_path / "bad.yaml", tmp_path / "good.yaml"
    bad.write_text(TEXT)
    good.write_text(TINY.split("students:")[0] + "baselines:\n  analytic: {nfe: [1]}\nevaluation: {samples: 16}\n")
    done = run_workflow(tmp_path, bad, good)
    shown = done.stdout + done.stderr
    results = tmp_path / "results"
    assert done.returncode != 0
    assert "Traceback" not in shown
    assert len(pd.read_csv(results / "tables/tiny.scores.csv")) == 5
    assert not (results / "report.html").exists()
    (hint,) = (line for line in done.stderr.splitlines() if "cdmrun report --partial" in line)
    # the report as the last message says, and why there is none without the option
    command = shlex.split(hint.split(":", 1)[1])
    refused = run_command(*[word for word in command if word != "--partial"], cwd=tmp_path)
    assert (refused.returncode, "4 products that tables are made of are missing" in refused.stderr) == (1, True)
    made = run_command(*command, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    page = (results / "report.html").read_text()
    failures = page.split('<section id="absent">')[1].split("</section>")[0]
    assert "words.txt: 28 characters after cleaning" in failures
    assert "remedy: give a longer text" in failures
    assert failures.count('class="state failed"') == 1
    assert failures.count("waits for data/text-") == 13
    assert 'id="tiny-tables"' in page
    # the cause removed, the same command goes on: nothing of the other experiment is made again
    write_words(tmp_path / "words.txt")
    jobs = planned_jobs(tmp_path, bad, good)
    assert (jobs["fetch"], jobs["teacher"], jobs["scores"], jobs["table"], jobs["report"]) == (1, 1, 3, 1, 1)


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
    assert len(states) == 16
    assert set(states) <= {"fresh", "stale-code", "stale-upstream"}  # stale if code is edited while this runs


def test_every_rule_leaves_it_to_the_plan_what_is_ancient() -> None:
    """Else a deleted product would be made again, and what was made from it would not."""
    assert "ancient(flow" not in (REPOSITORY / "Snakefile").read_text()
