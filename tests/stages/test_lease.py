"""Leases of GPUs: real processes and real locks; only the names of the GPUs are made up."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cdmrun.errors import UserError
from cdmrun.stages.lease import Gpu, leased, visible_gpus

HOLDER = Path(__file__).with_name("lease_holder.py")
WAITING = "every GPU this job may use is taken by another job; waiting for one of:"
TWO = [Gpu(0, "GPU-a"), Gpu(1, "GPU-b")]

Holder = subprocess.Popen[str]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Holder]]:
    """Start processes that each want one of the named GPUs."""
    started: list[Holder] = []

    def one(*uuids: str, **more: str) -> Holder:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM", "LOCAL_RANK"))}
        environment |= {"CDMRUN_LEASES": str(tmp_path / "leases"), **more}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen([sys.executable, str(HOLDER), *uuids], text=True, env=environment, **pipes)  # type: ignore[call-overload]
        started.append(process)
        return process

    yield one
    for process in started:
        process.kill()
        process.communicate()


def device_of(process: Holder) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def wait_message(process: Holder) -> str:
    assert process.stderr is not None
    return process.stderr.readline()


def test_two_jobs_take_two_gpus_and_a_third_waits(start: Callable[..., Holder]) -> None:
    first = start("GPU-a", "GPU-b")
    assert device_of(first) == "cuda:0"
    second = start("GPU-a", "GPU-b")
    assert device_of(second) == "cuda:1"
    third = start("GPU-a", "GPU-b")
    assert wait_message(third) == f"{WAITING} GPU-a, GPU-b\n"
    second.communicate()  # ends as it should
    assert device_of(third) == "cuda:1"


def test_sigkill_ends_a_lease(start: Callable[..., Holder]) -> None:
    first = start("GPU-a")
    assert device_of(first) == "cuda:0"
    second = start("GPU-a")
    assert WAITING in wait_message(second)
    first.send_signal(signal.SIGKILL)
    assert device_of(second) == "cuda:0"


def test_a_gpu_is_known_by_its_uuid(start: Callable[..., Holder]) -> None:
    """CUDA_VISIBLE_DEVICES numbers them anew for each process: cuda:0 of one is cuda:1 of another."""
    assert device_of(start("GPU-b")) == "cuda:0"
    other = start("GPU-b", "GPU-a")
    assert device_of(other) == "cuda:1"


def test_the_one_gpu_of_a_slurm_job_is_slurms_to_share(start: Callable[..., Holder]) -> None:
    assert device_of(start("GPU-a")) == "cuda:0"
    assert device_of(start("GPU-a", SLURM_JOB_ID="7")) == "cuda:0"


def test_jobs_inside_an_allocation_of_two_gpus_take_one_each(start: Callable[..., Holder]) -> None:
    devices = {device_of(start("GPU-a", "GPU-b", SLURM_JOB_ID="7")) for _ in range(2)}
    assert devices == {"cuda:0", "cuda:1"}


def test_processes_of_torchrun_take_the_gpu_of_their_rank(start: Callable[..., Holder]) -> None:
    assert device_of(start("GPU-a", "GPU-b", LOCAL_RANK="1")) == "cuda:1"
    assert device_of(start("GPU-a", "GPU-b")) == "cuda:0"
    _, shown = start("GPU-a", LOCAL_RANK="1").communicate()
    assert "torchrun started a process for GPU 1, and only 1 are visible" in shown


def test_who_may_do_what_with_the_files(tmp_path: Path) -> None:
    """Every user can add a lock file and lock any; nobody can write one or take another user's away."""
    folder = tmp_path / "leases"
    umask = os.umask(0o077)
    try:
        with leased("auto", TWO, {"CDMRUN_LEASES": str(folder)}) as device:
            assert device == "cuda:0"
    finally:
        os.umask(umask)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
    assert [(path.name, stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()] == [("GPU-a.lock", 0o444)]


@pytest.mark.parametrize("what", ["link", "file", "link in place of a lock file"])
def test_a_folder_that_somebody_laid_out_as_a_trap(tmp_path: Path, what: str) -> None:
    folder, victim = tmp_path / "leases", tmp_path / "victim"
    if what == "file":
        folder.write_text("")
    elif what == "link":
        victim.mkdir()
        folder.symlink_to(victim)
    else:
        folder.mkdir()
        (folder / "GPU-a.lock").symlink_to(victim)
    with (
        pytest.raises(UserError, match=r"leases of GPUs cannot be kept here(.|\n)*set CDMRUN_LEASES"),
        leased("cuda", TWO, {"CDMRUN_LEASES": str(folder)}),
    ):
        pass
    assert not victim.exists() or not list(victim.iterdir())


def test_a_uuid_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    with leased("cuda", [Gpu(0, "../../etc/GPU")], {"CDMRUN_LEASES": str(tmp_path / "leases")}):
        assert [path.name for path in (tmp_path / "leases").iterdir()] == ["______etc_GPU.lock"]


def test_without_a_gpu(tmp_path: Path) -> None:
    for device in ("cpu", "auto"):
        with leased(device, [], {"CDMRUN_LEASES": str(tmp_path / "leases")}) as name:
            assert name == "cpu"
    with leased("cpu", TWO, {}) as name:
        assert name == "cpu"
    with pytest.raises(UserError, match="no CUDA device is available here"), leased("cuda", [], {}):
        pass
    assert not (tmp_path / "leases").exists()


def test_what_cuda_shows_is_what_there_is() -> None:
    shown = visible_gpus()
    assert [gpu.index for gpu in shown] == list(range(len(shown)))
    assert len({gpu.uuid for gpu in shown}) == len(shown)
    assert all(len(gpu.uuid) > 30 for gpu in shown)
