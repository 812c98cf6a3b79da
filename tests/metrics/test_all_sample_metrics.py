"""Every metric that reads samples, on the King James Bible: it tells real text from independent positions, by a margin
that is printed (pytest -s), and nothing moves it that should not."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from cdmrun.data.dataset import Dataset, Tokens
from cdmrun.data.kjv import load_kjv
from cdmrun.errors import UserError
from cdmrun.metrics import ngram
from cdmrun.metrics.anchors import independent_sequences
from cdmrun.metrics.ngram import NgramJudge
from cdmrun.metrics.scoring import SampleSet, Score
from cdmrun.registry import implementation, names
from cdmrun.spec.metric_kinds import metric

COUNT = 400
#: Least distance between real text and independent positions, in what two halves of real text differ by at most.
MARGIN = 8.0

#: What scores guard against that independent positions do not move, and have no ceiling for that reason.
GUARDS = {"entropy": "looping", "novelty": "training"}

READING = [
    name
    for name in names("metric")
    if metric(name).reads == "samples" and metric(name).needs in ("", "text", "records")
]
every_metric = pytest.mark.parametrize("name", READING)


@cache
def bible() -> tuple[Dataset, NgramJudge] | str:
    try:
        dataset = load_kjv(64)
    except UserError as error:
        return error.message
    return dataset, NgramJudge.fit(dataset.splits["judge"], dataset.vocabulary, 5)


@cache
def value_of(name: str, what: str) -> Score:
    """The score of four hundred windows: two halves of real text, independent positions, training text, or loops."""
    found = bible()
    if isinstance(found, str):
        pytest.skip(found)
    if metric(name).package:
        pytest.importorskip(metric(name).package)
    dataset = found[0]
    held_out = dataset.splits["test"]
    windows = {
        "real": held_out[::3][:COUNT],
        "more real": held_out[1::3][:COUNT],
        "independent": independent_sequences(held_out)[:COUNT],
        "training": dataset.splits["train"][:COUNT],
        "looping": np.tile(held_out[::3][:COUNT, :8], 8),
    }
    return score(name, windows[what])


def score(name: str, windows: Tokens) -> Score:
    found = bible()
    assert not isinstance(found, str)
    value = implementation("metric", name)(SampleSet(windows, *found, seed=0))
    return value if isinstance(value, Score) else Score(value)


@every_metric
def test_real_text_is_far_from_independent_positions(name: str) -> None:
    floor, ceiling, margin = margin_between(name, "independent")
    assert math.isfinite(floor)
    assert metric(name).ceiling != (name in GUARDS)
    if not metric(name).ceiling:
        return
    assert margin > MARGIN
    if metric(name).direction in ("lower", "higher"):
        assert (floor < ceiling) == (metric(name).direction == "lower")


@pytest.mark.parametrize("name", GUARDS)
def test_real_text_is_far_from_what_a_score_without_a_ceiling_guards_against(name: str) -> None:
    assert margin_between(name, GUARDS[name])[2] > MARGIN


def margin_between(name: str, what: str) -> tuple[float, float, float]:
    """Scores of real text and of something else, and how far they are apart in units of the noise; printed."""
    floor, other, value = (value_of(name, windows).value for windows in ("real", "more real", what))
    noise = max(abs(floor - other), value_of(name, "real").stderr or 0.0)
    margin = abs(floor - value) / noise if noise else math.inf
    unit = "" if metric(name).bare else f" {metric(name).unit}"
    print(f"{name}: held-out data {floor:.4f}, {what} {value:.4f}{unit}, {margin:.0f} × the noise")
    return floor, value, margin


@every_metric
def test_the_order_of_the_samples_has_no_influence(name: str) -> None:
    expected = value_of(name, "real")
    windows = bible()[0].splits["test"][::3][:COUNT]  # type: ignore[union-attr]
    shuffled = score(name, np.random.default_rng(1).permutation(windows))
    assert shuffled.value == pytest.approx(expected.value, rel=1e-12)


@every_metric
def test_the_size_of_batches_has_no_influence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = value_of(name, "independent")
    monkeypatch.setattr(ngram, "_CHUNK", 7)
    windows = independent_sequences(bible()[0].splits["test"])[:COUNT]  # type: ignore[union-attr]
    assert score(name, windows).value == pytest.approx(expected.value, rel=1e-12)


def test_copies_of_the_training_data_are_found() -> None:
    assert value_of("novelty", "training").value == 0.0
    assert value_of("copied_8grams", "training").value == 1.0
    assert value_of("novelty", "real").value > 0.95
