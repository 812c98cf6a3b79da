"""Every metric, on data that it can be computed on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from fetched import load_or_skip
from member_cases import TOY_DATA, each
from science_cases import generator

from cdmrun.data import Dataset, load
from cdmrun.data.chain import MarkovChain
from cdmrun.metrics.exact_scores import ExactScores
from cdmrun.metrics.features import Features, make_features
from cdmrun.metrics.infill import IndependentCompleter, InfillSet
from cdmrun.metrics.ngram import NgramJudge
from cdmrun.metrics.scoring import KernelSet, SampleSet, Score
from cdmrun.models import EnumeratedTeacher, MarkovTeacher
from cdmrun.processes import make_schedule
from cdmrun.registry import DataMember, find, implementation
from cdmrun.samplers import analytic_sampler
from cdmrun.spec.metric_kinds import metric


def toy_chorales() -> Dataset:
    """Four voices at random."""
    alphabet = ("rest", *map(str, range(48, 72)))
    tokens = np.random.default_rng(0).integers(0, len(alphabet), (60, 4 * 64)).astype(np.uint8)
    splits = {"train": tokens[:40], "judge": tokens[:0], "test": tokens[40:]}
    return Dataset("chorales", len(alphabet), 4 * 64, splits, None, False, alphabet, None, "made up", "none")


def toy_features(data: Dataset, folder: Path) -> Features:
    """Features of little training and few held-out sequences."""
    content = cast(DataMember, find("data", data.name)).content
    make_features(data, {"kind": content, "held_out": 20, "steps": 2, "seed": 0}, folder)
    return Features.read(folder)


def toy_data(needs: str) -> Dataset:
    """Data that a metric can be computed on."""
    if needs == "law":
        return load(TOY_DATA)
    if needs == "text":
        return load({"kind": "text", "file": "words.txt", "length": 16})
    if needs == "molecules":
        return load_or_skip(kind="molecules", limit=500)
    if needs in ("images", "classes"):
        return load({"kind": "digits"})
    if needs == "chorales":
        return toy_chorales()
    return load({"kind": "markov", "source": "random", "states": 3, "length": 4, "draws": 64, "seed": 0, "order": 1})


@each("metric")
@pytest.mark.usefixtures("write")
def test_metrics_are_finite_and_say_what_they_are(name: str, tmp_path: Path) -> None:
    member = metric(name)
    assert member.label
    assert member.unit
    data = toy_data(member.needs)
    process = implementation("process", "uniform")(data.vocabulary, make_schedule("loglinear", 1e-3))
    code = implementation("metric", name)
    if member.package:
        pytest.importorskip(member.package)
    if member.reads == "samples":
        sequences = data.splits["test"][:50] if data.splits else np.random.default_rng(0).integers(4, size=(50, 2))
        judge = NgramJudge.fit(data.splits["judge"], data.vocabulary, 2) if member.needs == "text" else None
        features = toy_features(data, tmp_path) if member.featured else None
        found = code(SampleSet(sequences, data, judge, 0, features))
    elif member.reads == "fills":
        truth = torch.from_numpy(data.splits["test"][:16].astype(np.int64))
        found = code(InfillSet(data, truth, IndependentCompleter.of(data), generator))
    else:
        model = EnumeratedTeacher(process, torch.from_numpy(data.table)) if data.table is not None else None
        sampler = analytic_sampler(model or MarkovTeacher(process, cast(MarkovChain, data.chain), data.length), 2)
        laws = ExactScores(process, torch.from_numpy(data.table)).of(sampler) if data.table is not None else None
        held_out = None if laws is not None else torch.from_numpy(data.splits["test"][:16].astype(np.int64))
        found = code(laws if member.reads == "law" else KernelSet(sampler, data, held_out, 2, generator, laws))
    score = found if isinstance(found, Score) else Score(found)
    assert math.isfinite(score.value)
    assert score.stderr is None or score.stderr >= 0
    assert score.estimate in (None, "exact", "bound", "estimate")
