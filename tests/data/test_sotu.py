"""State of the Union addresses themselves; skipped, with the reason, where they can be neither found nor fetched."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fetched import load_or_skip

from cdmrun.data import Dataset, leakage, sotu
from cdmrun.data.documents import split_of
from cdmrun.data.fetch import fetch, pack
from cdmrun.errors import UserError


@pytest.fixture(scope="module")
def speeches() -> Dataset:
    return load_or_skip(kind="sotu", length=64)


def test_sizes(speeches: Dataset) -> None:
    sizes = {name: tokens.size for name, tokens in speeches.splits.items()}
    total = sum(sizes.values())
    assert total == pytest.approx(10.8e6, rel=0.03)
    assert sizes["test"] / total == pytest.approx(0.10, abs=0.02)
    assert sizes["judge"] / total == pytest.approx(0.15, abs=0.03)
    assert all(tokens.dtype == np.uint8 and tokens.max() == 26 for tokens in speeches.splits.values())


def test_windows_read_as_text(speeches: Dataset) -> None:
    assert speeches.decode(speeches.splits["train"][0]).startswith("fellow citizens of the senate and house of")


@pytest.mark.usefixtures("speeches")
def test_every_split_is_spread_over_the_years() -> None:
    years = sorted({year for year, _ in sotu.addresses(fetch(sotu.ASSET))})
    assert (years[0], years[-1], len(years)) == (1790, 2021, 231)
    for split in ("train", "judge", "test"):
        chosen = [year for place, year in enumerate(years) if split_of(place) == split]
        assert chosen[0] < 1800
        assert chosen[-1] > 2005


def test_splits_share_little(speeches: Dataset) -> None:
    leak = leakage({"train": speeches.splits["train"][::3], "test": speeches.splits["test"][::10]})
    assert leak["test_in_train"] < 0.003  # they open alike
    assert leak["test_sharing_32_with_train"] < 0.1  # forms of address


def test_addresses_are_read_by_year() -> None:
    entries = {"package/data/b.json": ("1800", "two"), "package/data/a.json": ("1801", "three")}
    files = {name: json.dumps({"year": year, "text": text}).encode() for name, (year, text) in entries.items()}
    assert sotu.addresses(pack(files)) == [(1800, "two"), (1801, "three")]
    with pytest.raises(UserError, match=r"c\.json is not what it was"):
        sotu.addresses(pack(files | {"package/data/c.json": b"{}"}))
