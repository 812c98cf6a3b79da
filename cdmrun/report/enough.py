"""The question of the whole exercise: how few evaluations are enough to match the teacher's longest run?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from cdmrun.report.lines import Line, lines_of, longest_teacher_run, of_line
from cdmrun.report.metrics_info import metric_info
from cdmrun.report.numbers import Number, number, seconds
from cdmrun.spec.plan_types import Experiment


@dataclass(frozen=True)
class Answer:
    """How one line fares against the teacher's longest run."""

    line: Line
    nfe: int | None  # the smallest NFE whose mean is no worse than the goal; None: not reached
    value: Number  # at that NFE, or the best there is
    at: int  # the NFE of `value`
    time: str  # seconds a sample at that NFE
    faster: str  # time of the goal divided by the time, where reached


@dataclass(frozen=True)
class Enough:
    """The goal (the teacher's longest run) and every line's answer to it."""

    metric: str
    goal: Number
    goal_method: str
    goal_nfe: int
    goal_time: str
    answers: tuple[Answer, ...]


def enough(experiment: Experiment, summary: pd.DataFrame) -> Enough | None:
    """For each line the smallest NFE at which the first metric is no worse than the teacher's longest run.

    None where the metric has no better and worse, or the long run has no score yet.
    """
    longest = longest_teacher_run(experiment)
    if longest is None or not experiment.metrics:
        return None
    metric = experiment.metrics[0]
    sign = {"lower": 1.0, "higher": -1.0}.get(metric_info(metric).direction)
    own = summary[(summary["experiment"] == experiment.name) & (summary["metric"] == metric)]
    goal_line, goal_nfe = longest
    found = of_line(own[own["nfe"] == goal_nfe], goal_line)
    if sign is None or found.empty or not math.isfinite(found["mean"].iloc[0]):
        return None
    goal = found.iloc[0].to_dict()
    answers = []
    for line in lines_of(experiment):
        rows = sorted(of_line(own, line).to_dict("records"), key=lambda row: row["nfe"])
        rows = [row for row in rows if not math.isnan(row["mean"])]
        if rows:
            answers.append(_answer(line, rows, goal, sign))
    time = seconds(goal["seconds_per_sample"])
    return Enough(metric, _shown(goal), goal_line.method, goal_nfe, time, tuple(answers))


def _answer(line: Line, rows: list[dict], goal: dict, sign: float) -> Answer:
    reached = [row for row in rows if sign * row["mean"] <= sign * goal["mean"]]
    row = reached[0] if reached else min(rows, key=lambda one: sign * one["mean"])
    ratio = goal["seconds_per_sample"] / row["seconds_per_sample"] if row["seconds_per_sample"] > 0 else math.nan
    faster = f"{ratio:.2g}×" if ratio < 9.5 else f"{ratio:.0f}×"
    return Answer(
        line,
        int(row["nfe"]) if reached else None,
        _shown(row),
        int(row["nfe"]),
        seconds(row["seconds_per_sample"]),
        faster if reached and math.isfinite(ratio) else "",
    )


def _shown(row: dict) -> Number:
    return number(row["mean"], (row["ci_high"] - row["ci_low"]) / 2)
