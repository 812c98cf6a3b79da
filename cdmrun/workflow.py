"""What the Snakefile looks up: the plan of the chosen specs, and the paths of what it asks for."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cdmrun.errors import UserError
from cdmrun.spec.cards import write_cards
from cdmrun.spec.plan import build_plan
from cdmrun.spec.plan_types import Experiment, Plan, Run

#: What the kinds of runs are worth waiting for first: the longest way to the tables leads through the teacher.
PRIORITY: Mapping[str, int] = {"data": 90, "teachers": 80, "draws": 70, "students": 50, "samples": 20}


class Pipeline:
    """A plan as the Snakefile sees it.

    Parameters
    ----------
    config
        Snakemake's ``--config``: ``specs`` (comma-separated files; default specs/*.yaml) and ``out`` (default results).
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        chosen = config.get("specs")
        paths = [Path(p) for p in str(chosen).split(",")] if chosen else sorted(Path("specs").glob("*.yaml"))
        self.out = str(config.get("out", "results"))
        self.plan = self._plan(paths)
        self.experiments = {experiment.name: experiment for experiment in self.plan.experiments}
        self.specs = " ".join(f"'{path}'" for path in paths)

    @property
    def tables(self) -> list[str]:
        """The scores table of every experiment."""
        return [f"{self.out}/tables/{name}.scores.csv" for name in self.experiments]

    def inputs(self, kind: str, run: str) -> list[str]:
        """Manifests of the products that a run needs."""
        return [self.manifest(key) for key in self._run(kind, run).inputs.values()]

    def scores(self, experiment: str) -> list[str]:
        """Manifests of every score of an experiment."""
        return [self.manifest(key) for key in dict.fromkeys(e.scores for e in self.experiments[experiment].entries)]

    def spec_of(self, experiment: str) -> str:
        """The spec file that an experiment comes from."""
        return str(self.experiments[experiment].source)

    def shown(self, experiment: str) -> str:
        """What a table shows besides scores, as one string: a change to it writes the table anew."""
        return describe(self.experiments[experiment])

    def manifest(self, key: str) -> str:
        """The file that says a product is complete."""
        return f"{self.out}/{key}/manifest.json"

    def _run(self, kind: str, run: str) -> Run:
        return self.plan.runs[f"{kind}/{run}"]

    def _plan(self, paths: list[Path]) -> Plan:
        """Plan and write run cards; a mistake in a spec ends the program with its messages alone."""
        try:
            plan = build_plan(paths)
            write_cards(plan, Path(self.out))
        except UserError as error:
            print(error, file=sys.stderr)
            sys.exit(1)
        return plan


def describe(experiment: Experiment) -> str:
    """Title, description, report section and labels of an experiment as canonical JSON."""
    labels = sorted((e.name, e.method, e.family, e.seed, e.scores) for e in experiment.entries)
    shown = [experiment.title, experiment.description, experiment.spec["report"], labels]
    return json.dumps(shown, sort_keys=True, ensure_ascii=False)
