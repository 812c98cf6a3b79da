"""Pictures of exact laws: what is drawn, what is left out, and what the spec refuses."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from exact_cases import EXACT_LINES, REPORT, board_law, checkerboard, exact_experiment
from made_up_results import Builder

from cdmrun.report import laws
from cdmrun.report.build import write_report, write_tables
from cdmrun.report.laws import draw_laws, law_distance
from cdmrun.spec.load import find_errors
from cdmrun.spec.plan_types import Experiment

LAWS = {**REPORT, "figures": [], "orders": [], "laws": [1, 2, 8]}
FEW = (EXACT_LINES[0], EXACT_LINES[2], EXACT_LINES[3], EXACT_LINES[5])


def board(builder: Builder, **changes: Any) -> Experiment:
    usual: dict[str, Any] = {"table": checkerboard(), "law": board_law, "lines": FEW, "report": LAWS}
    return exact_experiment(builder, "board", **({"metrics": ("tv",)} | usual | changes))


def test_every_method_at_every_nfe(builder: Builder) -> None:
    experiment = board(builder)
    figure = draw_laws(builder.plan(), experiment, builder.out)
    assert figure is not None
    assert figure.stem == "board-laws"
    data = pd.read_csv(io.StringIO(figure.csv))
    assert list(data.columns) == ["name", "nfe", "first", "second", "probability"]
    drawn = data[["name", "nfe"]].drop_duplicates().groupby("name", sort=False).size().to_dict()
    assert drawn == {"target": 1, "tau_leaping": 3, "theta_trapezoidal": 2, "joint": 3}  # no solver has NFE 1
    one = data[(data["name"] == "tau_leaping") & (data["nfe"] == 2)]
    table = np.zeros((8, 8))
    table[one["first"], one["second"]] = one["probability"]
    np.testing.assert_allclose(table, board_law("tau_leaping", 2), rtol=0, atol=1e-15)
    assert draw_laws(builder.plan(), experiment, builder.out) == figure  # byte by byte


def test_the_first_position_is_drawn_to_the_right_and_the_second_upwards() -> None:
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    law = np.zeros((4, 4))
    law[3, 1] = 1.0  # x = 3, y = 1
    axes = Figure().subplots()
    image = laws._panel(axes, law, PowerNorm(0.5, vmin=0.0, vmax=1.0))
    assert image.get_array()[1, 3] == 1.0
    assert image.origin == "lower"
    assert laws._panel(axes, None, PowerNorm(0.5)) is None


def test_distance_counts_what_is_outside_the_data() -> None:
    p = np.array([[0.5, 0.0], [0.0, 0.5]])
    assert law_distance(p, p) == 0.0
    assert law_distance(p, np.full((2, 2), 0.25)) == pytest.approx(0.5)
    assert law_distance(p, p / 2) == pytest.approx(0.5)  # the other half is masks


@pytest.mark.parametrize("reason", ["not asked", "old products", "four positions", "no data", "damaged", "wrong size"])
def test_no_picture_without_laws(builder: Builder, reason: str) -> None:
    changes: dict[str, Any] = {
        "not asked": {"report": {**LAWS, "laws": []}},
        "old products": {"law": None},
        "four positions": {"table": None},
        "wrong size": {"law": lambda name, nfe: np.full(9, 1 / 9)},
    }.get(reason, {})
    experiment = board(builder, **changes)
    if reason == "no data":
        for path in builder.out.glob("data/*/dataset.npz"):
            path.unlink()
    if reason == "damaged":
        for path in builder.out.glob("scores/*/laws.npz"):
            path.write_bytes(b"PK\x03\x04 not an archive")
    assert draw_laws(builder.plan(), experiment, builder.out) is None


def test_too_many_numbers_are_no_csv(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laws, "MAX_CSV_ROWS", 100)
    board(builder)
    written = write_tables(builder.plan(), builder.out)
    assert {path.name for path in written if "laws" in path.name} == {"board-laws.png", "board-laws.svg"}
    assert "More than 100 numbers: no CSV" in (builder.out / "tables/board.md").read_text()
    page = write_report(builder.plan(), builder.out).read_text()
    assert "board-laws.csv" not in page
    assert "exact laws at NFE 1, 2, 8" in page


def test_one_row_and_one_column_is_a_picture(builder: Builder) -> None:
    experiment = board(builder, lines=FEW[:1], report={**LAWS, "laws": [1]})
    figure = draw_laws(builder.plan(), experiment, builder.out)
    assert figure is not None
    pixels = matplotlib.image.imread(io.BytesIO(figure.png))
    assert pixels.shape[0] < pixels.shape[1]  # two panels and the colours side by side


SPEC = """\
name: board
data: {data}
forward_process: {{kind: uniform}}
teacher: {{kind: enumerated}}
baselines: {{analytic: {{nfe: [1, 2]}}}}
evaluation: {{samples: 10, metrics: [tv, nll_bound]}}
report: {report}
"""


@pytest.mark.parametrize(
    ("data", "report", "expected"),
    [
        ("{kind: potts_ring, states: 4, length: 2}", "{orders: [tv], laws: [1, 2]}", ""),
        (
            "{kind: potts_ring, states: 3, length: 3}",
            "{laws: [1, 2]}",
            "7:10: report.laws: laws are drawn of enumerable data with two positions, and potts_ring has 3:",
        ),
        (
            "{kind: potts_ring, states: 3, length: 2}",
            "{orders: [tv, kl]}",
            "7:23: report.orders[1]: kl is not among evaluation.metrics (tv, nll_bound): add it there",
        ),
        (
            "{kind: potts_ring, states: 3, length: 2}",
            "{orders: [nll]}",
            "7:19: report.orders[0]: 'nll' is not one of tv, kl, js",
        ),
        ("{kind: potts_ring, states: 3, length: 2}", "{laws: [0]}", "7:17: report.laws[0]: must be at least 1"),
        ("{kind: potts_ring, states: 3, length: 3}", "{laws: []}", ""),
    ],
)
def test_the_spec_is_checked(tmp_path: Path, data: str, report: str, expected: str) -> None:
    path = tmp_path / "board.yaml"
    path.write_text(SPEC.format(data=data, report=report))
    found = [re.sub(r"^.*board\.yaml:", "", str(error)) for error in find_errors([path])]
    assert len(found) == bool(expected), found
    assert all(one.startswith(expected) for one in found), found
