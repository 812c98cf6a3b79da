"""`cdmrun distill`: a student, by the objective that its spec names (`method`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from cdmrun.data.dataset import Dataset, read_arrays
from cdmrun.distill import (
    BootstrapMatching,
    ChainMatching,
    ComposedMatching,
    ExactMatching,
    KeptLabels,
    Labels,
    LastLinkMatching,
    SampledMatching,
    StepSchedule,
    TeacherLabels,
    divergence,
    rounds,
)
from cdmrun.files import write_json
from cdmrun.models import ConditionalModel, EnumeratedTeacher, ExactTeacher, MarkovTeacher, NetworkModel, save_model
from cdmrun.registry import implementation
from cdmrun.stages.build import build_process, build_settings, load_models, network_shape
from cdmrun.stages.history import write_history
from cdmrun.stages.job import Job
from cdmrun.stages.train import data_source
from cdmrun.training import Objective, TrainSettings, train
from cdmrun.training.sources import PairSource, Source, chain_source, noised_pairs, rollout_pairs


def run(job: Job) -> None:
    """Write the student's model files, models.json and history."""
    dataset = Dataset.read(job.input("data"))
    process = build_process(job.config["forward_process"], dataset.vocabulary)
    teacher = load_models(process, job.input("teacher"), job.device)[None]
    torch.manual_seed(job.config["seed"])
    names: Mapping[str, str] = implementation("objective", job.config["method"])(Distillation(job, dataset, teacher))
    if job.group.leads:
        write_json(job.folder / "models.json", names)


@dataclass(frozen=True)
class Distillation:
    """What an objective is given: the problem, and how students are made, trained and kept.

    An objective returns which models it made: ``{"any": NAME}`` for one that serves all step counts, or a name for
    each step count.
    """

    job: Job
    dataset: Dataset
    teacher: ConditionalModel

    @property
    def config(self) -> Mapping[str, Any]:
        """The student's section of the spec, with ``forward_process`` and ``seed``."""
        return self.job.config

    @property
    def settings(self) -> TrainSettings:
        """How the spec wants students trained."""
        return build_settings(self.config["train"])

    @property
    def batch(self) -> int:
        """Sequences that are computed at once: ``train.batch``, shared among parts (``accumulate``) and processes."""
        return self.job.group.share(self.settings.batch, self.settings.accumulate)

    @property
    def source(self) -> Source:
        """Clean sequences of the data."""
        return data_source(self.dataset)

    def pairs(self) -> PairSource:
        """The (x_0, x_t) that the spec's ``target`` asks for; of data unless it says otherwise."""
        target, teacher = self.config["target"]["kind"], self.teacher
        if target == "rollout" or self.config["target"].get("contexts") == "draws":
            drawn = read_arrays(self.job.input("draws") / "draws.npz")
            return rollout_pairs(drawn["levels"], drawn["contexts"], drawn["sequences"], teacher.process)
        if target == "exact":
            assert isinstance(teacher, MarkovTeacher), "checked by the spec"
            return noised_pairs(chain_source(teacher.law, teacher.length), teacher.process)
        return noised_pairs(self.source, teacher.process)

    def labels(self, steps: StepSchedule) -> Labels:
        """The teacher's laws of single tokens in these steps: those that are kept (``labelled``), or new ones."""
        target = self.config["target"]
        if target.get("labelled"):
            return KeptLabels(read_arrays(self.job.input("labels") / "labels.npz"), steps.nfe)
        return TeacherLabels(self.teacher, self.pairs(), steps, self.config["match"], target["positions"])

    def student(
        self,
        family: Mapping[str, Any],
        match: str = "clean",
        teacher: ConditionalModel | None = None,
        from_teacher: bool | None = None,
    ) -> NetworkModel:
        """A new student of a family, started from its teacher's weights if it is to be (``init``) and there are any."""
        teacher = self.teacher if teacher is None else teacher
        from_teacher = self.config["init"] == "teacher" if from_teacher is None else from_teacher
        # leave-one-out is what the exact reverse kernel needs of a network under any process (docs/method.md)
        prediction = teacher.shape.prediction if isinstance(teacher, NetworkModel) else "leave_one_out"
        if isinstance(teacher, NetworkModel) and from_teacher:
            shape = network_shape(self.dataset, teacher.shape.trunk, family, match, prediction)
            student = NetworkModel(teacher.process, shape)
            student.start_from(teacher)
        else:
            shape = network_shape(self.dataset, self.config["model"], family, match, prediction)
            student = NetworkModel(teacher.process, shape)
        return student.to(self.job.device)

    def train(
        self,
        student: NetworkModel,
        objective: Objective,
        name: str = "model",
        teacher: ConditionalModel | None = None,
    ) -> None:
        """Minimise an objective, with checkpoints to resume from, and keep the student under ``name``.

        ``teacher`` is whom the objective asks, if not the spec's.
        """
        job, settings = self.job, self.settings
        student.precision = settings.precision
        report = partial(job.progress, part=name)
        checkpoint, frozen = job.work / f"{name}.pt", [self.teacher if teacher is None else teacher]
        seed, identity = job.stream("training", name), job.identity(name)
        result = train(student, objective, settings, seed, checkpoint, identity, report, job.group, frozen)
        if job.group.leads:
            write_history(job.folder / f"history-{name}.csv", result)
            save_model(student, job.folder, name)


def conditional_matching(task: Distillation) -> Mapping[str, str]:
    """``method: cdm``: one student for all step counts or, with ``per_nfe``, one for each."""
    config = task.config
    if not config["per_nfe"]:
        student = task.student(config["family"], config["match"])
        task.train(student, matching(task, student, config["nfe"]))
        return {"any": "model"}
    names: dict[str, str] = {}
    for nfe in config["nfe"]:
        names[str(nfe)] = name = f"model-{nfe}"
        student = task.student(config["family"], config["match"])
        task.train(student, matching(task, student, [nfe]), name)
    return names


def matching(task: Distillation, student: NetworkModel, nfe: Sequence[int]) -> Objective:
    """The objective of a ``method: cdm`` student that is to serve some step counts."""
    config, teacher, source, batch = task.config, task.teacher, task.source, task.batch
    target, compared_by = config["target"], divergence(config["divergence"], config.get("alpha"))
    steps = StepSchedule(nfe, config["grid"])
    match target["kind"]:
        case "bootstrap":
            return BootstrapMatching(student, teacher, source, steps, batch, target["substeps"])
        case "soft" if target["contexts"] == "walk":
            return LastLinkMatching(student, teacher, source, steps, batch, target["substeps"])
        case "soft":
            return ChainMatching(student, task.labels(steps), batch, compared_by)
        case "exact" if isinstance(teacher, EnumeratedTeacher):
            return ExactMatching(student, teacher, source, steps, batch, compared_by)
    known = target["kind"] == "exact" and compared_by.name != "forward_kl"
    density = teacher if known and isinstance(teacher, ExactTeacher) else None
    return SampledMatching(student, task.pairs(), steps, batch, compared_by, density)


def progressive(task: Distillation) -> Mapping[str, str]:
    """``method: progressive``: round after round, each with its checkpoint; one that is complete is not repeated."""
    config, teacher = task.config, task.teacher
    names: dict[str, str] = {}
    for number, nfe in enumerate(rounds(config["nfe"], config["start"], config["substeps"])):
        name = f"model-{nfe}"
        from_teacher = number > 0 or config["init"] == "teacher"  # after the first round the teacher is a student
        student = task.student({"kind": "factorized"}, "clean", teacher, from_teacher)
        compared_by, grid, substeps = config["divergence"], config["grid"], config["substeps"]
        objective = ComposedMatching(student, teacher, task.source, nfe, task.batch, compared_by, grid, substeps)
        task.train(student, objective, name, teacher)
        if nfe in config["nfe"]:
            names[str(nfe)] = name
        teacher = student
    return names
