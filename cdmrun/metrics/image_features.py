"""A small convolutional network whose activations say what is in an image; trained once by the workflow, then frozen.

Large feature networks are made for photographs and are not to be had here. This one sees images of the data's own size,
and learns to restore an image whose pixels were partly replaced and, where images have classes, to name the class.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional

from cdmrun.errors import UserError
from cdmrun.files import write_atomic

#: Share of the pixels that are drawn anew before the network sees an image.
NOISE = 0.4
#: Coordinates of the activations: fewer than there are images to estimate a covariance from.
WIDTH = 64
_BATCH = 128
_CHUNK = 250  # images seen at once: bounds memory, changes results by rounding only


class ImageFeatures(nn.Module):
    """Two convolutions, a hidden layer of `WIDTH` activations, and from these linear readings of pixels and class.

    Parameters
    ----------
    height, width, levels
        Of an image: tokens [n, height · width] below ``levels``.
    classes
        How many there are; 0 where images have none.
    channels
        Of the first convolution; the second has twice as many.
    """

    def __init__(self, height: int, width: int, levels: int, classes: int, channels: int = 16) -> None:
        super().__init__()
        self.size = {"height": height, "width": width, "levels": levels, "classes": classes, "channels": channels}
        self.see = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.GELU(),
            nn.AvgPool2d(2, ceil_mode=True),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.GELU(),
            nn.AdaptiveAvgPool2d((min(4, height), min(4, width))),
            nn.Flatten(),
            nn.Linear(2 * channels * min(4, height) * min(4, width), WIDTH),
            nn.GELU(),
        )
        self.restore = nn.Linear(WIDTH, height * width)
        self.name = nn.Linear(WIDTH, classes) if classes else None

    def forward(self, images: Tensor) -> Tensor:
        """Activations [n, WIDTH] of tokens [n, height · width]."""
        grey = self.grey(images).reshape(len(images), 1, self.size["height"], self.size["width"])
        activations: Tensor = self.see(grey)
        return activations

    def grey(self, images: Tensor) -> Tensor:
        """Levels as numbers from -1 to 1."""
        return images.float() * (2.0 / max(self.size["levels"] - 1, 1)) - 1.0

    @torch.inference_mode()
    def activations(self, images: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float32]:
        """Activations [n, WIDTH] of tokens [n, height · width]."""
        tokens = torch.from_numpy(images.astype(np.int64))
        return np.concatenate([self(chunk).numpy() for chunk in tokens.split(_CHUNK)])

    @torch.inference_mode()
    def class_laws(self, images: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float32]:
        """What the network takes for the law of each image's class, [n, classes]."""
        if self.name is None:
            raise ValueError("trained on images without classes")
        return self.name(torch.from_numpy(self.activations(images))).softmax(dim=1).numpy()

    def classify(self, images: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
        """The class that the network gives each image, [n]."""
        return self.class_laws(images).argmax(axis=1)

    def loss(self, images: Tensor, classes: Tensor | None, randomness: torch.Generator) -> Tensor:
        """Squared error of restored pixels, relative to grey images, and cross-entropy of the class."""
        replaced = torch.rand(images.shape, generator=randomness) < NOISE
        anything = torch.randint(self.size["levels"], images.shape, generator=randomness)
        activations = self(torch.where(replaced, anything, images))
        loss = functional.mse_loss(self.restore(activations), self.grey(images))
        if self.name is not None and classes is not None:
            loss = loss + functional.cross_entropy(self.name(activations), classes)
        return loss

    def to_bytes(self) -> bytes:
        """The weights as a safetensors file."""
        return save({key: value.contiguous() for key, value in self.state_dict().items()})

    def save(self, path: Path) -> str:
        """Write the weights, atomically; returns their hash."""
        content = self.to_bytes()
        write_atomic(path, content)
        return hashlib.sha256(content).hexdigest()

    @classmethod
    def load(cls, path: Path, size: dict[str, int]) -> ImageFeatures:
        """Read what `save` wrote; a missing or damaged file is a `UserError`."""
        network = cls(**size)
        try:
            network.load_state_dict(load_file(path))
        except Exception as error:  # safetensors has no class of its own for all of them
            raise UserError(f"{path}: not the weights of a feature network: {error}", "delete its folder") from error
        return network.eval()


def train_features(
    images: npt.NDArray[np.integer[Any]],
    classes: npt.NDArray[np.integer[Any]] | None,
    shape: tuple[int, int],
    levels: int,
    steps: int,
    seed: int,
) -> ImageFeatures:
    """Train a network on images [n, H · W] and their classes [n], if they have any."""
    named = None if classes is None else torch.from_numpy(classes.astype(np.int64))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ImageFeatures(*shape, levels, 0 if named is None else int(named.max()) + 1)
    tokens = torch.from_numpy(images.astype(np.int64))
    randomness = torch.Generator().manual_seed(seed + 1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(tokens), (_BATCH,), generator=randomness)
        loss = network.loss(tokens[rows], None if named is None else named[rows], randomness)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval().requires_grad_(False)
