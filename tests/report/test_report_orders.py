"""Fitted orders: known slopes are found, hostile values are left out, and where the spec asks they are shown."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from exact_cases import ORDER, REPORT, exact_experiment, exact_value, summary_of
from made_up_results import Builder
from matplotlib.figure import Figure

from cdmrun.report.build import write_tables
from cdmrun.report.guides import draw_guides
from cdmrun.report.orders import ORDER_COLUMNS, fitted_orders, orders_sentence, orders_table


def test_known_orders_are_found(builder: Builder) -> None:
    experiment = exact_experiment(builder)
    orders = fitted_orders(experiment, summary_of(builder))
    assert list(orders.columns) == ORDER_COLUMNS
    found = orders.set_index(["metric", "name"])
    for name, order in ORDER.items():
        assert found.loc[("tv", name), "order"] == pytest.approx(order, abs=1e-9)
        assert found.loc[("kl", name), "order"] == pytest.approx(2 * order, abs=1e-9)
        assert found.loc[("tv", name), "r2"] == pytest.approx(1.0)
    tau = found.loc[("tv", "tau_leaping")]
    assert (tau["nfe_low"], tau["nfe_high"], tau["points"]) == (4, 64, 5)  # four doublings
    assert tau["seconds_per_sample"] == pytest.approx(0.0012 * 64**0.95 * 1.02)
    assert "uniformization" not in set(orders["name"])


def test_the_fit_is_least_squares_and_the_local_order_its_end(builder: Builder) -> None:
    def value(metric: str, name: str, nfe: int, seed: int) -> float:
        return {1: 1.0, 2: 0.5, 4: 0.25, 8: 0.25}.get(nfe, 0.25)

    experiment = exact_experiment(builder, metrics=("tv",), value=value)
    row = fitted_orders(experiment, summary_of(builder)).set_index("name").loc["product"]
    assert row["order"] == pytest.approx((1.5 * 2 + 0.5 * 1 - 0.5 * 0 - 1.5 * 0) / 5)  # Σ dx·y / Σ dx², by hand
    assert row["local_order"] == 0.0
    assert row["r2"] == pytest.approx(0.7**2 * 5 / 2.75)


def test_zeros_and_infinities_are_left_out(builder: Builder) -> None:
    def value(metric: str, name: str, nfe: int, seed: int) -> float:
        if name == "tau_leaping":
            return math.inf if nfe < 8 else exact_value(metric, name, nfe, seed)
        return 1e-16 if nfe > 16 else exact_value(metric, name, nfe, seed)

    experiment = exact_experiment(builder, metrics=("tv",), value=value)
    rows = fitted_orders(experiment, summary_of(builder)).set_index("name")
    assert (rows.loc["tau_leaping", "nfe_low"], rows.loc["tau_leaping", "nfe_high"]) == (8, 64)
    assert (rows.loc["analytic", "nfe_low"], rows.loc["analytic", "nfe_high"]) == (1, 16)
    assert rows.loc["analytic", "order"] == pytest.approx(ORDER["analytic"])
    assert not rows[["order", "local_order", "r2"]].isna().any().any()


@pytest.mark.parametrize("kind", ["one NFE", "all zero", "estimated", "not asked"])
def test_nothing_to_fit_is_no_table(builder: Builder, kind: str) -> None:
    lines = (("analytic", "factorized", "analytic", "baseline", (1,) if kind == "one NFE" else (1, 2, 4, 8)),)
    experiment = exact_experiment(
        builder,
        metrics=("tv",),
        lines=lines,
        value=(lambda *_: 0.0) if kind == "all zero" else exact_value,
        estimates={"tv": "estimate"} if kind == "estimated" else None,
        report={**REPORT, "figures": [], **({"orders": []} if kind == "not asked" else {})},
    )
    summary = summary_of(builder)
    orders = fitted_orders(experiment, summary)
    assert orders.empty
    assert fitted_orders(experiment, summary[:0]).empty
    assert orders_table(experiment, orders, summary) is None
    write_tables(builder.plan(), builder.out)
    assert (builder.out / "tables/exact.orders.csv").exists() == (kind != "not asked")
    assert "Fitted convergence orders" not in (builder.out / "tables/exact.md").read_text()


def test_orders_are_written_where_the_spec_asks(builder: Builder) -> None:
    exact_experiment(builder, seeds=(0,), metrics=("tv", "kl"), report={**REPORT, "tables": [], "figures": []})
    write_tables(builder.plan(), builder.out)
    table = pd.read_csv(builder.out / "tables/exact.orders.csv")
    assert list(table.columns) == ORDER_COLUMNS
    text = (builder.out / "tables/exact.md").read_text()
    assert "### Fitted convergence orders" in text
    assert "two a step for θ solvers; for a sampler of order q, tv falls with order q, kl falls with order 2q." in text
    latex = (builder.out / "tables/exact.tex").read_text()
    assert "Fitted convergence orders" in latex
    assert r"r$^2$" in latex
    assert latex.isascii()


def test_the_sentence_mentions_solvers_only_where_there_are_some() -> None:
    assert "θ" not in orders_sentence(["tv"], False)
    assert orders_sentence(["js"], True).endswith("js falls with order 2q.")


def test_guides_clear_the_data_and_stay_in_the_picture() -> None:
    data = pd.DataFrame({"nfe": [1, 8, 16, 32, 64], "mean": [0.5, 0.4, 0.3, 0.2, 0.15]})
    axes = Figure().subplots()
    axes.set_ylim(0.1, 0.6)
    draw_guides(axes, data, "tv")
    bottom, top = axes.get_ylim()
    for line, slope in zip(axes.lines, (1, 2), strict=True):
        (x0, x1), (y0, y1) = line.get_xdata(), line.get_ydata()
        assert math.log(y0 / y1) / math.log(x1 / x0) == pytest.approx(slope)
        assert bottom < y1 < y0 < top
    for nfe, mean in zip(data["nfe"], data["mean"], strict=True):
        assert nfe < 8 or axes.lines[0].get_ydata()[1] * (64 / nfe) > mean
    empty = Figure().subplots()
    draw_guides(empty, data[:0], "tv")
    assert not empty.lines
