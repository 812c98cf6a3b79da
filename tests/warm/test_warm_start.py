"""Jobs forked from the nursery: the same command, the same bytes, the same signals; real processes throughout."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from workflow_cases import PATIENCE, environment, plan_into

from cdmrun.warm import client

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the nursery needs Linux")

SPEC = """\
name: little
data: {kind: potts_ring, states: 2, length: 2}
forward_process: {kind: uniform}
teacher: {kind: enumerated}
students:
  whole:
    method: cdm
    family: {kind: joint}
    nfe: [1, 2]
    model: {layers: 1, width: 16, heads: 1}
    train: {steps: STEPS, batch: 8, log_every: 1}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this module's own nursery lives."""
    return tmp_path_factory.mktemp("w")


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a test's own nursery lives; with a short name, since sockets have room for no other."""
    return tmp_path_factory.mktemp("w")


def surroundings(home: Path, warm: bool) -> dict[str, str]:
    return {**environment(), "XDG_RUNTIME_DIR": str(home), client.SWITCH: "1" if warm else "0"}


def command(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).parent / "cdmrun"), *arguments]


def make(folder: Path, home: Path, warm: bool, steps: int = 3) -> dict[str, str]:
    """Make data, teacher and student below ``folder/results``; what each command printed, by stage."""
    folder.mkdir(exist_ok=True)
    (folder / "a.yaml").write_text(SPEC.replace("STEPS", str(steps)))
    plan = plan_into(folder / "results", folder / "a.yaml")
    said = {}
    for run in plan.runs.values():
        if run.kind in ("data", "teachers", "students"):
            done = subprocess.run(
                command(run.stage, run.key, "--out", "results", "--threads", "1"),
                cwd=folder,
                env=surroundings(home, warm),
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=True,
            )
            said[run.stage] = done.stdout
    return said


def test_the_same_bytes_and_the_same_words(tmp_path: Path, home: Path) -> None:
    warm = make(tmp_path / "warm", home, True)
    assert list(home.glob("cdmrun-*/socket")), "no nursery was started"
    cold = make(tmp_path / "cold", home, False)
    for said in (warm, cold):
        assert said["distill"].startswith("students/cdm-joint-potts_ring"), "what a job says does not come through"
    names = [path.relative_to(tmp_path / "cold") for path in (tmp_path / "cold").rglob("*.safetensors")]
    assert len(names) == 2
    for name in names:
        assert (tmp_path / "warm" / name).read_bytes() == (tmp_path / "cold" / name).read_bytes()


@pytest.mark.parametrize("warm", [True, False])
def test_an_error_is_the_users_and_ends_with_one(warm: bool, tmp_path: Path, home: Path) -> None:
    done = subprocess.run(
        command("train", "teachers/none-00000000", "--out", str(tmp_path)),
        env=surroundings(home, warm),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert "teachers/none-00000000" in done.stderr
    assert "Traceback" not in done.stderr


def _start_long_training(folder: Path, home: Path) -> tuple[subprocess.Popen[str], Path]:
    """A training that would take minutes, once it has made some steps."""
    folder.mkdir()
    make_first = SPEC.replace("STEPS", "1000000")
    (folder / "a.yaml").write_text(make_first)
    plan = plan_into(folder / "results", folder / "a.yaml")
    *before, student = [run for run in plan.runs.values() if run.kind in ("data", "teachers", "students")]
    for run in before:
        subprocess.run(
            command(run.stage, run.key, "--out", "results"), cwd=folder, env=surroundings(home, True), check=True
        )
    process = subprocess.Popen(  # as Snakemake starts it: SIGUSR1 is ignored until the stage takes it
        ["env", "--ignore-signal=USR1", *command(student.stage, student.key, "--out", "results", "--threads", "1")],
        cwd=folder,
        env=surroundings(home, True),
        stderr=subprocess.PIPE,
        text=True,
    )
    progress = folder / "results" / student.key / "work" / "progress.json"
    deadline = time.monotonic() + PATIENCE
    while not progress.exists():
        assert time.monotonic() < deadline, "the training does not start"
        time.sleep(0.05)
    return process, folder / "results" / student.key


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_reaches_the_child_which_writes_its_checkpoint(
    number: signal.Signals, tmp_path: Path, home: Path
) -> None:
    process, product = _start_long_training(tmp_path / "long", home)
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "goes on from the checkpoint" in said
    assert list((product / "work").glob("*.pt"))


def test_a_client_killed_outright_takes_its_child_with_it(tmp_path: Path, home: Path) -> None:
    process, product = _start_long_training(tmp_path / "killed", home)
    process.kill()
    process.wait()
    deadline = time.monotonic() + PATIENCE
    with open(product / ".lock") as lock:  # the child holds it
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                assert time.monotonic() < deadline, "the child outlives its client"
                time.sleep(0.05)
    process.stderr.close()  # type: ignore[union-attr]


def _nursery_of(home: Path) -> psutil.Process:
    (path,) = home.glob("cdmrun-*/socket")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return psutil.Process(int.from_bytes(peer[:4], sys.byteorder))


def test_a_nursery_outlives_a_client_and_its_child(tmp_path: Path, home: Path) -> None:
    """…even if it learns of both ends at once."""
    process, _ = _start_long_training(tmp_path / "both", home)
    nursery = _nursery_of(home)
    (child,) = nursery.children()
    nursery.suspend()
    child.kill()
    process.kill()
    process.communicate()
    nursery.resume()
    test_an_error_is_the_users_and_ends_with_one(True, tmp_path, home)
    assert _nursery_of(home) == nursery


def test_a_job_whose_nursery_dies_says_so(tmp_path: Path, home: Path) -> None:
    process, _ = _start_long_training(tmp_path / "orphaned", home)
    _nursery_of(home).kill()
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "remedy: run the workflow again" in said


def test_an_idle_nursery_ends_and_leaves_nothing(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    path = tmp_path / "s"
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "cdmrun.warm.nursery", str(path), str(writer), "0.2"], pass_fds=[writer]
    )
    os.close(writer)
    with os.fdopen(reader, "rb") as ready:
        assert ready.read(1) == b"!"
    assert process.wait(timeout=PATIENCE) == 0
    assert not path.exists()


def test_a_child_has_the_umask_of_its_own_job(tmp_path: Path, place: Path) -> None:
    """…and not of the job that the nursery was started for."""
    for name, mask in (("first", 0o022), ("second", 0o077)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "a.yaml").write_text(SPEC.replace("STEPS", "3"))
        data = next(iter(plan_into(folder / "results", folder / "a.yaml").runs.values()))
        job = command(data.stage, data.key, "--out", "results", "--threads", "1")
        subprocess.run(job, cwd=folder, env=surroundings(place, True), umask=mask, timeout=PATIENCE, check=True)
        assert (folder / "results" / data.key / "manifest.json").stat().st_mode & 0o777 == 0o666 & ~mask


#: Prints where the nursery of its like lives.
PLACE = [sys.executable, "-c", "from cdmrun.warm import client; print(client.folder())"]


@pytest.mark.parametrize(
    "prefix",
    [
        ["nice", "-n", "3"],
        ["env", "--ignore-signal=INT"],
        ["env", "--ignore-signal=HUP"],
        ["sh", "-c", 'umask 027; exec "$@"', "sh"],
        ["sh", "-c", 'ulimit -n 200; exec "$@"', "sh"],
        [sys.executable, "-c", "import os, sys; os.sched_setaffinity(0, {ONE}); os.execv(sys.argv[1], sys.argv[1:])"],
    ],
    ids=["nice value", "SIGINT", "SIGHUP", "umask", "limit", "affinity"],
)
def test_jobs_share_a_nursery_only_with_their_like(prefix: list[str], place: Path) -> None:
    if "ONE" in prefix[-1] and len(os.sched_getaffinity(0)) == 1:
        pytest.skip("there is but one core")
    prefix = [word.replace("ONE", str(min(os.sched_getaffinity(0)))) for word in prefix]
    env = surroundings(place, True)
    usual = ["env", "--default-signal=INT,HUP"]  # whatever started the tests
    commands = [[*usual, *before, *PLACE] for before in ([], [], prefix, prefix)]
    places = [subprocess.check_output(command, cwd=place, env=env, text=True) for command in commands]
    assert places[0] == places[1] != places[2] == places[3]


def test_where_no_socket_fits_no_nursery_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One would load for seconds and end at its socket, with all other jobs waiting for it."""
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    assert client.run(["status"]) is None
    assert not list(deep.iterdir())


#: Whatever started the tests: shells have what they start in the background ignore SIGINT.
INTERRUPTIBLE = ["env", "--default-signal=INT"]


def _interrupt(process: subprocess.Popen[str]) -> None:
    """Ctrl-C, once, and the process says so, once."""
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert said.count("interrupted; what is complete is kept, run it again to go on") == 1


@pytest.mark.parametrize("warm", [True, False])
def test_an_interrupted_job_says_so(warm: bool, tmp_path: Path, home: Path) -> None:
    """A job that waits for another runner, which the test is."""
    (tmp_path / "a.yaml").write_text(SPEC.replace("STEPS", "3"))
    data = next(iter(plan_into(tmp_path / "results", tmp_path / "a.yaml").runs.values()))
    (tmp_path / "results" / data.key).mkdir(parents=True)
    with open(tmp_path / "results" / data.key / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = subprocess.Popen(
            [*INTERRUPTIBLE, *command(data.stage, data.key, "--out", "results")],
            cwd=tmp_path,
            env=surroundings(home, warm),
            stderr=subprocess.PIPE,
            text=True,
        )
        assert "another runner is at work here" in process.stderr.readline()  # type: ignore[union-attr]
        _interrupt(process)


def test_interrupted_while_the_nursery_loads_it_says_so(tmp_path: Path, place: Path) -> None:
    process = subprocess.Popen(
        [*INTERRUPTIBLE, *command("train", "teachers/none-00000000")],
        cwd=tmp_path,
        env=surroundings(place, True),
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + PATIENCE
    while not list(place.glob("cdmrun-*/log")):
        assert time.monotonic() < deadline, "no nursery is started"
        time.sleep(0.01)
    _interrupt(process)


def test_a_folder_that_others_may_enter_is_not_used(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    client.folder().chmod(0o777)
    with pytest.raises(PermissionError, match="own"):
        client.folder()
    assert client.run(["status"]) is None


@pytest.mark.parametrize("name", client.ELSEWHERE)
def test_it_stays_away_from_clusters(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in client.ELSEWHERE:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(client.SWITCH, "1")
    assert client.wanted()
    monkeypatch.setenv(name, "1")
    assert not client.wanted()
    monkeypatch.delenv(name)
    monkeypatch.setenv(client.SWITCH, "0")
    assert not client.wanted()
