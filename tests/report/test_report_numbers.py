"""Numbers as text, and intervals against hand-computed values."""

from __future__ import annotations

import math

import pytest

from cdmrun.report.numbers import number, seconds
from cdmrun.report.summary import interval


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [
        (3.02134, 0.01234, "3.021 ± 0.012"),
        (3.02134, 0.0996, "3.02 ± 0.10"),
        (123.4, 12.3, "123 ± 12"),
        (1234.5, 432.1, "1234 ± 432"),
        (0.5, math.nan, "0.5000"),
        (0.5, 0.0, "0.5000"),
        (0.0, math.nan, "0.000"),
        (2.13e-5, 2.1e-6, "(2.13 ± 0.21)e-5"),
        (2.13e-5, math.nan, "2.130e-5"),
        (-0.25, 0.05, "−0.250 ± 0.050"),
        (math.nan, math.nan, "–"),
        (math.inf, math.nan, "∞"),
    ],
)
def test_number_has_two_digits_of_its_half_width(mean: float, half: float, text: str) -> None:
    assert str(number(mean, half)) == text


def test_signed_numbers_show_their_sign() -> None:
    assert str(number(0.25, 0.05, signed=True)) == "+0.250 ± 0.050"
    assert str(number(-0.25, 0.05, signed=True)) == "−0.250 ± 0.050"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.34, "12.3 s"),
        (1.0, "1.00 s"),
        (0.01234, "12.3 ms"),
        (0.999e-3, "999 µs"),
        (1234.0, "1234 s"),
        (0.0, "0 µs"),
        (math.nan, "–"),
    ],
)
def test_seconds_carry_a_unit(value: float, text: str) -> None:
    assert seconds(value) == text


def test_interval_is_student_t_over_seeds() -> None:
    # sd = 1, n = 3, t(0.975, 2) = 4.302653: half = 4.302653 / sqrt(3)
    mean, low, high = interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert high - mean == pytest.approx(4.302652729911275 / math.sqrt(3))
    assert mean - low == pytest.approx(high - mean)


def test_interval_of_one_seed_uses_the_standard_error_or_says_nothing() -> None:
    assert interval([2.0], [0.1]) == pytest.approx((2.0, 1.804, 2.196))
    mean, low, high = interval([2.0], [math.nan])
    assert mean == 2.0
    assert math.isnan(low)
    assert math.isnan(high)


def test_interval_of_an_infinite_value_has_no_ends() -> None:
    mean, low, _ = interval([math.inf, 1.0])
    assert mean == math.inf
    assert math.isnan(low)
