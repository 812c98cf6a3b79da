from __future__ import annotations

from collections import Counter

import pytest

from cdmrun.data.dataset import SPLITS
from cdmrun.data.documents import split_of, text_dataset
from cdmrun.errors import UserError


def test_every_split_is_spread_over_all_places() -> None:
    places = {name: [i for i in range(50) if split_of(i) == name] for name in SPLITS}
    assert sum(map(len, places.values())) == 50
    for numbers in places.values():
        assert min(numbers) < 10
        assert max(numbers) > 40


def test_shares_of_the_splits() -> None:
    assert Counter(split_of(place) for place in range(2000)) == {"train": 1500, "judge": 300, "test": 200}


def test_windows_come_from_one_document_and_its_split() -> None:
    documents = [("test", "abcabca"), ("train", "bbbb"), ("judge", "ccc"), ("train", "aa"), ("train", "cccaaa")]
    data = text_dataset("letters", documents, 3, "made up", "none needed", "abc")
    spelled = {name: [data.decode(row) for row in rows] for name, rows in data.splits.items()}
    assert spelled == {"train": ["bbb", "ccc", "aaa"], "judge": ["ccc"], "test": ["abc", "abc"]}


def test_a_split_of_short_documents_is_refused() -> None:
    with pytest.raises(UserError, match=r"no document of the judge split has 3 characters \(the longest has 2\)"):
        text_dataset("letters", [("train", "abc"), ("judge", "ab"), ("test", "abc")], 3, "made up", "none", "abc")
