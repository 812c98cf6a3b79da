"""Frozen features in which samples are compared with held-out data: how they are made, kept and read again.

Of images they are activations of a network that the workflow trains on images no other part of it is fitted to, where
there are such; of molecules, those of ChemNet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from cdmrun.data.dataset import Dataset, Tokens, read_arrays
from cdmrun.errors import UserError
from cdmrun.files import read_map, write_json, write_with
from cdmrun.metrics import chemnet
from cdmrun.metrics.frechet import Moments, frechet_distance, moments
from cdmrun.metrics.held_out import spread
from cdmrun.metrics.image_features import ImageFeatures, train_features
from cdmrun.metrics.molecules import canonical_smiles

META_FILE = "features.json"
ARRAYS_FILE = "held_out.npz"
NETWORK_FILE = "network.safetensors"
#: Fewer images than this do not train a network.
_ENOUGH = 100


@dataclass(frozen=True)
class Features:
    """Activations of a frozen network, and the moments of those of held-out data.

    Attributes
    ----------
    held_out
        Mean and covariance over held-out sequences.
    network
        Of images; None of molecules, which ChemNet sees.
    """

    held_out: Moments
    network: ImageFeatures | None

    def activations(self, samples: Tokens, dataset: Dataset) -> npt.NDArray[np.float32]:
        """Of samples [n, L], [m, d]; m is less than n where some are no molecules."""
        return _activations(samples, dataset, self.network)

    def distance(self, samples: Tokens, dataset: Dataset) -> float:
        """Fréchet distance of samples to held-out data; infinite where fewer than two can be seen at all."""
        seen = self.activations(samples, dataset)
        return frechet_distance(moments(seen), self.held_out) if len(seen) > 1 else math.inf

    @classmethod
    def read(cls, folder: Path) -> Features:
        """Read what `make_features` wrote; a missing or damaged file is a `UserError`."""
        meta, arrays = read_map(folder / META_FILE, "kind"), read_arrays(folder / ARRAYS_FILE)
        try:
            held_out = Moments(arrays["mean"], arrays["covariance"])
            network = ImageFeatures.load(folder / NETWORK_FILE, meta["size"]) if meta["kind"] == "images" else None
        except (KeyError, TypeError) as error:
            message = f"{folder}: {META_FILE} and {ARRAYS_FILE} do not fit together: {error}"
            raise UserError(message, f"delete {folder} and run the workflow again") from error
        return cls(held_out, network)


def make_features(dataset: Dataset, config: Mapping[str, Any], folder: Path) -> None:
    """Write features.json, held_out.npz and, of images, the trained network.

    Parameters
    ----------
    dataset
        Of images or molecules. A network is trained on the judge split, or on the training split where that is empty.
    config
        ``kind`` (``images`` or ``molecules``), ``held_out`` (how many held-out sequences, at most) and, of images,
        ``steps`` and ``seed`` of the training.
    """
    network, meta = None, {"kind": config["kind"], "sha256": ""}
    if config["kind"] == "images":
        network, trained = _train(dataset, config)
        meta |= {"sha256": network.save(folder / NETWORK_FILE), "size": network.size, **trained}
    else:
        meta |= {"sha256": chemnet.weights_sha256(), "weights": "ChemNet of package fcd-torch"}
    real = spread(dataset.splits["test"], config["held_out"])
    found = moments(_activations(real, dataset, network))

    def write(stream: BinaryIO) -> None:
        np.savez_compressed(stream, mean=found.mean, covariance=found.covariance)

    write_with(folder / ARRAYS_FILE, write)
    write_json(folder / META_FILE, {**meta, "held_out_sequences": len(real)})


def _train(dataset: Dataset, config: Mapping[str, Any]) -> tuple[ImageFeatures, dict[str, Any]]:
    split = "judge" if len(dataset.splits["judge"]) >= _ENOUGH else "train"
    classes = dataset.labels[split] if dataset.labels is not None else None
    assert dataset.image_shape is not None, "checked by the spec"
    shape, levels = dataset.image_shape, dataset.vocabulary
    network = train_features(dataset.splits[split], classes, shape, levels, config["steps"], config["seed"])
    told: dict[str, Any] = {"trained_on": split, "images": len(dataset.splits[split])}
    if dataset.labels is not None:
        right = network.classify(dataset.splits["test"]) == dataset.labels["test"]
        told["held_out_accuracy"] = float(right.mean())
    return network, told


def _activations(samples: Tokens, dataset: Dataset, network: ImageFeatures | None) -> npt.NDArray[np.float32]:
    if network is not None:
        return network.activations(samples)
    return chemnet.activations([molecule for molecule in canonical_smiles(samples, dataset) if molecule is not None])
