"""profiles/slurm-generic/jobscript.sh itself, run by bash; only the controller's answers are made up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from slurm_cluster import wait_for
from workflow_cases import REPOSITORY

#: Writes down what it is asked, says of any job what the test wants, and requeues if there is no file `refuse`.
SCONTROL = """\
#!/bin/bash
echo "$*" >> asked.txt
case $1 in
    -o) cat job.txt ;;
    requeue) [[ ! -e refuse ]] ;;
esac
"""

#: Of `scontrol -o show job` for --gres=gpu:1, by SLURM 22.05 and by newer ones, and for --gres=gpu:0.
PROMISES = ["TresPerNode=gres:gpu:1", "TresPerNode=gres/gpu:fake:2"]
NONE_PROMISED = ["TresPerNode=gres:gpu:0", "TresPerNode=gres/gpu:0", ""]


@dataclass(frozen=True)
class Ended:
    """How a job ended: exit status, starts of its work, what the controller was asked for, the end it noted."""

    code: int
    worked: int
    requeued: int
    noted: str | None


class Submitted:
    """A job with the number 7, in a folder of its own."""

    def __init__(self, folder: Path, promise: str, work: str = "echo working >> worked.txt") -> None:
        self.folder = folder
        (folder / ".snakemake/slurm").mkdir(parents=True)
        (folder / "bin").mkdir()
        (folder / "bin/scontrol").write_text(SCONTROL)
        (folder / "bin/scontrol").chmod(0o755)
        (folder / "job.txt").write_text(f"JobId=7 JobState=RUNNING {promise} Command=jobscript.sh\n")
        script = (REPOSITORY / "profiles/slurm-generic/jobscript.sh").read_text()
        (folder / "jobscript.sh").write_text(script.replace("{properties}", "{}").replace("{exec_job}", work))

    def start(self, gpus: str | None) -> subprocess.Popen[bytes]:
        """Start it as slurmd does, in a session of its own; ``gpus`` are those that it is shown."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "CUDA_"))}
        shown = {"SLURM_JOB_GPUS": gpus, "CUDA_VISIBLE_DEVICES": gpus} if gpus else {}
        found = {"PATH": f"{self.folder}/bin:{kept['PATH']}", "SLURM_SUBMIT_DIR": str(self.folder), "SLURM_JOB_ID": "7"}
        return subprocess.Popen(
            ["bash", "jobscript.sh"], cwd=self.folder, env=kept | found | shown, start_new_session=True
        )

    def run(self, gpus: str | None) -> Ended:
        """Start it and wait for its end."""
        return self.ended(self.start(gpus))

    def ended(self, process: subprocess.Popen[bytes]) -> Ended:
        """Wait for the end of a start; counts are since the job was submitted."""
        code = process.wait(60)
        end = self.folder / ".snakemake/slurm/7.end"
        noted = end.read_text().strip() if end.exists() else None
        return Ended(code, len(self.lines("worked.txt")), self.lines("asked.txt").count("requeue 7"), noted)

    def lines(self, name: str) -> list[str]:
        """The lines of a file; none if it is not there."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("promise", PROMISES)
def test_a_job_that_is_shown_no_gpu_goes_back_once(tmp_path: Path, promise: str) -> None:
    job = Submitted(tmp_path, promise)
    assert job.run(gpus=None) == Ended(143, worked=0, requeued=1, noted=None)
    assert job.run(gpus="0") == Ended(0, worked=1, requeued=1, noted="0")


def test_a_job_that_is_never_shown_one_works_on_the_cpu(tmp_path: Path) -> None:
    job = Submitted(tmp_path, PROMISES[0])
    assert job.run(gpus=None) == Ended(143, worked=0, requeued=1, noted=None)
    assert job.run(gpus=None) == Ended(0, worked=1, requeued=1, noted="0")


def test_a_job_that_cannot_go_back_works(tmp_path: Path) -> None:
    job = Submitted(tmp_path, PROMISES[0])
    (tmp_path / "refuse").touch()
    assert job.run(gpus=None) == Ended(0, worked=1, requeued=1, noted="0")


@pytest.mark.parametrize("promise", PROMISES)
def test_a_job_that_is_shown_its_gpu_works(tmp_path: Path, promise: str) -> None:
    assert Submitted(tmp_path, promise).run(gpus="1") == Ended(0, worked=1, requeued=0, noted="0")


@pytest.mark.parametrize("promise", NONE_PROMISED)
def test_a_job_without_a_gpu_works(tmp_path: Path, promise: str) -> None:
    assert Submitted(tmp_path, promise).run(gpus=None) == Ended(0, worked=1, requeued=0, noted="0")


def test_a_failure_is_noted(tmp_path: Path) -> None:
    job = Submitted(tmp_path, "", "echo working >> worked.txt; exit 3")
    assert job.run(gpus=None) == Ended(3, worked=1, requeued=0, noted="3")


#: A training: writes its checkpoint at SIGUSR1 (bash could not, as it lets nothing trap what its parent ignores).
#: It sleeps in short naps, since a signal that comes just before `signal.pause` would be waited for in vain.
TRAINING = """\
import pathlib, signal, sys, time
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(75))
pathlib.Path("worked.txt").write_text("working\\n")
while True:
    time.sleep(0.05)
"""


def test_near_its_time_limit_it_goes_back(tmp_path: Path) -> None:
    """SIGUSR1 comes to the shell alone; what it runs gets it too and ends, and the job is queued again."""
    (tmp_path / "training.py").write_text(TRAINING)
    job = Submitted(tmp_path, "", f"{sys.executable} training.py")
    process = job.start(gpus=None)
    wait_for(lambda: bool(job.lines("worked.txt")), 60, "the job at work")
    process.send_signal(signal.SIGUSR1)
    assert job.ended(process) == Ended(143, worked=1, requeued=1, noted=None)
