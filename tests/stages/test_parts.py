"""Sampling and evaluation that are stopped half-way, by real signals to real processes, and go on."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from workflow_cases import PATIENCE, environment, plan_into, run_command

from cdmrun.errors import UserError
from cdmrun.files import sha256_of, write_json
from cdmrun.spec.accepted import accept
from cdmrun.spec.plan_types import Plan
from cdmrun.stages.run import run_stage

#: Four blocks to sample at each of a few step counts, each slower than the one before.
MANY = """\
name: many
data: {kind: potts_ring, states: 2, length: 2}
forward_process: {kind: uniform}
teacher: {kind: enumerated}
baselines:
  analytic: {nfe: [1, 8, 32, 512]}
evaluation: {samples: 1024, metrics: [tv, kl, chi2_p], timing: false}
"""


class Many:
    """The results of that spec below a folder, or what is there of them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "spec.yaml").write_text(MANY)
        self.out = folder / "results"
        self.plan: Plan = plan_into(self.out, folder / "spec.yaml")
        self.samples, self.scores = (
            next(key for key in self.plan.runs if key.startswith(f"{kind}/analytic")) for kind in ("samples", "scores")
        )

    def make(self, *kinds: str) -> None:
        for key, run in self.plan.runs.items():
            if run.kind in kinds:
                run_stage(run.stage, key, self.out, "cpu", 1)

    def stop(self, stage: str, key: str, part: str, number: signal.Signals) -> tuple[int, str]:
        """Start a job in a process of its own and send it a signal as soon as a part is there."""
        command = [str(Path(sys.executable).parent / "cdmrun"), stage, key, "--out", str(self.out)]
        job = subprocess.Popen(
            [*command, "--threads", "1", "--device", "cpu"], stderr=subprocess.PIPE, text=True, env=environment()
        )
        while not (self.out / key / f"work/{part}.npz").exists():
            assert job.poll() is None, job.communicate()[1]
            time.sleep(0.001)
        job.send_signal(number)
        shown = job.communicate(timeout=PATIENCE)[1]
        assert not (self.out / key / "manifest.json").exists(), "it was too quick to be stopped"
        return job.returncode, shown


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Many:
    """Undisturbed."""
    many = Many(tmp_path_factory.mktemp("whole") / "many")
    many.make("data", "teachers", "samples", "scores")
    return many


@pytest.fixture
def many(tmp_path: Path) -> Many:
    """As far as the teacher."""
    many = Many(tmp_path / "many")
    many.make("data", "teachers")
    return many


def cost(many: Many) -> dict[str, dict[str, float]]:
    measured: dict[str, dict[str, float]] = json.loads((many.out / many.samples / "sampling.json").read_text())["nfe"]
    return measured


def test_a_killed_sampling_goes_on_bit_identically(whole: Many, many: Many) -> None:
    code, _ = many.stop("sample", many.samples, "nfe-8-block-1", signal.SIGKILL)
    assert code == -signal.SIGKILL
    work = many.out / many.samples / "work"
    kept = list(work.glob("nfe-*.npz"))
    assert len(kept) >= 4 + 2
    seconds = 0.0
    for path in work.glob("nfe-1-*.npz"):
        with np.load(path, allow_pickle=False) as part:
            seconds += json.loads(part["record.json"].tobytes())["record"]["seconds"]
    stopped = run_command("cdmrun", "sample", many.samples, "--out", many.out, "--threads", "1")
    assert stopped.returncode == 0, stopped.stderr
    assert f"{many.samples}: 0/{4 * 4}" in stopped.stderr
    name = f"{many.samples}/samples.npz"
    assert sha256_of(many.out / name) == sha256_of(whole.out / name)
    assert not work.exists()
    # what was measured before the kill counts: the seconds of an NFE are the sum over its blocks
    assert cost(many)["1"]["seconds_per_sample"] == pytest.approx(seconds / 1024, rel=1e-9)
    assert {nfe: one["nfe_counted"] for nfe, one in cost(many).items()} == {nfe: int(nfe) for nfe in cost(whole)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_scoring_that_is_asked_to_stop_ends_cleanly_and_goes_on(
    whole: Many, many: Many, number: signal.Signals
) -> None:
    many.make("samples")
    code, shown = many.stop("evaluate", many.scores, "nfe-1", number)
    assert code == 1
    assert f"{many.scores}: stopped at step " in shown
    assert "run the workflow again; it goes on from" in shown
    assert "Traceback" not in shown
    many.make("scores")
    name = f"{many.scores}/scores.json"
    assert (many.out / name).read_bytes() == (whole.out / name).read_bytes()
    assert all(score["seconds_per_sample"] is None for score in json.loads((many.out / name).read_text())["scores"])


def test_parts_of_other_code_are_refused(many: Many, monkeypatch: pytest.MonkeyPatch) -> None:
    many.stop("sample", many.samples, "nfe-8-block-0", signal.SIGTERM)
    monkeypatch.setattr("cdmrun.stages.provenance.fingerprint", lambda stage, *sources: "another")
    refused = (
        r"nfe-1-block-0\.npz: this part is of other inputs, another config or another version of the code(.|\n)*delete "
    )
    with pytest.raises(UserError, match=refused):
        many.make("samples")


def test_parts_of_another_teacher_are_refused(many: Many) -> None:
    """Else a product would be half of one and half of the other, and its manifest name the latter alone."""
    many.stop("sample", many.samples, "nfe-8-block-0", signal.SIGTERM)
    teacher = many.out / many.plan.runs[many.samples].inputs["teacher"]
    manifest = json.loads((teacher / "manifest.json").read_text())
    manifest["outputs"]["model.safetensors"] = "0" * 64
    write_json(teacher / "manifest.json", manifest)
    with pytest.raises(UserError, match=r"nfe-1-block-0\.npz: this part is of other inputs(.|\n)*delete "):
        many.make("samples")


def test_damaged_and_foreign_parts_are_refused(many: Many) -> None:
    path = many.out / many.samples / "work/nfe-1-block-0.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half an archive")
    with pytest.raises(UserError, match=r"nfe-1-block-0\.npz: damaged"):
        many.make("samples")
    with open(path, "wb") as stream:
        np.savez(stream, samples=np.zeros((256, 4), dtype=np.uint8))
    with pytest.raises(UserError, match=r"nfe-1-block-0\.npz: this part is of other inputs, another config"):
        many.make("samples")


def test_progress_of_every_stage_says_the_same_things(many: Many) -> None:
    many.stop("sample", many.samples, "nfe-32-block-0", signal.SIGTERM)
    progress = json.loads((many.out / many.samples / "work/progress.json").read_text())
    assert set(progress) == {"stage", "step", "steps", "loss", "rate", "seconds_left", "updated"}
    assert (progress["stage"], progress["steps"], progress["loss"]) == ("sample", 4 * 4, None)


# -- manifests that somebody took away ---------------------------------------------------------------------------------


def test_a_manifest_that_snakemake_deleted_comes_back(whole: Many) -> None:
    """As happens to a product that another runner completed after this one had planned it."""
    manifest, samples = (whole.out / whole.samples / name for name in ("manifest.json", "samples.npz"))
    before, made = manifest.read_bytes(), samples.stat().st_mtime_ns
    manifest.unlink()
    whole.make("samples")
    assert manifest.read_bytes() == before
    assert samples.stat().st_mtime_ns == made
    (whole.out / whole.plan.runs[whole.samples].inputs["teacher"] / "manifest.json").unlink()
    (whole.out / whole.scores / "manifest.json").unlink()
    whole.make("scores")
    assert len(list(whole.out.glob("teachers/*/manifest.json"))) == 1


@pytest.mark.parametrize("change", ["an output", "the code", "an input", "no copy", "a damaged copy"])
def test_a_deleted_manifest_stays_away_if_anything_is_different(whole: Many, many: Many, change: str) -> None:
    shutil.copytree(whole.out / whole.samples, many.out / many.samples)
    shutil.copytree(whole.out / "teachers", many.out / "teachers", dirs_exist_ok=True)
    folder = many.out / many.samples
    copy, samples = folder / ".manifest.json", folder / "samples.npz"
    (folder / "manifest.json").unlink()
    if change == "an output":
        samples.write_bytes(samples.read_bytes()[:-1])
    elif change == "the code":
        copy.write_text(copy.read_text().replace('"fingerprint": "', '"fingerprint": "0'))
    elif change == "an input":
        manifest = many.out / many.plan.runs[many.samples].inputs["teacher"] / "manifest.json"
        held = json.loads(manifest.read_text())
        held["outputs"]["one-more.json"] = next(iter(held["outputs"].values()))
        manifest.write_text(json.dumps(held))
    elif change == "no copy":
        copy.unlink()
    else:
        copy.write_text("{")
    before = samples.stat().st_mtime_ns
    many.make("samples")
    assert samples.stat().st_mtime_ns != before
    assert sha256_of(samples) == sha256_of(whole.out / many.samples / "samples.npz")


def test_a_deleted_manifest_comes_back_if_somebody_vouches_for_the_code(whole: Many, many: Many) -> None:
    shutil.copytree(whole.out / whole.samples, many.out / many.samples)
    folder = many.out / many.samples
    copy, now = folder / ".manifest.json", json.loads((folder / "manifest.json").read_text())["code"]["fingerprint"]
    (folder / "manifest.json").unlink()
    copy.write_text(copy.read_text().replace(now, "0" * 12))
    accept(folder, made_by="0" * 12, now=now, reason="names only")
    before = (folder / "samples.npz").stat().st_mtime_ns
    many.make("samples")
    assert (folder / "samples.npz").stat().st_mtime_ns == before
    assert (folder / "manifest.json").read_text() == copy.read_text()


def test_temporary_files_of_a_killed_job_are_cleared(many: Many) -> None:
    left = many.out / many.samples / ".samples.npz.k3x9_a1b"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    many.make("samples")
    assert not left.exists()
    manifest = json.loads((many.out / many.samples / "manifest.json").read_text())
    assert set(manifest["outputs"]) == {"samples.npz", "sampling.json"}
