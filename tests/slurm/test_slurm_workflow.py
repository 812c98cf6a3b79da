"""The real Snakefile on a real SLURM: both profiles give the tables of a local run, whatever happens on the way."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from slurm_cluster import Cluster, Start, wait_for
from workflow_cases import REPOSITORY

pytestmark = pytest.mark.slurm

#: A training that never writes a checkpoint but when it is asked to stop.
SPEC = """\
name: small
data: {kind: potts_ring, states: 2, length: 2}
forward_process: {kind: uniform}
teacher: {kind: enumerated}
students:
  parts:
    method: cdm
    family: {kind: factorized}
    nfe: [1, 2]
    model: {layers: 1, width: 16, heads: 1}
    train: {steps: 400, batch: 8, log_every: 50, checkpoint_every: 3600}
baselines:
  analytic: {nfe: [1, 2]}
evaluation: {samples: 16}
"""

#: Poll often, wait little for files: one machine, jobs of seconds.
QUICK = ("--seconds-between-status-checks", "1", "--latency-wait", "10")

#: Seconds that a workflow or a training may take on a very busy machine; the plugin polls ever less often.
PATIENCE = 600

#: Stages that ask for a GPU.
ON_GPU = {"train", "distill", "sample", "evaluate"}

MEASURED = "seconds_per_sample"


class Workflow:
    """The experiment run by the real Snakefile, in a folder that looks like a checkout; a context that ends it.

    Parameters
    ----------
    options
        Snakemake's: a profile, cores.
    """

    def __init__(self, folder: Path, cluster: Cluster, *options: str) -> None:
        self.folder, self.cluster, self.options = folder, cluster, options
        self.shown = folder / "shown.txt"

    def __enter__(self) -> Workflow:
        self.cluster.forget_starts()
        self.folder.mkdir()
        (self.folder / "small.yaml").write_text(SPEC)
        (self.folder / "profiles").symlink_to(REPOSITORY / "profiles")
        command = ["snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), *self.options]
        with open(self.shown, "w") as shown:
            self.process = subprocess.Popen(
                [*command, "--config", "specs=small.yaml"],
                cwd=self.folder,
                env=self.cluster.environment,
                stdout=shown,
                stderr=subprocess.STDOUT,
            )
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()

    def until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for something that has to happen before the workflow ends."""
        wait_for(lambda: condition() or self.process.poll() is not None, seconds, what)
        assert condition(), f"the workflow ended without {what}: {self.story()}"

    def finish(self) -> None:
        """Wait for the end of the workflow, which has to be a good one."""
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            code = None
        assert code == 0, self.story()

    def log(self) -> str:
        """What the last attempt at the training has printed; empty before it begins."""
        try:
            return "".join(path.read_text() for path in (self.folder / "results/logs/students").glob("*.log"))
        except FileNotFoundError:  # the next attempt has just removed it
            return ""

    def steps(self) -> list[int]:
        """The steps that the last attempt at the training has reported."""
        return [int(step) for step in re.findall(r": (\d+)/400 ", self.log())]

    def until_halted(self) -> str:
        """Wait until the training has halted at the brake; the SLURM job that trains."""
        self.until(lambda: self.cluster.halted(), PATIENCE, "a training at the brake")
        return self.trainings()[-1].job

    def until_stopped(self, by: signal.Signals) -> int:
        """Wait until a signal has come to the halted training, and it has written its checkpoint; at which step."""

        def stopped() -> bool:
            self.cluster.release(after=by)  # again and again: SLURM itself sends SIGCONT before SIGTERM
            return "stopped at step" in self.log()

        self.until(stopped, PATIENCE, "a training that stopped")
        return int(re.findall(r"stopped at step (\d+)", self.log())[0])

    def check_goes_on_after(self, step: int) -> None:
        """The last attempt at the training has taken no step again: its first line of progress is the next one."""
        assert self.steps()[0] == -(-(step + 1) // 50) * 50

    def until_made(self, slug: str) -> None:
        """Wait until a product is complete."""
        self.until(lambda: bool([*(self.folder / "results").glob(f"{slug}-*/manifest.json")]), PATIENCE, slug)

    def trainings(self) -> list[Start]:
        """Every start of the training."""
        return [start for start in self.cluster.starts() if start.stage == "distill"]

    def story(self) -> str:
        """All there is to read when something went wrong."""
        return f"{self.shown.read_text()}\n{self.cluster.ask('squeue')}\n{self.cluster.logs()}"


def scores(folder: Path) -> pd.DataFrame:
    """The scores but for what is measured in seconds."""
    return pd.read_csv(folder / "results/tables/small.scores.csv").drop(columns=MEASURED)


def weights(folder: Path) -> str:
    """Hash of the student's weights, from its manifest."""
    (manifest,) = (folder / "results/students").glob("*/manifest.json")
    return str(json.loads(manifest.read_text())["outputs"]["model.safetensors"])


def check_equal(folder: Path, local: Path) -> None:
    """Every row that the local run has, with the same values to the last digit; the same weights; a report."""
    pd.testing.assert_frame_equal(scores(folder), scores(local), check_exact=True)
    assert weights(folder) == weights(local)
    assert (folder / "results/report.html").stat().st_size > 1000


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A running SLURM; whatever happens, nothing is left of it."""
    with tempfile.TemporaryDirectory(prefix="slurm-", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(Path(folder))
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # an end that pytest cleans up after
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same experiment without SLURM."""
    folder = tmp_path_factory.mktemp("local") / "checkout"
    with Workflow(folder, Cluster(tmp_path_factory.mktemp("no-cluster")), "--cores", "2") as workflow:
        workflow.finish()
    return folder


def check_devices(cluster: Cluster) -> None:
    """Each job that asks for a GPU was given one, the others none."""
    for start in cluster.starts():
        assert start.devices in ({"0", "1"} if start.stage in ON_GPU else {"none"}), start


def test_generic_profile(cluster: Cluster, local: Path, tmp_path: Path) -> None:
    """The training is warned of its time limit, then cancelled, then the controller is away: no step is taken twice."""
    cluster.brake()
    with Workflow(tmp_path / "checkout", cluster, "--workflow-profile", "profiles/slurm-generic", *QUICK) as workflow:
        first = workflow.until_halted()
        cluster.ask("scancel", "--batch", "--signal=USR1", first)  # what --signal=B:USR1@180 does
        stopped = workflow.until_stopped(signal.SIGUSR1)
        second = workflow.until_halted()
        workflow.check_goes_on_after(stopped)
        cluster.ask("scancel", second)
        stopped = workflow.until_stopped(signal.SIGTERM)
        third = workflow.until_halted()
        workflow.check_goes_on_after(stopped)
        workflow.until_made("scores/analytic")
        cluster.kill_controller(third)
        cluster.release_for_good()  # it ends while nobody is there to be told
        workflow.until_made("students/cdm-factorized")
        time.sleep(12)
        cluster.start_controller()
        workflow.finish()
        assert [start.job for start in workflow.trainings()] == [first, second, third]
        assert second == first, "near the time limit the same job is queued again"
        assert third != first, "after scancel Snakemake submits another"
    check_equal(workflow.folder, local)
    check_devices(cluster)


def test_plugin_profile(cluster: Cluster, local: Path, tmp_path: Path) -> None:
    """A job of a better partition takes the training's GPU; the training goes on afterwards, as the same job."""
    options = ("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1")
    cluster.brake()
    with Workflow(tmp_path / "checkout", cluster, "--workflow-profile", "profiles/slurm", *options, *QUICK) as workflow:
        job = workflow.until_halted()
        cluster.ask("sbatch", "--partition=urgent", "--gres=gpu:2", "--mem=100", "--output=/dev/null", "--wrap=sleep 2")
        stopped = workflow.until_stopped(signal.SIGTERM)
        assert workflow.until_halted() == job
        workflow.check_goes_on_after(stopped)
        cluster.release_for_good()
        workflow.finish()
        assert [start.job for start in workflow.trainings()] == [job, job]
    check_equal(workflow.folder, local)
    check_devices(cluster)
