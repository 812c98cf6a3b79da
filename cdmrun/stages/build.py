"""From configs to the objects of the science: processes, networks, samplers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cdmrun.data.dataset import Dataset
from cdmrun.errors import UserError
from cdmrun.files import read_json, read_map
from cdmrun.models import ConditionalModel, NetworkShape, load_model
from cdmrun.processes import ForwardProcess, make_schedule
from cdmrun.registry import implementation
from cdmrun.samplers import Oracle, Sampler, student_sampler
from cdmrun.training import TrainSettings

#: Keys of every process, which make its schedule.
_SCHEDULE = ("schedule", "alpha_min", "sigma_min", "sigma_max")
#: For each number of network calls the times of a sampler's steps.
Grids = Mapping[int, Sequence[float]]
#: Keys of a ``samples`` or ``grids`` run that are not its sampler's options.
_SAMPLING = ("sampler", "nfe", "count", "seed", "compile", "points", "sequences")


def build_process(config: Mapping[str, Any], vocabulary: int) -> ForwardProcess:
    """The forward process of a resolved spec's ``forward_process`` over the given number of tokens."""
    kind = config["kind"]
    schedule = make_schedule(*(config[key] for key in _SCHEDULE))
    options = {key: value for key, value in config.items() if key not in ("kind", *_SCHEDULE)}
    process: ForwardProcess = implementation("process", kind)(vocabulary, schedule, **options)
    if process.vocabulary != vocabulary:
        raise UserError(
            f"forward_process: {kind} has {process.vocabulary} states, the data {vocabulary} tokens",
            "give one row and one column for each token, or take another kind of process",
        )
    return process


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


def load_grids(folder: Path) -> Grids:
    """The optimised time grids of a grids product."""
    return {int(nfe): times for nfe, times in read_map(folder / "grids.json", "grids")["grids"].items()}


def build_oracle(config: Mapping[str, Any], models: Mapping[int | None, ConditionalModel]) -> Oracle:
    """The exact simulation of a ``samples`` run that has no step count to choose."""
    oracle: Oracle = implementation("sampler", config["sampler"])(models[None], **_options(config))
    return oracle


def build_sampler(
    config: Mapping[str, Any], models: Mapping[int | None, ConditionalModel], nfe: int, grids: Grids | None = None
) -> Sampler:
    """The sampler of a ``samples`` run for one number of network calls; ``grids`` are its times, if optimised."""
    name, options = config["sampler"], _options(config)
    if grids is not None:
        options["grid"] = grids[nfe]
    if name == "student":
        return student_sampler(models[None if None in models else nfe], nfe, **options)
    sampler: Sampler = implementation("sampler", name)(models[None], nfe, **options)
    return sampler


def _options(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the sampler itself is told."""
    return {key: value for key, value in config.items() if key not in _SAMPLING}
