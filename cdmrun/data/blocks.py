"""Splits of rows whose documents are not known: blocks of neighbours, so that what belongs together mostly stays so."""

from __future__ import annotations

import numpy as np

from cdmrun.data.dataset import Tokens
from cdmrun.data.options import share
from cdmrun.errors import UserError

BLOCKS = 100
_SEED = 5


def split_blockwise(rows: Tokens, test: float, judge: float) -> dict[str, Tokens]:
    """Rows [n, …] in splits: a hundred blocks of consecutive rows, of which some are drawn for test and judge.

    Which blocks they are depends on the shares only. With fewer than a hundred rows each is a block.

    Parameters
    ----------
    rows
        In an order in which rows of one document or piece are neighbours.
    test, judge
        Shares of the blocks, each at least one block unless it is 0; train has the rest.

    Raises
    ------
    UserError
        If nothing is left for train, or nothing is for test.
    """
    test, judge = share("test", test), share("judge", judge)
    blocks = min(BLOCKS, len(rows))
    counts = [max(1, round(part * blocks)) if part else 0 for part in (test, judge)]
    if not counts[0]:
        raise UserError("data.test: 0 leaves nothing to measure on", "write e.g. `test: 0.1`")
    if sum(counts) >= blocks:
        raise UserError(
            f"data.test: {test:g} for test and {judge:g} for the judge leave none of {len(rows)} rows to train on",
            "choose smaller shares, or bring more rows",
        )
    order = np.random.default_rng(_SEED).permutation(blocks)
    names = np.full(blocks, "train", dtype=object)
    names[order[: counts[0]]] = "test"
    names[order[counts[0] : sum(counts)]] = "judge"
    owner = names[np.arange(len(rows)) * blocks // max(len(rows), 1)]
    return {name: rows[owner == name] for name in ("train", "judge", "test")}
