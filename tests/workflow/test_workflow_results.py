"""What the real Snakefile writes, and what can be done with it by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
from workflow_cases import plan_into, run_command, run_workflow, seconds_of_programs

SCORES = {
    *("experiment", "process", "method", "family", "nfe", "metric", "seed"),
    *("value", "unit", "seconds_per_sample", "run_id"),
}
SUMMARY = (SCORES - {"seed", "value"}) | {"mean", "ci_low", "ci_high", "n"}


def test_contract_files(folder: Path) -> None:
    results = folder / "results"
    names = ("tables/tiny.md", "tables/tiny.tex", "report.html")
    for name in names:
        assert (results / name).stat().st_size > 100, name
    for suffix in (".png", ".svg", ".csv"):
        assert list((results / "figures").glob(f"tiny-*{suffix}")), suffix
    # the page needs nothing besides itself
    page = (results / "report.html").read_text()
    assert "<script src" not in page
    assert '<link rel="stylesheet" href' not in page


def test_contract_columns_and_rows(folder: Path) -> None:
    scores = pd.read_csv(folder / "results/tables/tiny.scores.csv")
    assert set(scores.columns) >= SCORES
    assert set(scores.method) == {"tau_leaping", "analytic", "cdm", "progressive"}
    assert set(scores.family) == {"factorized", "joint"}
    assert set(scores.metric) >= {"tv", "kl", "nll_bound"}
    # five entries, two step counts, five metrics
    assert len(scores) == 5 * 2 * 5
    assert scores.value.notna().all()
    assert (scores.seconds_per_sample > 0).all()
    summary = pd.read_csv(folder / "results/tables/tiny.summary.csv")
    assert set(summary.columns) >= SUMMARY
    assert (summary.n == 1).all()


def test_bound_is_above_the_exact_value(folder: Path) -> None:
    scores = pd.read_csv(folder / "results/tables/tiny.scores.csv")
    wide = scores.pivot_table(index=["name", "nfe"], columns="metric", values="value")
    assert (wide.nll_bound >= wide.nll - 1e-9).all()


def test_every_product_has_log_and_benchmark(folder: Path) -> None:
    results = folder / "results"
    products = [path.parent.relative_to(results) for path in results.glob("*/*/manifest.json")]
    assert len(products) == 1 + 1 + 1 + 3 + 5 + 5
    for product in products:
        assert (results / "logs" / f"{product}.log").exists()
        assert (results / "benchmarks" / f"{product}.tsv").exists()


def test_second_run_has_nothing_to_do_in_seconds(folder: Path) -> None:
    began = seconds_of_programs()  # which a busy machine does not stretch
    again = run_workflow(folder, folder / "tiny.yaml")
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr
    assert seconds_of_programs() - began < 10


def test_any_job_can_be_replayed_by_hand(folder: Path, tmp_path: Path) -> None:
    results = folder / "results"
    manifest = json.loads(next(results.glob("samples/analytic-*/manifest.json")).read_text())
    replay = run_command("cdmrun", "sample", manifest["key"], "--out", results)
    assert (replay.returncode, replay.stdout.strip()) == (0, f"{manifest['key']}: already there")
    # elsewhere, from its inputs alone, it gives the same samples
    copy = tmp_path / "results"
    plan = plan_into(copy, folder / "tiny.yaml")
    for key in {*plan.runs[manifest["key"]].inputs.values(), *(k for k in plan.runs if k.startswith("data/"))}:
        shutil.copytree(results / key, copy / key)
    assert run_command("cdmrun", "sample", manifest["key"], "--out", copy, "--threads", "1").returncode == 0
    again = json.loads((copy / manifest["key"] / "manifest.json").read_text())
    assert again["outputs"]["samples.npz"] == manifest["outputs"]["samples.npz"]


def test_status_of_a_complete_run(folder: Path) -> None:
    shown = run_command("cdmrun", "status", folder / "tiny.yaml", "--out", folder / "results", "--json")
    states = [state["state"] for state in json.loads(shown.stdout).values()]
    assert len(states) == 16
    assert set(states) <= {"fresh", "stale-code", "stale-upstream"}  # stale if code is edited while this runs
