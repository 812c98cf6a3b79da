"""Rounds, ratios and counted operations; students as they are read from tables."""

from __future__ import annotations

import itertools
from pathlib import Path

import pandas as pd
import pytest
import students
import torch
from contenders import Size, own_model, peer_model
from measuring import Setting, Spread, flops, in_turn, linear_shapes, ratios

SIZE = Size(5, 8, 2, 16, 2)


def test_rounds_go_round() -> None:
    order: list[str] = []
    numbers = itertools.count()

    def timer(name: str) -> float:
        order.append(name)
        return float(next(numbers))

    kept = in_turn({name: lambda name=name: timer(name) for name in "abc"}, 2)  # type: ignore[misc]
    assert "".join(order) == "abcabcabc"
    assert kept == {"a": [3.0, 6.0], "b": [4.0, 7.0], "c": [5.0, 8.0]}


def test_ratios_are_within_rounds() -> None:
    """A machine that slows down threefold from round to round leaves them alone."""
    assert ratios([2.0, 6.0, 18.0], [1.0, 3.0, 9.0]) == Spread(2.0, 2.0, 2.0, 2.0, 2.0)
    assert Spread.of([1.0, 2.0, 3.0, 4.0, 5.0]) == Spread(3.0, 2.0, 4.0, 1.0, 5.0)
    assert Spread.of([1.0, 2.0, 3.0, 4.0, 5.0]).times(100).text(0, " %") == "300 (200–400) %"


def test_flops_of_the_trunk() -> None:
    """Two a weight and token, and two products of attention a layer; twice as much backwards, and scores anew."""
    model = own_model(SIZE, Setting())
    x, t = torch.zeros(3, 8, dtype=torch.long), torch.zeros(3, dtype=torch.float64)
    tokens = x.numel()
    linear = sum(2 * rows * inputs * outputs for rows, inputs, outputs in linear_shapes(model, tokens))
    attention = SIZE.layers * 4 * tokens * SIZE.length * SIZE.width
    assert flops(lambda: model(x, t)) == linear + attention
    backward = 3 * linear + attention + attention * 5 // 2
    assert flops(lambda: model(x, t).log_prob(x).sum().backward()) == backward


def test_networks_are_about_as_large() -> None:
    ours, plain = (sum(p.numel() for p in model.parameters()) for model in _both(Size()))
    assert plain == pytest.approx(ours, rel=0.15)


def _both(size: Size) -> tuple[torch.nn.Module, torch.nn.Module]:
    return own_model(size, Setting()), peer_model(size, Setting(), "own")


def test_students_of_the_reference() -> None:
    rows = pd.read_csv(students.REFERENCE / "tables/text-absorbing.enough.csv").set_index("name")
    found = {each.name: each for each in students.students(None) if each.experiment == "text-absorbing"}
    assert {name for name, each in found.items() if each.control} == {"cdm-autoregressive-data"}
    for name, each in found.items():
        assert each.samples_per_second == pytest.approx(1.0 / rows.loc[name, "seconds_per_sample"])
        assert each.samples_per_second / each.teacher_samples_per_second == pytest.approx(each.times_faster)
        assert (each.low, each.high) == (rows.loc[name, "times_faster_low"], rows.loc[name, "times_faster_high"])
        assert (each.calls is None) == pd.isna(rows.loc[name, "nfe"])


def test_own_results_come_first(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    rows = pd.read_csv(students.REFERENCE / "tables/text-absorbing.enough.csv")
    rows["times_faster"] *= 2.0
    rows.to_csv(tmp_path / "tables/text-absorbing.enough.csv", index=False)
    theirs = {each.name: each.times_faster for each in students.students(None) if each.experiment == "text-absorbing"}
    mine = {each.name: each for each in students.students(tmp_path) if each.experiment == "text-absorbing"}
    assert {name: each.times_faster for name, each in mine.items()} == {n: 2.0 * times for n, times in theirs.items()}
    assert {each.source for each in mine.values()} == {str(tmp_path)}
