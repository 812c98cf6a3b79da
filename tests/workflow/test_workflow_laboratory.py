"""The exact laboratory through the real Snakefile, very small: pictures of laws, orders, oracles, a chain as data."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from workflow_cases import CHAIN, GRID, planned_jobs, run_workflow

from cdmrun.spec.plan import build_plan


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which both experiments have been run once, together."""
    folder = tmp_path_factory.mktemp("laboratory")
    (folder / "grid.yaml").write_text(GRID)
    (folder / "chain.yaml").write_text(CHAIN)
    done = run_workflow(folder, folder / "grid.yaml", folder / "chain.yaml")
    assert done.returncode == 0, done.stderr
    return folder


def scores(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / f"results/tables/{name}.scores.csv")


def test_exact_metrics_keep_their_order(folder: Path) -> None:
    table = scores(folder, "little-grid")
    own = table[table.metric != "chi2_p"].pivot_table(
        index=["name", "nfe"], columns="metric", values="value", aggfunc="first"
    )
    assert len(own) == 4 + 4 + 2 + 2 + 2
    assert (own.tv_marginal <= own.tv_pairs + 1e-12).all()
    assert (own.tv_pairs <= own.tv + 1e-12).all()
    assert (own.js <= own.tv * math.log(2) + 1e-12).all()
    assert (own.kl <= own.kl_bound + 1e-9).all()
    assert np.allclose(own.loc["analytic"].kl_bound, own.loc["analytic"].total_correlation, atol=1e-3)
    assert (own.loc["tau_leaping"].kl_bound >= own.loc["tau_leaping"].total_correlation).all()


def test_kept_laws_are_the_laws_that_were_scored(folder: Path) -> None:
    plan = build_plan([folder / "grid.yaml"])
    entry = next(entry for entry in plan.experiments[0].entries if entry.name == "analytic")
    laws = np.load(folder / "results" / entry.scores / "laws.npz")
    target = np.load(folder / "results" / plan.runs[entry.scores].inputs["data"] / "dataset.npz")["table"].ravel()
    table = scores(folder, "little-grid")
    for nfe in entry.nfe:
        written = table[(table.name == "analytic") & (table.nfe == nfe) & (table.metric == "tv")].value.item()
        assert 0.5 * np.abs(laws[f"nfe_{nfe}"] - target).sum() == pytest.approx(written, abs=1e-12)


@pytest.mark.parametrize(("name", "oracle"), [("little-grid", "uniformization"), ("little-chain", "first_hitting")])
def test_oracles_count_their_own_calls(folder: Path, name: str, oracle: str) -> None:
    table = (folder / f"results/tables/{name}.md").read_text()
    assert oracle in table
    plan = build_plan([folder / ("grid.yaml" if name == "little-grid" else "chain.yaml")])
    entry = next(entry for entry in plan.experiments[0].entries if entry.method == oracle)
    arrays = np.load(folder / "results" / entry.samples / "samples.npz")
    assert len(arrays.files) == 1
    if oracle == "first_hitting":
        assert arrays.files == ["nfe_8"], "one call for each of eight positions"
    else:
        own = scores(folder, name)
        found = own[own.name == oracle]
        assert set(found.metric) == {"chi2_p"}
        assert found.value.item() > 1e-3, "exact simulation fits the target"
        assert round(found.nfe_counted.item()) == found.nfe.item()


def test_pictures_and_orders_are_there(folder: Path) -> None:
    results = folder / "results"
    assert (results / "figures/little-grid-laws.png").stat().st_size > 1000
    orders = pd.read_csv(results / "tables/little-grid.orders.csv")
    assert {"tau_leaping", "analytic"} <= set(orders.name)
    assert "order" in (results / "tables/little-grid.md").read_text()


def test_the_chain_shows_the_excess_over_its_entropy(folder: Path) -> None:
    table = scores(folder, "little-chain")
    own = table.pivot_table(index=["name", "nfe"], columns="metric", values="value", aggfunc="first")
    entropy = (own.nll_bound - own.excess_nll_bound).to_numpy()
    assert np.ptp(entropy) < 1e-11
    assert 0 < entropy[0] < math.log2(3)
    assert {"causal", "rolled", "halved", "tau_leaping", "analytic", "theta_trapezoidal"} == {n for n, _ in own.index}


def test_nothing_is_left_to_do(folder: Path) -> None:
    assert planned_jobs(folder, folder / "grid.yaml", folder / "chain.yaml") == {}
