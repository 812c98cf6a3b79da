"""One job: its card, its folders, and the manifest that says it is complete."""

from __future__ import annotations

import fcntl
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from cdmrun.errors import UserError
from cdmrun.files import read_json, sha256_of, write_json
from cdmrun.spec.cards import card_path, read_card
from cdmrun.spec.plan_types import Run
from cdmrun.stages import provenance
from cdmrun.training import Progress


@dataclass(frozen=True)
class Job:
    """What a stage function is given.

    Attributes
    ----------
    run
        The card: config and input keys.
    out
        The results folder.
    device
        ``cpu`` or ``cuda``.
    """

    run: Run
    out: Path
    device: str

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved part of the spec this job needs."""
        return self.run.config

    @property
    def folder(self) -> Path:
        """Where the product goes."""
        return self.out / self.run.key

    @property
    def work(self) -> Path:
        """Where state to resume from lives; gone once the product is complete."""
        return self.folder / "work"

    def input(self, role: str) -> Path:
        """The folder of an input product; `UserError` if it is not complete."""
        folder = self.out / self.run.inputs[role]
        if not (folder / "manifest.json").exists():
            raise UserError(
                f"{self.run.key} needs {self.run.inputs[role]}, which is not complete",
                "let snakemake run it first: snakemake --cores all",
            )
        return folder

    def input_manifest(self, role: str) -> Mapping[str, Any]:
        """The manifest of an input product."""
        manifest: Mapping[str, Any] = read_json(self.input(role) / "manifest.json")
        return manifest

    def input_config(self, role: str) -> Mapping[str, Any]:
        """The config by which an input product was made."""
        config: Mapping[str, Any] = self.input_manifest(role)["config"]
        return config

    def generator(self, *salt: int) -> torch.Generator:
        """Randomness on the job's device: a pure function of the job's seed and ``salt``."""
        seed = int(self.config.get("seed", 0))
        for number in salt:
            seed = (seed * 1_000_003 + number + 1) % (1 << 62)
        return torch.Generator(device=self.device).manual_seed(seed)

    def progress(self, progress: Progress) -> None:
        """Show where a long job stands: one line in its log, and a file that `cdmrun status` reads."""
        write_json(self.work / "progress.json", {"stage": self.run.stage, **asdict(progress), "updated": time.time()})
        parts = [f"{self.run.key}: {progress.step}/{progress.steps}"]
        if progress.loss is not None:
            parts.append(f"loss {progress.loss:.4f}")
        if progress.rate is not None and progress.seconds_left is not None:
            parts.append(f"{progress.rate:.1f}/s  {progress.seconds_left:.0f} s left")
        print("  ".join(parts), file=sys.stderr, flush=True)


def open_job(stage: str, key: str, out: Path, device: str) -> Job:
    """Find a run's card and check that it belongs to this stage."""
    if not re.fullmatch(r"[a-z]+/[A-Za-z0-9_][A-Za-z0-9_.-]*", key):
        raise UserError(f"{key!r} is not the key of a run", "keys read kind/slug-id; `cdmrun plan` lists them")
    path = card_path(out, key)
    if not path.exists():
        raise UserError(f"no run {key} is planned in {out}", "`cdmrun plan` lists the keys; snakemake writes the cards")
    run = read_card(path)
    if run.key != key:
        raise UserError(f"{path}: this card is of {run.key}", "delete it and run snakemake again")
    if run.stage != stage:
        raise UserError(f"{key} is made by `cdmrun {run.stage}`, not by `cdmrun {stage}`")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("no CUDA device is available here", "use --device cpu or --device auto")
    return Job(run, out, device)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the product's folder against a second runner; the kernel lets go even on SIGKILL."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{folder}: another runner is at work here; waiting for it", file=sys.stderr, flush=True)
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def finish(job: Job, seconds: float) -> None:
    """Write the manifest, which makes the product complete, and drop the work folder."""
    outputs = {
        str(path.relative_to(job.folder)): sha256_of(path)
        for path in sorted(job.folder.rglob("*"))
        if path.is_file() and path.name not in ("manifest.json", ".lock") and job.work not in path.parents
    }
    manifest = {
        "key": job.run.key,
        "kind": job.run.kind,
        "stage": job.run.stage,
        "config": dict(job.run.config),
        "inputs": dict(job.run.inputs),
        "input_manifests": {
            role: sha256_of(job.out / key / "manifest.json") for role, key in sorted(job.run.inputs.items())
        },
        "outputs": outputs,
        "code": provenance.code_state(job.run.stage),
        "versions": provenance.versions(),
        "device": _device_name(job.device),
        "threads": torch.get_num_threads(),
        "wall_seconds": round(seconds, 3),
        "peak_memory_bytes": provenance.peak_memory_bytes(),
        "command": f"cdmrun {job.run.stage} {job.run.key} --out {job.out}",
    }
    write_json(job.folder / "manifest.json", manifest)
    shutil.rmtree(job.work, ignore_errors=True)


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "cpu"
