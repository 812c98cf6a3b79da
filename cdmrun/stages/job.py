"""One job: its card, its folders, and the manifest that says it is complete."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

import torch

from cdmrun.errors import UserError
from cdmrun.files import LOCK, read_json, read_map, sha256_of, write_json
from cdmrun.spec.accepted import ACCEPTED, is_stale
from cdmrun.spec.cards import card_path, read_card
from cdmrun.spec.lineage import input_contents
from cdmrun.spec.plan_types import Run
from cdmrun.stages import provenance
from cdmrun.stages.board import Board
from cdmrun.stages.randomness import stream
from cdmrun.training import ALONE, Group, Progress

MANIFEST = "manifest.json"
#: The manifest once more, under a name that Snakemake does not know and so leaves alone.
MANIFEST_COPY = ".manifest.json"
_NO_OUTPUTS = (MANIFEST, ACCEPTED)


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
        ``cpu``, or the GPU it holds a lease on: ``cuda:N``.
    group
        The processes that make the product together; the one that leads writes it.
    board
        Where progress is logged besides, if anywhere.
    """

    run: Run
    out: Path
    device: str = "cpu"
    group: Group = ALONE
    board: Board | None = None

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
        key = self.run.inputs[role]
        if not is_complete(self.out, key):
            raise UserError(
                f"{self.run.key} needs {key}, which is not complete",
                "let snakemake run it first: snakemake --cores all",
            )
        if read_map(self.out / key / MANIFEST, "key", "config")["key"] != key:
            raise UserError(f"{self.out / key / MANIFEST}: the manifest of another product", "delete its folder")
        return self.out / key

    def input_manifest(self, role: str) -> Mapping[str, Any]:
        """The manifest of an input product."""
        manifest: Mapping[str, Any] = read_json(self.input(role) / MANIFEST)
        return manifest

    def input_config(self, role: str) -> Mapping[str, Any]:
        """The config by which an input product was made."""
        config: Mapping[str, Any] = self.input_manifest(role)["config"]
        return config

    @cached_property
    def input_contents(self) -> Mapping[str, str | None]:
        """What the inputs held when this was first asked for, which is before the stage reads them."""
        return input_contents(self.run, self.out)

    def identity(self, part: str = "") -> str:
        """What unfinished work belongs to: this config, this code, and inputs that held this."""
        made_from = hashlib.sha256(json.dumps(self.input_contents, sort_keys=True).encode()).hexdigest()[:12]
        code = provenance.fingerprint(self.run.stage, *self.run.sources)
        return ":".join([self.run.id, *([part] if part else []), code, made_from])

    def stream(self, *names: str | int) -> int:
        """Seed of one of the job's streams of random numbers, see `cdmrun.stages.randomness`."""
        return stream(int(self.config.get("seed", 0)), self.run.stage, *names)

    def generator(self, *names: str | int) -> torch.Generator:
        """Randomness of a `stream` on the job's device."""
        return torch.Generator(device=self.device).manual_seed(self.stream(*names))

    def progress(self, progress: Progress, part: str = "") -> None:
        """Show where a long job stands: one line in its log, and a file that `cdmrun status` reads.

        ``part`` names what is under way in a job that trains several models.
        """
        if not self.group.leads:
            return
        seen = {"stage": self.run.stage, **asdict(progress), "updated": time.time()}
        write_json(self.work / "progress.json", {**seen, "part": part} if part else seen)
        if self.board is not None:
            self.board.add(progress, part)
        parts = [f"{self.run.key}: {progress.step}/{progress.steps}"]
        if progress.loss is not None:
            parts.append(f"loss {progress.loss:.4f}")
        if progress.rate is not None and progress.seconds_left is not None:
            parts.append(f"{progress.rate:.1f}/s  {progress.seconds_left:.0f} s left")
        with contextlib.suppress(
            BrokenPipeError
        ):  # whoever read the log is gone: no reason to stop before a checkpoint
            print("  ".join(parts), file=sys.stderr, flush=True)


def open_job(stage: str, key: str, out: Path) -> Job:
    """Find a run's card and check that it belongs to this stage."""
    if not re.fullmatch(r"[a-z]+/[A-Za-z0-9_][A-Za-z0-9_.-]*", key):
        raise UserError(f"{key!r} is not the key of a run", "keys read kind/slug-id; `cdmrun plan` lists them")
    path = card_path(out, key)
    if not path.exists():
        raise UserError(
            f"no run {key} is planned in {out}",
            "take the whole key from `cdmrun plan`; runs are written down in a results folder by `snakemake`, and by "
            "`snakemake --dry-run`",
        )
    run = read_card(path)
    if run.key != key:
        raise UserError(f"{path}: this card is of {run.key}", "delete it and run snakemake again")
    if run.stage != stage:
        raise UserError(f"{key} is made by `cdmrun {run.stage}`, not by `cdmrun {stage}`", "call that instead")
    return Job(run, out)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the product's folder against a second runner; the kernel lets go even on SIGKILL."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / LOCK, "w", opener=_not_through_links) as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"{folder}: another runner is at work here; waiting for it", file=sys.stderr, flush=True)
                fcntl.flock(stream, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
                    raise
                raise UserError(
                    f"{folder}: this file system has no locks: {error.strerror}",
                    "put the results folder where flock works (Lustre: mounted with -o flock), see docs/cluster.md",
                ) from error
            if _is_still(stream, folder / LOCK):
                yield
                return


def _not_through_links(path: str, flags: int) -> int:
    """For `open`: a lock that is a link would have a job empty the file that it leads to."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def _is_still(stream: TextIO, path: Path) -> bool:
    """Whether an open file still stands at its path: who held it before may have removed the folder."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except FileNotFoundError:
        return False


def is_complete(out: Path, key: str) -> bool:
    """Whether a product is complete; its manifest is put back if somebody took just that away.

    Snakemake deletes the manifest before each job that is to write it, so also of a product that another runner, or a
    job that outlived its own, completed meanwhile. A copy that Snakemake does not know stands in for it, as long as it
    is of the code, the inputs and the files that are there now.
    """
    path = out / key / MANIFEST
    if path.exists():
        return True
    try:
        copy = read_json(out / key / MANIFEST_COPY)
        run = read_card(card_path(out, key))
        made_by, now = copy["code"]["fingerprint"], provenance.fingerprint(run.stage, *run.sources)
        same = (
            copy["key"] == key
            and bool(made_by)
            and not is_stale(out / key, made_by, now)
            and copy["input_contents"] == input_contents(run, out)
            and copy["outputs"] == {name: sha256_of(out / key / name) for name in copy["outputs"]}
        )
    except (UserError, OSError, KeyError, TypeError):
        return False
    if same:
        write_json(path, copy)
    return same


def clear_leftovers(folder: Path) -> None:
    """Remove temporary files that a killed job left beside its outputs; for whoever holds the folder."""
    for path in folder.glob(".*"):
        if path.is_file() and path.name not in (LOCK, MANIFEST_COPY):
            path.unlink()


def finish(job: Job, seconds: float) -> None:
    """Write the manifest, which makes the product complete, and drop the work folder."""
    outputs = {
        str(path.relative_to(job.folder)): sha256_of(path)
        for path in sorted(job.folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and path.name not in _NO_OUTPUTS
        if job.work not in path.parents
    }
    manifest = {
        "key": job.run.key,
        "kind": job.run.kind,
        "stage": job.run.stage,
        "config": dict(job.run.config),
        "inputs": dict(job.run.inputs),
        "input_contents": dict(job.input_contents),
        "outputs": outputs,
        "code": provenance.code_state(job.run.stage, *job.run.sources),
        "versions": provenance.versions(),
        "device": _device_name(job.device),
        "machine": provenance.machine(),
        "processes": job.group.size,
        "threads": torch.get_num_threads(),
        "wall_seconds": round(seconds, 3),
        "peak_memory_bytes": provenance.peak_memory_bytes(),
        **({} if job.device == "cpu" else {"peak_gpu_memory_bytes": torch.cuda.max_memory_allocated(job.device)}),
        "command": f"{_launcher(job.group)} {job.run.stage} {job.run.key} --out {job.out}",
    }
    write_json(job.folder / MANIFEST_COPY, manifest)
    write_json(job.folder / MANIFEST, manifest)
    shutil.rmtree(job.work, ignore_errors=True)


def _launcher(group: Group) -> str:
    return "cdmrun" if group.size == 1 else f"torchrun --nproc-per-node {group.size} -m cdmrun"


def _device_name(device: str) -> str:
    return "cpu" if device == "cpu" else torch.cuda.get_device_name(device)
