"""Which step of a sampler loses what: the terms of the bound, and where more evaluations make it worse."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cdmrun.files import read_map
from cdmrun.report.collect import is_complete, reference_value
from cdmrun.report.lines import Line, lines_of, of_entry, of_line
from cdmrun.report.numbers import Number, number
from cdmrun.report.pairs import At, Pairs
from cdmrun.report.statistics import Difference, holm
from cdmrun.report.tables import Cell, Panel, Row, Table, labels_of, row_names_for, seeds_behind
from cdmrun.spec.plan_types import Experiment

STEP_COLUMNS = [
    *("experiment", "process", "method", "family", "name", "metric", "nfe", "step", "t", "s"),
    *("bits_per_token", "rate", "n"),
]
#: Steps are merged into at most this many for the table, whose cells people read.
_GROUPS = 4


def collect_steps(experiment: Experiment, out: Path) -> pd.DataFrame:
    """What each step adds to a bound, mean over seeds.

    Returns
    -------
    DataFrame with columns `STEP_COLUMNS`: the step goes from time ``t`` to ``s`` and adds ``bits_per_token``; ``rate``
    is that divided by t − s, bits a token in a unit of time, so that steps of any length compare. Under an absorbing
    process with a loglinear schedule, where the share t − s of the tokens is revealed, it is bits a revealed token.
    """
    rows: list[dict[str, Any]] = []
    for entry in experiment.entries:
        if is_complete(out, entry.scores):
            line = of_entry(entry)
            labels = {"experiment": experiment.name, **{name: getattr(line, name) for name in STEP_COLUMNS[1:5]}}
            steps = read_map(out / entry.scores / "scores.json").get("steps", [])
            rows += [{**labels, **step, "bits_per_token": step["value"], "seed": entry.seed} for step in steps]
    columns = [*STEP_COLUMNS[:10], "bits_per_token", "seed"]
    frame = pd.DataFrame(rows, columns=columns).astype({"bits_per_token": float, "t": float, "s": float})
    grouped = frame.groupby(STEP_COLUMNS[:10], sort=False, as_index=False)
    means = grouped.agg(bits_per_token=("bits_per_token", "mean"), n=("seed", "count"))
    return means.assign(rate=means["bits_per_token"] / (means["t"] - means["s"]))[STEP_COLUMNS]


def bound_of(experiment: Experiment, steps: pd.DataFrame) -> str | None:
    """The bound whose steps are shown: the first of the experiment's metrics that has some."""
    return next((metric for metric in experiment.metrics if (steps["metric"] == metric).any()), None)


def merged(steps: pd.DataFrame, groups: int) -> pd.DataFrame:
    """The steps of one line at one NFE, neighbours merged so that at most ``groups`` are left: t, s, bits, rate."""
    ordered = steps.sort_values("step")
    label = np.arange(len(ordered)) * groups // max(len(ordered), groups)
    found = ordered.groupby(label).agg(t=("t", "max"), s=("s", "min"), bits_per_token=("bits_per_token", "sum"))
    return found.assign(rate=found["bits_per_token"] / (found["t"] - found["s"]))


def worse_with_more(experiment: Experiment, metric: str, pairs: Pairs) -> list[tuple[Line, int, int, Difference]]:
    """(line, NFE, next NFE, change) where the next NFE is worse than the one before by more than noise.

    Tests are corrected after Holm for all pairs of NFE of the experiment: of many, some rise by chance.
    """
    compared = [
        (line, few, more, change)
        for line in lines_of(experiment)
        for few, more in itertools.pairwise(sorted(line.nfe))
        if (change := pairs.difference(metric, At(line, few), At(line, more))) is not None
    ]
    corrected = holm([change.p for *_, change in compared])
    found = [(*one[:3], replace(one[3], p=p)) for one, p in zip(compared, corrected, strict=True)]
    return [one for one in found if one[3].mean > 0 and one[3].beyond_noise]


def worse_table(experiment: Experiment, steps: pd.DataFrame, references: pd.DataFrame, pairs: Pairs) -> Table | None:
    """Where the bound rises with NFE, and what its steps cost at both; None where it does nowhere, or has no steps."""
    metric = bound_of(experiment, steps)
    falls = worse_with_more(experiment, metric, pairs) if metric else []
    if not falls or metric is None:
        return None
    lines = lines_of(experiment)
    names = row_names_for(lines, ["method", "family", "name"])
    rows = []
    for line, few, more, change in falls:
        own = of_line(steps[steps["metric"] == metric], line)
        rates = [_rates(own[own["nfe"] == nfe]) for nfe in (few, more)]
        size = number(change.mean, change.half if change.test != "exact" else math.nan, signed=True)
        cells = tuple(Cell(value) for value in (Number(f"{few} → {more}"), size, *map(Number, rates)))
        rows.append(Row(labels_of(line, names), seeds_behind(own[own["nfe"] == more]["n"]), cells))
    return Table(
        f"Where the bound rises with more evaluations, {metric}",
        f"Lines whose {metric} rises from one NFE to the next by more than noise (p < 0.05 in pairs, after Holm's "
        "correction for all that are looked at here), and what their steps cost at both: bits a token in a unit of "
        f"time, {_unit(experiment, references, metric)}from noise (t = 1) to data (t = 0), neighbours merged into at "
        f"most {_GROUPS}. "
        "A bound that rises is no proof of a worse sampler: each step adds to how loose it is"
        f"{_masked_sentence(experiment)}; where kl, tv or nll stand in a table, they have the last word.",
        tuple(names),
        ("NFE", "change (bits/token)", "steps at the lower NFE", "steps at the higher NFE"),
        (Panel(f"{metric} rises", tuple(rows)),),
        group="",
    )


def _masked_sentence(experiment: Experiment) -> str:
    """Why a rise is to be expected of masks."""
    if (experiment.spec.get("forward_process") or {}).get("kind") != "absorbing":
        return ""
    return (
        ", and with one step of exact likelihood it is not loose at all. Besides, a random part of the tokens may be "
        "harder to tell than all of them in an order of one's own, so that early steps cost more than late ones save"
    )


def _unit(experiment: Experiment, references: pd.DataFrame, metric: str) -> str:
    of = "which is bits a revealed token here, " if reveals_evenly(experiment) else ""
    return of + ("above the entropy of the target, " if is_above_entropy(experiment, references, metric) else "")


def is_above_entropy(experiment: Experiment, references: pd.DataFrame, metric: str) -> bool:
    """Whether the entropy of the target is known, so that steps cost nothing where they are perfect."""
    return reference_value(references, experiment.name, metric, "entropy of the target") is not None


def reveals_evenly(experiment: Experiment) -> bool:
    """Whether a step reveals the share t − s of the tokens: an absorbing process with a loglinear schedule."""
    process = experiment.spec.get("forward_process") or {}
    return process.get("kind") == "absorbing" and process.get("schedule", "loglinear") == "loglinear"


def _rates(steps: pd.DataFrame) -> str:
    """``1 → 0.5: 3.12, 0.5 → 0: 2.20``."""
    rows: Sequence[dict[Any, Any]] = merged(steps, _GROUPS).to_dict("records")
    return ", ".join(f"{row['t']:.2g} → {row['s']:.2g}: {row['rate']:.3g}" for row in rows)
