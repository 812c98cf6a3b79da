"""Which step costs what, where bounds rise with more evaluations, and how few are enough."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from made_up_results import LINES, Builder, nll
from test_report_statistics import pairs_of
from test_report_tables import cells_of

from cdmrun.report.build import write_tables
from cdmrun.report.collect import collect_references
from cdmrun.report.enough import enough, enough_table
from cdmrun.report.markdown import table_markdown
from cdmrun.report.steps import collect_steps, merged, worse_table, worse_with_more
from cdmrun.report.summary import summarise
from cdmrun.spec.plan_types import Experiment

NO_FIGURES = {"tables": [{}], "figures": []}
FALLING = "cdm-ar"


def value(metric: str, name: str, nfe: int, seed: int) -> float:
    """One student gets worse from NFE 1 to 2, the others better."""
    return nll(name, nfe, 1) + 0.002 * np.sin(seed + nfe) + (0.9 if name == FALLING and nfe == 2 else 0.0)


def with_steps(builder: Builder) -> Experiment:
    """An experiment whose scores say what each step costs: twice as much per step at the start as at the end."""
    settings = {"forward_process": {"kind": "absorbing", "schedule": "loglinear"}}
    lines = (LINES[1], *LINES[4:])
    experiment = builder.experiment(
        "text", ("nll_bound",), lines=lines, value=value, report=NO_FIGURES, settings=settings
    )
    for entry in experiment.entries:
        path = builder.out / entry.scores / "scores.json"
        content = json.loads(path.read_text())
        content["steps"] = [
            {"metric": "nll_bound", "nfe": nfe, "step": k + 1, "t": 1 - k / nfe, "s": 1 - (k + 1) / nfe, **costs}
            for nfe in entry.nfe
            for k in range(nfe)
            for costs in [{"value": value("nll_bound", entry.name, nfe, entry.seed) * _share(k, nfe), "stderr": 0.1}]
        ]
        path.write_text(json.dumps(content))
    return experiment


def _share(k: int, nfe: int) -> float:
    weights = [2.0 - j / nfe for j in range(nfe)]
    return weights[k] / sum(weights)


def test_steps_add_up_to_the_bound_however_they_are_merged(builder: Builder) -> None:
    steps = collect_steps(with_steps(builder), builder.out)
    for (name, nfe), own in steps.groupby(["name", "nfe"]):
        bound = np.mean([value("nll_bound", str(name), nfe, seed) for seed in range(3)])
        assert own["bits_per_token"].sum() == pytest.approx(bound)
        for groups in (1, 3, 16, 100):
            found = merged(own, groups)
            assert len(found) <= min(groups, nfe)
            assert found["bits_per_token"].sum() == pytest.approx(bound)
            assert (found["rate"] * (found["t"] - found["s"])).sum() == pytest.approx(bound), "the area is the bound"
            assert list(found["t"][1:]) == pytest.approx(list(found["s"][:-1])), "no gap"


def test_a_line_that_gets_worse_is_named_with_what_its_steps_cost(builder: Builder) -> None:
    experiment = with_steps(builder)
    steps = collect_steps(experiment, builder.out)
    pairs, _ = pairs_of(builder)
    table = worse_table(experiment, steps, collect_references(builder.plan(), builder.out), pairs)
    assert table is not None
    assert [row.labels[-1] for row in table.panels[0].rows] == [FALLING]
    cells = cells_of(table_markdown(table), "cdm", "autoregressive", FALLING)
    assert cells[1] == "1 → 2"
    change = np.mean([value("", FALLING, 2, seed) - value("", FALLING, 1, seed) for seed in range(3)])
    assert float(cells[2].split(" ±")[0]) == pytest.approx(change, abs=0.005)
    assert cells[3].startswith("1 → 0: 2.3")
    own = steps[(steps.name == FALLING) & (steps.nfe == 2)]
    assert cells[4] == ", ".join(f"{t:.2g} → {s:.2g}: {r:.3g}" for t, s, r in zip(own.t, own.s, own.rate, strict=True))
    assert "bits a revealed token" in table.caption


def test_noise_is_no_fall(builder: Builder) -> None:
    def noisy(metric: str, name: str, nfe: int, seed: int) -> float:
        return 2.0 + float(np.random.default_rng([*name.encode(), nfe, seed]).normal())

    experiment = builder.experiment("text", ("nll_bound",), lines=LINES[1:2], value=noisy, report=NO_FIGURES)
    pairs, _ = pairs_of(builder)
    assert worse_with_more(experiment, "nll_bound", pairs) == []


def test_steps_are_written_and_drawn(builder: Builder) -> None:
    with_steps(builder)
    written = {path.name: path for path in write_tables(builder.plan(), builder.out)}
    steps = pd.read_csv(written["text.steps.csv"])
    assert len(steps) == sum(sum(line[4]) for line in (LINES[1], *LINES[4:]))
    drawn = pd.read_csv(written["text-steps.csv"])
    assert drawn.groupby(["name", "nfe"]).size().max() == 16
    totals = drawn.groupby(["name", "nfe"])["bits_per_token"].sum()
    bounds = steps.groupby(["name", "nfe"])["bits_per_token"].sum()
    assert np.allclose(totals, bounds.loc[totals.index])
    assert "Where the bound rises with more evaluations" in written["text.md"].read_text()
    assert b"<svg" in written["text-steps.svg"].read_bytes()


def test_how_few_are_enough(builder: Builder) -> None:
    experiment = builder.experiment("text", ("nll_bound",), report=NO_FIGURES, value=value)
    pairs, _ = pairs_of(builder)
    plan_scores = write_tables(builder.plan(), builder.out)
    frame = pd.read_csv(next(path for path in plan_scores if path.name == "text.enough.csv")).set_index("name")
    goal = np.mean([value("", "analytic", 64, seed) for seed in range(3)])
    for name, row in frame.iterrows():
        nfes = next(line[4] for line in LINES if line[2] == name)
        means = {nfe: np.mean([value("", str(name), nfe, seed) for seed in range(3)]) for nfe in nfes}
        reached = [nfe for nfe in nfes if means[nfe] <= goal]
        assert math.isnan(row["nfe"]) if not reached else row["nfe"] == reached[0]
        assert row["nfe_shown"] == (reached[0] if reached else min(means, key=lambda nfe: means[nfe]))
        assert row["gain"] == pytest.approx(goal - means[row["nfe_shown"]])
    heavy = {"cdm-ar": 2.5, "cdm-hmm": 1.4}
    shown = int(frame.loc["cdm-ar", "nfe_shown"])
    ratio = 64**0.95 / (heavy["cdm-ar"] * shown**0.95)
    assert frame.loc["cdm-ar", "times_faster"] == pytest.approx(ratio, rel=1e-4)
    assert frame.loc["cdm-ar", "times_faster_low"] <= ratio * 1.001
    assert frame.loc["analytic", "gain"] == 0.0
    scores = pd.read_csv(builder.out / "tables/text.scores.csv").assign(status="fresh", role="", model="")
    table = enough_table(experiment, enough(experiment, summarise(scores), pairs))
    assert table is not None
    assert cells_of(table_markdown(table), "tau_leaping", "factorized", "tau_leaping")[1].startswith("– (best 64)")
