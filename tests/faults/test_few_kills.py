"""The workflow under a few SIGKILLs, and under two Snakemakes at once: small, for every run of the tests."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path

import pytest
from workflow_cases import PATIENCE, plan_into

from cdmrun.report.build import write_tables
from cdmrun.spec.plan_types import Plan
from cdmrun.stages.run import run_stage
from faults.kills import SMALL, Runner, shown, survive


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small experiment."""
    path = tmp_path_factory.mktemp("spec") / "small.yaml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="module")
def expected(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Its tables and figures, made in this process and undisturbed."""
    out = tmp_path_factory.mktemp("undisturbed")
    write_tables(made(spec, out), out)
    files = shown(out)
    assert {Path(name).suffix for name in files} == {".csv", ".md", ".tex", ".png", ".svg"}
    return files


def made(spec: Path, out: Path) -> Plan:
    """Make every product of a spec."""
    plan = plan_into(out, spec)
    for key, run in plan.runs.items():
        run_stage(run.stage, key, out, "cpu", 1)
    return plan


def test_a_few_kills_leave_no_trace(spec: Path, expected: dict[str, bytes], tmp_path: Path) -> None:
    laps = survive(tmp_path, spec, kills=3, seed=1, longest=5.0)
    assert shown(tmp_path / f"lap-{laps - 1}/results") == expected


def test_jobs_that_outlive_snakemake_are_not_repeated(spec: Path, expected: dict[str, bytes], tmp_path: Path) -> None:
    """Snakemake alone is killed while a student trains; the student ends its training, and the next run goes on."""
    runner = Runner(tmp_path, spec)
    try:
        runner.start()
        wait_for(tmp_path, "students/*/work/progress.json")
        assert runner.process is not None
        runner.process.kill()
        wait_for(tmp_path, "students/*/manifest.json")
        assert runner.finish() == 0, runner.log()
    finally:
        runner.clean_up()
    assert shown(runner.out) == expected
    assert len(re.findall(r"^students/\S+: complete after", runner.log(), re.MULTILINE)) == 1


def wait_for(folder: Path, pattern: str) -> None:
    """Wait until a result is there."""
    deadline = time.monotonic() + PATIENCE
    while not list((folder / "results").glob(pattern)):
        assert time.monotonic() < deadline, (folder / "runner.log").read_text()
        time.sleep(0.01)


def test_two_runners_make_everything_once(spec: Path, expected: dict[str, bytes], tmp_path: Path) -> None:
    """Two Snakemakes that know nothing of each other, on one results folder."""
    out = tmp_path / "results"
    runners = [Runner(tmp_path / name, spec, out) for name in ("one", "other")]
    try:
        for runner in runners:
            runner.start()
        assert [runner.finish() for runner in runners] == [0, 0], runners[0].log() + runners[1].log()
    finally:
        for runner in runners:
            runner.clean_up()
    assert shown(out) == expected
    completed = Counter(re.findall(r"^(\S+): complete after", runners[0].log() + runners[1].log(), re.MULTILINE))
    assert completed == Counter({path.parent.relative_to(out).as_posix(): 1 for path in out.glob("*/*/manifest.json")})
    assert not list(out.glob("*/*/work"))


def test_without_seconds_two_runs_are_the_same_to_the_last_byte(
    spec: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    write_tables(made(spec, tmp_path), tmp_path)
    assert shown(tmp_path) == expected
    assert not any("seconds" in name for name in expected)
    assert b"seconds per sample" not in expected["tables/small.md"] + expected["tables/small.tex"]
