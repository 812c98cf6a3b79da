"""`cdmrun train`: a teacher, learned or exact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from cdmrun.data.chain import MarkovChain
from cdmrun.data.dataset import Dataset
from cdmrun.errors import UserError
from cdmrun.files import write_json
from cdmrun.models import EnumeratedTeacher, ExactTeacher, MarkovTeacher, NetworkModel, save_model
from cdmrun.processes import ForwardProcess
from cdmrun.stages.build import build_process, build_settings, network_shape
from cdmrun.stages.history import write_history
from cdmrun.stages.job import Job
from cdmrun.training import TrainResult, train
from cdmrun.training.denoising import Denoising
from cdmrun.training.score_entropy import ScoreEntropy
from cdmrun.training.sources import Source, array_source, chain_source, table_source


def run(job: Job) -> None:
    """Write model.json, model.safetensors, models.json and (for networks) history.csv."""
    dataset = Dataset.read(job.input("data"))
    process = build_process(job.config["forward_process"], dataset.vocabulary)
    teacher = job.config["teacher"]
    if teacher["kind"] != "network":
        if job.group.leads:
            save_model(exact_teacher(teacher, dataset, process), job.folder)
    else:
        torch.manual_seed(job.config["seed"])
        shape = network_shape(
            dataset, teacher["model"], {"kind": "factorized"}, "clean", teacher.get("prediction", "posterior")
        )
        model = NetworkModel(process, shape).to(job.device)
        settings = build_settings(teacher["train"])
        model.precision = settings.precision
        loss = ScoreEntropy if shape.prediction == "ratio" else Denoising
        objective = loss(model, data_source(dataset), job.group.share(settings.batch, settings.accumulate))
        result: TrainResult = train(
            model,
            objective,
            settings,
            job.stream("training"),
            job.work / "checkpoint.pt",
            job.identity(),
            job.progress,
            job.group,
        )
        if job.group.leads:
            write_history(job.folder / "history.csv", result)
            save_model(model, job.folder)
    if job.group.leads:
        write_json(job.folder / "models.json", {"any": "model"})


def exact_teacher(config: Mapping[str, Any], dataset: Dataset, process: ForwardProcess) -> ExactTeacher:
    """The teacher that needs no training: the law of the data, or a chain fitted to their training split."""
    if config["kind"] == "enumerated":
        if dataset.table is None:
            raise UserError("an enumerated teacher needs data given as a table", "use data: {kind: table, file: …}")
        return EnumeratedTeacher(process, torch.from_numpy(dataset.table))
    chain = dataset.chain
    if chain is None:
        if "train" not in dataset.splits:
            raise UserError("a markov teacher is fitted to sequences, and these data have none", "use kind: enumerated")
        train_split = dataset.splits["train"]
        chain = MarkovChain.fit(train_split, dataset.vocabulary, config["order"], config["smoothing"])
    return MarkovTeacher(process, chain, dataset.length)


def data_source(dataset: Dataset) -> Source:
    """Clean training sequences of a data set: new draws where the law is known, else its training split."""
    if dataset.table is not None:
        return table_source(dataset.table)
    if dataset.chain is not None:
        return chain_source(dataset.chain, dataset.length)
    return array_source(dataset.splits["train"])
