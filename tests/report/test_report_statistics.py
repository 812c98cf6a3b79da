"""Differences between samplers: tests against brute force, pairing by seed and by held-out sequence."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from made_up_results import LINES, Builder, nll
from scipy import stats

from cdmrun.report.build import write_tables
from cdmrun.report.collect import collect, collect_references
from cdmrun.report.gains import gains
from cdmrun.report.lines import Line, lines_of
from cdmrun.report.pairs import At, Pairs
from cdmrun.report.statistics import from_errors, holm, over_seeds, over_sequences

NO_FIGURES = {"tables": [{"values": ["nll_bound"]}], "figures": []}


def pairs_of(builder: Builder) -> tuple[Pairs, dict[str, Line]]:
    plan = builder.plan()
    scores, references = collect(plan, builder.out, False), collect_references(plan, builder.out)
    experiment = plan.experiments[0]
    return Pairs(experiment.name, scores, references, builder.out), {line.name: line for line in lines_of(experiment)}


def test_few_seeds_are_tested_by_student() -> None:
    values = [0.30, 0.10, 0.25]
    found, expected = over_seeds(values), stats.ttest_1samp(values, 0.0)
    assert (found.test, found.n) == ("t", 3)
    assert found.p == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_many_seeds_are_tested_likewise_so_that_many_comparisons_can_be_corrected_for() -> None:
    """Ranks of six seeds give 0.031 at best, which no correction for two comparisons leaves below 0.05."""
    values = [0.50, 0.55, 0.61, 0.48, 0.52, 0.57]
    found = over_seeds(values)
    assert found.p == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue)
    assert max(holm([found.p] * 100)) < 0.05


def test_equal_differences_are_no_noise() -> None:
    found = over_seeds([0.25, 0.25, 0.25])
    assert found.test == "exact"
    assert found.beyond_noise
    assert not over_seeds([0.0, 0.0]).beyond_noise


def test_unknown_noise_is_never_beyond_noise() -> None:
    assert not from_errors(5.0, math.nan).beyond_noise
    assert from_errors(5.0, 1.0).p == pytest.approx(2 * stats.norm.sf(5.0))
    assert over_sequences(0.1, 0.0, 100).test == "exact"


def test_holm_rejects_what_its_definition_rejects() -> None:
    p = [0.001, 0.04, 0.012, math.nan, 0.5, 0.02]
    known = sorted(value for value in p if not math.isnan(value))
    for level in (0.01, 0.05, 0.1, 0.2):
        fails = [rank for rank, value in enumerate(known) if value * (len(known) - rank) >= level]
        rejected = known[: min(fails, default=len(known))]
        found = [value for value, corrected in zip(p, holm(p), strict=True) if corrected < level]
        assert sorted(found) == rejected
    assert math.isnan(holm(p)[3])


def test_one_seed_is_paired_by_held_out_sequence(builder: Builder) -> None:
    experiment = builder.experiment("text", ("nll_bound",), report=NO_FIGURES, seeds=(0,))
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 1, 200)  # how hard each sequence is, for everybody
    kept = {}
    for entry in experiment.entries:
        own = hard + rng.normal(0, 0.01, 200)
        kept[entry.name] = nll(entry.name, 1, 0) + own - own.mean()
        np.savez(builder.out / entry.scores / "sequences.npz", nll_bound_nfe_1=kept[entry.name])
    pairs, lines = pairs_of(builder)
    found = pairs.difference("nll_bound", At(lines["cdm-factorized"], 1), At(lines["tau_leaping"], 1))
    assert found is not None
    gaps = kept["tau_leaping"] - kept["cdm-factorized"]
    assert found.test == "t over sequences"
    assert found.mean == pytest.approx(gaps.mean())
    assert found.p == pytest.approx(stats.ttest_1samp(gaps, 0.0).pvalue)
    assert found.stderr_sequences < 0.05 * np.std(hard) / math.sqrt(200), "what they share takes no part"
    # at NFE 2 nothing is kept: the scores' own standard errors, as if independent
    found = pairs.difference("nll_bound", At(lines["cdm-factorized"], 2), At(lines["tau_leaping"], 2))
    assert found is not None
    assert (found.test, found.high - found.mean) == ("z", pytest.approx(1.96 * 0.01 * math.sqrt(2)))


def test_a_difference_that_all_seeds_share_is_seen_through_their_spread(builder: Builder) -> None:
    """Intervals overlap widely, and yet the student wins at every seed."""

    def value(metric: str, name: str, nfe: int, seed: int) -> float:
        return nll(name, nfe, 1) + 3.0 * seed + 0.01 * (name == "cdm-ar") * (seed - 1)

    builder.experiment("text", ("nll_bound",), report=NO_FIGURES, value=value)
    write_tables(builder.plan(), builder.out)
    rows = [line for line in (builder.out / "tables/text.md").read_text().splitlines() if "autoregressive" in line]
    assert rows[0].split("|")[4].strip().startswith("**")


def test_what_is_within_noise_is_marked_and_nothing_is_bold(builder: Builder) -> None:
    def value(metric: str, name: str, nfe: int, seed: int) -> float:
        return 2.0 + 0.3 * float(np.random.default_rng([*name.encode(), seed, nfe]).random())

    experiment = builder.experiment("text", ("nll_bound",), report=NO_FIGURES, value=value)
    write_tables(builder.plan(), builder.out)
    pairs, _ = pairs_of(builder)
    found = gains(experiment, pairs)
    assert (found["p_holm"].dropna() >= found["p"].dropna()).all()
    text = Path(builder.out / "tables/text.md").read_text()
    assert "°" in text.split("Gain over")[1]
    assert "**2." not in text


def test_students_are_compared_with_the_control_of_their_family(builder: Builder) -> None:
    lines = (*LINES[1:2], *LINES[4:], ("cdm", "hmm", "control", "student", (1, 2)))

    def value(metric: str, name: str, nfe: int, seed: int) -> float:
        return nll("cdm-hmm" if name == "control" else name, nfe, seed) - 0.5 * (name == "control")

    family = {"kind": "hmm"}
    students = {
        "cdm-hmm": {"family": family, "target": {"kind": "rollout"}},
        "cdm-ar": {"family": {"kind": "autoregressive"}, "target": {"kind": "rollout"}},
        "control": {"family": family, "target": {"kind": "data"}},
    }
    settings = {"students": students}
    experiment = builder.experiment(
        "text", ("nll_bound",), report=NO_FIGURES, lines=lines, value=value, settings=settings
    )
    pairs, _ = pairs_of(builder)
    found = gains(experiment, pairs)
    against = found[found.versus == "control"].set_index(["name", "nfe"])
    assert against.loc[("cdm-hmm", 1), "gain"] == pytest.approx(-0.5)
    assert set(against.index) == {(name, nfe) for name in ("cdm-hmm", "cdm-ar") for nfe in (1, 2)}
