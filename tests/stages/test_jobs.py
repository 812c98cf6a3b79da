"""One job at a time: manifests, missing and damaged inputs, interruption, a full disk, two runners on one product."""

from __future__ import annotations

import errno
import hashlib
import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from workflow_cases import PATIENCE, TINY, environment, plan_into, run_command

from cdmrun import cli
from cdmrun.errors import UserError
from cdmrun.files import sha256_of, write_json
from cdmrun.spec.plan_types import Plan
from cdmrun.stages.job import exclusive
from cdmrun.stages.run import run_stage

#: One student that trains for seconds and writes a checkpoint after every step.
LONG = """\
name: long
data: {kind: potts_ring, states: 2, length: 2}
forward_process: {kind: uniform}
teacher: {kind: enumerated}
students:
  whole:
    method: cdm
    family: {kind: joint}
    nfe: [1, 2]
    model: {layers: 1, width: 16, heads: 1}
    train: {steps: 120, batch: 8, checkpoint_every: 1.0e-6, log_every: 10}
"""


class Products:
    """A results folder and its plan."""

    def __init__(self, out: Path, plan: Plan) -> None:
        self.out, self.plan = out, plan

    def key(self, start: str) -> str:
        """The one key that begins so."""
        (key,) = (key for key in self.plan.runs if key.startswith(start))
        return key

    def make(self, *kinds: str) -> None:
        """Run the jobs of some kinds, in this process."""
        for key, run in self.plan.runs.items():
            if run.kind in kinds:
                run_stage(run.stage, key, self.out, "cpu", 1)

    def forget(self, key: str) -> None:
        """Delete a product."""
        shutil.rmtree(self.out / key)


def planned(folder: Path, text: str) -> Products:
    """Write a spec and its cards."""
    (folder / "spec.yaml").write_text(text)
    return Products(folder / "results", plan_into(folder / "results", folder / "spec.yaml"))


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Products:
    """Every product of the tiny experiment."""
    products = planned(tmp_path_factory.mktemp("complete"), TINY)
    products.make("data", "teachers", "students", "samples", "scores")
    return products


@pytest.fixture
def tiny(complete: Products, tmp_path: Path) -> Products:
    """A copy of them to damage."""
    shutil.copytree(complete.out, tmp_path / "results")
    return Products(tmp_path / "results", complete.plan)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run the command line in this process; returns exit status and stderr, in which there is no traceback."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["cdmrun", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        shown = capsys.readouterr().err
        assert "Traceback" not in shown
        return code, shown

    return run


def test_manifest(complete: Products) -> None:
    key = complete.key("students/cdm-joint")
    folder = complete.out / key
    manifest = json.loads((folder / "manifest.json").read_text())
    run = complete.plan.runs[key]
    assert manifest["key"] == key
    assert manifest["stage"] == "distill"
    assert manifest["config"] == json.loads(json.dumps(dict(run.config)))
    assert manifest["inputs"] == dict(run.inputs)
    for role, upstream in run.inputs.items():
        outputs = json.loads((complete.out / upstream / "manifest.json").read_text())["outputs"]
        held = hashlib.sha256(json.dumps(outputs, sort_keys=True).encode()).hexdigest()
        assert manifest["input_contents"][role] == held
    assert {"model.json", "model.safetensors", "models.json", "history-model.csv"} == set(manifest["outputs"])
    for name, digest in manifest["outputs"].items():
        assert digest == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    assert {"commit", "dirty", "fingerprint"} <= set(manifest["code"])
    assert {"python", "torch", "numpy", "cdmrun"} <= set(manifest["versions"])
    assert manifest["device"] == "cpu"
    assert manifest["wall_seconds"] > 0
    assert manifest["peak_memory_bytes"] > 1 << 20
    assert manifest["command"] == f"cdmrun distill {key} --out {complete.out}"
    assert not (folder / "work").exists()


def test_nfe_is_counted_not_assumed(complete: Products) -> None:
    for key, run in complete.plan.runs.items():
        if run.kind == "samples":
            measured = json.loads((complete.out / key / "sampling.json").read_text())["nfe"]
            assert {int(nfe): cost["nfe_counted"] for nfe, cost in measured.items()} == {1: 1, 2: 2}


def test_same_job_same_bytes(complete: Products, tiny: Products) -> None:
    for start in ("students/progressive", "samples/cdm-joint", "scores/tau_leaping"):
        key = tiny.key(start)
        before = json.loads((complete.out / key / "manifest.json").read_text())["outputs"]
        tiny.forget(key)
        tiny.make(key.split("/")[0])
        after = json.loads((tiny.out / key / "manifest.json").read_text())["outputs"]
        for name in before.keys() & {"model.safetensors", "model-1.safetensors", "samples.npz", "scores.json"}:
            assert after[name] == before[name], (key, name)


@pytest.mark.parametrize("missing", ["data/", "teachers/"])
def test_missing_input(tiny: Products, missing: str) -> None:
    key = tiny.key("students/cdm-joint")
    tiny.forget(key)
    tiny.forget(tiny.key(missing))
    with pytest.raises(UserError, match=rf"{key} needs {missing}.* which is not complete(.|\n)*remedy"):
        run_stage("distill", key, tiny.out, "cpu")
    assert not (tiny.out / key / "manifest.json").exists()


@pytest.mark.parametrize(
    ("product", "file", "stage", "of"),
    [
        ("data/", "dataset.npz", "distill", "students/cdm-joint"),
        ("data/", "meta.json", "train", "teachers/"),
        ("teachers/", "model.safetensors", "distill", "students/cdm-joint"),
        ("teachers/", "model.json", "distill", "students/cdm-joint"),
        ("teachers/", "manifest.json", "sample", "samples/analytic"),
        ("students/cdm-joint", "model.safetensors", "sample", "samples/cdm-joint"),
        ("students/cdm-joint", "models.json", "sample", "samples/cdm-joint"),
        ("samples/analytic", "samples.npz", "evaluate", "scores/analytic"),
        ("samples/analytic", "sampling.json", "evaluate", "scores/analytic"),
    ],
)
@pytest.mark.parametrize("damage", ["garbage", "half"])
def test_damaged_input(  # type: ignore[no-untyped-def]
    tiny: Products, call, product: str, file: str, stage: str, of: str, damage: str
) -> None:
    key = tiny.key(of)
    tiny.forget(key)
    path = tiny.out / tiny.key(product) / file
    whole = path.read_bytes()
    path.write_bytes(b"\x00garbage" if damage == "garbage" else whole[: len(whole) // 2])
    code, shown = call(stage, key, "--out", tiny.out, "--device", "cpu")
    assert code == 1
    assert str(path.parent) in shown
    assert "remedy" in shown
    assert not (tiny.out / key / "manifest.json").exists()


def test_damaged_checkpoint(tiny: Products, call) -> None:  # type: ignore[no-untyped-def]
    key = tiny.key("students/cdm-joint")
    tiny.forget(key)
    checkpoint = tiny.out / key / "work/model.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"half a checkpoint")
    code, shown = call("distill", key, "--out", tiny.out, "--device", "cpu")
    assert code == 1
    assert f"{checkpoint}: this checkpoint cannot be read" in shown
    assert "delete the file" in shown
    checkpoint.unlink()
    assert call("distill", key, "--out", tiny.out, "--device", "cpu")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "nonsense"), "is not the key of a run"),
        (("train", "teachers/../../etc"), "is not the key of a run"),
        (("train", "teachers/unknown-00000000"), "no run teachers/unknown-00000000 is planned"),
        (("train", "STUDENT"), "is made by `cdmrun distill`"),
    ],
)
def test_wrong_keys(complete: Products, call, arguments: tuple[str, str], message: str) -> None:  # type: ignore[no-untyped-def]
    stage, key = arguments
    key = complete.key("students/cdm-joint") if key == "STUDENT" else key
    code, shown = call(stage, key, "--out", complete.out)
    assert code == 1
    assert message in shown


def test_existing_product_is_left_alone(tiny: Products) -> None:
    key = tiny.key("students/cdm-joint")
    path = tiny.out / key / "model.safetensors"
    before = path.stat().st_mtime_ns
    run_stage("distill", key, tiny.out, "cpu")
    assert path.stat().st_mtime_ns == before


def test_second_runner_waits_and_finds_it_there(tiny: Products) -> None:
    key = tiny.key("students/cdm-joint")
    manifest = tiny.out / key / "manifest.json"
    kept = manifest.read_text()
    manifest.unlink()
    with exclusive(tiny.out / key):
        second = subprocess.Popen(
            [str(Path(sys.executable).parent / "cdmrun"), "distill", key, "--out", str(tiny.out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert second.stderr is not None
        assert "another runner is at work here" in second.stderr.readline()
        manifest.write_text(kept)
    out, err = second.communicate(timeout=PATIENCE)
    assert (second.returncode, out, err) == (0, f"{key}: already there\n", "")


class Interrupted:
    """A long training, once undisturbed, and ways to disturb another."""

    def __init__(self, folder: Path) -> None:
        self.whole = self.prepared(folder / "whole")
        self.key = self.whole.key("students/")
        self.whole.make("students")

    @staticmethod
    def prepared(folder: Path) -> Products:
        folder.mkdir()
        products = planned(folder, LONG)
        products.make("data", "teachers")
        return products

    def stopped(self, folder: Path, number: signal.Signals) -> tuple[Products, int, str]:
        """Start the training in a process of its own and send it a signal once it has written checkpoints."""
        products = self.prepared(folder)
        command = [str(Path(sys.executable).parent / "cdmrun"), "distill", self.key, "--out", str(products.out)]
        job = subprocess.Popen(
            [*command, "--threads", "1", "--device", "cpu"], stderr=subprocess.PIPE, text=True, env=environment()
        )
        assert job.stderr is not None
        for line in job.stderr:  # a line every ten steps
            if f"{self.key}: 2" in line:
                break
        job.send_signal(number)
        shown = job.communicate(timeout=PATIENCE)[1]
        return products, job.returncode, shown

    def assert_same(self, products: Products) -> None:
        for name in ("model.safetensors", "history-model.csv", "model.json"):
            assert sha256_of(products.out / self.key / name) == sha256_of(self.whole.out / self.key / name), name


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Interrupted:
    """The undisturbed training."""
    return Interrupted(tmp_path_factory.mktemp("interrupted"))


def test_killed_training_resumes_bit_identically(interrupted: Interrupted, tmp_path: Path) -> None:
    products, code, _ = interrupted.stopped(tmp_path / "killed", signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert (products.out / interrupted.key / "work/model.pt").exists()
    assert not (products.out / interrupted.key / "manifest.json").exists()
    products.make("students")
    interrupted.assert_same(products)


def test_terminated_training_and_a_full_disk(interrupted: Interrupted, tmp_path: Path) -> None:
    products, code, shown = interrupted.stopped(tmp_path / "terminated", signal.SIGTERM)
    assert code == 1
    assert "stopped at step" in shown
    assert "it goes on from the checkpoint" in shown
    checkpoint = products.out / interrupted.key / "work/model.pt"
    before = sha256_of(checkpoint)

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    full = run_command(
        *("cdmrun", "distill", interrupted.key, "--out", products.out, "--threads", "1"), preexec_fn=small_disk
    )
    assert full.returncode == 1
    assert "cannot be written: File too large" in full.stderr
    assert "nothing computed so far is lost" in full.stderr
    assert "Traceback" not in full.stderr
    assert sha256_of(checkpoint) == before
    assert not list(checkpoint.parent.glob(".*")), "no temporary files are left"
    products.make("students")
    interrupted.assert_same(products)


def test_checkpoint_of_other_code_is_refused(
    interrupted: Interrupted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    products, _, _ = interrupted.stopped(tmp_path / "stopped", signal.SIGTERM)
    monkeypatch.setattr("cdmrun.stages.provenance.fingerprint", lambda stage, *sources: "another")
    with pytest.raises(UserError, match="another version of the code"):
        products.make("students")


def test_checkpoint_of_another_teacher_is_refused(interrupted: Interrupted, tmp_path: Path) -> None:
    """Else the student would be half of the one and half of the other, and its manifest name the latter alone."""
    products, _, _ = interrupted.stopped(tmp_path / "stopped", signal.SIGTERM)
    manifest = products.out / products.key("teachers/") / "manifest.json"
    held = json.loads(manifest.read_text())
    held["outputs"]["model.safetensors"] = "0" * 64
    write_json(manifest, held)
    with pytest.raises(UserError, match="other inputs"):
        products.make("students")


def test_a_file_system_without_locks_is_named_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(descriptor: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refused)
    refused_kindly = pytest.raises(
        UserError, match=r"product: this file system has no locks: No locks(.|\n)*cluster\.md"
    )
    with refused_kindly, exclusive(tmp_path / "product"):
        pass


def test_time_is_not_part_of_a_product(complete: Products) -> None:
    """Products carry no dates: two runs can be compared byte by byte."""
    year = time.strftime("%Y-")
    for path in complete.out.glob("s*/*/*.json"):
        assert year not in path.read_text(), path
