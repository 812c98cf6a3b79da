"""What makes a matrix the generator of a forward process: one set of rules for specs and processes. Numpy only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

#: Largest sum of a row, relative to the sum of its absolute values (or to one), that counts as rounding.
RATE_TOLERANCE = 1e-8
#: Second smallest singular value, relative to the largest, at which a second stationary law has to be feared.
REDUCIBLE = 1e-10


@dataclass(frozen=True)
class RateProblem:
    """One reason why a matrix is no generator: what is wrong, what to do, and in which row (from 0) if in one."""

    fault: str
    remedy: str
    row: int | None = None


def rate_problems(rates: npt.NDArray[Any]) -> Iterator[RateProblem]:
    """Yield all that keeps a matrix of rates (row a, column b: from a to b) from being a CTMC generator.

    Off-diagonal entries are not negative, rows sum to zero, and there is one stationary law only: that is where
    samplers start. The last is looked at if nothing else is wrong.
    """
    if rates.ndim != 2 or rates.shape[0] != rates.shape[1] or rates.shape[0] < 2:
        yield RateProblem(f"shape {rates.shape} is not square", "one row and one column for each value, two or more")
        return
    bad = [problem for row, entries in enumerate(rates) if (problem := _row_problem(row, entries)) is not None]
    yield from bad
    if not bad and _reducible(rates):
        yield RateProblem(
            "falls into parts that never reach each other (it is reducible)", "connect them by positive rates"
        )


def _row_problem(row: int, entries: npt.NDArray[Any]) -> RateProblem | None:
    others = np.delete(entries, row)
    if not np.isfinite(entries).all():
        return RateProblem(
            f"row {row} has entries that are not finite numbers", "write every rate as a finite number", row
        )
    if (others < 0).any():
        return RateProblem(
            f"row {row} has a negative rate off the diagonal ({others.min():g})", "only the diagonal is negative", row
        )
    if abs(entries.sum()) > RATE_TOLERANCE * max(1.0, np.abs(entries).sum()):
        return RateProblem(
            f"row {row} sums to {entries.sum():g}, not to zero",
            f"its diagonal entry should be {-others.sum():g}",
            row,
        )
    return None


def _reducible(rates: npt.NDArray[Any]) -> bool:
    singular = np.linalg.svd(rates, compute_uv=False)
    return bool(singular[-2] <= REDUCIBLE * singular[0])
