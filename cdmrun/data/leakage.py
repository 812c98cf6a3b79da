"""How much of the test split stands in the other splits too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

RUN = 32
_BASE = np.uint64(0x9E3779B97F4A7C15)


def leakage(splits: Mapping[str, npt.NDArray[Any]], run: int | None = RUN) -> dict[str, float]:
    """Fraction of test sequences that occur in ``train`` and in ``judge``, whole or in part.

    Parameters
    ----------
    splits
        ``test`` and any of ``train``, ``judge``, each [n, L].
    run
        Length of the shorter run that is looked for as well, at any offset (a power of two); skipped when
        the sequences are no longer than that. None: whole sequences only, for data that are no excerpts.

    Returns
    -------
    dict
        ``test_in_train`` and ``test_in_judge`` (exact duplicates), ``test_sharing_RUN_with_train`` and
        ``…_judge`` (sequences with a run of ``run`` consecutive tokens that the other split has too). Whole
        sequences are compared token by token; runs by a 64-bit hash: a collision can only overstate the leak, by
        less than 1e-6 at 10⁷ runs.
    """
    test = splits.get("test")
    if test is None or not len(test):
        return {}
    found: dict[str, float] = {}
    for other in ("train", "judge"):
        tokens = splits.get(other)
        if tokens is None or not len(tokens):
            continue
        found[f"test_in_{other}"] = float(in_rows(test, tokens).mean())
        if run is not None and test.shape[1] > run:
            shared = np.isin(run_codes(test, run), run_codes(tokens, run)).any(axis=1)
            found[f"test_sharing_{run}_with_{other}"] = float(shared.mean())
    return found


def in_rows(rows: npt.NDArray[Any], others: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which rows [n] occur among the others, exactly; [n, L] and [m, L] unsigned tokens.

    A 64-bit code a row says who may; the few that do are then compared token by token.
    """
    codes, among = _codes(rows), _codes(others)
    found = np.isin(codes, among)
    if found.any():
        there = set(map(bytes, others[np.isin(among, codes[found])].astype(np.uint16)))
        found[found] = [bytes(row) in there for row in rows[found].astype(np.uint16)]
    return found


def _codes(tokens: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Polynomial hash modulo 2⁶⁴ of each row, [n]."""
    code = np.zeros(len(tokens), np.uint64)
    for column in tokens.T:
        code = code * _BASE + column.astype(np.uint64) + np.uint64(1)
    return code


def run_codes(tokens: npt.NDArray[Any], run: int) -> npt.NDArray[np.uint64]:
    """Polynomial hash modulo 2⁶⁴ of every run, [n, L - run + 1], by doubling."""
    if run & (run - 1):
        raise ValueError(f"run must be a power of two, not {run}")
    code = tokens.astype(np.uint64) + np.uint64(1)
    size, factor = 1, _BASE
    while size < run:
        code = code[:, :-size] * factor + code[:, size:]
        factor = np.multiply(factor, factor, dtype=np.uint64)
        size *= 2
    return code
