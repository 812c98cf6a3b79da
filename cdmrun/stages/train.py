"""`cdmrun train`: a teacher, learned or exact."""

from __future__ import annotations

import torch

from cdmrun.data.dataset import Dataset
from cdmrun.errors import UserError
from cdmrun.files import write_json
from cdmrun.models import EnumeratedTeacher, NetworkModel, save_model
from cdmrun.stages.build import build_process, build_settings, network_shape
from cdmrun.stages.history import write_history
from cdmrun.stages.job import Job
from cdmrun.stages.provenance import fingerprint
from cdmrun.training import TrainResult, train
from cdmrun.training.denoising import Denoising
from cdmrun.training.sources import Source, array_source, table_source


def run(job: Job) -> None:
    """Write model.json, model.safetensors, models.json and (for networks) history.csv."""
    dataset = Dataset.read(job.input("data"))
    process = build_process(job.config["forward_process"], dataset.vocabulary)
    teacher = job.config["teacher"]
    if teacher["kind"] == "enumerated":
        if dataset.table is None:
            raise UserError("an enumerated teacher needs data given as a table", "use data: {kind: table, file: …}")
        save_model(EnumeratedTeacher(process, torch.from_numpy(dataset.table)), job.folder)
    else:
        torch.manual_seed(job.config["seed"])
        shape = network_shape(
            dataset, teacher["model"], {"kind": "factorized"}, "clean", teacher.get("prediction", "posterior")
        )
        model = NetworkModel(process, shape).to(job.device)
        settings = build_settings(teacher["train"])
        model.precision = settings.precision
        objective = Denoising(model, data_source(dataset), settings.batch)
        result: TrainResult = train(
            model,
            objective,
            settings,
            job.config["seed"],
            job.work / "checkpoint.pt",
            f"{job.run.id}:{fingerprint('train')}",
            job.progress,
        )
        write_history(job.folder / "history.csv", result)
        save_model(model, job.folder)
    write_json(job.folder / "models.json", {"any": "model"})


def data_source(dataset: Dataset) -> Source:
    """Clean training sequences of a data set."""
    return table_source(dataset.table) if dataset.table is not None else array_source(dataset.splits["train"])
