"""What a plan is made of: runs (one job, one product each), entries (what a table row is made of), experiments.

Plain frozen data, no behaviour beyond names: the plan builder writes them, the Snakefile, the stages and the
report read them.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cdmrun.registry import sources

#: Every kind of product, in the order in which data flow, with the `cdmrun` stage that makes it.
STAGE_OF_KIND: Mapping[str, str] = {
    "data": "fetch",
    "judges": "judge",
    "features": "features",
    "anchors": "anchor",
    "teachers": "train",
    "draws": "draw",
    "labels": "label",
    "students": "distill",
    "grids": "optimise",
    "samples": "sample",
    "scores": "evaluate",
}


@dataclass(frozen=True)
class Run:
    """One job and the product it makes, ``results/<kind>/<slug>-<id>/``.

    ``config`` is the resolved part of the spec that this job needs and nothing else; ``inputs`` maps a role
    (``data``, ``teacher``, ``draws``, ``labels``, ``grids``, ``model``, ``samples``, ``judge``, ``features``) to the
    key of the run that fills it.
    ``id`` is the first eight hex digits of sha256 over the canonical JSON of the identity fields of ``config``
    together with the ids of ``inputs``; ``slug`` is a label computed from the payload alone, never from names
    in a spec, so that equal payloads share one folder.
    """

    kind: str
    slug: str
    id: str
    config: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """``kind/slug-id``: the product's folder below the results folder."""
        return f"{self.kind}/{self.slug}-{self.id}"

    @property
    def stage(self) -> str:
        """The `cdmrun` stage command that makes this product."""
        return STAGE_OF_KIND[self.kind]

    @property
    def sources(self) -> tuple[Path, ...]:
        """Source files of plugins that decide what this run computes, as the stage's own do."""
        return sources(self.stage, self.config)

    def described(self) -> dict[str, Any]:
        """What the run is, as plain data: the head of its card and of its entry in a plan's JSON."""
        return {
            "key": self.key,
            "kind": self.kind,
            "slug": self.slug,
            "id": self.id,
            "stage": self.stage,
            "config": self.config,
            "inputs": self.inputs,
        }


@dataclass(frozen=True)
class Entry:
    """One model with one sampler at one seed: the labels of its score rows, and where its products lie."""

    experiment: str
    process: str  # kind of the forward process
    method: str  # the sampler of a baseline, the objective of a student
    family: str  # kind of the joint law that answers one call
    name: str  # the key in the spec under `students:` or `baselines:`
    role: str  # baseline, oracle or student
    seed: int
    nfe: tuple[int, ...]
    model: str  # key of the teachers/ or students/ run
    samples: str  # key of the samples/ run
    scores: str  # key of the scores/ run


@dataclass(frozen=True)
class Experiment:
    """One resolved spec (one point of its matrix) and the entries its tables are made of."""

    name: str
    title: str
    description: str
    source: Path
    spec: Mapping[str, Any]  # resolved, defaults filled
    entries: tuple[Entry, ...]
    anchors: str = ""  # key of the anchors/ run; empty where no metric has a floor or a ceiling

    @property
    def products(self) -> tuple[str, ...]:
        """Keys of the runs that tables are made of, each once: all scores, and what they are read against."""
        scores = dict.fromkeys(entry.scores for entry in self.entries)
        return (*scores, self.anchors) if self.anchors else tuple(scores)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics asked for, in the order of the spec."""
        return tuple(self.spec["evaluation"]["metrics"])


@dataclass(frozen=True)
class Plan:
    """Everything that the given specs ask for; runs are unique by key, in an order where inputs come first."""

    runs: Mapping[str, Run]
    experiments: tuple[Experiment, ...]


def workflow_command(plan: Plan, out: Path) -> str:
    """The command that makes all of a plan, as short as it can be typed: what it takes for granted is left out."""
    sources = [str(source) for source in dict.fromkeys(experiment.source for experiment in plan.experiments)]
    usual = sorted(sources) == sorted(map(str, Path("specs").glob("*.yaml")))
    config = [] if usual else [f"specs={','.join(sources)}"]
    config += [] if out == Path("results") else [f"out={_not_a_number(str(out))}"]
    return shlex.join(["snakemake", "--cores", "all", *(["--config", *config] if config else [])])


def _not_a_number(name: str) -> str:
    """A folder's name such that Snakemake reads a text: 2024_11_28 would be a number to it, and True no name."""
    try:
        float(name)
    except ValueError:
        return f"./{name}" if name in ("True", "False") else name
    return f"./{name}"
