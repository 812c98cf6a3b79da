"""Is a difference more than noise? Intervals and tests of differences between two samplers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

#: A difference is called beyond noise where the test gives less than this.
LEVEL = 0.05
#: Spread relative to the values that is rounding and no noise.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Difference:
    """A difference, positive where the first of two is better.

    ``low`` and ``high`` end its 95 % interval. ``p`` is of the two-sided test that there is none; NaN where nothing is
    random (``test`` "exact") or nothing is known (``test`` empty). ``n`` counts seeds; ``stderr_sequences`` is the
    standard error over the held-out sequences that both scored, NaN where they are not known.
    """

    mean: float
    low: float
    high: float
    p: float
    n: int
    test: str = ""  # t | t over sequences | z | exact | nothing
    stderr_sequences: float = math.nan

    @property
    def half(self) -> float:
        """Half the width of the interval, NaN where it has none."""
        return (self.high - self.low) / 2 if math.isfinite(self.mean) else math.nan

    @property
    def beyond_noise(self) -> bool:
        """Whether it is more than noise: by the test, or because nothing in it is random."""
        if self.test == "exact":
            return abs(self.mean) > _ROUNDING
        return self.p < LEVEL


def over_seeds(differences: Sequence[float]) -> Difference:
    """A difference from its values at two seeds or more, in pairs: Student's t, of whatever number of seeds.

    Ranks would need fewer assumptions, but those of a dozen seeds cannot tell once many comparisons are corrected for.

    Examples
    --------
    >>> found = over_seeds([1.0, 2.0, 3.0])
    >>> found.mean, round(found.low, 3), round(found.p, 3), found.test
    (2.0, -0.484, 0.074, 't')
    """
    data = np.asarray(differences, dtype=float)
    n, mean = len(data), float(data.mean())
    if not math.isfinite(mean):
        return Difference(mean, mean, mean, math.nan, n, "exact")
    spread = float(data.std(ddof=1))
    if spread <= _ROUNDING * max(1.0, abs(mean)):
        return Difference(mean, mean, mean, math.nan, n, "exact")
    half = float(stats.t.ppf(0.975, n - 1)) * spread / math.sqrt(n)
    p = 2.0 * float(stats.t.sf(abs(mean) * math.sqrt(n) / spread, n - 1))
    return Difference(mean, mean - half, mean + half, p, n, "t")


def over_sequences(mean: float, stderr: float, sequences: int, n: int = 1) -> Difference:
    """A difference of which each of many sequences gave one value: Student's t over these."""
    if stderr <= _ROUNDING * max(1.0, abs(mean)):
        return Difference(mean, mean, mean, math.nan, n, "exact", stderr)
    half = float(stats.t.ppf(0.975, sequences - 1)) * stderr
    p = 2.0 * float(stats.t.sf(abs(mean) / stderr, sequences - 1))
    return Difference(mean, mean - half, mean + half, p, n, "t over sequences", stderr)


def from_errors(mean: float, stderr: float) -> Difference:
    """A difference of two means with independent standard errors, ``stderr`` being the root of their squares' sum."""
    if not stderr > 0.0:
        return Difference(mean, math.nan, math.nan, math.nan, 1)
    half, p = 1.96 * stderr, 2.0 * float(stats.norm.sf(abs(mean) / stderr))
    return Difference(mean, mean - half, mean + half, p, 1, "z")


def standard_error(values: npt.NDArray[np.floating]) -> float:
    """Standard error of a mean, NaN for fewer than two values or where one is infinite."""
    if len(values) < 2 or not np.isfinite(values).all():
        return math.nan
    return float(values.std(ddof=1)) / math.sqrt(len(values))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's correction for testing several hypotheses at once; NaN stay as they are and do not count.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    known = sorted((value, index) for index, value in enumerate(p) if not math.isnan(value))
    corrected, largest = list(p), 0.0
    for rank, (value, index) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * value))
        corrected[index] = largest
    return corrected
