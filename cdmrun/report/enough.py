"""The question of the whole exercise: how few evaluations are enough to match the teacher's longest run?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from cdmrun.report.lines import Line, lines_of, longest_teacher_run, of_line
from cdmrun.report.metrics_info import metric_info
from cdmrun.report.numbers import DASH, Number, number, seconds
from cdmrun.report.pairs import At, Pairs
from cdmrun.report.statistics import Difference
from cdmrun.report.summary import interval
from cdmrun.report.tables import Cell, Panel, Row, Table, is_timed, labels_of, row_names_for
from cdmrun.spec.plan_types import Experiment

ENOUGH_COLUMNS = [
    *("experiment", "process", "method", "family", "name", "metric", "goal_method", "goal_nfe", "goal"),
    *("nfe", "nfe_within_noise", "nfe_shown", "mean", "ci_low", "ci_high"),
    *("gain", "gain_low", "gain_high", "p", "test", "n"),
    *("seconds_per_sample", "times_faster", "times_faster_low", "times_faster_high"),
]
TITLE = "How few are enough"


def enough(experiment: Experiment, summary: pd.DataFrame, pairs: Pairs) -> pd.DataFrame:
    """How each line fares against the goal, the teacher's longest run, in the first metric.

    Returns
    -------
    DataFrame with columns `ENOUGH_COLUMNS`, one row a line; none where the metric has no better and worse, or the long
    run has no score yet. ``nfe`` is the smallest at which the mean is no worse than the goal's, ``nfe_within_noise``
    the smallest at which it is not worse beyond noise; empty where there is none. The columns after that are of
    ``nfe_shown``: ``nfe``, or where the line is best. ``gain`` is positive where it is better than the goal.
    ``times_faster`` is the geometric mean over seeds of the goal's seconds divided by the line's.
    """
    longest = longest_teacher_run(experiment)
    empty = pd.DataFrame(columns=ENOUGH_COLUMNS)
    if longest is None or not experiment.metrics:
        return empty
    metric, goal = experiment.metrics[0], At(*longest)
    if metric_info(metric).direction not in ("lower", "higher") or not math.isfinite(pairs.mean_loss(metric, goal)):
        return empty
    own = summary[(summary["experiment"] == experiment.name) & (summary["metric"] == metric)]
    goal_mean = of_line(own[own["nfe"] == goal.nfe], goal.line)["mean"].iloc[0]
    rows = []
    for line in lines_of(experiment):
        found = _answer(line, goal, metric, of_line(own, line), pairs)
        if found is not None:
            labels = (experiment.name, line.process, line.method, line.family, line.name, metric)
            rows.append((*labels, goal.line.method, goal.nfe, goal_mean, *found))
    return pd.DataFrame(rows, columns=ENOUGH_COLUMNS)


def _answer(line: Line, goal: At, metric: str, rows: pd.DataFrame, pairs: Pairs) -> tuple[Any, ...] | None:
    compared = [(nfe, pairs.difference(metric, At(line, nfe), goal)) for nfe in sorted(line.nfe)]
    known = [(nfe, found) for nfe, found in compared if found is not None]
    if not known:
        return None
    reached = [nfe for nfe, found in known if found.mean >= 0]
    within = [nfe for nfe, found in known if _not_worse(found)]
    shown = reached[0] if reached else min(known, key=lambda pair: (-pair[1].mean, pair[0]))[0]
    found = dict(known)[shown]
    row = rows[rows["nfe"] == shown].iloc[0]
    times = _ratios(pairs.rows(metric, goal), pairs.rows(metric, At(line, shown)))
    return (
        *(reached[0] if reached else math.nan, within[0] if within else math.nan, shown),
        *(row["mean"], row["ci_low"], row["ci_high"]),
        *(found.mean, found.low, found.high, found.p, found.test, found.n),
        *(row["seconds_per_sample"], *times),
    )


def _not_worse(found: Difference) -> bool:
    """Whether a difference is no loss, or one within noise; where nothing is known of the noise it is a loss."""
    return found.mean >= 0 or (bool(found.test) and not found.beyond_noise)


def _ratios(goal: Mapping[int, Mapping[str, Any]], own: Mapping[int, Mapping[str, Any]]) -> tuple[float, float, float]:
    """How many times faster, seed by seed: geometric mean and its 95 % interval (none with one seed)."""
    pairs = [(goal[seed]["seconds_per_sample"], own[seed]["seconds_per_sample"]) for seed in goal.keys() & own.keys()]
    logs = [math.log(slow / fast) for slow, fast in pairs if slow > 0 and fast > 0]
    if not logs:
        return math.nan, math.nan, math.nan
    mean, low, high = (float(value) for value in np.exp(interval(logs)))
    return mean, low, high


def enough_table(experiment: Experiment, found: pd.DataFrame) -> Table | None:
    """The answers as a table; None where there are none."""
    if found.empty:
        return None
    lines = lines_of(experiment)
    names = row_names_for(lines, ["method", "family", "name"])
    rows = []
    for line in lines:
        own = of_line(found, line)
        if len(own):
            row = {str(name): value for name, value in own.iloc[0].items()}
            rows.append(Row(labels_of(line, names), str(row["n"]), _cells(row, is_timed(experiment))))
    first = found.iloc[0]
    info = metric_info(str(first["metric"]))
    goal = f"{first['goal_method']} at NFE {first['goal_nfe']}, {number(first['goal'])}"
    timed = ("seconds per sample", "times faster") if is_timed(experiment) else ()
    return Table(
        f"{TITLE}, {info.name}",
        f"Against the teacher's longest run, {goal}. No worse: the smallest NFE with a mean no worse than that. Within "
        "noise: the smallest NFE that is not worse beyond noise (p < 0.05 in pairs, uncorrected); with much noise that "
        "is easily had. The other columns are of the first, or of the best NFE where it is not reached (in "
        "brackets); the difference is positive where better than the long run. Times faster: seed by seed, geometric "
        "mean and 95 % interval.",
        tuple(names),
        ("no worse at NFE", "within noise at NFE", info.heading, "difference", *timed),
        (Panel(f"enough for {goal}", tuple(rows)),),
        group="",
    )


def _cells(row: Mapping[str, Any], timed: bool) -> tuple[Cell, ...]:
    reached, within = row["nfe"], row["nfe_within_noise"]
    half = (row["ci_high"] - row["ci_low"]) / 2
    drawn = row["test"] != "exact" and math.isfinite(row["gain"])
    gain_half = (row["gain_high"] - row["gain_low"]) / 2 if drawn else math.nan
    cells = [
        Cell(Number(f"{reached:g}" if math.isfinite(reached) else f"– (best {row['nfe_shown']})")),
        Cell(Number(f"{within:g}" if math.isfinite(within) else DASH)),
        Cell(number(row["mean"], half)),
        Cell(number(row["gain"], gain_half, signed=True)),
    ]
    if timed:
        cells += [Cell(Number(seconds(row["seconds_per_sample"]))), Cell(Number(_times(row)))]
    return tuple(cells)


def _times(row: Mapping[str, Any]) -> str:
    """``12× (11 … 13)``."""
    mean, low, high = row["times_faster"], row["times_faster_low"], row["times_faster_high"]
    if not math.isfinite(mean):
        return DASH
    ends = f" ({_digits(low)} … {_digits(high)})" if math.isfinite(low) and high < 1000 * low else ""
    return f"{_digits(mean)}×{ends}"


def _digits(value: float) -> str:
    return f"{value:.2g}" if value < 9.5 else f"{value:.0f}"
