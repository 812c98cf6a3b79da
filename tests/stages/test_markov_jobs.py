"""Jobs with Markov data and teachers: each target kind trains, and the chain that is stored is the one meant."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from workflow_cases import plan_into, write_words

from cdmrun.data import Dataset
from cdmrun.data.chain import MarkovChain
from cdmrun.models import MarkovTeacher, load_model
from cdmrun.processes import Absorbing
from cdmrun.samplers.kernels import Analytic
from cdmrun.samplers.student import CleanStudent
from cdmrun.spec.plan_types import Plan
from cdmrun.stages.build import build_process, build_sampler, load_models
from cdmrun.stages.run import run_stage

SMALL = "model: {layers: 1, width: 8, heads: 1}\n    train: {steps: 2, batch: 4}"
CHAIN = f"""\
name: chain
data: {{kind: markov, source: random, states: 5, length: 12, order: 2, draws: 64}}
forward_process: {{kind: PROCESS}}
teacher: {{kind: markov}}
students:
  fresh:
    method: cdm
    family: {{kind: hmm, states: 4}}
    nfe: [1, 2]
    {SMALL}
  rolled:
    method: cdm
    family: {{kind: factorized}}
    target: {{kind: rollout, substeps: 2, draws: 8, levels: 2}}
    nfe: [1]
    {SMALL}
  data:
    method: cdm
    family: {{kind: factorized}}
    target: {{kind: data}}
    nfe: [1]
    {SMALL}
  soft:
    method: cdm
    family: {{kind: hmm, states: 4}}
    target: {{kind: soft}}
    nfe: [1]
    {SMALL}
  bootstrapped:
    method: cdm
    family: {{kind: hmm, states: 4}}
    target: {{kind: bootstrap, substeps: 2}}
    nfe: [1]
    {SMALL}
  hellinger:
    method: cdm
    family: {{kind: hmm, states: 4}}
    divergence: alpha
    per_nfe: true
    match: clean
    nfe: [2, 1]
    {SMALL}
  halving:
    method: progressive
    nfe: [2, 1]
    {SMALL}
"""
TEXT = f"""\
name: words
data: {{kind: text, file: words.txt, length: 16}}
forward_process: {{kind: absorbing}}
teacher: {{kind: markov, order: 1, smoothing: 0.5}}
students:
  fresh:
    method: cdm
    family: {{kind: factorized}}
    nfe: [1]
    {SMALL}
  soft:
    method: cdm
    family: {{kind: autoregressive, window: 2, hidden: 8}}
    target: {{kind: soft, contexts: draws, positions: 2, substeps: 2, draws: 8, levels: 2}}
    divergence: jensen_shannon
    nfe: [1, 2]
    {SMALL}
  released:
    method: progressive
    grid: released
    divergence: tvd
    substeps: 3
    nfe: [3, 1]
    {SMALL}
"""


#: A learned teacher, and students that start from it.
LEARNED = """\
name: learned
data: {kind: text, file: words.txt, length: 16}
forward_process: {kind: PROCESS}
teacher: {kind: network, model: {layers: 1, width: 8, heads: 1}, train: {steps: 2, batch: 4}}
students:
  soft:
    method: cdm
    family: {kind: mixture, components: 2}
    target: {kind: soft}
    nfe: [2, 1]
    train: {steps: 2, batch: 4}
  bootstrapped:
    method: cdm
    family: {kind: hmm, states: 2}
    target: {kind: bootstrap, substeps: 3}
    match: clean
    nfe: [1]
    train: {steps: 2, batch: 4}
"""


def made(folder: Path, text: str) -> tuple[Path, Plan]:
    """Write a spec, plan it, and make everything up to its students."""
    (folder / "spec.yaml").write_text(text)
    out = folder / "results"
    plan = plan_into(out, folder / "spec.yaml")
    for key, run in plan.runs.items():
        if run.kind in ("data", "teachers", "draws", "students"):
            run_stage(run.stage, key, out, "cpu", 1)
    return out, plan


def only(plan: Plan, start: str) -> str:
    (key,) = (key for key in plan.runs if key.startswith(start))
    return key


@pytest.mark.parametrize("process", ["absorbing", "uniform"])
def test_every_target_trains_on_a_chain(tmp_path: Path, process: str) -> None:
    out, plan = made(tmp_path, CHAIN.replace("PROCESS", process))
    data = Dataset.read(out / only(plan, "data/"))
    assert data.chain is not None
    teacher = load_model(Absorbing(5), out / only(plan, "teachers/"))
    assert isinstance(teacher, MarkovTeacher)
    np.testing.assert_array_equal(teacher.law.transition, data.chain.transition)
    assert plan.runs[only(plan, "teachers/")].config["teacher"] == {"kind": "markov"}
    students = {key for key in plan.runs if key.startswith("students/")}
    assert len(students) == 7
    assert all((out / key / "manifest.json").exists() for key in students)
    targets = {run.config.get("target", {}).get("kind") for run in plan.runs.values() if run.kind == "students"}
    assert targets == {"exact", "rollout", "data", "soft", "bootstrap", None}
    (apart,) = (key for key in students if plan.runs[key].config.get("per_nfe"))
    assert json.loads((out / apart / "models.json").read_text()) == {"1": "model-1", "2": "model-2"}
    models = load_models(build_process(plan.runs[apart].config["forward_process"], 5), out / apart, "cpu")
    for nfe in (1, 2):
        sampler = build_sampler({"sampler": "student", "grid": "uniform"}, models, nfe)
        assert sampler.nfe == nfe
        assert sampler.models == (models[nfe],)
        assert all(isinstance(step.kernel, CleanStudent) for step in sampler.steps)


@pytest.mark.parametrize("process", ["absorbing", "uniform"])
def test_a_learned_teacher_is_asked_for_soft_and_bootstrapped_targets(tmp_path: Path, process: str) -> None:
    write_words(tmp_path / "words.txt")
    out, plan = made(tmp_path, LEARNED.replace("PROCESS", process))
    for key in (key for key in plan.runs if key.startswith("students/")):
        last = (out / key / "history-model.csv").read_text().splitlines()[-1]
        assert 0.0 < float(last.split(",")[1]) < 10.0, key


def test_a_teacher_of_text_is_fitted_to_its_training_split(tmp_path: Path) -> None:
    write_words(tmp_path / "words.txt")
    out, plan = made(tmp_path, TEXT)
    data = Dataset.read(out / only(plan, "data/"))
    teacher = load_model(Absorbing(27), out / only(plan, "teachers/"))
    assert isinstance(teacher, MarkovTeacher)
    halved = load_models(Absorbing(27), out / only(plan, "students/progressive"), "cpu")
    steps = build_sampler({"sampler": "student", "grid": "uniform"}, halved, 3).steps
    assert [type(step.kernel) for step in steps] == [Analytic] * 3  # what a factorised student of clean data is
    expected = MarkovChain.fit(data.splits["train"], 27, 1, 0.5)
    np.testing.assert_array_equal(teacher.law.transition, expected.transition)
    held_out = torch.from_numpy(data.splits["test"].astype(np.int64))
    bits = -float(teacher.log_data(held_out).mean()) / 16 / np.log(2)
    assert bits < 4.2  # of 4.75 for letters drawn evenly
    assert json.loads((out / only(plan, "teachers/") / "model.json").read_text()) == {
        "kind": "markov",
        "vocabulary": 27,
        "order": 1,
        "length": 16,
    }
