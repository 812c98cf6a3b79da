"""Differences between samplers of one experiment: by seed, and by held-out sequence where both scored the same."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cdmrun.report.collect import HELD_OUT, reference_value
from cdmrun.report.lines import Line
from cdmrun.report.metrics_info import metric_info
from cdmrun.report.samples import load_arrays
from cdmrun.report.statistics import Difference, from_errors, over_seeds, over_sequences, standard_error


@dataclass(frozen=True)
class At:
    """One sampler at one NFE."""

    line: Line
    nfe: int


class Pairs:
    """Compares the lines of one experiment.

    Parameters
    ----------
    experiment
        Its name.
    scores, references
        From `cdmrun.report.collect`.
    out
        The results folder, where scores products keep what each held-out sequence scored; without it nothing is
        paired by sequence.
    """

    def __init__(
        self, experiment: str, scores: pd.DataFrame, references: pd.DataFrame, out: Path | None = None
    ) -> None:
        own = scores[(scores["experiment"] == experiment) & (scores["status"] != "missing")]
        self._own = own.dropna(subset=["value"])
        self._experiment, self._references, self._out = experiment, references, out
        self._sequences: dict[str, dict[str, npt.NDArray[Any]]] = {}

    @cached_property
    def _rows(self) -> dict[tuple[Any, ...], dict[int, dict[str, Any]]]:
        """Rows by seed, for each metric, line and NFE."""
        rows: dict[tuple[Any, ...], dict[int, dict[str, Any]]] = {}
        for row in self._own.to_dict("records"):
            key = (row["metric"], row["process"], row["method"], row["family"], row["name"], row["nfe"])
            rows.setdefault(key, {})[int(row["seed"])] = {str(name): value for name, value in row.items()}
        return rows

    def rows(self, metric: str, at: At) -> dict[int, dict[str, Any]]:
        """The scores of one sampler at one NFE, by seed."""
        line = at.line
        return self._rows.get((metric, line.process, line.method, line.family, line.name, at.nfe), {})

    def mean_loss(self, metric: str, at: At) -> float:
        """Mean over seeds of what is better when lower; NaN where nothing is measured or nothing is better."""
        losses = [self._loss(metric, row["value"]) for row in self.rows(metric, at).values()]
        return sum(losses) / len(losses) if losses else math.nan

    def difference(self, metric: str, one: At, other: At) -> Difference | None:
        """By how much ``one`` is better than ``other``; None without a common seed, or where nothing is better.

        With two seeds or more the pairs are seeds. With one they are the held-out sequences that both scored; else the
        standard errors of both are taken as independent, and where there are none nothing is known but the mean.
        """
        mine, others = self.rows(metric, one), self.rows(metric, other)
        losses = {
            seed: (self._loss(metric, mine[seed]["value"]), self._loss(metric, others[seed]["value"]))
            for seed in sorted(mine.keys() & others.keys())
        }
        losses = {seed: pair for seed, pair in losses.items() if _comparable(*pair)}
        if not losses:
            return None
        gaps = [theirs - own for own, theirs in losses.values()]
        stderr, sequences = self._over_sequences(metric, one, other, list(losses))
        if not all(map(math.isfinite, gaps)) and any(
            side[seed]["estimate"] == "estimate" for side in (mine, others) for seed in losses
        ):  # an infinite estimate had nothing to measure: the next draws may have
            return Difference(sum(gaps), math.nan, math.nan, math.nan, len(gaps))
        if len(losses) > 1:
            found = over_seeds(gaps)
            return Difference(found.mean, found.low, found.high, found.p, found.n, found.test, stderr)
        (seed,) = losses
        if not math.isfinite(gaps[0]) or _nothing_random(mine[seed], others[seed]):
            return Difference(gaps[0], gaps[0], gaps[0], math.nan, 1, "exact")
        if math.isfinite(stderr):
            return over_sequences(gaps[0], stderr, sequences)
        return from_errors(gaps[0], math.hypot(mine[seed]["stderr"], others[seed]["stderr"]))

    def beyond_noise(self, metric: str, one: At, other: At) -> bool:
        """Whether ``one`` is better than ``other`` by more than noise."""
        found = self.difference(metric, one, other)
        return found is not None and found.mean > 0 and found.beyond_noise

    def _loss(self, metric: str, value: float) -> float:
        direction = metric_info(metric).direction
        if direction == "reference":
            held_out = reference_value(self._references, self._experiment, metric, HELD_OUT)
            return abs(value - held_out) if held_out is not None else math.nan
        return {"lower": value, "higher": -value}.get(direction, math.nan)

    def _over_sequences(self, metric: str, one: At, other: At, seeds: list[int]) -> tuple[float, int]:
        """Standard error of the difference over sequences, and their number; the mean of the seeds' differences."""
        if metric_info(metric).direction not in ("lower", "higher"):
            return math.nan, 0
        gaps = []
        for seed in seeds:
            mine, theirs = (self._of_sequences(metric, at, seed) for at in (one, other))
            if mine is None or theirs is None or mine.shape != theirs.shape:
                return math.nan, 0
            gaps.append(mine - theirs)
        mean = np.mean(gaps, axis=0)
        return standard_error(mean), len(mean)

    def _of_sequences(self, metric: str, at: At, seed: int) -> npt.NDArray[np.float64] | None:
        """What each held-out sequence scored, [M]; None where that is not kept."""
        if self._out is None:
            return None
        key = self.rows(metric, at)[seed]["run_id"]
        if key not in self._sequences:
            self._sequences[key] = load_arrays(self._out / key / "sequences.npz")
        found = self._sequences[key].get(f"{metric}_nfe_{at.nfe}")
        return found.astype(float) if found is not None and np.isfinite(found).all() else None


def _comparable(one: float, other: float) -> bool:
    """∞ − ∞ says nothing, and neither does NaN."""
    return not (math.isnan(one) or math.isnan(other) or (math.isinf(one) and one == other))


def _nothing_random(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Numbers that nothing was drawn for, of one and the same model: neither training nor draws stand between them."""
    same = one["model"] == other["model"]
    return bool(same and all(row["estimate"] != "estimate" and math.isnan(row["stderr"]) for row in (one, other)))
