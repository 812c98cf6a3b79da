"""From configs to the objects of the science: processes, networks, samplers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from cdmrun.data.dataset import Dataset
from cdmrun.errors import UserError
from cdmrun.files import read_json
from cdmrun.models import ConditionalModel, NetworkShape, load_model
from cdmrun.processes import (
    Absorbing,
    ForwardProcess,
    Matrix,
    Uniform,
    birth_death,
    block,
    discretised_gaussian,
    hky85,
    make_schedule,
)
from cdmrun.samplers import (
    FirstHitting,
    Oracle,
    Sampler,
    Uniformization,
    analytic_sampler,
    student_sampler,
    tau_leaping_sampler,
    theta_sampler,
)
from cdmrun.training import TrainSettings


def build_process(config: Mapping[str, Any], vocabulary: int) -> ForwardProcess:
    """The forward process of a resolved spec's ``forward_process`` over the given number of tokens."""
    kind = config["kind"]
    schedule = make_schedule(config["schedule"], config["alpha_min"], config["sigma_min"], config["sigma_max"])
    if kind == "uniform":
        return Uniform(vocabulary, schedule)
    if kind == "absorbing":
        return Absorbing(vocabulary, schedule)
    process = Matrix(build_generator(config, vocabulary), schedule, kind)
    if process.vocabulary != vocabulary:
        raise UserError(
            f"forward_process: {kind} has {process.vocabulary} states, the data {vocabulary} tokens",
            "give one row and one column for each token, or take another kind of process",
        )
    return process


def build_generator(config: Mapping[str, Any], vocabulary: int) -> torch.Tensor:
    """The generator of a process other than uniform and absorbing, float64; its kind may fix the number of tokens."""
    match config["kind"]:
        case "hky85":
            return hky85(config["kappa"], config["frequencies"])
        case "gaussian":
            return discretised_gaussian(vocabulary, config["width"])
        case "birth_death":
            return birth_death(vocabulary)
        case "block":
            return block(vocabulary, config["blocks"], config["within"])
    return torch.tensor(config["generator"], dtype=torch.float64)


def build_settings(config: Mapping[str, Any]) -> TrainSettings:
    """Training settings of a spec's ``train``."""
    known = {name: config[name] for name in TrainSettings.__dataclass_fields__ if name in config}
    return TrainSettings(**known)


def network_shape(
    dataset: Dataset, model: Mapping[str, Any], family: Mapping[str, Any], matches: str, prediction: str
) -> NetworkShape:
    """The shape of a network on a data set."""
    return NetworkShape(dataset.length, dict(family), dict(model), matches, prediction)


def load_models(process: ForwardProcess, folder: Path, device: str) -> dict[int | None, ConditionalModel]:
    """The models of a teacher or student product: one for all step counts (key None), or one for each."""
    names = read_json(folder / "models.json")
    return {
        None if nfe == "any" else int(nfe): load_model(process, folder, name, device) for nfe, name in names.items()
    }


def build_oracle(config: Mapping[str, Any], models: Mapping[int | None, ConditionalModel]) -> Oracle:
    """The exact simulation of a ``samples`` run that has no step count to choose."""
    if config["sampler"] == "first_hitting":
        return FirstHitting(models[None])
    return Uniformization(models[None], config["stop"])


def build_sampler(config: Mapping[str, Any], models: Mapping[int | None, ConditionalModel], nfe: int) -> Sampler:
    """The sampler of a ``samples`` run for one number of network calls."""
    model = models[None] if None in models else models[nfe]
    grid = config.get("grid", "uniform")
    match config["sampler"]:
        case "analytic":
            return analytic_sampler(model, nfe, grid)
        case "tau_leaping":
            return tau_leaping_sampler(
                model, nfe, grid, config.get("final"), config.get("hold"), config.get("jumps", "any_jump")
            )
        case "theta_trapezoidal" | "theta_rk2" as name:
            solver = name.removeprefix("theta_")
            return theta_sampler(model, nfe, solver, config["theta"], grid, config["final"], config["hold"])
        case "student":
            if None not in models:  # progressive distillation: factorised students under the analytic sampler
                return analytic_sampler(model, nfe, grid)
            return student_sampler(model, nfe, grid)
    raise ValueError(f"unknown sampler {config['sampler']!r}")
