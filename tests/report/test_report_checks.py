"""Quality control finds what it should, and nothing in clean scores."""

from __future__ import annotations

import json
import math

import pandas as pd
from made_up_results import LINES, Builder, value_of

from cdmrun.report.checks import check
from cdmrun.report.collect import collect


def scores_of(builder: Builder) -> pd.DataFrame:
    return collect(builder.plan(), builder.out, partial=True)


def test_clean_scores_have_no_findings(builder: Builder) -> None:
    builder.experiment("text", ("nll_bound", "entropy"))
    assert check(scores_of(builder)) == []


def test_equal_seeds_are_suspicious_unless_exact_and_of_one_model(builder: Builder) -> None:
    def value(metric: str, name: str, nfe: int, seed: int) -> float:
        return value_of(metric, name, nfe, 1)

    builder.experiment("text", ("tv", "entropy"), value=value)
    found = check(scores_of(builder))
    assert {finding.kind for finding in found} == {"zero-variance"}
    messages = " ".join(finding.message for finding in found)
    assert "analytic, NFE 1: entropy" in messages
    assert "analytic, NFE 1: tv" not in messages  # exact, one teacher: equal as it should be
    assert "cdm-hmm, NFE 1: tv" in messages  # three trainings cannot agree to the last bit


def test_nan_wrong_nfe_and_missing_seeds_are_found(builder: Builder) -> None:
    experiment = builder.experiment("text", ("nll_bound", "entropy"))
    hmm = [entry for entry in experiment.entries if entry.name == "cdm-hmm"]
    path = builder.out / hmm[0].scores / "scores.json"
    content = json.loads(path.read_text())
    content["scores"][0]["value"] = math.nan
    content["scores"][1]["nfe_counted"] = 7
    path.write_text(json.dumps(content))
    (builder.out / hmm[2].scores / "manifest.json").unlink()
    kinds = [finding.kind for finding in check(scores_of(builder))]
    assert kinds.count("non-finite") == 1
    assert kinds.count("nfe-mismatch") == 1
    assert kinds.count("missing") == 1
    assert kinds.count("missing-seeds") == 2  # a line for each metric


def test_one_seed_of_students_is_a_finding_and_of_samplers_is_none(builder: Builder) -> None:
    builder.experiment("one", ("nll_bound",), seeds=(0,))
    builder.experiment("samplers", ("nll_bound",), seeds=(0,), lines=LINES[:2])
    assert [(finding.experiment, finding.kind) for finding in check(scores_of(builder))] == [("one", "one-seed")]


def test_seconds_that_fall_and_calls_that_were_not_counted_are_found(builder: Builder) -> None:
    experiment = builder.experiment("text", ("nll_bound",), lines=LINES[:2])
    path = builder.out / experiment.entries[0].scores / "scores.json"
    content = json.loads(path.read_text())
    slow = content["scores"][2]["seconds_per_sample"]
    content["scores"][3]["seconds_per_sample"] = 0.5 * slow
    content["scores"][4]["nfe_counted"] = None
    path.write_text(json.dumps(content))
    found = {finding.kind: finding.message for finding in check(scores_of(builder))}
    assert set(found) == {"timing", "nfe-mismatch"}
    assert "tau_leaping, seed 0" in found["timing"]
    assert "at NFE 8, less than" in found["timing"]
    assert "no evaluations counted at NFE 16" in found["nfe-mismatch"]
