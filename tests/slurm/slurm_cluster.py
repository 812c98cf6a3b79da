"""A real SLURM in a folder of its own: one slurmctld, one slurmd, two pretended GPUs; no systemd, munge or accounts."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

#: ``cred_expire`` lets a requeued job start at once; ``config_overrides`` lets the node claim more than it has.
SLURM_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MinJobAge=300
KillWait=60
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 Boards=1 SocketsPerBoard=1 CoresPerSocket=8 ThreadsPerCore=1 \
RealMemory=64000 Gres=gpu:fake:2 State=UNKNOWN
PartitionName=day Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes={host} MaxTime=INFINITE State=UP PriorityTier=10
"""

#: A GPU without a device file makes the node invalid; these exist everywhere, and make SLURM set CUDA_VISIBLE_DEVICES.
GRES_CONF = """\
Name=gpu Type=fake File=/dev/null Flags=nvidia_gpu_env
Name=gpu Type=fake File=/dev/zero Flags=nvidia_gpu_env
"""

#: The plugin's job step drops SLURM_CONF, and so would look for /etc/slurm/slurm.conf.
SRUN = """\
#!/bin/sh
export SLURM_CONF='{folder}/slurm.conf'
exec {srun} "$@"
"""

#: Notes the devices of each job before it becomes the real program. A student's training halts at each line of progress
#: while there is a brake, as by `kill -STOP`: what a test does to it then depends on nobody's speed.
CDMRUN = """\
#!{python}
import os, signal, sys
from pathlib import Path
from cdmrun.cli import main

folder, stage = Path({folder!r}), sys.argv[1]
with open(folder / "starts.txt", "a") as starts:
    devices = os.environ.get("CUDA_VISIBLE_DEVICES") or "none"
    print(os.environ.get("SLURM_JOB_ID", "none"), *sys.argv[1:3], devices, file=starts)
if stage == "distill" and "SLURM_JOB_ID" in os.environ:
    from cdmrun.stages.job import Job
    report = Job.progress
    def halting(*arguments, **named):
        report(*arguments, **named)
        if (folder / "brake").exists():
            (folder / "halted").write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGSTOP)
    Job.progress = halting
main()
"""


@dataclass(frozen=True)
class Start:
    """One start of `cdmrun`: by which SLURM job, for which stage and run, with which CUDA_VISIBLE_DEVICES."""

    job: str
    stage: str
    run: str
    devices: str


class Cluster:
    """SLURM's daemons and all that they write, below one folder.

    Parameters
    ----------
    folder
        An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        names = {
            "folder": str(folder),
            "host": socket.gethostname().split(".")[0],
            "user": getpass.getuser(),
            "controller_port": _free_port(),
            "node_port": _free_port(),
            "srun": shutil.which("srun"),
            "python": sys.executable,
        }
        for name in ("state", "spool", "bin"):
            (folder / name).mkdir()
        (folder / "slurm.conf").write_text(SLURM_CONF.format(**names))
        (folder / "gres.conf").write_text(GRES_CONF)
        for name, text in (("srun", SRUN), ("cdmrun", CDMRUN)):
            (self.bin / name).write_text(text.format(**names))
            (self.bin / name).chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        """Environment in which SLURM's programs find this cluster, and rules find the `cdmrun` of this Python."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))}
        path = os.pathsep.join([str(self.bin), str(Path(sys.executable).parent), os.environ["PATH"]])
        return {**kept, "PATH": path, "SLURM_CONF": str(self.folder / "slurm.conf"), "OMP_NUM_THREADS": "1"}

    def start(self) -> None:
        """Start both daemons and wait until the node takes jobs."""
        self.start_controller()
        self._daemon("slurmd")
        wait_for(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%T"), 30, "an idle node")

    def stop(self) -> None:
        """End all jobs and both daemons, by force if they do not go by themselves."""
        if self._process("slurmctld.pid"):
            self.ask("scancel", "--user", getpass.getuser())
        for name in ("slurmd", "slurmctld"):
            self._end(name, signal.SIGTERM)
        self._kill_jobs()

    def start_controller(self) -> None:
        """Start slurmctld; it recovers the jobs that it knew."""
        self._daemon("slurmctld")
        wait_for(lambda: "UP" in self.ask("scontrol", "ping"), 30, "slurmctld")

    def kill_controller(self, job: str) -> None:
        """Take slurmctld away without a word, once it has saved that a job runs: what it has not, it would forget."""
        known = time.time()
        self.ask("scontrol", "update", f"JobId={job}", "Comment=known")
        saved = self.folder / "state/job_state"
        wait_for(lambda: saved.exists() and saved.stat().st_mtime > known, 60, "slurmctld saving its state")
        self._end("slurmctld", signal.SIGKILL)

    def brake(self) -> None:
        """From now on trainings halt at their next line of progress."""
        (self.folder / "brake").touch()

    def halted(self) -> bool:
        """Whether a training has halted at the brake."""
        process = self._process("halted")
        return process is not None and _in_state(process, psutil.STATUS_STOPPED)

    def release(self, after: signal.Signals | None = None) -> None:
        """Let a halted training go on, if need be not before a signal waits for it."""
        process = self._process("halted")
        if process is not None and self.halted() and (after is None or after in _pending(process)):
            process.send_signal(signal.SIGCONT)

    def release_for_good(self) -> None:
        """Take the brake away."""
        (self.folder / "brake").unlink()
        self.release()

    def ask(self, *command: str) -> str:
        """What a SLURM program prints, errors too."""
        done = subprocess.run(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
        )
        return done.stdout

    def starts(self) -> list[Start]:
        """Each `cdmrun` that has been started since the last `forget_starts`."""
        path = self.folder / "starts.txt"
        return [Start(*line.split()) for line in path.read_text().splitlines()] if path.exists() else []

    def forget_starts(self) -> None:
        """Begin a new list of starts."""
        (self.folder / "starts.txt").unlink(missing_ok=True)

    def logs(self) -> str:
        """The daemons' last lines, for whoever has to find out what went wrong."""
        files = [self.folder / "slurmctld.log", self.folder / "slurmd.log"]
        return "\n".join(f"{f.name}:\n" + "\n".join(f.read_text().splitlines()[-30:]) for f in files if f.exists())

    def _daemon(self, name: str) -> None:
        done = subprocess.run([name], env=self.environment, capture_output=True, text=True, timeout=30)
        if done.returncode:
            raise RuntimeError(f"{name} does not start: {done.stderr}\n{self.logs()}")

    def _process(self, name: str) -> psutil.Process | None:
        """The process whose number stands in a file, if it is alive."""
        try:
            process = psutil.Process(int((self.folder / name).read_text()))
            return None if _in_state(process, psutil.STATUS_ZOMBIE) else process
        except (OSError, ValueError, psutil.NoSuchProcess):
            return None

    def _end(self, name: str, number: signal.Signals) -> None:
        process = self._process(f"{name}.pid")
        if process is None:
            return
        process.send_signal(number)
        try:
            wait_for(lambda: self._process(f"{name}.pid") is None, 10, f"the end of {name}")
        except TimeoutError:
            process.kill()
        (self.folder / f"{name}.pid").unlink(missing_ok=True)

    def _kill_jobs(self) -> None:
        """Kill what is left of jobs: every process that was started with this cluster's configuration."""
        mark = f"SLURM_CONF={self.folder}/slurm.conf".encode()
        for process in psutil.process_iter():
            try:  # slurmstepd writes its title over its environment, which psutil then cannot take apart
                if mark in Path(f"/proc/{process.pid}/environ").read_bytes():
                    process.kill()
            except (psutil.Error, OSError):  # it has ended, or is somebody else's
                continue


def _in_state(process: psutil.Process, state: str) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() == state)
    return False


def _pending(process: psutil.Process) -> set[signal.Signals]:
    """The signals that wait for a process."""
    with contextlib.suppress(OSError):
        line = re.search(r"^ShdPnd:\t(\w+)$", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
        return {number for number in signal.Signals if line and int(line[1], 16) >> (number - 1) & 1}
    return set()


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Ask ``condition`` five times a second until it holds; `TimeoutError` after ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
