"""Exact simulation: the samplers that take the NFE they need, in a table of their own."""

from __future__ import annotations

import pandas as pd

from cdmrun.report.captions import exactness
from cdmrun.report.lines import Line, of_line, oracles_of
from cdmrun.report.metrics_info import metric_info
from cdmrun.report.numbers import Number, number, seconds
from cdmrun.report.tables import SECONDS_HEADING, Cell, Panel, Row, Table, cell_of, labels_of, seeds_behind
from cdmrun.spec.plan_types import Experiment

TITLE = "Exact simulation (its own NFE)"
EXACT_IN_LAW = "exact in law given the teacher, the NFE → ∞ reference"


def oracles_table(experiment: Experiment, summary: pd.DataFrame) -> Table | None:
    """NFE counted, seconds a sample and every metric of the oracles; None where the experiment has none."""
    lines = oracles_of(experiment)
    if not lines:
        return None
    own = summary[(summary["experiment"] == experiment.name) & (summary["role"] == "oracle")]
    metrics = [metric for metric in experiment.metrics if (own["metric"] == metric).any()]
    headings = [metric_info(metric).heading for metric in metrics]
    names = ("method",) if len({line.method for line in lines}) == len(lines) else ("method", "name")
    rows = tuple(_row(line, names, of_line(own, line), metrics) for line in lines)
    sentences = [exactness(own, metric) for metric in metrics]
    caption = (
        "Simulates the reverse process event by event, without a time grid, so it has no number of steps to choose: "
        f"{EXACT_IN_LAW}. NFE counted: network calls a sample as it happened, mean over samples and seeds."
    )
    return Table(
        TITLE,
        " ".join([caption, *_ends(experiment, lines), *sentences]),
        names,
        ("NFE counted", SECONDS_HEADING, *headings),
        (Panel("exact in law, given the teacher", rows),),
        group="",
    )


def _row(line: Line, names: tuple[str, ...], own: pd.DataFrame, metrics: list[str]) -> Row:
    by_metric = {str(row["metric"]): row for row in own.to_dict("records")}
    cost = Cell(number(float(own["nfe_counted"].mean()))), Cell(Number(seconds(own["seconds_per_sample"].median())))
    cells = (*cost, *(cell_of(by_metric.get(metric)) for metric in metrics))
    return Row(labels_of(line, names), seeds_behind(own["n"]), cells)


def _ends(experiment: Experiment, lines: list[Line]) -> list[str]:
    """Where simulation stops short of the data, for captions."""
    settings = experiment.spec.get("baselines", {})
    stops = [(line.name, (settings.get(line.name) or {}).get("stop")) for line in lines]
    return [f"{name} ends at noise {stop:g} with one last draw of every position." for name, stop in stops if stop]
