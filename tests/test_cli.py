"""The command line: what it prints, where, and with which exit status."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cdmrun import cli

SPEC = """\
name: ring
data: {kind: potts_ring, states: 3, length: 3}
forward_process: {kind: uniform}
teacher: {kind: enumerated}
students:
  joint:
    method: cdm
    family: {kind: joint}
    nfe: [1, 2]
"""


class Result:
    """What a call of the command line did."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Call `main` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["cdmrun", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Result(code, captured.out, captured.err)

    return run


def test_validate_good_and_bad(call) -> None:  # type: ignore[no-untyped-def]
    Path("a.yaml").write_text(SPEC)
    assert call("validate", "a.yaml").code == 0
    Path("b.yaml").write_text(SPEC.replace("joint}", "jiont}").replace("ring,", "rung,"))
    bad = call("validate", "b.yaml")
    assert bad.code == 1
    first, second = bad.out.splitlines()
    assert first.startswith("b.yaml:2:14: data.kind: 'potts_rung' is not one of")
    assert second.startswith("b.yaml:8:20: students.joint.family.kind: 'jiont' is not one of")
    assert "did you mean 'joint'?" in second


def test_validate_json(call) -> None:  # type: ignore[no-untyped-def]
    Path("a.yaml").write_text(SPEC + "sed: 1\n")
    result = call("validate", "a.yaml", "--format", "json")
    (error,) = json.loads(result.out)["errors"]
    assert result.code == 1
    assert (error["file"], error["line"], error["column"], error["path"]) == ("a.yaml", 10, 1, "sed")
    Path("a.yaml").write_text(SPEC)
    assert json.loads(call("validate", "a.yaml", "--format", "json").out) == {"ok": True, "errors": []}


def test_plan(call) -> None:  # type: ignore[no-untyped-def]
    Path("specs").mkdir()
    Path("specs/a.yaml").write_text(SPEC)
    shown = call("plan")
    assert shown.code == 0
    assert "students (distill): 1 to do" in shown.out
    plan = json.loads(call("plan", "--json", "--out", "elsewhere").out)
    assert [run["kind"] for run in plan["runs"]] == ["data", "teachers", "students", "samples", "scores"]
    key = plan["runs"][2]["key"]
    folder = Path("results", key)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"wall_seconds": 3}))
    assert "students (distill): all 1 there" in call("plan").out
    assert "1 fresh, 4 missing" in call("status").out
    assert json.loads(call("status", "--json").out)[key]["state"] == "fresh"


def test_explain(call) -> None:  # type: ignore[no-untyped-def]
    Path("base.yaml").write_text(SPEC)
    Path("a.yaml").write_text("extends: base.yaml\nname: child\nstudents: {joint: {train: {steps: 7}}}\nseeds: [5]\n")
    shown = call("explain", "students/", "a.yaml")
    assert shown.code == 0
    lines = {line.split()[0]: line.split()[-1] for line in shown.out.splitlines() if line.strip()}
    assert lines["train.steps"] == "a.yaml:3"
    assert lines["family.kind"] == "base.yaml:8"
    assert lines["train.batch"] == "default"
    assert lines["seed"] == "a.yaml:4"
    assert "cdmrun distill students/cdm-joint-potts_ring-" in shown.out
    run = next(word for word in shown.out.split() if word.startswith("students/"))
    assert call("explain", run.rsplit("-", 1)[1], "a.yaml").code == 0
    for wrong in ("student/cdm", "s"):
        assert call("explain", wrong, "a.yaml").code == 1
    assert "could be any of 3" in call("explain", "s", "a.yaml").err


def test_user_errors_are_messages_on_stderr(call) -> None:  # type: ignore[no-untyped-def]
    nothing = call("plan")
    assert (nothing.code, nothing.out) == (1, "")
    assert "no specs/*.yaml here" in nothing.err
    Path("a.yaml").write_text("name: [\n")
    broken = call("plan", "a.yaml")
    assert broken.code == 1
    assert broken.err.startswith("a.yaml:2:1: ")
    assert call("plan", "absent.yaml").err.startswith("absent.yaml:1:1: (file): cannot be read")
    assert call("nonsense").code == 2


@pytest.mark.parametrize(
    ("error", "word", "code"),
    [
        (OSError(28, "No space left on device", "x/y"), "x/y: No space left", 1),
        (MemoryError(), "out of memory", 1),
        (KeyboardInterrupt(), "", 130),
    ],
)
def test_accidents_are_messages(
    call, monkeypatch: pytest.MonkeyPatch, error: BaseException, word: str, code: int
) -> None:  # type: ignore[no-untyped-def]
    def fail(specs: object) -> None:
        raise error

    monkeypatch.setattr(cli, "chosen_specs", fail)
    result = call("plan")
    assert result.code == code
    assert word in result.err


def test_every_command_has_an_example(call) -> None:  # type: ignore[no-untyped-def]
    stages = ["fetch", "judge", "train", "draw", "distill", "sample", "evaluate"]
    for command in ["validate", "plan", "status", "explain", "table", "report", "schema", *stages]:
        shown = call(command, "--help")
        assert shown.code == 0
        assert "Example:" in shown.out


def test_schema(call) -> None:  # type: ignore[no-untyped-def]
    assert json.loads(Path(call("schema").out.strip()).read_text())["title"]
    assert json.loads(call("schema", "--text").out)["title"]


def test_help_is_quick_and_light() -> None:
    code = "import sys, cdmrun.cli as c; sys.argv=['cdmrun', '--help']\ntry: c.main()\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'pandas', 'numpy', 'yaml', 'jsonschema'} & set(sys.modules)"
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert time.perf_counter() - start < 5
