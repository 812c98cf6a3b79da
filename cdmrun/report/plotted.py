"""The numbers behind a figure: rows of the summary, reference lines and the factorised floor."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from cdmrun.report.collect import HELD_OUT, reference_value
from cdmrun.report.floor import FLOOR, FLOOR_METRIC, FLOORED, factorised_floor
from cdmrun.report.lines import longest_teacher_run, of_line
from cdmrun.report.metrics_info import metric_info
from cdmrun.spec.plan_types import Experiment

#: The ``role`` of the factorised floor's rows among plotted data.
FLOOR_ROLE = "floor"


def plotted_data(experiment: Experiment, summary: pd.DataFrame, references: pd.DataFrame, metric: str) -> pd.DataFrame:
    """What a figure of ``metric`` shows.

    The rows of the summary, then the reference lines (``role`` "reference"), then the factorised floor where the
    metric has one (`FLOOR_ROLE`, a row for each NFE).
    """
    rows = summary[(summary["experiment"] == experiment.name) & (summary["metric"] == metric)].copy()
    columns = [c for c in rows.columns if c != "status"]
    extra = []
    longest = longest_teacher_run(experiment) if metric_info(metric).direction != "none" else None
    if longest is not None:
        line, nfe = longest
        found = of_line(rows[rows["nfe"] == nfe], line)
        if len(found):
            name = f"teacher's longest run ({line.method}, NFE {nfe})"
            extra.append(found.iloc[0].to_dict() | {"name": name, "role": "reference"})
    held_out = reference_value(references, experiment.name, metric, HELD_OUT)
    if held_out is not None:
        extra.append({"experiment": experiment.name, "name": HELD_OUT, "metric": metric, "mean": held_out})
        extra[-1]["role"] = "reference"
    floor = factorised_floor(experiment, summary) if metric == FLOORED else None
    for nfe, value in floor.values.items() if floor else ():
        extra.append({"experiment": experiment.name, "name": FLOOR, "nfe": nfe, "metric": FLOOR_METRIC, "mean": value})
        extra[-1]["role"] = FLOOR_ROLE
    if not extra:
        return rows[columns]
    return pd.DataFrame(rows[columns].to_dict("records") + extra, columns=columns)


def shown(data: pd.DataFrame, x: str, role: str = "", above: float = -math.inf) -> pd.DataFrame:
    """Rows that can be drawn: finite, of one ``role`` (of any line where empty), with values ``above`` something."""
    own = data[data["role"] == role] if role else of_lines(data)
    return own[np.isfinite(own["mean"]) & np.isfinite(own[x]) & (own["mean"] > above)]


def of_lines(data: pd.DataFrame) -> pd.DataFrame:
    """The rows of samplers with NFE to choose: neither references nor oracles."""
    return data[~data["role"].isin(["reference", "oracle", FLOOR_ROLE])]
