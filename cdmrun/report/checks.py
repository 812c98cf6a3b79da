"""Quality control: what a careful reader would be suspicious of, found before it is printed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cdmrun.report.floor import FLOOR_METRIC, FLOORED, is_product
from cdmrun.report.metrics_info import metric_info
from cdmrun.report.summary import LINE_COLUMNS, pool_oracles

#: (smaller, larger, whether only for kernels that are products over positions): what theory orders.
_ORDERED = (
    ("kl", "kl_bound", False),
    ("nll", "nll_bound", False),
    (FLOOR_METRIC, FLOORED, True),
)
#: How far rounding may turn them round, absolute and relative, on top of four standard errors.
_TOLERANCE = 1e-6
_STANDARD_ERRORS = 4.0
#: Times that differ by more than this share, the wrong way round, were not measured on an idle machine.
_FASTER = 2 / 3


@dataclass(frozen=True)
class Finding:
    """One thing that looks wrong. ``kind`` is a word to search for, ``message`` says where and what."""

    experiment: str
    kind: str  # missing | non-finite | nfe-mismatch | missing-seeds | one-seed | zero-variance | timing | …
    message: str


def check(scores: pd.DataFrame) -> list[Finding]:
    """All findings in long-form scores, in a fixed order: by experiment, then by kind of check."""
    findings: list[Finding] = []
    finders = (_missing, _non_finite, _nfe_mismatch, _missing_seeds, _one_seed, _zero_variance, _inconsistent, _timing)
    for name, group in scores.groupby("experiment", sort=False):
        for finder in (*finders, _stale_code, _stale_upstream):
            kind = finder.__name__.strip("_").replace("_", "-")
            findings.extend(Finding(str(name), kind, message) for message in finder(group))
    return findings


def _missing(scores: pd.DataFrame) -> Iterator[str]:
    absent = scores[scores["status"] == "missing"]
    for (name, seed), group in absent.groupby(["name", "seed"], sort=False):
        yield f"{name}, seed {seed}: no scores yet ({group['run_id'].iloc[0]})"


def _non_finite(scores: pd.DataFrame) -> Iterator[str]:
    """NaN, and infinities of what cannot be infinite; captions name those that can."""
    there = scores[scores["status"] != "missing"]
    legitimate = there["metric"].map(lambda name: metric_info(name).unbounded).astype(bool) & (there["value"] == np.inf)
    for row in there[~np.isfinite(there["value"]) & ~legitimate].itertuples():
        yield f"{row.name}, NFE {row.nfe}, seed {row.seed}: {row.metric} is {row.value}"


def _nfe_mismatch(scores: pd.DataFrame) -> Iterator[str]:
    """Network calls that were counted and are not what the row says, or were never counted."""
    uncounted = scores[(scores["status"] != "missing") & scores["nfe_counted"].isna()]
    for row in uncounted.drop_duplicates(["name", "nfe", "seed"]).itertuples():
        yield f"{row.name}, seed {row.seed}: no evaluations counted at NFE {row.nfe}"
    counted = scores.dropna(subset=["nfe_counted"])
    tolerance = np.where(counted["role"] == "oracle", 0.5, 0.0)  # an oracle's NFE is its count, rounded
    wrong = counted[(counted["nfe_counted"] - counted["nfe"]).abs() > tolerance]
    for row in wrong.drop_duplicates(["name", "nfe", "seed"]).itertuples():
        yield f"{row.name}, seed {row.seed}: {row.nfe_counted:g} evaluations counted at NFE {row.nfe}"


def _missing_seeds(scores: pd.DataFrame) -> Iterator[str]:
    seeds = sorted(scores["seed"].unique())
    there = pool_oracles(scores[scores["status"] != "missing"])
    places: dict[tuple[str, str, str], list[str]] = {}
    for (name, nfe, metric), group in there.groupby(["name", "nfe", "metric"], sort=False):
        absent = ", ".join(str(seed) for seed in seeds if seed not in set(group["seed"]))
        if absent:
            places.setdefault((str(name), str(metric), absent), []).append(str(nfe))
    for (name, metric, absent), steps in places.items():
        yield f"{name}: {metric} lacks seed {absent} at NFE {', '.join(steps)}"


def _one_seed(scores: pd.DataFrame) -> Iterator[str]:
    """Students that were trained once: no interval covers what another training would give."""
    students = scores[(scores["role"] == "student") & (scores["status"] != "missing")]
    if len(set(students["seed"])) == 1:
        yield "students have one seed: intervals and tests say nothing about how another training would turn out"


def _timing(scores: pd.DataFrame) -> Iterator[str]:
    """Seconds that fall by a third or more where NFE grows: the machine was busy with something else."""
    timed = scores[scores["role"] != "oracle"].dropna(subset=["seconds_per_sample"])
    for keys, group in timed.groupby([*LINE_COLUMNS, "seed"], sort=False):
        seconds = group.groupby("nfe")["seconds_per_sample"].first().sort_index()
        for (few, slow), (more, fast) in itertools.pairwise(seconds.items()):
            if fast < _FASTER * slow:
                place = f"{keys[-2]}, seed {keys[-1]}"
                yield f"{place}: {fast:.3g} s a sample at NFE {more}, less than the {slow:.3g} s at NFE {few}"


def _zero_variance(scores: pd.DataFrame) -> Iterator[str]:
    """Equal to the last bit over seeds: expected of an exact number of one shared model, of nothing else."""
    for _, group in scores.dropna(subset=["value"]).groupby([*LINE_COLUMNS, "nfe", "metric"], sort=False):
        identical = len(group) > 1 and len(set(group["value"])) == 1
        random = (group["estimate"] == "estimate").all() or len(set(group["model"])) > 1
        if identical and random and not _may_agree(group) and np.isfinite(group["value"].iloc[0]):
            first = group.iloc[0]
            yield (
                f"{first['name']}, NFE {first['nfe']}: {first['metric']} is {first['value']:.6g} for all "
                f"{len(group)} seeds; are the seeds used?"
            )


def _may_agree(group: pd.DataFrame) -> bool:
    """Whether the score belongs to the grid and not to the model, or is a p-value that left the range of floats."""
    metric, value = group["metric"].iloc[0], group["value"].iloc[0]
    return bool(metric == FLOOR_METRIC or (metric == "chi2_p" and value in (0.0, 1.0)))


def _inconsistent(scores: pd.DataFrame) -> Iterator[str]:
    """What contradicts theory: a bound below what it bounds, a product below the factorised floor."""
    for _, group in scores.dropna(subset=["value"]).groupby([*LINE_COLUMNS, "nfe", "seed"], sort=False):
        rows = {row["metric"]: row for row in group.to_dict("records")}
        first = group.iloc[0]
        place = f"{first['name']}, NFE {first['nfe']}, seed {first['seed']}"
        for small, large, products in _ORDERED:
            if products and not is_product(first["method"], first["family"]):
                continue
            if small in rows and large in rows and _is_above(rows[small], rows[large]):
                yield f"{place}: {large} is {rows[large]['value']:.6g}, below {small}, {rows[small]['value']:.6g}"
        excess = rows.get("excess_nll_bound")
        if excess is not None and _is_above({"value": 0.0, "stderr": 0.0}, excess):
            yield f"{place}: excess_nll_bound is {excess['value']:.6g}, below 0 by more than four standard errors"


def _is_above(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> bool:
    """Whether ``one`` is above ``other`` by more than rounding and four standard errors of their difference."""
    if math.isinf(one["value"]) or math.isinf(other["value"]):
        return bool(one["value"] > other["value"])
    size = max(abs(one["value"]), abs(other["value"]))
    errors = [row["stderr"] for row in (one, other) if not math.isnan(row["stderr"])]
    return bool(one["value"] - other["value"] > _TOLERANCE * (1.0 + size) + _STANDARD_ERRORS * math.hypot(0.0, *errors))


def _stale_code(scores: pd.DataFrame) -> Iterator[str]:
    for row in _with_status(scores, "stale-code"):
        yield f"{row.name}, seed {row.seed}: made by other code than the present ({row.run_id}), marked †"


def _stale_upstream(scores: pd.DataFrame) -> Iterator[str]:
    for row in _with_status(scores, "stale-upstream"):
        yield f"{row.name}, seed {row.seed}: made from what is gone or was made anew since ({row.run_id}), marked †"


def _with_status(scores: pd.DataFrame, status: str) -> Iterator[Any]:
    yield from scores[scores["status"] == status].drop_duplicates("run_id").itertuples()
