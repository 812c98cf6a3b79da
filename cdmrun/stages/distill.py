"""`cdmrun distill`: a student, by conditional distribution matching or by progressive distillation."""

from __future__ import annotations

from typing import Any

import torch

from cdmrun.data.dataset import Dataset, read_arrays
from cdmrun.distill import ComposedMatching, ExactMatching, SampledMatching, StepSchedule, rounds
from cdmrun.files import write_json
from cdmrun.models import ConditionalModel, EnumeratedTeacher, MarkovTeacher, NetworkModel, load_model, save_model
from cdmrun.stages.build import build_process, build_settings, load_models, network_shape
from cdmrun.stages.history import write_history
from cdmrun.stages.job import Job
from cdmrun.stages.provenance import fingerprint
from cdmrun.stages.train import data_source
from cdmrun.training import Objective, train
from cdmrun.training.sources import Source, chain_source, noised_pairs, rollout_pairs


def run(job: Job) -> None:
    """Write the student's model files, models.json and history."""
    dataset = Dataset.read(job.input("data"))
    process = build_process(job.config["forward_process"], dataset.vocabulary)
    teacher = load_models(process, job.input("teacher"), job.device)[None]
    torch.manual_seed(job.config["seed"])
    if job.config["method"] == "progressive":
        _progressive(job, dataset, teacher)
    else:
        _conditional_matching(job, dataset, teacher)


def _conditional_matching(job: Job, dataset: Dataset, teacher: ConditionalModel) -> None:
    from_teacher = job.config["init"] == "teacher"
    student = _new_student(job, dataset, teacher, job.config["family"], job.config["match"], from_teacher)
    settings = build_settings(job.config["train"])
    steps = StepSchedule(job.config["nfe"], job.config["grid"])
    target = job.config["target"]["kind"]
    objective: Objective
    if target == "exact" and isinstance(teacher, EnumeratedTeacher):
        objective = ExactMatching(student, teacher, data_source(dataset), steps, settings.batch)
    else:
        pairs = noised_pairs(_target_source(target, dataset, teacher), teacher.process)
        if target == "rollout":
            drawn = read_arrays(job.input("draws") / "draws.npz")
            pairs = rollout_pairs(drawn["levels"], drawn["contexts"], drawn["sequences"], teacher.process)
        objective = SampledMatching(student, pairs, steps, settings.batch)
    _train(job, student, objective, "model", job.config["seed"])
    write_json(job.folder / "models.json", {"any": "model"})


def _target_source(target: str, dataset: Dataset, teacher: ConditionalModel) -> Source:
    """What is noised to make pairs (x_0, x_t): the teacher's own law where it is known and asked for, else the data."""
    if target != "exact":
        return data_source(dataset)
    assert isinstance(teacher, MarkovTeacher), "checked by the spec"
    return chain_source(teacher.law, teacher.length)


def _progressive(job: Job, dataset: Dataset, teacher: ConditionalModel) -> None:
    """Round after round; a round that is complete is read back, so a stopped job goes on with the next."""
    names: dict[str, str] = {}
    settings = build_settings(job.config["train"])
    for number, nfe in enumerate(rounds(job.config["nfe"], job.config["start"])):
        name = f"model-{nfe}"
        from_teacher = number > 0 or job.config["init"] == "teacher"  # after the first round the teacher is a student
        student = _new_student(job, dataset, teacher, {"kind": "factorized"}, "clean", from_teacher)
        if (job.folder / f"{name}.json").exists():
            student = load_model(teacher.process, job.folder, name, job.device)  # type: ignore[assignment]
        else:
            objective = ComposedMatching(
                student,
                teacher,
                data_source(dataset),
                nfe,
                settings.batch,
                job.config["divergence"],
                job.config["grid"],
            )
            _train(job, student, objective, name, job.config["seed"] * 1000 + number)
        if nfe in job.config["nfe"]:
            names[str(nfe)] = name
        teacher = student
    write_json(job.folder / "models.json", names)


def _new_student(
    job: Job, dataset: Dataset, teacher: ConditionalModel, family: dict[str, Any], matches: str, from_teacher: bool
) -> NetworkModel:
    """A student, started from the teacher's weights if it is to be and there are any."""
    # leave-one-out is what the exact reverse kernel needs of a network under any process (method.md, section 8)
    prediction = teacher.shape.prediction if isinstance(teacher, NetworkModel) else "leave_one_out"
    if isinstance(teacher, NetworkModel) and from_teacher:
        shape = network_shape(dataset, teacher.shape.trunk, family, matches, prediction)
        student = NetworkModel(teacher.process, shape)
        student.start_from(teacher)
    else:
        shape = network_shape(dataset, job.config["model"], family, matches, prediction)
        student = NetworkModel(teacher.process, shape)
    return student.to(job.device)


def _train(job: Job, student: NetworkModel, objective: Objective, name: str, seed: int) -> None:
    settings = build_settings(job.config["train"])
    student.precision = settings.precision
    identity = f"{job.run.id}:{name}:{fingerprint('distill')}"
    result = train(student, objective, settings, seed, job.work / f"{name}.pt", identity, job.progress)
    write_history(job.folder / f"history-{name}.csv", result)
    save_model(student, job.folder, name)
