"""Learned teachers through the real Snakefile, very small: digits and a text file, with draws, judge, every metric."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from workflow_cases import DIGITS, TEXT, planned_jobs, run_workflow, write_words

from cdmrun.spec.plan import build_plan


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which both experiments have been run once, together."""
    folder = tmp_path_factory.mktemp("networks")
    (folder / "digits.yaml").write_text(DIGITS)
    (folder / "text.yaml").write_text(TEXT)
    write_words(folder / "words.txt")
    done = run_workflow(folder, folder / "digits.yaml", folder / "text.yaml")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    ("name", "metrics"),
    [
        ("little-digits", {"nll_bound", "entropy"}),
        (
            "little-text",
            {"nll_bound", "judge_nll", "entropy", "self_bleu", "infill_random_match", "infill_middle_nll"},
        ),
    ],
)
def test_rows(folder: Path, name: str, metrics: set[str]) -> None:
    scores = pd.read_csv(folder / f"results/tables/{name}.scores.csv")
    for method, rows in scores.groupby("name"):
        assert set(rows.metric) == metrics, method
        assert set(rows.nfe) == {1, 2}, method
    assert scores.value.notna().all()
    most = scores.metric.map({"self_bleu": 100, "infill_random_match": 1})  # these may be nothing at all
    bounded = most.notna()
    assert scores.value[bounded].between(0, most[bounded]).all()
    assert (scores.value[~bounded] > 0).all()


def test_sequences_and_steps_agree_with_the_scores(folder: Path) -> None:
    plan = build_plan([folder / "text.yaml"])
    for entry in plan.experiments[0].entries:
        product = folder / "results" / entry.scores
        found, sequences = json.loads((product / "scores.json").read_text()), np.load(product / "sequences.npz")
        assert set(sequences.files) == {f"nll_bound_nfe_{nfe}" for nfe in entry.nfe}
        for score in (row for row in found["scores"] if row["metric"] == "nll_bound"):
            steps = [row["value"] for row in found["steps"] if row["nfe"] == score["nfe"]]
            assert sum(steps) == pytest.approx(score["value"], rel=1e-6), "absorbing: the start costs nothing"
            assert sequences[f"nll_bound_nfe_{score['nfe']}"].mean() == pytest.approx(score["value"], rel=1e-5)


def test_units(folder: Path) -> None:
    scores = pd.read_csv(folder / "results/tables/little-text.scores.csv")
    units = dict(zip(scores.metric, scores.unit, strict=True))
    assert units["nll_bound"] == units["judge_nll"] == units["entropy"] == "bits/token"


def test_report_shows_samples(folder: Path) -> None:
    page = (folder / "results/report.html").read_text()
    (judge,) = (folder / "results/judges").glob("*/judge.json")
    assert f"held-out data: {json.loads(judge.read_text())['held_out_bits_per_token']:.3f} bits/token" in page
    assert "data:image/png;base64" in page
    assert "little-digits" in page
    assert "little-text" in page


def test_nothing_is_left_behind(folder: Path) -> None:
    results = folder / "results"
    assert not list(results.glob("*/*/work"))
    assert planned_jobs(folder, folder / "digits.yaml", folder / "text.yaml") == {}


def test_edit_of_the_text_reaches_everything_made_from_it(folder: Path) -> None:
    words = folder / "words.txt"
    before = words.read_text()
    words.write_text(before + "one more sentence.\n")
    try:
        jobs = planned_jobs(folder, folder / "digits.yaml", folder / "text.yaml")
    finally:
        words.write_text(before)
    made = {"fetch": 1, "judge": 1, "anchors": 1, "teacher": 1, "draws": 1, "labels": 1}
    made |= {"student": 2, "samples": 3, "scores": 3}
    assert jobs == {**made, "table": 1, "report": 1}


def test_teacher_of_one_experiment_leaves_the_other_alone(folder: Path) -> None:
    spec = folder / "digits.yaml"
    spec.write_text(DIGITS.replace("train: {steps: 4,", "train: {steps: 5,"))
    try:
        jobs = planned_jobs(folder, spec, folder / "text.yaml")
    finally:
        spec.write_text(DIGITS)
    made = {"teacher": 1, "draws": 1, "student": 2, "samples": 3, "scores": 3}
    assert jobs == {**made, "table": 1, "report": 1}
