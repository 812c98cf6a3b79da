"""What scores are read against, of data whose law is known: against sums by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from workflow_cases import plan_into

from cdmrun.data.dataset import Dataset
from cdmrun.metrics.anchors import independent_nll, independent_sequences
from cdmrun.stages.run import run_stage

RING = """\
name: ring
data: {kind: potts_ring, states: 3, length: 3}
forward_process: {kind: uniform}
teacher: {kind: enumerated}
baselines: {analytic: {nfe: [1]}}
evaluation: {metrics: [tv, kl, kl_bound, nll, nll_bound, tv_marginal, chi2_p]}
"""


def test_independent_positions_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "ring.yaml").write_text(RING)
    out = tmp_path / "results"
    plan = plan_into(out, tmp_path / "ring.yaml")
    made = {run.kind: key for key, run in plan.runs.items()}
    for kind in ("data", "anchors"):
        run_stage(plan.runs[made[kind]].stage, made[kind], out, "cpu", 1)
    assert plan.runs[made["anchors"]].config == {"metrics": ["nll_bound", "tv", "kl", "tv_marginal", "nll"]}
    found = json.loads((out / made["anchors"] / "anchors.json").read_text())["anchors"]
    values = {(row["metric"], row["what"]): row["value"] for row in found}
    p = Dataset.read(out / made["data"]).table
    assert p is not None
    one, two, three = p.sum((1, 2)), p.sum((0, 2)), p.sum((0, 1))
    q = one[:, None, None] * two[:, None] * three
    independent, target = "independent positions", "entropy of the target"
    assert values["tv", independent] == pytest.approx(abs(p - q).sum() / 2)
    assert values["kl", independent] == pytest.approx((p * np.log(p / q)).sum())
    assert values["tv_marginal", independent] == pytest.approx(0.0, abs=1e-12)
    assert values["nll", independent] == values["nll_bound", independent] == pytest.approx(-(p * np.log2(q)).sum() / 3)
    assert values["nll", target] == values["nll_bound", target] == pytest.approx(-(p * np.log2(p)).sum() / 3)
    assert len(values) == 7


def test_permuted_columns_keep_their_law() -> None:
    x = np.random.default_rng(0).integers(5, size=(300, 4))
    x[:, 1] = x[:, 0]
    mixed = independent_sequences(x)
    assert (np.sort(mixed, 0) == np.sort(x, 0)).all()
    assert (mixed[:, 0] == mixed[:, 1]).mean() < 0.4


def test_nll_of_independent_positions_on_records() -> None:
    """Counts of the training split, each one more than it was seen."""
    splits = {"train": np.array([[0, 1], [0, 1]], np.uint8), "test": np.array([[0, 1], [1, 1]], np.uint8)}
    data = Dataset("two", 2, 2, splits, None, False, None, None, "made up", "none")
    assert independent_nll(data) == pytest.approx(-np.log2([3 / 4, 3 / 4, 1 / 4, 3 / 4]).mean())
