"""Means and 95 % intervals over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

LINE_COLUMNS = ["experiment", "process", "method", "family", "name"]
SUMMARY_COLUMNS = [
    *LINE_COLUMNS,
    *("nfe", "metric", "mean", "ci_low", "ci_high", "n", "unit", "estimate", "seconds_per_sample", "run_id"),
]
_WEAKEST_LAST = ("exact", "bound", "estimate")


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """One row for each line, NFE and metric.

    Parameters
    ----------
    scores
        Long-form scores as `cdmrun.report.collect.collect` gives them; rows without a value are left out.

    Returns
    -------
    DataFrame with columns `SUMMARY_COLUMNS` and, in memory, ``status``, ``role`` and ``nfe_counted`` (mean over
    seeds). The interval is Student's t over seeds; with one seed it is mean ± 1.96 standard errors where the score
    has one, and empty otherwise. ``seconds_per_sample`` is the median over seeds, ``run_id`` the scores runs behind
    the row, one a seed.
    """
    rows = []
    present = pool_oracles(scores.dropna(subset=["value"]))
    for keys, group in present.groupby([*LINE_COLUMNS, "nfe", "metric"], sort=False, dropna=False):
        mean, low, high = interval(group["value"].tolist(), group["stderr"].tolist())
        weakest = max(group["estimate"], key=lambda e: _WEAKEST_LAST.index(e) if e in _WEAKEST_LAST else -1)
        status = max(group["status"])  # of fresh, stale-code and stale-upstream the last that there is
        runs = ";".join(group["run_id"])
        values = (mean, low, high, len(group), group["unit"].iloc[0], weakest, _median(group), runs)
        memory = (status, group["role"].iloc[0], group["nfe_counted"].mean())
        rows.append((*keys, *values, *memory))
    frame = pd.DataFrame(rows, columns=[*SUMMARY_COLUMNS, "status", "role", "nfe_counted"])
    numbers = ("mean", "ci_low", "ci_high", "seconds_per_sample", "nfe_counted")
    return frame.astype({"nfe": int, "n": int, **dict.fromkeys(numbers, float)})  # also where there is no row


def pool_oracles(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores in which all seeds of an oracle stand at one NFE, the rounded mean of those counted.

    Exact simulation needs as many evaluations as it happens to need, a few more or less with each seed.
    """
    oracle = scores["role"] == "oracle"
    if not oracle.any():
        return scores
    means = scores[oracle].groupby(LINE_COLUMNS)["nfe_counted"].transform("mean")
    pooled = scores["nfe"].mask(oracle, means.round().fillna(0.0)).astype(int)
    return scores.assign(nfe=pooled)


def interval(values: Sequence[float], stderrs: Sequence[float] = ()) -> tuple[float, float, float]:
    """Mean and 95 % interval of ``values`` (one a seed).

    Returns
    -------
    (mean, low, high); low and high are NaN where nothing says how far the mean may be off.

    Examples
    --------
    >>> [round(v, 3) for v in interval([1.0, 2.0, 3.0])]
    [2.0, -0.484, 4.484]
    """
    data = np.asarray(values, dtype=float)
    n = len(data)
    if n == 0:
        return math.nan, math.nan, math.nan
    mean = float(data.mean())
    if not math.isfinite(mean):
        return mean, math.nan, math.nan
    if n > 1:
        half = float(stats.t.ppf(0.975, n - 1) * data.std(ddof=1) / math.sqrt(n))
    else:
        half = 1.96 * float(stderrs[0]) if len(stderrs) else math.nan
    return mean, mean - half, mean + half


def _median(group: pd.DataFrame) -> float:
    seconds = group["seconds_per_sample"].dropna()
    return float(seconds.median()) if len(seconds) else math.nan
