"""What the real Snakefile makes again where products, its own memory or parts of tables are gone."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from workflow_cases import REPOSITORY, TINY, edited, planned_jobs, run_command, run_workflow

from cdmrun.files import sha256_of


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


def replaced(product: Path) -> None:
    """Put another student in a product's place, as a copy with its times (rsync -a) from elsewhere does."""
    weights = load_file(product / "model.safetensors")
    save_file({name: 0.5 * value for name, value in weights.items()}, product / "model.safetensors")
    said = json.loads((product / "manifest.json").read_text())
    said["outputs"]["model.safetensors"] = sha256_of(product / "model.safetensors")
    for name in ("manifest.json", ".manifest.json"):
        (product / name).write_text(json.dumps(said))
        os.utime(product / name, (1.0e9, 1.0e9))


def test_replaced_by_an_older_one_it_takes_along_what_was_made_from_it(folder: Path, tmp_path: Path) -> None:
    """Snakemake goes by times: by those, what was made of the one before is newer than this one."""
    shutil.copytree(folder / "results", tmp_path / "results")
    spec = tmp_path / "tiny.yaml"
    spec.write_text(TINY)
    (student,) = (tmp_path / "results").glob("students/cdm-joint-*")
    (scores,) = (tmp_path / "results").glob("scores/cdm-joint-*")
    before = (scores / "scores.json").read_text()
    replaced(student)
    assert planned_jobs(tmp_path, spec) == {"samples": 1, "scores": 1, "table": 1, "report": 1}
    done = run_workflow(tmp_path, spec)
    assert done.returncode == 0, done.stderr
    assert (scores / "scores.json").read_text() != before
    assert planned_jobs(tmp_path, spec) == {}
    assert "stand on what is gone" not in run_workflow(tmp_path, spec).stderr


def test_of_another_input_it_is_made_again_though_the_input_is_as_ever(folder: Path, spec: Path) -> None:
    """Samples copied from where they were made from another student; Snakemake knows this student's bytes."""
    (samples,) = (folder / "results").glob("samples/cdm-joint-*/manifest.json")
    kept = {path: (path.read_text(), path.stat()) for path in (folder / "results").glob("*/*/manifest.json")}
    said = json.loads(samples.read_text())
    said["input_contents"]["model"] = "0" * 64
    try:
        samples.write_text(json.dumps(said))
        assert planned_jobs(folder, spec) == {"samples": 1, "scores": 1, "table": 1, "report": 1}
    finally:
        for path, (text, stat) in kept.items():
            path.write_text(text)
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_tables_without_seconds_are_written_anew_with_them(folder: Path, tmp_path: Path) -> None:
    """Though Snakemake has seen the same scores, and the same card of what to show, in its last run."""
    shutil.copytree(folder / "results", tmp_path / "results")
    spec = tmp_path / "tiny.yaml"
    spec.write_text(TINY)
    edited(tmp_path, "name: tiny\n", "name: tiny\ntitle: A small one\n")
    assert run_workflow(tmp_path, spec).returncode == 0
    made = run_command("cdmrun", "table", spec, "--without-timing", "--out", tmp_path / "results")
    assert made.returncode == 0, made.stderr
    assert planned_jobs(tmp_path, spec) == {"table": 1, "report": 1}


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


def test_every_rule_leaves_it_to_the_plan_what_is_ancient() -> None:
    """Else a deleted product would be made again, and what was made from it would not."""
    assert "ancient(flow" not in (REPOSITORY / "Snakefile").read_text()
