"""A workflow that is killed at random moments, and what must come out of it all the same."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
from workflow_cases import PATIENCE, environment, snakemake_arguments

#: Every kind of job with something to lose: trainings of seconds with checkpoints, draws, blocks of samples, scores.
FRAGILE = """\
name: fragile
data: {kind: markov, source: random, states: 3, order: 1, length: 8, draws: 64}
forward_process: {kind: absorbing}
teacher:
  kind: network
  model: {layers: 1, width: 16, heads: 1}
  train: {steps: 150, batch: 16, checkpoint_every: 0.05, log_every: 20}
students:
  causal:
    method: cdm
    family: {kind: autoregressive, window: 2, hidden: 16}
    nfe: [1, 2]
    target: {kind: rollout, substeps: 8, draws: 1024}
    train: {steps: 150, batch: 16, checkpoint_every: 0.05, log_every: 20}
  halved:
    method: progressive
    nfe: [2, 1]
    train: {steps: 60, batch: 16, checkpoint_every: 0.05, log_every: 20}
baselines:
  analytic: {nfe: [1, 2, 8]}
evaluation: {samples: 1024, held_out: 64, timing: false}
"""

#: The same of less, for tests that must be quick.
SMALL = """\
name: small
data: {kind: potts_ring, states: 2, length: 2}
forward_process: {kind: uniform}
teacher: {kind: enumerated}
students:
  whole:
    method: cdm
    family: {kind: joint}
    nfe: [1, 2]
    model: {layers: 1, width: 16, heads: 1}
    train: {steps: 100, batch: 16, checkpoint_every: 0.05, log_every: 20}
baselines:
  analytic: {nfe: [1, 2]}
evaluation: {samples: 1024, metrics: [tv, chi2_p], timing: false}
"""


class Runner:
    """The real Snakefile in a session of its own, with Snakemake's state in ``folder`` and results in ``out``."""

    def __init__(self, folder: Path, spec: Path, out: Path | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.spec = folder, spec
        self.out = out or folder / "results"
        self.process: subprocess.Popen[bytes] | None = None
        self.groups: list[int] = []

    def start(self) -> None:
        """Start Snakemake, past the lock that a killed one has left."""
        program = str(Path(sys.executable).parent / "snakemake")
        *arguments, _ = snakemake_arguments(self.folder, [self.spec])
        arguments = [program, "--nolock", *arguments, f"out={self.out}"]
        with open(self.folder / "runner.log", "ab") as log:
            self.process = subprocess.Popen(
                arguments, stdout=log, stderr=log, env=environment(), start_new_session=True
            )
        self.groups.append(self.process.pid)

    def log(self) -> str:
        """All that it has printed, its jobs' logs included."""
        return (self.folder / "runner.log").read_text()

    def running(self) -> bool:
        """Whether it is at work."""
        return self.process is not None and self.process.poll() is None

    def finish(self) -> int:
        """Let it end by itself."""
        if not self.running():
            self.start()
        assert self.process is not None
        return self.process.wait(PATIENCE)

    def kill_all(self) -> None:
        """SIGKILL to Snakemake and every job of it, as when a machine goes down."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_one(self, draw: random.Random) -> None:
        """SIGKILL to Snakemake or one of the shells, logs and jobs below it, as when memory is short."""
        assert self.process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(self.process.pid)
            draw.choice([root, *root.children(recursive=True)]).kill()

    def clean_up(self) -> None:
        """End whatever is left of it: jobs outlive a Snakemake that was killed alone."""
        for group in self.groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        if self.process is not None:
            self.process.wait()


def survive(folder: Path, spec: Path, kills: int, seed: int, longest: float) -> int:
    """Run a spec, killing all or one of its processes ``kills`` times, then let it finish; returns completed laps.

    Kills come after random times of up to ``longest`` seconds, all and one in turn. A workflow that gets to its end in
    spite of them starts over in a new folder, ``folder/lap-N``; that of the last lap is left to finish.
    """
    draw, laps = random.Random(seed), 0
    runner = _lap(folder, spec, laps)
    try:
        for number in range(kills):
            if not runner.running():
                if runner.process is not None and runner.process.returncode == 0:
                    runner.clean_up()
                    laps += 1
                    runner = _lap(folder, spec, laps)
                runner.start()
            time.sleep(draw.uniform(0.2, longest))
            runner.kill_all() if number % 2 else runner.kill_one(draw)
        while runner.finish() != 0:
            assert len(runner.groups) < 2 * kills + 20, runner.log()[-5000:]
    finally:
        runner.clean_up()
    return laps + 1


def undisturbed(folder: Path, spec: Path) -> dict[str, bytes]:
    """Tables and figures of a spec when nothing goes wrong."""
    runner = Runner(folder, spec)
    try:
        assert runner.finish() == 0, runner.log()[-5000:]
    finally:
        runner.clean_up()
    return shown(runner.out)


def _lap(folder: Path, spec: Path, number: int) -> Runner:
    return Runner(folder / f"lap-{number}", spec)


def shown(out: Path) -> dict[str, bytes]:
    """What readers see: every table and figure below a results folder, by name."""
    paths = [*out.glob("tables/*"), *out.glob("figures/*")]
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(paths) if path.name[0] != "."}
