"""The command line: what it prints, where, and with which exit status."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from workflow_cases import REPOSITORY, seconds_of_programs

from cdmrun import cli
from cdmrun.commands import asking

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
    assert shown.out.endswith("to make it: snakemake --cores all\n")
    plan = json.loads(call("plan", "--json", "--out", "elsewhere").out)
    assert [run["kind"] for run in plan["runs"]] == ["data", "anchors", "teachers", "students", "samples", "scores"]
    keys = {run["kind"]: run["key"] for run in plan["runs"]}
    for kind in ("data", "teachers", "students"):
        complete(keys[kind])
    assert "students (distill): all 1 there" in call("plan").out
    assert "3 fresh, 3 missing" in call("status").out
    assert json.loads(call("status", "--json").out)[keys["students"]]["state"] == "fresh"
    # of a teacher that is gone it would be made again
    shutil.rmtree(Path("results", keys["teachers"]))
    assert "students (distill): 1 to do" in call("plan").out
    assert json.loads(call("status", "--json").out)[keys["students"]]["state"] == "stale-upstream"


def test_status_says_where_to_look(call) -> None:  # type: ignore[no-untyped-def]
    Path("a.yaml").write_text(SPEC)
    assert "there is no folder results yet" in call("status", "a.yaml").out
    log = Path("results/logs", keys(call, "a.yaml")["teachers"] + ".log")
    log.parent.mkdir(parents=True)
    log.write_text("a chain has no such order\n  remedy: another one\n")
    shown = call("status", "a.yaml").out
    assert f"why it failed: {log}" in shown
    assert "no folder" not in shown


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


def complete(key: str, **more: object) -> Path:
    """A product that a job might have left, by its key alone."""
    folder = Path("results", key)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"key": key, "config": {"steps": 7}, "inputs": {}, **more}))
    return folder


def keys(call, *specs: str) -> dict[str, str]:  # type: ignore[no-untyped-def]
    """The first run of each kind."""
    runs = json.loads(call("plan", "--json", *specs).out)["runs"]
    return {run["kind"]: run["key"] for run in reversed(runs)}


def test_plan_says_what_is_stale_and_how_long_it_takes(call) -> None:  # type: ignore[no-untyped-def]
    two = "  other: {method: cdm, family: {kind: joint}, nfe: [1, 2, 4]}\n"
    Path("a.yaml").write_text(SPEC + two)
    assert "no estimate of the time" in call("plan", "a.yaml").out
    seconds = {"data": 1, "anchors": 5, "teachers": 10, "students": 100, "samples": 20, "scores": 40}
    for kind, took in seconds.items():
        complete(f"{kind}/earlier-00000000", wall_seconds=took)
    shown = call("plan", "a.yaml", "--cores", "2").out
    assert "plan: ring, 9 to do" in shown
    # data and teacher, then two times a student, its samples and its scores
    assert "about 6 min of work, 3 min on 2 cores" in shown
    totals = json.loads(call("plan", "a.yaml", "--json", "--cores", "2").out)["totals"]
    assert totals == {
        **{"runs": 9, "to_do": 9, "reused": 0, "stale": 0, "without_estimate": 0, "cores": 2},
        **{"seconds_of_work": 336.0, "seconds_on_cores": 171.0},
    }
    assert json.loads(call("plan", "a.yaml", "--json", "-c", "1").out)["totals"]["seconds_on_cores"] == 336.0
    found = keys(call, "a.yaml")
    complete(found["data"])
    complete(found["teachers"], code={"fingerprint": "of other code"})
    shown = call("plan", "a.yaml", "-c", "1").out
    assert "plan: ring, 7 to do, 2 reused (1 stale)" in shown
    assert "teachers (train): all 1 there (1 stale)" in shown
    assert "about 5 min of work\n" in shown
    for run in json.loads(call("plan", "a.yaml", "--json").out)["runs"]:
        complete(run["key"])
    assert "nothing to compute" in call("plan", "a.yaml").out


def test_explain_shows_what_the_manifest_says(call) -> None:  # type: ignore[no-untyped-def]
    Path("specs").mkdir()
    Path("specs/a.yaml").write_text(SPEC)
    key = keys(call)["students"]
    complete(
        key,
        code={"commit": "c0ffee", "dirty": True, "fingerprint": "f00d", "diff_sha256": "d1ff"},
        versions={"torch": "2.13.0"},
        device="cpu",
        threads=3,
        wall_seconds=83.0,
        peak_memory_bytes=312 * 2**20,
        input_contents={"teacher": "abc123"},
        outputs={"model.safetensors": "def456"},
        command=f"cdmrun distill {key} --out results",
    )
    shown = call("explain", key).out
    for text in (
        *("c0ffee and changes to it", "fingerprint f00d", "diff_sha256 d1ff", "torch 2.13.0", "cpu, 3 threads", "83 s"),
        *("312 MiB", "teacher: abc123", "model.safetensors: def456", f"cdmrun distill {key} --out results --threads 3"),
    ):
        assert text in shown, text
    assert "specs/a.yaml:9" in shown
    # a run_id of a table, of a run that no spec asks for; and a summary's, of one a seed
    gone = "students/cdm-joint-potts_ring-0123abcd"
    complete(gone)
    shown = call("explain", gone).out
    assert "none of the present specs asks for it" in shown
    assert shown.split()[-3:] == ["steps", "7", "record"]
    both = call("explain", f"{key};{gone}").out
    assert key in both
    assert gone in both


def test_diff_of_specs_and_of_runs(call) -> None:  # type: ignore[no-untyped-def]
    Path("a.yaml").write_text(SPEC)
    Path("b.yaml").write_text(SPEC.replace("nfe: [1, 2]", "nfe: [1, 2, 4]").replace("name: ring", "name: b"))
    shown = call("diff", "a.yaml", "b.yaml").out
    assert "[1, 2]  a.yaml:9" in shown
    assert "[1, 2, 4]  b.yaml:9" in shown
    assert "runs: 3 shared, 3 only of a.yaml, 3 only of b.yaml" in shown
    assert "no value differs" in call("diff", "a.yaml", "a.yaml").out
    runs = [keys(call, spec)["students"] for spec in ("a.yaml", "b.yaml")]
    shown = call("diff", *runs, "--spec", "a.yaml", "--spec", "b.yaml").out
    assert shown.splitlines()[1].split() == ["nfe", "[1,", "2]", "a.yaml:9", "[1,", "2,", "4]", "b.yaml:9"]
    mixed = call("diff", "a.yaml", runs[0])
    assert (mixed.code, mixed.out) == (1, "")
    assert "name two specs, or two runs" in mixed.err


def test_accept(call) -> None:  # type: ignore[no-untyped-def]
    Path("a.yaml").write_text(SPEC)
    found = keys(call, "a.yaml")
    key = found["teachers"]
    complete(found["data"])
    complete(key, code={"fingerprint": "of other code"})
    assert "1 stale-code" in call("status", "a.yaml").out
    assert call("accept", key, "--spec", "a.yaml").code == 2  # a reason is asked for
    done = call("accept", key, "--spec", "a.yaml", "--reason", "only a docstring")
    assert (done.code, done.out) == (0, f"results/{key}: accepted\n")
    assert json.loads(call("status", "a.yaml", "--json").out)[key]["detail"] == "accepted: only a docstring"
    again = call("accept", key, "--spec", "a.yaml", "--reason", "again")
    assert (again.code, "nothing to accept" in again.err) == (1, True)


def test_gc_keeps_what_any_spec_below_specs_asks_for(call) -> None:  # type: ignore[no-untyped-def]
    for folder in ("specs/base", "specs/demo"):
        Path(folder).mkdir(parents=True)
    Path("specs/base/ring.yaml").write_text(SPEC.replace("name: ring\n", ""))  # cannot be run by itself
    Path("specs/demo/a.yaml").write_text("extends: ../base/ring.yaml\nname: a\n")
    key = keys(call, "specs/demo/a.yaml")["students"]
    complete(key)
    other = complete("students/cdm-joint-potts_ring-0123abcd")
    shown = call("gc", "--dry-run")
    assert (shown.code, other.exists()) == (0, True)
    assert "students/cdm-joint-potts_ring-0123abcd" in shown.out
    assert key not in shown.out
    assert call("gc", "--yes").code == 0
    assert not other.exists()
    assert Path("results", key).exists()
    # without a spec there is nothing to compare with: nothing is deleted
    Path("specs/demo/a.yaml").unlink()
    nothing = call("gc", "--yes")
    assert (nothing.code, "no spec given" in nothing.err) == (1, True)
    assert Path("results", key).exists()


def test_status_watch_ends_with_the_last_run(call) -> None:  # type: ignore[no-untyped-def]
    Path("a.yaml").write_text(SPEC)
    for run in json.loads(call("plan", "a.yaml", "--json").out)["runs"]:
        complete(run["key"])
    assert call("status", "a.yaml", "--watch").out == "6 fresh\n"
    data = keys(call, "a.yaml")["data"]
    Path("results", data, "manifest.json").unlink()
    Path("results/logs/data").mkdir(parents=True)
    Path(f"results/logs/{data}.log").write_text("no network\n  remedy: get one\n")
    failed = call("status", "a.yaml", "--watch")
    assert (failed.code, failed.out) == (1, f"failed: {data}: no network\n5 stale-upstream, 1 failed\n")


def test_new_spec(call) -> None:  # type: ignore[no-untyped-def]
    assert call("new", "spec", "mine", "--like", "chain").out == "specs/mine.yaml\n"
    assert call("validate").code == 0
    again = call("new", "spec", "mine")
    assert (again.code, "exists already" in again.err) == (1, True)
    assert call("new", "spec", "mine", "--like", "nothing").code == 2


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
        (KeyboardInterrupt(), "interrupted; what is complete is kept, run it again to go on", 130),
    ],
)
def test_accidents_are_messages(
    call, monkeypatch: pytest.MonkeyPatch, error: BaseException, word: str, code: int
) -> None:  # type: ignore[no-untyped-def]
    def fail(specs: object) -> None:
        raise error

    monkeypatch.setattr(asking, "chosen_specs", fail)
    result = call("plan")
    assert result.code == code
    assert word in result.err


def test_a_reader_that_goes_away_is_no_accident() -> None:
    """As `cdmrun … | head` does: no word of it, and not status 0."""
    program = [str(Path(sys.executable).parent / "cdmrun"), "schema", "--text"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_every_job_of_the_workflow_may_start_warm() -> None:
    assert set(re.findall(r'shell: f"cdmrun (\w+) ', (REPOSITORY / "Snakefile").read_text())) == set(cli.JOBS)


def test_every_command_has_an_example(call) -> None:  # type: ignore[no-untyped-def]
    names = [command.name or command.callback.__name__ for command in cli.app.registered_commands]
    assert set(cli.JOBS) | {"validate", "plan", "redo", "data"} <= set(names)
    for command in [*names, "new spec"]:
        shown = call(*command.split(), "--help")
        assert shown.code == 0
        assert "Example:" in shown.out


def test_schema(call) -> None:  # type: ignore[no-untyped-def]
    assert json.loads(Path(call("schema").out.strip()).read_text())["title"]
    assert json.loads(call("schema", "--text").out)["title"]


def test_help_is_quick_and_light() -> None:
    code = "import sys, cdmrun.cli as c; sys.argv=['cdmrun', '--help']\ntry: c.main()\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'pandas', 'numpy', 'yaml', 'jsonschema'} & set(sys.modules)"
    start = seconds_of_programs()  # which a busy machine does not stretch
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert seconds_of_programs() - start < 5
