"""Models on disk: ``NAME.json`` says how to build one, ``NAME.safetensors`` holds its weights; nothing is unpickled."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from cdmrun.data.chain import MarkovChain
from cdmrun.errors import UserError
from cdmrun.files import read_json, write_atomic, write_json
from cdmrun.models.base import ConditionalModel
from cdmrun.models.enumerated import EnumeratedTeacher
from cdmrun.models.markov import MarkovTeacher
from cdmrun.models.network import NetworkModel, NetworkShape
from cdmrun.processes import ForwardProcess


def save_model(model: ConditionalModel, folder: Path, name: str = "model") -> None:
    """Write ``name.safetensors`` and ``name.json`` below ``folder``, each atomically."""
    weights = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    write_atomic(folder / f"{name}.safetensors", save(weights))
    write_json(folder / f"{name}.json", _describe(model))


def load_model(process: ForwardProcess, folder: Path, name: str = "model", device: str = "cpu") -> ConditionalModel:
    """Read a model back, in evaluation mode.

    Raises
    ------
    UserError
        If a file is missing, damaged, or does not fit the description beside it.
    """
    description = read_json(folder / f"{name}.json")
    path = folder / f"{name}.safetensors"
    try:
        weights = load(path.read_bytes())
        model = _build(process, description, weights)
        model.load_state_dict(weights)
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError, UserError) as error:
        raise UserError(
            f"{path}: not the weights that {name}.json beside it describes: {error}",
            f"delete the folder {folder} and run again: it will be trained anew",
        ) from error
    return model.to(device).eval()


def _describe(model: ConditionalModel) -> dict[str, Any]:
    if isinstance(model, NetworkModel):
        return {"kind": "network", "shape": asdict(model.shape)}
    if isinstance(model, EnumeratedTeacher):
        return {"kind": "enumerated", "vocabulary": model.process.vocabulary, "length": model.length}
    if isinstance(model, MarkovTeacher):
        return {"kind": "markov", "vocabulary": model.process.vocabulary, "order": model.order, "length": model.length}
    raise TypeError(f"no storage for {type(model).__name__}")


def _build(process: ForwardProcess, description: dict[str, Any], weights: dict[str, torch.Tensor]) -> ConditionalModel:
    if description["kind"] == "enumerated":
        axes = [description["vocabulary"]] * description["length"]
        return EnumeratedTeacher(process, weights["table"].reshape(axes))
    if description["kind"] == "markov":
        chain = MarkovChain(weights["chain.initial"].numpy(), weights["chain.transition"].numpy())
        return MarkovTeacher(process, chain, description["length"])
    return NetworkModel(process, NetworkShape(**description["shape"]))
