"""By how much the students beat the baselines at equal NFE, paired by seed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cdmrun.report.collect import reference_value
from cdmrun.report.lines import Line, lines_of, of_line
from cdmrun.report.metrics_info import metric_info
from cdmrun.report.numbers import number
from cdmrun.report.summary import interval
from cdmrun.report.tables import HELD_OUT, Cell, Panel, Row, Table, is_timed, seconds_panel
from cdmrun.spec.plan_types import Experiment

GAIN_COLUMNS = [
    *("experiment", "process", "method", "family", "name", "versus", "nfe", "metric"),
    *("gain", "ci_low", "ci_high", "n", "unit", "seconds_per_sample", "seconds_per_sample_versus"),
]
BEST = "best of these"


def gains(experiment: Experiment, scores: pd.DataFrame, references: pd.DataFrame) -> pd.DataFrame:
    """Difference of the first metric between each student and each method that distils no joint family.

    Opponents are the baselines (`tau_leaping`, `analytic`, …), progressive students, and the best of these by its
    mean at that NFE. Differences are taken seed by seed, signed so that positive means that the student is better;
    for a metric that should be close to held-out data it is the distance that is compared. Where neither end of the
    metric is better there is nothing to gain.

    Returns
    -------
    DataFrame with columns `GAIN_COLUMNS`, in units of the metric; the interval is Student's t over the differences.
    """
    if not experiment.metrics:
        return pd.DataFrame(columns=GAIN_COLUMNS)
    metric = experiment.metrics[0]
    own = scores[(scores["experiment"] == experiment.name) & (scores["metric"] == metric)]
    losses = _as_losses(own.dropna(subset=["value"]), reference_value(references, experiment.name, metric, HELD_OUT))
    lines = lines_of(experiment)
    rows = []
    for student in (line for line in lines if line.role == "student"):
        opponents = [one for one in lines if _is_opponent(one, student)]
        for nfe in student.nfe:
            best = _best(opponents, losses, nfe)
            named = [(one.name, one) for one in opponents] + ([(BEST, best)] if best else [])
            for versus, opponent in named:
                row = _paired(student, opponent, losses, nfe)
                if row is not None:
                    unit = own["unit"].iloc[0]
                    labels = (experiment.name, student.process, student.method, student.family, student.name)
                    rows.append((*labels, versus, nfe, metric, *row[:4], unit, *row[4:]))
    return pd.DataFrame(rows, columns=GAIN_COLUMNS)


def gains_table(experiment: Experiment, gain: pd.DataFrame, summary: pd.DataFrame) -> Table | None:
    """The gains as a small table, seconds a sample below; None where nothing can be compared."""
    if gain.empty:
        return None
    columns = tuple(sorted(int(nfe) for nfe in gain["nfe"].unique()))
    rows = []
    opponents = sorted(gain["versus"].unique(), key=lambda versus: versus == BEST)  # the best of them comes last
    for name, versus in itertools.product(gain["name"].unique(), opponents):
        group = gain[(gain["name"] == name) & (gain["versus"] == versus)]
        if group.empty:
            continue
        by_nfe = {int(row["nfe"]): row for row in group.to_dict("records")}
        cells = tuple(_gain_cell(by_nfe.get(nfe)) for nfe in columns)
        low, high = int(group["n"].min()), int(group["n"].max())
        rows.append(Row((str(name), str(versus)), str(high) if low == high else f"{low}–{high}", cells))
    info = metric_info(str(gain["metric"].iloc[0]), str(gain["unit"].iloc[0]))
    heading = f"gain in {info.name}" + (f" ({info.unit})" if info.unit else "")
    own = summary[(summary["experiment"] == experiment.name) & (summary["metric"] == info.name)]
    panels = [Panel(heading, tuple(rows))]
    if is_timed(experiment):
        timed = seconds_panel(lines_of(experiment), ["name"], columns, own)
        panels.append(Panel(timed.heading, tuple(Row((*r.labels, ""), r.seeds, r.cells) for r in timed.rows)))
    return Table(
        f"Gain over the baselines at equal NFE, {info.name}",
        "Difference to each opponent at the same NFE, paired by seed: positive means that the student is better, "
        f"negative that it is worse. Mean ± half-width of the 95 % interval. “{BEST}” is the opponent with the best "
        "mean at that NFE.",
        ("student", "versus"),
        columns,
        tuple(panels),
    )


def _is_opponent(one: Line, student: Line) -> bool:
    return one.role == "baseline" or (one.method == "progressive" and student.method != "progressive")


def _as_losses(scores: pd.DataFrame, held_out: float | None) -> pd.DataFrame:
    """Scores with a column ``loss`` that is better when lower."""
    direction = metric_info(str(scores["metric"].iloc[0])).direction if len(scores) else "lower"
    values = scores["value"]
    if direction == "higher":
        return scores.assign(loss=-values)
    if direction == "none":
        return scores.assign(loss=math.nan)
    if direction == "reference":
        return scores.assign(loss=(values - held_out).abs() if held_out is not None else math.nan)
    return scores.assign(loss=values)


def _best(opponents: Sequence[Line], losses: pd.DataFrame, nfe: int) -> Line | None:
    means = [(float(_at(losses, one, nfe)["loss"].mean()), index) for index, one in enumerate(opponents)]
    finite = [pair for pair in means if math.isfinite(pair[0])]
    return opponents[min(finite)[1]] if finite else None


def _paired(
    student: Line, opponent: Line, losses: pd.DataFrame, nfe: int
) -> tuple[float, float, float, int, float, float] | None:
    """(gain, low, high, n, seconds of the student, seconds of the opponent), None without a common seed."""
    mine, other = _at(losses, student, nfe), _at(losses, opponent, nfe)
    both = mine.merge(other, on="seed", suffixes=("", "_versus")).dropna(subset=["loss", "loss_versus"])
    both = both[(both["loss"].abs() < math.inf) | (both["loss_versus"].abs() < math.inf)]  # ∞ − ∞ says nothing
    if both.empty:
        return None
    stderrs = (both["stderr"] ** 2 + both["stderr_versus"] ** 2) ** 0.5
    gain, low, high = interval((both["loss_versus"] - both["loss"]).tolist(), stderrs.tolist())
    times = both[["seconds_per_sample", "seconds_per_sample_versus"]].median()
    return gain, low, high, len(both), float(times.iloc[0]), float(times.iloc[1])


def _at(losses: pd.DataFrame, line: Line, nfe: int) -> pd.DataFrame:
    own = of_line(losses, line)
    return own.loc[own["nfe"] == nfe, ["seed", "loss", "stderr", "seconds_per_sample"]]


def _gain_cell(row: Mapping[Any, Any] | None) -> Cell:
    if row is None:
        return Cell()
    return Cell(number(row["gain"], (row["ci_high"] - row["ci_low"]) / 2, signed=True))
