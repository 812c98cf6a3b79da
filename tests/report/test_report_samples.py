"""Samples side by side: real held-out sequences stand first, for text and for images."""

from __future__ import annotations

import pytest
from made_up_results import Builder

from cdmrun.report.samples import sample_grid


@pytest.mark.parametrize("kind", ["text", "digits"])
def test_held_out_data_are_shown(builder: Builder, kind: str) -> None:
    experiment = builder.experiment(kind, ("nll_bound",), data=kind)
    grid = sample_grid(builder.plan(), experiment, builder.out)
    assert grid is not None
    assert grid.held_out.texts if kind == "text" else grid.held_out.image
    assert grid.rows
