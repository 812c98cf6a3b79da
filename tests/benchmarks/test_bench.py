"""`make bench` in small: everything runs, and the ratios that are promised are in its files. Nothing is timed here."""

from __future__ import annotations

import importlib
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import compiled
import pytest
from bench import PARTS, of_runner, of_students
from compilers import Compiler, compiling_with
from contenders import own_drawer, peers
from frozen_ids import REPOSITORY
from measuring import Setting
from peers import QUICK

from cdmrun.models import NetworkModel
from cdmrun.models.compiling import FixedRows


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a quick run."""
    out = tmp_path_factory.mktemp("out")
    command = [sys.executable, REPOSITORY / "benchmarks/bench.py", "--quick", "--out", out]
    done = subprocess.run([*command, "--only", "peers", "students"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (out / "bench/bench.md").read_text().startswith(f"# What cdmrun costs\n\n{done.stdout.rstrip()}")
    return out / "bench"


@pytest.fixture
def record(written: Path) -> dict[str, Any]:
    return json.loads((written / "bench.json").read_text())


def test_ratios_of_peers(record: dict[str, Any]) -> None:
    """One round: each ratio is that of the seconds, and the fastest peer is the fastest."""
    for found in (*record["peers"]["training"], *record["peers"]["sampling"]):
        seconds = {each["label"]: each["seconds"]["median"] for each in found["contenders"]}
        own, *others = found["contenders"]
        assert own["name"] == "cdmrun"
        rivals = [each["label"] for each in others if each["network"] == "own"]
        assert found["fastest_peer"] == min(rivals, key=lambda label: seconds[label])
        ratio = seconds[found["fastest_peer"]] / seconds[own["label"]]
        assert found["times_as_fast"]["median"] == pytest.approx(ratio)
        assert {each["name"] for each in others} == set(peers())
        assert all(each["megabytes"] > 0 for each in found["contenders"])
        assert 0.0 < found["share_of_matrix_rate"]["square"]["median"] < 1.0
        for shares in found["operations"].values():
            assert sum(shares.values()) == pytest.approx(1.0)


def test_networks_are_as_large(record: dict[str, Any]) -> None:
    """With cdmrun's network all do the same products, but for the mask that peers' last layer has an output for."""
    for found in (*record["peers"]["training"], *record["peers"]["sampling"]):
        own, *others = found["contenders"]
        for each in others:
            close = 0.02 if each["network"] == "cdmrun's" else 0.2
            assert each["flops_per_token"] == pytest.approx(own["flops_per_token"], rel=close)


def test_summary_has_the_goals(record: dict[str, Any]) -> None:
    goals = [line["goal"] for line in record["summary"] if line["goal"]]
    assert goals[:2] == ["≥ 1.5×", "≥ 2×"]
    assert "≥ 8×" in goals[2:]
    for line in record["summary"]:
        assert line["reached"] in ((True, False) if line["goal"] else (None,))


def test_summary_of_the_runner() -> None:
    lines = [
        ("cdmrun plan, experiments", "1", 1, 1.0),
        ("cdmrun plan, experiments", "1,000", 1000, 21.0),
        ("snakemake --dry-run, experiments", "1,000", 1000, 5.0),
        ("nothing to do", "finished folder", 9, 4.0),
        ("added to a tiny job", "cold", 9, 3.0),
        ("added to a tiny job", "warm", 9, 0.5),
    ]
    measured = [dict(zip(("series", "case", "count", "processor_seconds"), line, strict=True)) for line in lines]
    measured = [{**line, "wall_seconds": line["processor_seconds"]} for line in measured]
    tiny = [{"seconds": 1.0, "own_seconds": 0.1}]
    shares = {
        "the tiny jobs, cold": tiny,
        "mine": [{"seconds": 90.0, "own_seconds": 89.0}, {"seconds": 10.0, "own_seconds": 10.0}],
    }
    found = list(of_runner({"measured": measured, "shares": shares}))
    assert [line.reached for line in found] == [False, True, True, None, None, True]
    assert found[-1].value == pytest.approx(0.01)


@pytest.mark.parametrize("part", ["bench", "compiled", *PARTS])
def test_help(part: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [f"{part}.py", "--help"])
    with pytest.raises(SystemExit, match="0"):
        importlib.import_module(part).main()
    shown = capsys.readouterr().out
    assert f"python benchmarks/{part}.py" in shown
    assert "--json" in shown or "bench.json" in shown


def test_network_calls_are_compiled_as_jobs_compile_them() -> None:
    compiler = Compiler()
    with compiling_with(compiler):
        drawer = own_drawer(QUICK.size, Setting(compiled=True), 4, 3)
        assert drawer.seconds() > 0
    assert compiler.graphs == 1
    assert isinstance(drawer.model, NetworkModel)
    assert isinstance(drawer.model.trunk.forward, FixedRows)


def test_each_case_is_measured_as_written_and_compiled() -> None:
    compiler = Compiler()
    with compiling_with(compiler):
        found = [compiled.measure(case, Setting(compiled=True), rows=3, rounds=1) for case in compiled.cases()]
    assert compiler.graphs >= 2  # a trunk's and a step's; alike ones are shared
    assert all(min(each.written.median, each.compiled.median) > 0 for each in found)
    assert all(math.isfinite(each.compile_seconds) for each in found)
    assert all(each.name in compiled.shown(found) for each in found)


def test_a_student_that_does_not_reach_the_teacher_is_a_line_that_says_so() -> None:
    common = {"experiment": "text", "metric": "nll_bound", "control": False, "teacher_calls": 64, "low": None}
    found = [
        {**common, "name": "good", "calls": 1, "times_faster": 50.0},
        {**common, "name": "bad", "calls": None, "times_faster": 60.0},
        {**common, "name": "data", "calls": None, "times_faster": 60.0, "control": True},
    ]
    lines = list(of_students(found))
    assert [(line.measured, line.reached) for line in lines] == [("50.0×", True), ("not reached", False)]
