"""What the Snakefile looks up: the plan of the chosen specs, and the paths of what it asks for."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from cdmrun.errors import UserError
from cdmrun.spec.cards import write_cards
from cdmrun.spec.errors import did_you_mean
from cdmrun.spec.lineage import due_again
from cdmrun.spec.plan import build_plan
from cdmrun.spec.plan_types import Experiment, Plan, Run
from cdmrun.spec.shown import REPORT, wanted

if TYPE_CHECKING:
    from snakemake.scheduling.job_scheduler import JobScheduler

#: What the kinds of runs are worth waiting for first: the longest way to the tables leads through the teacher.
PRIORITY: Mapping[str, int] = {
    **{"data": 90, "teachers": 80, "draws": 70, "labels": 70},
    **{"students": 50, "grids": 30, "samples": 20},
}


#: What ``--config`` may name.
_CONFIG = ("specs", "out")

#: Neither quotes nor wildcards: the name goes into shell commands and patterns of rules.
_PLAIN = re.compile(r"[\w ./@:+,=%-]+")


def leave_signals_to_stages() -> None:
    """Ignore SIGUSR1 in Snakemake, and in the shells it starts: batch systems send it to every process of a job.

    Snakemake would die of it, and the stage, which writes a checkpoint and ends, along with it.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def schedule_when_a_job_ends(scheduler: JobScheduler) -> None:
    """Take Snakemake's limit of 100 new jobs a second away, which no workflow of trainings comes near.

    Under a limit, Snakemake 9 looks for jobs to start again a second after it has looked; each job that ends begins one
    more such series, and none ends. After 250 jobs it looked 250 times a second, for a fifth of a core. A limit of the
    user's own stays.
    """
    limit = scheduler.workflow.scheduling_settings.max_jobs_per_timespan
    if limit is not None and (limit.max_jobs, limit.timespan) == (100, 1):
        scheduler.job_rate_limiter = None


class Pipeline:
    """A plan as the Snakefile sees it.

    Parameters
    ----------
    config
        Snakemake's ``--config``: ``specs`` (comma-separated files; default specs/*.yaml) and ``out`` (default results).
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        paths = _chosen(config)
        self.out = _results_folder(config)
        self.plan = self._plan(paths)
        self.again = due_again(self.plan, Path(self.out))
        for key in self.again:  # inputs come first
            self._make_older(self.plan.runs[key])
        self.experiments = {experiment.name: experiment for experiment in self.plan.experiments}
        if self.again:
            print(
                f"{len(self.again)} products stand on what is gone or has been made again, and so are looked at anew: "
                "`cdmrun status` says which, and why",
                file=sys.stderr,
            )
        self.specs = " ".join(shlex.quote(_operand(path)) for path in paths)

    @property
    def tables(self) -> list[str]:
        """The scores table of every experiment."""
        return [f"{self.out}/tables/{name}.scores.csv" for name in self.experiments]

    @property
    def products(self) -> list[str]:
        """The manifest of every run: Snakemake does not look for one that is gone behind another that is there."""
        return [self.manifest(key) for key in self.plan.runs]

    def inputs(self, kind: str, run: str) -> list[Any]:
        """Manifests of the products that a run needs; ancient, so no reason to make it, but for what it is not of."""
        from snakemake.io import ancient

        needed = self._run(kind, run)
        paths = [self.manifest(key) for key in needed.inputs.values()]
        return paths if needed.key in self.again else [ancient(path) for path in paths]

    def gpus(self, kind: str, run: str) -> int:
        """How many GPUs a run of a kind that needs none can use: one, if it trains a network."""
        return int(self._run(kind, run).config.get("kind") == "network")

    def scores(self, experiment: str) -> list[str]:
        """Manifests of every score of an experiment, and of what they are read against."""
        return [self.manifest(key) for key in self.experiments[experiment].products]

    def spec_of(self, experiment: str) -> str:
        """The spec file that an experiment comes from."""
        return _operand(self.experiments[experiment].source)

    def card_of_table(self, name: str) -> Any:
        """What the tables of an experiment are to show; ancient, so no reason to write them, if they show just that."""
        tables = [Path(self.out, "tables", name + end) for end in (".scores.csv", ".summary.csv", ".md", ".tex")]
        return self._card(name, [self.experiments[name]], tables)

    def card_of_report(self) -> Any:
        """What the report is to show; ancient if it shows just that."""
        return self._card(REPORT, self.plan.experiments, [Path(self.out, "report.html")])

    def manifest(self, key: str) -> str:
        """The file that says a product is complete."""
        return f"{self.out}/{key}/manifest.json"

    @property
    def shell_specs(self) -> str:
        """The spec files for a rule's shell command, in which braces would be Snakemake's."""
        return self.specs.replace("{", "{{").replace("}", "}}")

    def tell_how_to_go_on(self) -> None:
        """Say what to do after a failure; for ``onerror``."""
        where = f"--out {shlex.quote(self.out)}"
        print(
            "\nSome jobs failed. All that is complete is kept; the same command goes on from it.\n"
            f"  what failed, and why:          cdmrun status {self.specs} {where}\n"
            f"  the report of what there is:   cdmrun report --partial {self.specs} {where}",
            file=sys.stderr,
        )

    def _make_older(self, run: Run) -> None:
        """Let Snakemake see that a product that is due is older than what it is made from, which is all it goes by.

        An input that was copied here with its times (``rsync -a``) may be older than what stands on the one before it.
        """
        manifests = [Path(self.manifest(key)) for key in (*run.inputs.values(), run.key)]
        try:
            *inputs, own = (manifest.stat().st_mtime for manifest in manifests)
            if max(inputs) <= own:
                earlier = min(inputs) - 1.0  # a second, which every file system can tell
                os.utime(manifests[-1], (earlier, earlier))
        except OSError:
            return  # an input is gone, which is reason enough; or the product is another user's, and stays as it is

    def _card(self, name: str, experiments: Sequence[Experiment], products: Sequence[Path]) -> Any:
        from snakemake.io import ancient

        card, shown = wanted(Path(self.out), name, experiments, products)
        return ancient(str(card)) if shown else str(card)

    def _run(self, kind: str, run: str) -> Run:
        return self.plan.runs[f"{kind}/{run}"]

    def _plan(self, paths: list[Path]) -> Plan:
        """Plan and write run cards; a mistake in a spec ends the program with its messages alone."""
        try:
            plan = build_plan(paths)
            write_cards(plan, Path(self.out))
        except UserError as error:
            _end(str(error))
        return plan


def _chosen(config: Mapping[str, Any]) -> list[Path]:
    """The spec files that ``--config`` names; a misspelt name would run all there are, and so ends the program."""
    for name in config:
        if name not in _CONFIG:
            _end(f"--config {name}=…: no such name{did_you_mean(name, _CONFIG)}; there are {' and '.join(_CONFIG)}")
    chosen = config.get("specs")
    paths = [Path(p) for p in str(chosen).split(",")] if chosen else sorted(Path("specs").glob("*.yaml"))
    if not paths:
        _end("no spec given, and no specs/*.yaml here: name one with --config specs=path/to/spec.yaml")
    return paths


def _results_folder(config: Mapping[str, Any]) -> str:
    """The results folder that ``--config`` names, as short as it can be written; with none that can be used, the end.

    Snakemake reads a name made of digits as a number and forgets how it was written: such a name ends the program, as
    does one that means something to a shell or to Snakemake.
    """
    out = config.get("out", "results")
    if not isinstance(out, str):
        read = f"the number {out}" if isinstance(out, int | float) and not isinstance(out, bool) else repr(out)
        _end(f"--config out=…: Snakemake has read this name as {read}; write it as a path, as in out=./2024_11_28")
    _check_plain(out)
    plain = os.path.normpath(out)  # Snakemake warns of // and ./ in each path
    _check_plain(plain)
    return plain


def _check_plain(out: str) -> None:
    if not _PLAIN.fullmatch(out) or out.startswith("-"):
        _end(f"--config out={out!r}: a results folder's name may have letters, digits, spaces and . _ - / @ : + , = %")


def _end(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(1)


def _operand(path: Path) -> str:
    """A path that no command takes for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)
