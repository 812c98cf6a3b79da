"""A few samples as one picture: images in rows, molecules as structures, chorales as piano rolls."""

from __future__ import annotations

import importlib.util
import io
from typing import Any

import matplotlib.image
import numpy as np
import numpy.typing as npt

from cdmrun.data.dataset import Dataset
from cdmrun.report.molecule_pictures import draw_molecules
from cdmrun.report.piano_roll import draw_rolls

#: Colours [height, width, 4] from 0 to 255: red, green, blue, opacity.
Picture = npt.NDArray[np.uint8]

_DENSITY = 2
_MASKED = (64, 115, 217, 255)


def can_be_drawn(content: str) -> bool:
    """Whether samples of such content are shown as pictures; molecules are where RDKit is installed."""
    if content == "molecules":
        return importlib.util.find_spec("rdkit") is not None
    return content in ("images", "chorales")


def draw(tokens: np.ndarray, dataset: Dataset, content: str) -> tuple[Picture, int]:
    """Samples [n, L] as one picture, and how many of its pixels are one of the page's."""
    if content == "molecules":
        return draw_molecules(tokens, dataset)
    if content == "chorales":
        return draw_rolls(tokens, dataset), 1
    height, width = dataset.image_shape or (1, dataset.length)
    return draw_images(tokens.reshape(-1, height, width), dataset.vocabulary), _DENSITY


def draw_images(images: np.ndarray, levels: int) -> Picture:
    """Images [n, H, W] in rows of three; masked pixels are blue, the gaps transparent."""
    count, height, width = images.shape
    across = min(3, count)
    down = -(-count // across)
    canvas = np.zeros((down * (height + 1) - 1, across * (width + 1) - 1, 4), np.uint8)
    for index, image in enumerate(images):
        top, left = (index // across) * (height + 1), (index % across) * (width + 1)
        grey = np.rint(255 * (1.0 - np.clip(image / max(levels - 1, 1), 0.0, 1.0))).astype(np.uint8)
        colour = np.stack([grey, grey, grey, np.full_like(grey, 255)], axis=-1)
        colour[image >= levels] = _MASKED
        canvas[top : top + height, left : left + width] = colour
    scale = _DENSITY * max(2, 32 // height)
    return canvas.repeat(scale, axis=0).repeat(scale, axis=1)


def png(picture: Picture) -> bytes:
    """A picture as a PNG file, the same bytes each time."""
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, picture, format="png", metadata=dict[str, Any](Software=None))
    return buffer.getvalue()
