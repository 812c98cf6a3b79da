"""Quality control: what a careful reader would be suspicious of, found before it is printed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cdmrun.report.summary import LINE_COLUMNS


@dataclass(frozen=True)
class Finding:
    """One thing that looks wrong. ``kind`` is a word to search for, ``message`` says where and what."""

    experiment: str
    kind: str  # missing | non-finite | nfe-mismatch | missing-seeds | zero-variance | stale-code
    message: str


def check(scores: pd.DataFrame) -> list[Finding]:
    """All findings in long-form scores, in a fixed order: by experiment, then by kind of check."""
    findings: list[Finding] = []
    for name, group in scores.groupby("experiment", sort=False):
        for finder in (_missing, _non_finite, _nfe_mismatch, _missing_seeds, _zero_variance, _stale):
            kind = finder.__name__.strip("_").replace("_", "-")
            kind = "stale-code" if kind == "stale" else kind
            findings.extend(Finding(str(name), kind, message) for message in finder(group))
    return findings


def _missing(scores: pd.DataFrame) -> Iterator[str]:
    absent = scores[scores["status"] == "missing"]
    for (name, seed), group in absent.groupby(["name", "seed"], sort=False):
        yield f"{name}, seed {seed}: no scores yet ({group['run_id'].iloc[0]})"


def _non_finite(scores: pd.DataFrame) -> Iterator[str]:
    there = scores[scores["status"] != "missing"]
    for row in there[~np.isfinite(there["value"])].itertuples():
        yield f"{row.name}, NFE {row.nfe}, seed {row.seed}: {row.metric} is {row.value}"


def _nfe_mismatch(scores: pd.DataFrame) -> Iterator[str]:
    counted = scores.dropna(subset=["nfe_counted"])
    wrong = counted[counted["nfe_counted"] != counted["nfe"]]
    for row in wrong.drop_duplicates(["name", "nfe", "seed"]).itertuples():
        yield f"{row.name}, seed {row.seed}: {row.nfe_counted:g} evaluations counted at NFE {row.nfe}"


def _missing_seeds(scores: pd.DataFrame) -> Iterator[str]:
    seeds = sorted(scores["seed"].unique())
    there = scores[scores["status"] != "missing"]
    places: dict[tuple[str, str, str], list[str]] = {}
    for (name, nfe, metric), group in there.groupby(["name", "nfe", "metric"], sort=False):
        absent = ", ".join(str(seed) for seed in seeds if seed not in set(group["seed"]))
        if absent:
            places.setdefault((str(name), str(metric), absent), []).append(str(nfe))
    for (name, metric, absent), steps in places.items():
        yield f"{name}: {metric} lacks seed {absent} at NFE {', '.join(steps)}"


def _zero_variance(scores: pd.DataFrame) -> Iterator[str]:
    """Equal to the last bit over seeds: expected of an exact number of one shared model, of nothing else."""
    for _, group in scores.dropna(subset=["value"]).groupby([*LINE_COLUMNS, "nfe", "metric"], sort=False):
        identical = len(group) > 1 and len(set(group["value"])) == 1
        random = (group["estimate"] == "estimate").all() or len(set(group["model"])) > 1
        if identical and random and np.isfinite(group["value"].iloc[0]):
            first = group.iloc[0]
            yield (
                f"{first['name']}, NFE {first['nfe']}: {first['metric']} is {first['value']:.6g} for all "
                f"{len(group)} seeds; are the seeds used?"
            )


def _stale(scores: pd.DataFrame) -> Iterator[str]:
    old = scores[scores["status"] == "stale-code"].drop_duplicates("run_id")
    for row in old.itertuples():
        yield f"{row.name}, seed {row.seed}: made by other code than the present ({row.run_id}), marked †"
