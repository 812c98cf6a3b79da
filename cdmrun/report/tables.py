"""What stands in a table: panels of rows against NFE, independent of the format it is written in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from cdmrun.report.captions import caption
from cdmrun.report.floor import FLOOR, FLOORED, factorised_floor
from cdmrun.report.lines import Line, lines_of, longest_teacher_run, of_line
from cdmrun.report.metrics_info import metric_info
from cdmrun.report.numbers import DASH, Number, number, seconds
from cdmrun.report.pairs import At, Pairs
from cdmrun.spec.plan_types import Experiment

SECONDS_HEADING = "seconds per sample"


@dataclass(frozen=True)
class Cell:
    """One cell: a number, whether it is the best of its column beyond noise, whether it is stale in any way.

    ``noise`` says that a difference is within noise. ``runs`` are the keys of the scores behind the number, one a seed:
    `cdmrun explain` takes them.
    """

    number: Number = field(default_factory=lambda: Number(DASH))
    best: bool = False
    stale: bool = False
    noise: bool = False
    runs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """Labels, the number of seeds, one cell a column. A row that ``spans`` has the same value in every column."""

    labels: tuple[str, ...]
    seeds: str
    cells: tuple[Cell, ...]
    reference: bool = False
    spans: bool = False


@dataclass(frozen=True)
class Panel:
    """The rows of one metric (or of the seconds) under a heading."""

    heading: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """A table: ``row_names`` head the label columns, ``group`` says what ``columns`` are together (if anything)."""

    title: str
    caption: str
    row_names: tuple[str, ...]
    columns: tuple[int | str, ...]
    panels: tuple[Panel, ...]
    group: str = "NFE"


def build_tables(
    experiment: Experiment, summary: pd.DataFrame, references: pd.DataFrame, pairs: Pairs | None = None
) -> list[Table]:
    """The tables that the spec's ``report.tables`` asks for.

    Parameters
    ----------
    experiment
        Whose tables.
    summary, references
        From `cdmrun.report.summary.summarise` and `cdmrun.report.collect.collect_references`.
    pairs
        Compares the lines; without it nothing is marked as best.
    """
    summary = summary[summary["experiment"] == experiment.name]
    tables = experiment.spec.get("report", {}).get("tables", []) if lines_of(experiment) else []
    return [_table(experiment, summary, references, pairs, spec) for spec in tables]


def _table(
    experiment: Experiment,
    summary: pd.DataFrame,
    references: pd.DataFrame,
    pairs: Pairs | None,
    spec: Mapping[str, Any],
) -> Table:
    lines = lines_of(experiment)
    oracle = summary["role"] == "oracle"
    of_oracles = set(summary.loc[oracle, "metric"]) - set(summary.loc[~oracle, "metric"])
    metrics = [metric for metric in spec.get("values") or experiment.metrics if metric not in of_oracles]
    summary = summary[~oracle]
    row_names = row_names_for(lines, spec.get("rows") or ["method", "family"])
    columns = tuple(sorted({nfe for line in lines for nfe in line.nfe}))
    panels = []
    for metric in metrics:
        rows = _metric_rows(lines, row_names, columns, summary[summary["metric"] == metric])
        rows = _mark_best(rows, lines, columns, metric, pairs) if pairs is not None else rows
        rows += _reference_rows(experiment, row_names, columns, summary, references, metric)
        unit = summary.loc[summary["metric"] == metric, "unit"]
        panels.append(Panel(metric_info(metric, unit.iloc[0] if len(unit) else "").heading, tuple(rows)))
    if is_timed(experiment):
        panels.append(seconds_panel(lines, row_names, columns, summary))
    return Table(
        str(spec.get("title") or experiment.title or experiment.name),
        caption(experiment, summary, metrics),
        tuple(row_names),
        columns,
        tuple(panels),
    )


def is_timed(experiment: Experiment) -> bool:
    """Whether the spec wants seconds a sample shown (``evaluation.timing``)."""
    return bool(experiment.spec.get("evaluation", {}).get("timing", True))


def seconds_panel(
    lines: Sequence[Line], row_names: Sequence[str], columns: Sequence[int], summary: pd.DataFrame
) -> Panel:
    """Median seconds a sample of every line at every NFE, in the same columns as the metrics above it."""
    rows = []
    for line in lines:
        own = of_line(summary, line)
        medians, runs = own.groupby("nfe")["seconds_per_sample"].median(), own.groupby("nfe")["run_id"].first()
        cells = tuple(
            Cell(Number(seconds(float(medians.get(nfe, math.nan)))), runs=runs_of(runs.get(nfe))) for nfe in columns
        )
        rows.append(Row(labels_of(line, row_names), seeds_behind(own["n"]), cells))
    return Panel(SECONDS_HEADING, tuple(rows))


def row_names_for(lines: Sequence[Line], wanted: Sequence[str]) -> list[str]:
    """The label columns asked for, and ``name`` besides where they alone would not tell two lines apart."""
    names = [name for name in wanted if name != "experiment"] or ["method", "family"]
    distinct = {labels_of(line, names) for line in lines}
    return names if len(distinct) == len(lines) or "name" in names else [*names, "name"]


def labels_of(line: Line, row_names: Sequence[str]) -> tuple[str, ...]:
    """What a row of ``line`` is called in the label columns."""
    return tuple(line.label(name) for name in row_names)


def _metric_rows(
    lines: Sequence[Line], row_names: Sequence[str], columns: Sequence[int], summary: pd.DataFrame
) -> list[Row]:
    rows = []
    for line in lines:
        own = of_line(summary, line)
        by_nfe = {int(row["nfe"]): row for row in own.to_dict("records")}
        cells = tuple(cell_of(by_nfe.get(nfe)) for nfe in columns)
        rows.append(Row(labels_of(line, row_names), seeds_behind(own["n"]), cells))
    return rows


def cell_of(row: Mapping[Any, Any] | None) -> Cell:
    """The cell of one row of the summary; a dash for None."""
    if row is None:
        return Cell()
    half = (row["ci_high"] - row["ci_low"]) / 2
    stale = str(row.get("status")).startswith("stale")
    return Cell(number(row["mean"], half), stale=stale, runs=runs_of(row.get("run_id")))


def runs_of(run_id: str | None) -> tuple[str, ...]:
    """The keys in a ``run_id`` of the summary."""
    return tuple(run_id.split(";")) if run_id else ()


def seeds_behind(n: pd.Series) -> str:
    """Seeds behind a row: one number, or the range where cells differ; 0 where there is nothing yet."""
    if n.empty:
        return "0"
    low, high = int(n.min()), int(n.max())
    return str(high) if low == high else f"{low}–{high}"


def _mark_best(rows: list[Row], lines: Sequence[Line], columns: Sequence[int], metric: str, pairs: Pairs) -> list[Row]:
    """Mark the best of each column if it is better than every other there by more than noise: of ties, none."""
    marked = [list(row.cells) for row in rows]
    for column, nfe in enumerate(columns):
        means = [(pairs.mean_loss(metric, At(line, nfe)), index) for index, line in enumerate(lines)]
        means = sorted(pair for pair in means if not math.isnan(pair[0]))
        if len(means) < 2 or math.isinf(means[0][0]):
            continue
        best, *others = (index for _, index in means)
        if all(pairs.beyond_noise(metric, At(lines[best], nfe), At(lines[other], nfe)) for other in others):
            marked[best][column] = replace(marked[best][column], best=True)
    return [replace(row, cells=tuple(cells)) for row, cells in zip(rows, marked, strict=True)]


def _reference_rows(
    experiment: Experiment,
    row_names: Sequence[str],
    columns: Sequence[int],
    summary: pd.DataFrame,
    references: pd.DataFrame,
    metric: str,
) -> list[Row]:
    """The teacher's longest run, what the scores name (held-out data, independent positions), the factorised floor."""
    rows = []
    blank = ("",) * (len(row_names) - 1)
    longest = longest_teacher_run(experiment) if metric_info(metric).direction != "none" else None
    if longest is not None:
        line, nfe = longest
        found = of_line(summary[(summary["metric"] == metric) & (summary["nfe"] == nfe)], line)
        if len(found):
            cell = cell_of(found.iloc[0].to_dict())
            label = f"teacher's longest run ({line.method}, NFE {nfe})"
            rows.append(Row((label, *blank), seeds_behind(found["n"]), (cell,) * len(columns), True, True))
    own = references[(references["experiment"] == experiment.name) & (references["metric"] == metric)]
    for what, value in zip(own["what"], own["value"], strict=True):
        label = metric_info(metric).reference_label(str(what))
        rows.append(Row((label, *blank), "", (Cell(number(value)),) * len(columns), True, True))
    floor = factorised_floor(experiment, summary) if metric == FLOORED else None
    if floor is not None:
        cells = tuple(Cell(number(floor.values.get(nfe, math.nan))) for nfe in columns)
        rows.append(Row((FLOOR, *blank), "", cells, True))
    return rows
