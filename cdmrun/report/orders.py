"""Fitted orders of convergence: how fast an exact distance falls as the number of evaluations grows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cdmrun.report.lines import Line, lines_of, of_line
from cdmrun.report.metrics_info import NUMERICAL_ZERO, metric_info
from cdmrun.report.numbers import Number, number, seconds
from cdmrun.report.tables import Cell, Panel, Row, Table, labels_of, row_names_for, seeds_behind
from cdmrun.spec.plan_types import Experiment

ORDER_COLUMNS = [
    *("experiment", "process", "method", "family", "name", "metric", "order", "local_order"),
    *("nfe_low", "nfe_high", "points", "r2", "seconds_per_sample"),
]
#: Metrics that fall with twice the order of the sampler: they are quadratic in a small difference of laws.
QUADRATIC = ("kl", "js")
#: A line is fitted if it has this many NFE, and this many of them hold a usable value in the range that is fitted.
_LEAST_NFE, _LEAST_POINTS = 4, 3
#: The range fitted: the finest NFE and what lies within so many doublings of it.
_DOUBLINGS = 4
SOLVERS = ("theta_trapezoidal", "theta_rk2")
_HEADINGS = ("order", "local order", "NFE", "points", "r²", "seconds per sample")


def order_metrics(experiment: Experiment) -> tuple[str, ...]:
    """The metrics whose orders the spec asks for, ``report.orders``."""
    return tuple(experiment.spec.get("report", {}).get("orders", ()))


def fitted_orders(experiment: Experiment, summary: pd.DataFrame) -> pd.DataFrame:
    """Orders of every line with enough NFE, for each metric that ``report.orders`` names.

    Parameters
    ----------
    experiment, summary
        Whose orders, and means over seeds from `cdmrun.report.summary.summarise`. Estimates are never fitted, nor are
        values that are infinite or numerically zero.

    Returns
    -------
    DataFrame with columns `ORDER_COLUMNS`: ``order`` is the least-squares slope of log2(metric) against −log2(NFE) over
    ``nfe_low`` … ``nfe_high``, ``local_order`` the slope between the last two points, ``r2`` the share of the
    variance that the fit explains, ``seconds_per_sample`` the time at ``nfe_high``.
    """
    rows = []
    for metric in order_metrics(experiment):
        own = summary[(summary["experiment"] == experiment.name) & (summary["metric"] == metric)]
        own = own[own["estimate"] == "exact"]
        for line in lines_of(experiment):
            fit = _fit(of_line(own, line)) if len(line.nfe) >= _LEAST_NFE else None
            if fit is not None:
                rows.append((experiment.name, line.process, line.method, line.family, line.name, metric, *fit))
    return pd.DataFrame(rows, columns=ORDER_COLUMNS)


def orders_table(experiment: Experiment, orders: pd.DataFrame, summary: pd.DataFrame) -> Table | None:
    """The orders as a table, a block for each metric; None where nothing could be fitted."""
    if orders.empty:
        return None
    metrics = list(dict.fromkeys(orders["metric"]))
    lines = lines_of(experiment)
    names = row_names_for(lines, ["method", "family"])
    panels = []
    for metric in metrics:
        own = summary[(summary["experiment"] == experiment.name) & (summary["metric"] == metric)]
        rows = []
        for line in lines:
            found = of_line(orders[orders["metric"] == metric], line)
            if len(found):
                cells = _cells(found.iloc[0].to_dict())
                rows.append(Row(labels_of(line, names), seeds_behind(of_line(own, line)["n"]), cells))
        panels.append(Panel(f"order of {metric_info(metric).name}", tuple(rows)))
    return Table(
        "Fitted convergence orders", _caption(lines, metrics), tuple(names), _HEADINGS, tuple(panels), group=""
    )


def fitted(orders: pd.DataFrame, line: Line, metric: str) -> float | None:
    """The order of one line, or None where there is none."""
    found = of_line(orders[orders["metric"] == metric], line)
    return float(found["order"].iloc[0]) if len(found) else None


def order_text(order: float) -> str:
    """An order as it is printed: ``1.02``."""
    return f"{order:.2f}".replace("-", "−")


def orders_sentence(metrics: Sequence[str], solvers: bool) -> str:
    """What NFE counts, and how a metric's order follows from the sampler's, for captions.

    ``solvers`` says whether θ solvers are among the methods.
    """
    falls = [f"{metric} falls with order {'2q' if metric in QUADRATIC else 'q'}" for metric in metrics]
    calls = "NFE counts network calls" + (", two a step for θ solvers" if solvers else "")
    return f"{calls}; for a sampler of order q, {', '.join(falls)}."


def has_solvers(lines: Sequence[Line]) -> bool:
    """Whether a θ solver is among the lines."""
    return any(line.method in SOLVERS for line in lines)


def _fit(rows: pd.DataFrame) -> tuple[float, float, int, int, int, float, float] | None:
    """(order, local order, lowest NFE, highest NFE, points, r², seconds at the highest), None with too few points."""
    usable = rows[np.isfinite(rows["mean"]) & (rows["mean"] > NUMERICAL_ZERO)].sort_values("nfe")
    usable = usable[usable["nfe"] * 2**_DOUBLINGS >= usable["nfe"].max()]
    if len(usable) < _LEAST_POINTS:
        return None
    x, y = -np.log2(usable["nfe"].to_numpy(dtype=float)), np.log2(usable["mean"].to_numpy(dtype=float))
    dx, dy = x - x.mean(), y - y.mean()
    order = float(dx @ dy / (dx @ dx))
    spread, rest = float(dy @ dy), float(((dy - order * dx) ** 2).sum())
    r2 = 1.0 - rest / spread if spread > 0 else 1.0  # a constant is fitted wholly
    local = float((y[-1] - y[-2]) / (x[-1] - x[-2]))
    low, high = int(usable["nfe"].iloc[0]), int(usable["nfe"].iloc[-1])
    return order, local, low, high, len(usable), r2, float(usable["seconds_per_sample"].iloc[-1])


def _cells(row: Mapping[Any, Any]) -> tuple[Cell, ...]:
    texts = (
        order_text(row["order"]),
        order_text(row["local_order"]),
        f"{row['nfe_low']}–{row['nfe_high']}",
        str(row["points"]),
        str(number(math.floor(row["r2"] * 1e4) / 1e4)),  # 1.000 only where it is
        seconds(row["seconds_per_sample"]),
    )
    return tuple(Cell(Number(text)) for text in texts)


def _caption(lines: Sequence[Line], metrics: Sequence[str]) -> str:
    return (
        "Least-squares slope of log2(metric) against −log2(NFE) over the range of NFE given, means over seeds; local "
        "order: the slope between its last two NFE. Values that are infinite or numerically zero are left out. "
        f"{orders_sentence(metrics, has_solvers(lines))} A line that nears a floor of its own, as a trained student "
        "does, has no order to speak of: its local order drops. Seconds per sample are those at the highest NFE."
    )
