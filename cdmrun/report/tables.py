"""What stands in a table: panels of rows against NFE, independent of the format it is written in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from cdmrun.report.captions import caption
from cdmrun.report.collect import reference_value
from cdmrun.report.metrics_info import metric_info
from cdmrun.report.numbers import DASH, Number, number, seconds
from cdmrun.spec.plan_types import Entry, Experiment

HELD_OUT = "held-out data"
SECONDS_HEADING = "seconds per sample"


@dataclass(frozen=True)
class Cell:
    """One cell: a number, whether it is clearly the best of its column, whether older code made it."""

    number: Number = field(default_factory=lambda: Number(DASH))
    best: bool = False
    stale: bool = False


@dataclass(frozen=True)
class Row:
    """Labels, the number of seeds, one cell a column. A reference row holds for every NFE."""

    labels: tuple[str, ...]
    seeds: str
    cells: tuple[Cell, ...]
    reference: bool = False


@dataclass(frozen=True)
class Panel:
    """The rows of one metric (or of the seconds) under a heading."""

    heading: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """A table: ``row_names`` head the label columns, ``columns`` are the NFE."""

    title: str
    caption: str
    row_names: tuple[str, ...]
    columns: tuple[int, ...]
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Line:
    """One sampler of one model, over all its seeds and NFE: a row of a table, a line of a figure."""

    process: str
    method: str
    family: str
    name: str
    role: str
    nfe: tuple[int, ...]


def lines_of(experiment: Experiment) -> list[Line]:
    """The lines of an experiment, baselines first, then in the order of the spec."""

    unique = dict.fromkeys(of_entry(entry) for entry in experiment.entries)
    return sorted(unique, key=lambda one: one.role != "baseline")


def of_entry(entry: Entry) -> Line:
    """The line that an entry is one seed of."""
    return Line(entry.process, entry.method, entry.family, entry.name, entry.role, tuple(entry.nfe))


def build_tables(experiment: Experiment, summary: pd.DataFrame, references: pd.DataFrame) -> list[Table]:
    """The tables that the spec's ``report.tables`` asks for.

    Parameters
    ----------
    experiment
        Whose tables.
    summary, references
        From `cdmrun.report.summary.summarise` and `cdmrun.report.collect.collect_references`.
    """
    summary = summary[summary["experiment"] == experiment.name]
    return [
        _table(experiment, summary, references, spec) for spec in experiment.spec.get("report", {}).get("tables", [])
    ]


def _table(experiment: Experiment, summary: pd.DataFrame, references: pd.DataFrame, spec: Mapping[str, Any]) -> Table:
    lines = lines_of(experiment)
    metrics = spec.get("values") or list(experiment.metrics)
    row_names = _row_names(lines, spec.get("rows") or ["method", "family"])
    columns = tuple(sorted({nfe for line in lines for nfe in line.nfe}))
    panels = []
    for metric in metrics:
        rows = _metric_rows(lines, row_names, columns, summary[summary["metric"] == metric])
        rows = _mark_best(
            rows, lines, columns, summary, metric, reference_value(references, experiment.name, metric, HELD_OUT)
        )
        rows += _reference_rows(experiment, row_names, columns, summary, references, metric)
        unit = summary.loc[summary["metric"] == metric, "unit"]
        panels.append(Panel(metric_info(metric, unit.iloc[0] if len(unit) else "").heading, tuple(rows)))
    panels.append(seconds_panel(lines, row_names, columns, summary))
    return Table(
        str(spec.get("title") or experiment.title or experiment.name),
        caption(experiment, summary, metrics),
        tuple(row_names),
        columns,
        tuple(panels),
    )


def seconds_panel(
    lines: Sequence[Line], row_names: Sequence[str], columns: Sequence[int], summary: pd.DataFrame
) -> Panel:
    """Median seconds a sample of every line at every NFE, in the same columns as the metrics above it."""
    rows = []
    for line in lines:
        own = of_line(summary, line)
        medians = own.groupby("nfe")["seconds_per_sample"].median()
        cells = tuple(Cell(Number(seconds(float(medians.get(nfe, math.nan))))) for nfe in columns)
        rows.append(Row(_labels(line, row_names), _count(own["n"]), cells))
    return Panel(SECONDS_HEADING, tuple(rows))


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


def _row_names(lines: Sequence[Line], wanted: Sequence[str]) -> list[str]:
    """The label columns asked for, and ``name`` besides where they alone would not tell two lines apart."""
    names = [name for name in wanted if name in ("process", "method", "family", "name")] or ["method", "family"]
    distinct = {_labels(line, names) for line in lines}
    return names if len(distinct) == len(lines) or "name" in names else [*names, "name"]


def _labels(line: Line, row_names: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(getattr(line, name)) for name in row_names)


def _metric_rows(
    lines: Sequence[Line], row_names: Sequence[str], columns: Sequence[int], summary: pd.DataFrame
) -> list[Row]:
    rows = []
    for line in lines:
        own = of_line(summary, line)
        by_nfe = {int(row["nfe"]): row for row in own.to_dict("records")}
        cells = tuple(_cell(by_nfe.get(nfe)) for nfe in columns)
        rows.append(Row(_labels(line, row_names), _count(own["n"]), cells))
    return rows


def _cell(row: Mapping[Any, Any] | None) -> Cell:
    if row is None:
        return Cell()
    half = (row["ci_high"] - row["ci_low"]) / 2
    return Cell(number(row["mean"], half), stale=row.get("status") == "stale-code")


def _count(n: pd.Series) -> str:
    """Seeds behind a row: one number, or the range where cells differ; 0 where there is nothing yet."""
    if n.empty:
        return "0"
    low, high = int(n.min()), int(n.max())
    return str(high) if low == high else f"{low}–{high}"


def _mark_best(
    rows: list[Row],
    lines: Sequence[Line],
    columns: Sequence[int],
    summary: pd.DataFrame,
    metric: str,
    held_out: float | None,
) -> list[Row]:
    """Mark the best of each column whose interval does not touch the runner-up's."""
    marked = [list(row.cells) for row in rows]
    chosen = summary[summary["metric"] == metric]
    for column, nfe in enumerate(columns):
        ranges = []
        for index, line in enumerate(lines):
            found = of_line(chosen, line)
            found = found[found["nfe"] == nfe]
            if len(found):
                row = found.iloc[0]
                ranges.append((*_loss(metric, row["mean"], row["ci_low"], row["ci_high"], held_out), index))
        ranges = sorted(one for one in ranges if not math.isnan(one[0]))
        if len(ranges) > 1 and ranges[0][2] < ranges[1][1]:
            index = ranges[0][3]
            cell = marked[index][column]
            marked[index][column] = Cell(cell.number, True, cell.stale)
    return [Row(row.labels, row.seeds, tuple(cells), row.reference) for row, cells in zip(rows, marked, strict=True)]


def _loss(metric: str, mean: float, low: float, high: float, held_out: float | None) -> tuple[float, float, float]:
    """(mean, low, high) of what is to be minimised: the metric, its negative, or its distance to held-out data."""
    direction = metric_info(metric).direction
    if direction == "higher":
        return -mean, -high, -low
    if direction == "lower":
        return mean, low, high
    if held_out is None:
        return math.nan, math.nan, math.nan
    ends = sorted((abs(low - held_out), abs(high - held_out)))
    return abs(mean - held_out), 0.0 if low <= held_out <= high else ends[0], ends[1]


def _reference_rows(
    experiment: Experiment,
    row_names: Sequence[str],
    columns: Sequence[int],
    summary: pd.DataFrame,
    references: pd.DataFrame,
    metric: str,
) -> list[Row]:
    """The teacher's longest run, and what the scores name: held-out data, independent positions."""
    rows = []
    blank = ("",) * (len(row_names) - 1)
    longest = longest_teacher_run(experiment)
    if longest is not None:
        line, nfe = longest
        found = of_line(summary[(summary["metric"] == metric) & (summary["nfe"] == nfe)], line)
        if len(found):
            cell = _cell(found.iloc[0].to_dict())
            label = f"teacher's longest run ({line.method}, NFE {nfe})"
            rows.append(Row((label, *blank), _count(found["n"]), (cell,) * len(columns), True))
    own = references[(references["experiment"] == experiment.name) & (references["metric"] == metric)]
    for what, value in zip(own["what"], own["value"], strict=True):
        rows.append(Row((str(what), *blank), "", (Cell(number(value)),) * len(columns), True))
    return rows
