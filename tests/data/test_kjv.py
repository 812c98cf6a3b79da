"""The King James Bible itself; skipped, with the reason, only where it can be neither found nor fetched."""

from __future__ import annotations

import numpy as np
import pytest

from cdmrun.data import Dataset, fetch, kjv, load
from cdmrun.errors import UserError


@pytest.fixture(scope="module")
def bible() -> Dataset:
    try:
        return load({"kind": "kjv", "length": 64})
    except UserError as error:
        if "could not be fetched" not in error.message or "sha256" in error.message:
            raise
        pytest.skip(error.message)


def test_sizes(bible: Dataset) -> None:
    sizes = {name: tokens.size for name, tokens in bible.splits.items()}
    total = sum(sizes.values())
    assert total == pytest.approx(4.0e6, rel=0.01)
    assert sizes["test"] / total == pytest.approx(0.10, abs=0.01)
    assert sizes["judge"] / total == pytest.approx(0.15, abs=0.01)
    assert (bible.vocabulary, bible.length, bible.enumerable) == (27, 64, False)
    assert all(tokens.dtype == np.uint8 and tokens.max() == 26 for tokens in bible.splits.values())


def test_windows_read_as_text(bible: Dataset) -> None:
    start = "in the beginning god created the heaven and the earth and the earth was without form and void"
    text = "".join(bible.decode(row) for row in bible.splits["train"][:2])
    assert text.startswith(start)
    assert "in the beginning was the word and the word was with god" in "".join(
        bible.decode(row) for row in bible.splits["test"]
    )


def test_no_double_spaces(bible: Dataset) -> None:
    space = bible.alphabet.index(" ")  # type: ignore[union-attr]
    for tokens in bible.splits.values():
        blank = tokens == space
        assert not (blank[:, 1:] & blank[:, :-1]).any()


def test_splits_share_no_window_and_few_runs(bible: Dataset) -> None:
    leak = bible.describe()["leakage"]
    assert leak["test_in_train"] == 0.0
    assert leak["test_in_judge"] == 0.0
    assert leak["test_sharing_32_with_train"] < 0.05
    assert leak["test_sharing_32_with_judge"] < 0.01


def test_books_are_whole_and_in_order(bible: Dataset) -> None:
    texts = kjv.books(fetch.fetch(kjv.ASSET).decode())
    assert len(texts) == 66
    assert texts[0].startswith("In the beginning God created")
    assert texts[39].startswith("The book of the generation of Jesus Christ")
    assert texts[65].rstrip().endswith("Amen.")


def test_splits_partition_the_books() -> None:
    assert not set(kjv.TEST_BOOKS) & set(kjv.JUDGE_BOOKS)
    assert {kjv.split_of(book) for book in range(1, 67)} == {"train", "judge", "test"}
    assert all(1 <= book <= 66 for book in [*kjv.TEST_BOOKS, *kjv.JUDGE_BOOKS])


@pytest.mark.parametrize("module", ["", "x = (", "Bible(1)", "Bible(1, 'text', {1001001: 0})", "Bible(1, 'a', 3)"])
def test_another_module_is_refused(module: str) -> None:
    with pytest.raises(UserError, match=r"not the module it was|1 books instead of 66"):
        kjv.books(module)
