"""Could these samples come from that law? A χ² test of goodness of fit."""

from __future__ import annotations

import numpy as np

#: Sequences expected fewer times than this are pooled, until the pool is not: below it the χ² approximation fails.
FEWEST = 5.0


def chi2_p(codes: np.ndarray, law: np.ndarray) -> float:
    """P-value of samples under a law: uniform on [0, 1] if they are drawn from it, near 0 if it is visibly another.

    Parameters
    ----------
    codes
        Index into ``law`` of each sample, int [N].
    law
        Probabilities, float64 [K], summing to one.

    Returns
    -------
    0 if something happened that the law forbids; NaN if the law leaves nothing to test (one category).
    """
    from scipy.special import chdtrc  # here: a quarter of a second that other metrics need not wait for

    counts = np.bincount(codes, minlength=len(law)).astype(float)
    if counts[law <= 0].sum() > 0:
        return 0.0
    expected = law * len(codes)
    rare = expected < FEWEST
    pool = rare.copy()
    if 0 < expected[rare].sum() < FEWEST and not rare.all():  # a pool that is itself rare takes the least of the others
        pool[np.where(rare, np.inf, expected).argmin()] = True
    observed, expected = (np.append(x[~pool], x[pool].sum()) for x in (counts, expected))
    kept = expected > 0
    if kept.sum() < 2:
        return float("nan")
    statistic = ((observed[kept] - expected[kept]) ** 2 / expected[kept]).sum()
    return float(chdtrc(kept.sum() - 1, statistic))
