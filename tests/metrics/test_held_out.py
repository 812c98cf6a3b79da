from __future__ import annotations

import numpy as np
import pytest

from cdmrun.metrics.held_out import spread

ROWS = np.arange(10).reshape(10, 1)


def test_rows_are_of_the_whole_split_in_its_order() -> None:
    assert spread(ROWS, 4)[:, 0].tolist() == [0, 3, 6, 9]
    assert spread(ROWS, 1)[:, 0].tolist() == [0]


@pytest.mark.parametrize("count", [10, 11, None])
def test_all_there_are_is_the_most(count: int | None) -> None:
    assert np.array_equal(spread(ROWS, count), ROWS)


@pytest.mark.parametrize("count", range(1, 11))
def test_no_row_is_taken_twice(count: int) -> None:
    assert len(np.unique(spread(ROWS, count))) == count


def test_of_nothing_there_is_nothing() -> None:
    assert spread(ROWS[:0], 3).shape == (0, 1)
