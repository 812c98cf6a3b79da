"""Rows of scores as products hold them, for samplers and for what they are read against."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from cdmrun.metrics.scoring import SampleSet, Score
from cdmrun.registry import implementation
from cdmrun.spec.metric_kinds import metric

Row = dict[str, Any]


def score_row(name: str, found: float | Score) -> Row:
    """A row of scores; a bare number is as exact as its metric is declared to be."""
    value, stderr, estimate, *_ = found if isinstance(found, Score) else Score(found)
    known = metric(name)
    return {
        "metric": name,
        "value": steady(value),
        "stderr": stderr,
        "unit": known.unit,
        "estimate": estimate or known.exactness,
    }


def sample_rows(names: Iterable[str], found: SampleSet) -> list[Row]:
    """The scores that read samples; none where masks are left over."""
    if np.max(found.samples) >= found.dataset.vocabulary:
        return []
    return [score_row(name, implementation("metric", name)(found)) for name in names if metric(name).reads == "samples"]


def steady(value: float) -> float:
    """Twelve digits, and nothing below 1e-13: further ones depend on how memory happened to be aligned."""
    return float(f"{round(value, 13):.12g}") if math.isfinite(value) else value
