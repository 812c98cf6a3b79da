"""What ChemNet sees in molecules: the activations of which FCD is the Fréchet distance (package fcd-torch).

Preuer et al. 2018, "Fréchet ChemNet Distance". The network and its weights are those of the package; its own distance
calls what newer numpy and scipy no longer have, so the distance is that of `cdmrun.metrics.frechet`, in float64.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cdmrun.errors import UserError
from cdmrun.metrics.molecules import REMEDY

_BATCH = 250
_WEIGHTS = "ChemNet_v0.13_pretrained.pt"


def activations(smiles: Sequence[str]) -> npt.NDArray[np.float32]:
    """Activations of ChemNet's last hidden layer, [n, 512], of canonical SMILES.

    Different strings are computed once, in sorted order and in batches of one size, so that a string's activations
    depend on what else is there only by rounding, and not on the order.

    Raises
    ------
    UserError
        Where fcd-torch or RDKit is not installed.
    """
    different = sorted(set(smiles))
    found = np.empty((len(different), 512), np.float32)
    network, dataset = _chemnet()
    with torch.inference_mode():
        for start in range(0, len(different), _BATCH):
            strings = different[start : start + _BATCH]
            rows = dataset(strings, canonize=False)
            one_hot = torch.from_numpy(np.stack([rows[i] for i in range(len(strings))])).float()
            found[start : start + _BATCH] = network(one_hot.transpose(1, 2)).numpy()
    places = {string: place for place, string in enumerate(different)}
    return found[[places[string] for string in smiles]]


def weights_sha256() -> str:
    """Hash of the file of weights that is installed."""
    fcd = _package()
    return hashlib.sha256((Path(fcd.__file__).parent / _WEIGHTS).read_bytes()).hexdigest()


@cache
def _chemnet() -> tuple[torch.nn.Module, Any]:
    """The network, ready, and what turns strings into its inputs."""
    fcd = _package()
    network: torch.nn.Module = fcd.FCD(device="cpu", n_jobs=1).model
    return network.eval(), fcd.utils.SmilesDataset


def _package() -> Any:
    try:
        import fcd_torch
        import fcd_torch.utils
    except ImportError as error:
        raise UserError(f"fcd cannot be computed without the packages fcd-torch and rdkit: {error}", REMEDY) from error
    return fcd_torch
