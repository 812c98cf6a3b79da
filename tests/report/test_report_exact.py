"""The exact laboratory in the report: the factorised floor, oracles, infinite values, consistency, captions."""

from __future__ import annotations

import json
import math
import re

import pandas as pd
import pytest
from exact_cases import (
    BASELINES,
    EXACT_LINES,
    FULL,
    METRICS,
    exact_experiment,
    exact_value,
    floor_at,
    scores_of,
    summary_of,
)
from made_up_results import ORACLE, Builder, oracle_nfe
from test_report_tables import cells_of

from cdmrun.report.build import write_report, write_tables
from cdmrun.report.captions import caption
from cdmrun.report.checks import check
from cdmrun.report.collect import collect, collect_references
from cdmrun.report.enough import enough
from cdmrun.report.floor import FLOOR, factorised_floor
from cdmrun.report.gains import gains
from cdmrun.report.latex import table_latex
from cdmrun.report.markdown import table_markdown
from cdmrun.report.metrics_info import metric_info
from cdmrun.report.oracles import TITLE, oracles_table
from cdmrun.report.pairs import Pairs
from cdmrun.report.plotted import plotted_data
from cdmrun.report.samples import sample_grid
from cdmrun.report.tables import build_tables
from cdmrun.spec.metric_kinds import metric_names
from cdmrun.spec.plan_types import Experiment

NO_FIGURES = {"tables": [{"values": list(METRICS)}], "figures": []}


def pairs_of(builder: Builder, experiment: Experiment) -> Pairs:
    return Pairs(experiment.name, scores_of(builder), collect_references(builder.plan(), builder.out), builder.out)


def main_table(builder: Builder, experiment: Experiment) -> str:
    references = collect_references(builder.plan(), builder.out)
    return table_markdown(build_tables(experiment, summary_of(builder), references)[0])


@pytest.mark.parametrize("metric", metric_names())
def test_every_metric_is_described(metric: str) -> None:
    info = metric_info(metric)
    assert info.meaning
    assert info.heading == info.heading.strip()
    assert info.axis == info.axis.strip()


def test_a_p_value_has_no_better_end(builder: Builder) -> None:
    experiment = exact_experiment(builder, metrics=("chi2_p",), report={"tables": [{}], "figures": []})
    assert metric_info("chi2_p").heading == "chi2_p"
    text = main_table(builder, experiment)
    panel = text[: text.index("seconds per sample")]
    assert "**chi2_p**" in panel
    assert not re.search(r"\*\*[\d(]", panel)  # no number is bold
    assert "longest run" not in panel
    summary = summary_of(builder)
    assert gains(experiment, pairs_of(builder, experiment)).empty
    assert enough(experiment, summary, pairs_of(builder, experiment)).empty


def test_the_floor_is_a_value_for_each_nfe(builder: Builder) -> None:
    experiment = exact_experiment(builder)
    summary = summary_of(builder)
    floor = factorised_floor(experiment, summary)
    assert floor is not None
    assert floor.of.name == "analytic"
    assert floor.values == {nfe: floor_at(nfe) for nfe in FULL}
    cells = cells_of(main_table(builder, experiment), f"*{FLOOR}*")
    assert cells[2:4] == ["*0.9000*", "*0.4500*"]
    data = plotted_data(experiment, summary, collect_references(builder.plan(), builder.out), "kl_bound")
    drawn = data[data["role"] == "floor"]
    assert dict(zip(drawn["nfe"], drawn["mean"], strict=True)) == floor.values
    latex = table_latex(build_tables(experiment, summary, collect_references(builder.plan(), builder.out))[0], "t")
    assert "0.9000 & 0.4500 & 0.2250" in latex
    assert latex.isascii()


def test_the_floor_is_never_that_of_a_theta_solver(builder: Builder) -> None:
    lines = (EXACT_LINES[2], EXACT_LINES[4])
    experiment = exact_experiment(builder, lines=lines)
    floor = factorised_floor(experiment, summary_of(builder))
    assert floor is not None
    assert floor.of.name == "product"
    alone = exact_experiment(builder, "alone", lines=lines[:1])
    assert factorised_floor(alone, summary_of(builder)) is None


def test_oracles_have_a_table_of_their_own(builder: Builder) -> None:
    experiment = exact_experiment(builder, report=NO_FIGURES)
    table = oracles_table(experiment, summary_of(builder))
    assert table is not None
    assert table.columns == ("NFE counted", "seconds per sample", "chi2_p")
    cells = cells_of(table_markdown(table), "uniformization")
    assert cells[:2] == ["3", "11.75"]  # 11.25, 11.75 and 12.25: one row, though they round to 11 and 12
    text = main_table(builder, experiment)
    assert "uniformization" not in text
    assert "NFE 12" not in text
    write_tables(builder.plan(), builder.out)
    assert f"### {TITLE}" in (builder.out / "tables/exact.md").read_text()
    scores = pd.read_csv(builder.out / "tables/exact.scores.csv")
    own = scores[scores["name"] == "uniformization"]
    assert sorted(own["nfe_counted"]) == [oracle_nfe(seed) for seed in range(3)]
    assert check(scores_of(builder)) == []


def test_a_metric_of_the_oracle_alone_is_no_block_of_the_main_table(builder: Builder) -> None:
    experiment = exact_experiment(builder, metrics=("tv", "chi2_p"), report={"tables": [{}], "figures": []})
    for entry in experiment.entries:
        path = builder.out / entry.scores / "scores.json"
        content = json.loads(path.read_text())
        content["scores"] = [s for s in content["scores"] if entry.role == "oracle" or s["metric"] == "tv"]
        path.write_text(json.dumps(content))
    assert "chi2_p" not in main_table(builder, experiment)
    assert oracles_table(experiment, summary_of(builder)) is not None


def test_oracles_change_nothing_else(builder: Builder) -> None:
    experiment = exact_experiment(builder)
    summary = summary_of(builder)
    gain = gains(experiment, pairs_of(builder, experiment))
    assert "uniformization" not in set(gain["name"]) | set(gain["versus"])
    answers = enough(experiment, summary, pairs_of(builder, experiment))
    assert len(answers)
    assert "uniformization" not in set(answers["name"])
    text = exact_experiment(builder, "text", data="text", metrics=("nll_bound", "entropy"), report=NO_FIGURES)
    grid = sample_grid(builder.plan(), text, builder.out)
    assert grid is not None
    assert grid.columns == FULL


def test_a_missing_oracle_is_a_partial_table(builder: Builder) -> None:
    experiment = exact_experiment(builder, report=NO_FIGURES)
    for entry in experiment.entries:
        if entry.role == "oracle":
            (builder.out / entry.scores / "manifest.json").unlink()
    scores = collect(builder.plan(), builder.out, partial=True)
    assert scores["nfe"].dtype == int
    assert {finding.kind for finding in check(scores)} == {"missing"}
    write_tables(builder.plan(), builder.out, partial=True)
    assert cells_of((builder.out / "tables/exact.md").read_text(), "uniformization") == ["0", "–", "–"]


def test_an_experiment_of_oracles_alone(builder: Builder) -> None:
    figures = [{"x": x, "y": "chi2_p", "hue": "name"} for x in ("nfe", "seconds_per_sample")]
    exact_experiment(builder, lines=(ORACLE,), metrics=("chi2_p",), report={"tables": [{}], "figures": figures})
    write_report(builder.plan(), builder.out)
    write_tables(builder.plan(), builder.out)
    data = pd.read_csv(builder.out / "figures/exact-chi2_p-vs-nfe.csv")
    assert list(data["role"]) == ["oracle"]
    assert data["nfe_counted"].item() == 11.75


def _half_infinite(metric: str, name: str, nfe: int, seed: int) -> float:
    forbidden = name == "tau_leaping" or (name == "analytic" and nfe < 4)
    return math.inf if metric == "kl_bound" and forbidden else exact_value(metric, name, nfe, seed)


def test_infinite_values_are_shown_named_and_no_finding(builder: Builder) -> None:
    report = {"tables": [{}], "figures": [{"x": "nfe", "y": "kl_bound", "hue": "name"}]}
    exact_experiment(builder, metrics=("kl_bound", "kl"), value=_half_infinite, report=report)
    write_tables(builder.plan(), builder.out)
    text = (builder.out / "tables/exact.md").read_text()
    assert cells_of(text, "tau_leaping", "factorized")[1] == "∞"
    assert cells_of(text, "joint", "tau_leaping")[1] == "∞"  # what it gains over an infinite bound
    named = "kl_bound is ∞ (one law forbids what the other has) for tau_leaping, analytic at NFE 1, 2."
    assert text.count(named) == 2  # below the table, and below the figure
    assert f"Left out: {named}" in text
    assert "nan" not in text
    assert check(scores_of(builder)) == []


def test_an_infinite_estimate_tells_nothing_of_its_sampler(builder: Builder) -> None:
    """Too few valid molecules to measure: the next draws may have enough, so nobody is better beyond noise."""

    def value(metric: str, name: str, nfe: int, seed: int) -> float:
        return math.inf if name == "tau_leaping" else exact_value("kl", name, nfe, seed)

    report = {"tables": [{"values": ["fcd"]}], "figures": []}
    experiment = exact_experiment(builder, metrics=("fcd",), seeds=(0,), value=value, report=report)
    found = gains(experiment, pairs_of(builder, experiment))
    infinite = found[found["gain"].abs() == math.inf]
    assert len(infinite)
    assert set(infinite["test"]) == {""}
    text = caption(experiment, summary_of(builder), ("fcd",))
    assert "fcd is ∞ (fewer than two samples can be measured) for tau_leaping." in text


def test_infinite_against_infinite_is_no_gain(builder: Builder) -> None:
    experiment = exact_experiment(builder, metrics=("kl_bound",), value=lambda *_: math.inf)
    assert gains(experiment, pairs_of(builder, experiment)).empty


def test_nan_and_unexpected_infinities_are_findings(builder: Builder) -> None:
    def value(metric: str, name: str, nfe: int, seed: int) -> float:
        if name == "joint" and nfe == 8:
            return math.nan if metric == "kl_bound" else math.inf
        return exact_value(metric, name, nfe, seed)

    exact_experiment(builder, metrics=("kl_bound", "tv"), value=value)
    messages = [one.message for one in check(scores_of(builder)) if one.kind == "non-finite"]
    assert len(messages) == 6  # for each seed a NaN and a distance that cannot be infinite
    assert all(message.startswith("joint, NFE 8") for message in messages)


def test_everything_infinite_or_zero_still_draws(builder: Builder) -> None:
    report = {"tables": [{}], "figures": [{"x": "nfe", "y": m, "hue": "name"} for m in ("kl", "tv")]}
    exact_experiment(
        builder,
        metrics=("kl", "tv"),
        lines=EXACT_LINES[:2],
        value=lambda metric, *_: math.inf if metric == "kl" else 0.0,
        report=report | {"orders": ["tv", "kl"]},
    )
    write_tables(builder.plan(), builder.out)
    text = (builder.out / "tables/exact.md").read_text()
    assert "Below the axis, zero or numerically zero: tau_leaping, analytic." in text


@pytest.mark.parametrize(
    ("metric", "name", "wrong", "message"),
    [
        ("kl_bound", "joint", 1e-9, "kl_bound is 1e-09, below kl"),
        ("kl_bound", "product", 0.5, "kl_bound is 0.5, below total_correlation, 0.9"),
        ("kl", "analytic", math.inf, "below kl, inf"),
    ],
)
def test_contradictions_are_findings(builder: Builder, metric: str, name: str, wrong: float, message: str) -> None:
    def value(measured: str, line: str, nfe: int, seed: int) -> float:
        hit = (measured, line, nfe, seed) == (metric, name, 1, 0)
        if measured == "kl" and line == "joint" and nfe == 1:
            return 1e-5 + 1e-7 * seed
        return wrong if hit else exact_value(measured, line, nfe, seed)

    exact_experiment(builder, value=value)
    found = [one for one in check(scores_of(builder)) if one.kind == "inconsistent"]
    assert [message in one.message for one in found] == [True]
    assert found[0].message.startswith(f"{name}, NFE 1, seed 0")


def test_the_floor_binds_products_only_and_rounding_is_forgiven(builder: Builder) -> None:
    def value(metric: str, name: str, nfe: int, seed: int) -> float:
        if name in ("analytic", "theta_trapezoidal") and metric == "kl_bound":
            return floor_at(nfe) - (1e-9 if name == "analytic" else 0.01)
        return exact_value(metric, name, nfe, seed) * (0.01 if metric == "kl" else 1.0)

    exact_experiment(builder, value=value)
    assert [one for one in check(scores_of(builder)) if one.kind == "inconsistent"] == []


@pytest.mark.parametrize(("excess", "findings"), [(-0.039, 0), (-0.041, 1)])
def test_excess_may_be_negative_within_its_errors(builder: Builder, excess: float, findings: int) -> None:
    lines = (("analytic", "factorized", "analytic", "baseline", (1,)),)
    exact_experiment(builder, metrics=("excess_nll_bound",), lines=lines, seeds=(0,), value=lambda *_: excess)
    assert len(check(scores_of(builder))) == findings


@pytest.mark.parametrize("teacher", ["markov", "enumerated"])
def test_captions_say_whose_bounds_are_looser(builder: Builder, teacher: str) -> None:
    settings = {"teacher": {"kind": teacher}, "evaluation": {"draws": 4, "held_out": 160}}
    experiment = exact_experiment(builder, metrics=("nll_bound",), settings=settings)
    text = caption(experiment, summary_of(builder), ("nll_bound",))
    assert ("Bounds of theta_trapezoidal are looser than others" in text) == (teacher == "markov")
    assert ("Bounds 160 held-out sequences." in text) == (teacher == "markov")
    assert "are looser" not in caption(experiment, summary_of(builder), ("kl",))


def test_captions_say_which_variant_ran(builder: Builder) -> None:
    experiment = exact_experiment(builder)
    text = caption(experiment, summary_of(builder), METRICS)
    assert "tau_leaping has jumps: reject, a position moves only if exactly one jump falls into its step." in text
    assert "theta_trapezoidal has θ = 0.5, and makes two calls a step" in text
    assert "draws clean tokens" in text
    assert "kl ≤ kl_bound" in text
    assert "kl_bound: an upper bound on kl, computed exactly." in text
    assert "on the grid of analytic; a kernel that is a product over positions never goes below it" in text
    for jumps in ("any_jump", "euler", "poisson"):
        settings = {"baselines": BASELINES | {"tau_leaping": {"jumps": jumps}}}
        other = exact_experiment(builder, f"exact-{jumps}", settings=settings)
        assert f"tau_leaping has jumps: {jumps}, " in caption(other, summary_of(builder)[:0], METRICS)


def test_the_page_has_it_all(builder: Builder) -> None:
    exact_experiment(builder, seeds=(0,))
    page = write_report(builder.plan(), builder.out).read_text()
    for expected in ("Fitted convergence orders", TITLE, FLOOR, "two a step for θ solvers", "Grey: what samplers"):
        assert expected in page, expected
    assert page.count("<tr></tr>") == 3  # tables whose columns are no NFE still have two header rows


def test_the_page_is_the_same_however_many_experiments_are_worked_out_at_a_time(builder: Builder) -> None:
    for name in ("exact", "other"):
        exact_experiment(builder, name, seeds=(0,))
    alone = write_report(builder.plan(), builder.out).read_bytes()
    assert b'id="other"' in alone
    assert write_report(builder.plan(), builder.out, jobs=2).read_bytes() == alone
