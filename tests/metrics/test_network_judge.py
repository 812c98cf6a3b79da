from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from science_cases import generator
from workflow_cases import plan_into, write_words

from cdmrun.data.dataset import Dataset
from cdmrun.errors import UserError
from cdmrun.metrics import network_judge
from cdmrun.metrics.held_out import spread
from cdmrun.metrics.judges import load_judge
from cdmrun.metrics.network_judge import NetworkJudge, NextToken
from cdmrun.metrics.ngram import NgramJudge
from cdmrun.processes.enumeration import enumerate_states
from cdmrun.stages.run import run_stage
from cdmrun.training import TrainSettings, train
from cdmrun.training.sources import array_source

MODEL = {"layers": 2, "width": 12, "heads": 2, "conv": 3, "mlp": 2}


def judge(vocabulary: int = 3, length: int = 4) -> NetworkJudge:
    """A judge with random numbers in every parameter."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = NetworkJudge(vocabulary, length, MODEL)
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
    return made.requires_grad_(False).eval()


def test_it_is_a_law_over_sequences() -> None:
    every = enumerate_states(3, 4).numpy()
    assert (2.0 ** (-4 * judge().bits_per_token(every))).sum() == pytest.approx(1.0, abs=1e-5)


def test_no_token_sees_a_later_one() -> None:
    x = torch.randint(3, (6, 4), generator=generator())
    for place in range(4):
        other = x.clone()
        other[:, place] = (other[:, place] + 1) % 3
        before, after = judge()(x), judge()(other)
        torch.testing.assert_close(after[:, :place], before[:, :place])
        assert (after[:, place:] != before[:, place:]).any()


def test_the_size_of_batches_has_no_influence(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).integers(3, size=(40, 4))
    expected = judge().bits_per_token(x)
    monkeypatch.setattr(network_judge, "BATCH", 7)
    np.testing.assert_allclose(judge().bits_per_token(x), expected, rtol=1e-5)


def test_training_finds_dependence_that_no_single_position_has(tmp_path: Path) -> None:
    """The second half repeats the first: half a bit a token is left of one."""
    first = np.random.default_rng(0).integers(2, size=(256, 3))
    data = np.concatenate([first, first], axis=1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = NetworkJudge(2, 6, {"layers": 1, "width": 24, "heads": 2})
    settings = TrainSettings(steps=150, batch=32, lr=1e-2, warmup=10, ema=0.9)
    train(made, NextToken(made, array_source(data), settings.batch), settings, 0)
    assert made.bits_per_token(data).mean() == pytest.approx(0.5, abs=0.05)
    made.save(tmp_path)
    assert (NetworkJudge.load(tmp_path).bits_per_token(data) == made.bits_per_token(data)).all()
    (tmp_path / "judge.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="not the weights"):
        NetworkJudge.load(tmp_path)


JUDGED = """\
name: judged
data: {{kind: text, file: words.txt, length: 16}}
forward_process: {{kind: absorbing}}
teacher: {{kind: network}}
baselines: {{analytic: {{nfe: [1]}}}}
evaluation: {{metrics: [judge_nll], samples: 50, judge: {{kind: {kind}, {more}}}}}
"""
SMALL = "model: {layers: 1, width: 8, heads: 1}, train: {steps: 6, batch: 8, checkpoint_every: 0.001}"


def test_a_training_that_was_cut_off_ends_with_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_words(tmp_path / "words.txt", 400)
    (tmp_path / "judged.yaml").write_text(JUDGED.format(kind="network", more=SMALL))

    def make(out: Path) -> bytes:
        plan = plan_into(out, tmp_path / "judged.yaml")
        for run in plan.runs.values():
            if run.kind in ("data", "judges"):
                run_stage(run.stage, run.key, out, "cpu", 1)
        return next(out.glob("judges/*/judge.safetensors")).read_bytes()

    steps = 0
    whole = NextToken.__call__

    def cut_off(self: NextToken, randomness: torch.Generator) -> torch.Tensor:
        nonlocal steps
        steps += 1
        if steps == 4:
            raise KeyboardInterrupt
        return whole(self, randomness)

    monkeypatch.setattr(NextToken, "__call__", cut_off)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "cut")
    resumed = make(tmp_path / "cut")
    assert steps == 7, "three steps before the cut, and three more after it"
    assert resumed == make(tmp_path / "whole")


@pytest.mark.parametrize(
    ("kind", "more"),
    [("ngram", "order: 3"), ("network", "model: {layers: 1, width: 8, heads: 1}, train: {steps: 3, batch: 8}")],
)
def test_both_judges_are_products_with_their_own_score(tmp_path: Path, kind: str, more: str) -> None:
    write_words(tmp_path / "words.txt", 400)
    spec = tmp_path / "judged.yaml"
    spec.write_text(JUDGED.format(kind=kind, more=more))
    plan = plan_into(tmp_path / "results", spec)
    made = {run.kind: key for key, run in plan.runs.items()}
    for kind_of_run in ("data", "judges", "anchors"):
        run_stage(plan.runs[made[kind_of_run]].stage, made[kind_of_run], tmp_path / "results", "cpu", 1)
    folder = tmp_path / "results" / made["judges"]
    dataset = Dataset.read(tmp_path / "results" / made["data"])
    loaded = load_judge(folder)
    assert isinstance(loaded, NetworkJudge if kind == "network" else NgramJudge)
    held_out = loaded.bits_per_token(dataset.splits["test"]).mean()
    card = json.loads((folder / "judge.json").read_text())
    assert card["held_out_bits_per_token"] == pytest.approx(held_out, rel=1e-6)
    anchors = json.loads((tmp_path / "results" / made["anchors"] / "anchors.json").read_text())["anchors"]
    floor, ceiling = anchors
    assert [floor["what"], ceiling["what"]] == ["held-out data", "independent positions"]
    assert floor["value"] == pytest.approx(loaded.bits_per_token(spread(dataset.splits["test"], 50)).mean(), rel=1e-6)
