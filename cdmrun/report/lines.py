"""What stands in a row of a table and is drawn as one line of a figure: one sampler of one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from cdmrun.report.numbers import DASH
from cdmrun.spec.plan_types import Entry, Experiment

_LABELS = ("process", "method", "family", "name")


@dataclass(frozen=True)
class Line:
    """One sampler of one model, over all its seeds and NFE. An oracle's ``nfe`` is empty: it takes what it needs.

    ``settings`` are its section of the resolved spec.
    """

    process: str
    method: str
    family: str
    name: str
    role: str
    nfe: tuple[int, ...]
    settings: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def label(self, name: str) -> str:
        """What it is called in a column: one of its labels, or the value at a dotted path of its settings."""
        if name in _LABELS:
            return str(getattr(self, name))
        value: Any = self.settings
        for step in name.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
        return _text(value)


def _text(value: Any) -> str:
    """A value of a spec in a cell: ``hmm, states 64`` for a map with a kind."""
    if value is None:
        return DASH
    if isinstance(value, Mapping):
        rest = [f"{name} {_text(item)}" for name, item in value.items() if name != "kind"]
        return ", ".join([*([str(value["kind"])] if "kind" in value else []), *rest])
    if isinstance(value, list | tuple):
        return " ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def lines_of(experiment: Experiment) -> list[Line]:
    """The lines of an experiment, baselines first, then in the order of the spec; without the oracles."""
    unique = dict.fromkeys(of_entry(entry) for entry in experiment.entries if entry.role != "oracle")
    lines = [replace(line, settings=_settings(experiment, line)) for line in unique]
    return sorted(lines, key=lambda one: one.role != "baseline")


def _settings(experiment: Experiment, line: Line) -> Mapping[str, Any]:
    section = experiment.spec.get("students" if line.role == "student" else "baselines") or {}
    settings: Mapping[str, Any] = section.get(line.name) or {}
    return settings


def oracles_of(experiment: Experiment) -> list[Line]:
    """The exact simulations of an experiment, which have no NFE to choose."""
    return list(dict.fromkeys(of_entry(entry) for entry in experiment.entries if entry.role == "oracle"))


def of_entry(entry: Entry) -> Line:
    """The line that an entry is one seed of."""
    return Line(entry.process, entry.method, entry.family, entry.name, entry.role, tuple(entry.nfe))


def of_line(frame: pd.DataFrame, line: Line) -> pd.DataFrame:
    """The rows of ``frame`` that belong to ``line`` (of one experiment)."""
    return frame[
        (frame["name"] == line.name)
        & (frame["method"] == line.method)
        & (frame["family"] == line.family)
        & (frame["process"] == line.process)
    ]


def longest_teacher_run(experiment: Experiment) -> tuple[Line, int] | None:
    """The analytic sampler at its largest NFE (another baseline where there is no analytic one), or None."""
    baselines = [line for line in lines_of(experiment) if line.role == "baseline" and line.nfe]
    if not baselines:
        return None
    line = max(baselines, key=lambda one: (one.method == "analytic", max(one.nfe)))
    return line, max(line.nfe)
