"""One job a GPU: an exclusive lease on a device, which the kernel ends with the process, SIGKILL included.

Workflow engines count GPUs and do not say which one a job gets. Here a job takes the first visible GPU whose lock file
it can ``flock``. The files are named by UUID, so that processes which number the GPUs differently agree, and lie in one
folder for all users of the machine: ``/tmp/cdmrun-leases``, or what CDMRUN_LEASES names. Anyone may add a file, and
nobody take another's away (sticky); reading suffices to lock, and the files are empty, so no more is allowed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cdmrun.errors import UserError

FOLDER = Path("/tmp/cdmrun-leases")

#: Seconds between two looks for a free GPU.
_POLL = 0.5


@dataclass(frozen=True)
class Gpu:
    """A GPU as this process sees it: ``index`` among the visible ones, ``uuid`` everywhere."""

    index: int
    uuid: str


def visible_gpus() -> list[Gpu]:
    """The GPUs that CUDA shows to this process: CUDA_VISIBLE_DEVICES is respected because CUDA respects it."""
    import torch

    if not torch.cuda.is_available():
        return []
    count = torch.cuda.device_count()
    return [Gpu(index, str(torch.cuda.get_device_properties(index).uuid)) for index in range(count)]


@contextmanager
def leased(
    device: str,
    gpus: Sequence[Gpu] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[str]:
    """Hold a device while the context lasts; yields its name, ``cpu`` or ``cuda:N``. Waits until one is free.

    Inside a SLURM job that was given one GPU, that one is used without asking: it is SLURM's to share. Processes that
    torchrun started take the GPU of their local rank.

    Parameters
    ----------
    device
        ``cpu``; ``cuda``; or ``auto``: a GPU if this process sees one.
    gpus
        The GPUs to choose among; by default the visible ones.
    environment
        Where SLURM and torchrun say what they gave, and CDMRUN_LEASES where the lock files are.

    Raises
    ------
    UserError
        If a GPU is asked for and none is visible, or the lock files cannot be used.
    """
    found = list(visible_gpus() if gpus is None else gpus) if device != "cpu" else []
    if device == "cuda" and not found:
        raise UserError("no CUDA device is available here", "use --device cpu or --device auto")
    if not found:
        yield "cpu"
        return
    if "LOCAL_RANK" in environment:
        found = [_of_rank(found, int(environment["LOCAL_RANK"]))]
    if "SLURM_JOB_ID" in environment and len(found) == 1:
        yield f"cuda:{found[0].index}"
        return
    with contextlib.closing(_take(found, Path(environment.get("CDMRUN_LEASES") or FOLDER))) as held:
        yield f"cuda:{held.gpu.index}"


@dataclass(frozen=True)
class _Held:
    """Locked files; closing them ends the lease, as the end of the process does."""

    gpu: Gpu
    descriptors: tuple[int, ...]

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)


def _of_rank(gpus: Sequence[Gpu], rank: int) -> Gpu:
    if rank >= len(gpus):
        raise UserError(
            f"torchrun started a process for GPU {rank}, and only {len(gpus)} are visible",
            f"start it with --nproc-per-node {len(gpus)}, or with --device cpu",
        )
    return gpus[rank]


def _take(gpus: Sequence[Gpu], folder: Path) -> _Held:
    """Lock the first GPU that is free, waiting for one."""
    kept = _folder(folder)
    told = False
    while True:
        for gpu in gpus:
            descriptor = _locked(folder / f"{_safe(gpu.uuid)}.lock")
            if descriptor is not None:
                return _Held(gpu, (descriptor, kept))
        if not told:
            names = ", ".join(gpu.uuid for gpu in gpus)
            print(f"every GPU this job may use is taken by another job; waiting for one of: {names}", file=sys.stderr)
            sys.stderr.flush()
            told = True
        time.sleep(_POLL)


def _folder(folder: Path) -> int:
    """Open the folder of the lock files, made if there is none, and share a lock on it.

    The lock keeps programs that clean /tmp, which leave locked folders alone, from removing files that are in use.
    """
    umask = os.umask(0)
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o1777)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        raise _unusable(folder, error) from error
    finally:
        os.umask(umask)
    return descriptor


def _locked(path: Path) -> int | None:
    """Open and lock a file, making it if there is none; None if another process holds it."""
    try:
        descriptor = _opened(path)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:
        os.close(descriptor)
        raise _unusable(path, error) from error
    os.close(descriptor)  # taken, or removed just now
    return None


def _opened(path: Path) -> int:
    """Open for reading; created by whoever comes first, and then readable by all whatever their umask.

    Not in one call with O_CREAT, which the kernel refuses for another user's file in a sticky folder.
    """
    reading = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        try:
            return os.open(path, reading)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                descriptor = os.open(path, reading | os.O_CREAT | os.O_EXCL, 0o444)
                os.fchmod(descriptor, 0o444)
                return descriptor


def _safe(uuid: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "_", uuid)


def _unusable(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{path}: leases of GPUs cannot be kept here: {error.strerror or error}",
        "set CDMRUN_LEASES to a local folder that every user of this machine can write",
    )
