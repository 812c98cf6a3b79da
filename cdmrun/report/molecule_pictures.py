"""Molecules as structures, drawn by RDKit; a sample that is none is shown as what it spells."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from cdmrun.data.dataset import Dataset
from cdmrun.metrics.molecules import canonical_smiles

ACROSS = 2
#: Pixels of one molecule, and how many are one of the page's.
WIDTH, HEIGHT, DENSITY = 260, 200, 2
_INVALID = (253, 240, 236)
_EDGE = (214, 120, 96)
_MASK_SIGN = "?"
_CHARACTERS = 20  # in a line


def draw_molecules(tokens: np.ndarray, dataset: Dataset) -> tuple[npt.NDArray[np.uint8], int]:
    """Samples [n, L] in rows of `ACROSS`; and how many pixels are one of the page's."""
    canvas = Image.new("RGBA", (ACROSS * WIDTH, -(-len(tokens) // ACROSS) * HEIGHT), (255, 255, 255, 255))
    masked = np.max(tokens, axis=1) >= dataset.vocabulary
    readable = np.where(tokens < dataset.vocabulary, tokens, 0)
    for index, molecule in enumerate(canonical_smiles(readable, dataset)):
        if molecule is None or masked[index]:
            panel = _as_text(_spelled(tokens[index], dataset))
        else:
            panel = _as_structure(molecule)
        canvas.paste(panel, ((index % ACROSS) * WIDTH, (index // ACROSS) * HEIGHT))
    return np.asarray(canvas), DENSITY


def _as_structure(smiles: str) -> Image.Image:
    from rdkit import Chem
    from rdkit.Chem.Draw import rdMolDraw2D

    drawing: Any = rdMolDraw2D.MolDraw2DCairo(WIDTH, HEIGHT)
    options = drawing.drawOptions()
    options.includeMetadata = False  # names RDKit's version
    options.padding = 0.08
    rdMolDraw2D.PrepareAndDrawMolecule(drawing, Chem.MolFromSmiles(smiles))
    drawing.FinishDrawing()
    return Image.open(io.BytesIO(drawing.GetDrawingText())).convert("RGBA")


def _as_text(spelled: str) -> Image.Image:
    """What is no molecule, as a string on another ground."""
    lines = [spelled[start : start + _CHARACTERS] for start in range(0, len(spelled), _CHARACTERS)]
    panel = Image.new("RGBA", (WIDTH, HEIGHT), (255, 255, 255, 255))
    pen = ImageDraw.Draw(panel)
    pen.rounded_rectangle((8, 8, WIDTH - 9, HEIGHT - 9), radius=10, fill=_INVALID, outline=_EDGE, width=2)
    pen.text((20, 20), "no molecule", fill=_EDGE, font=font(18))
    pen.multiline_text((20, 52), "\n".join(lines[:5]), fill=(60, 60, 60), font=font(16), spacing=6)
    return panel


def _spelled(tokens: np.ndarray, dataset: Dataset) -> str:
    """The string, with a sign for masks that are left over and for padding inside."""
    alphabet = tuple(dataset.alphabet or ())
    parts = [(alphabet[t] or "_") if t < len(alphabet) else _MASK_SIGN for t in tokens.tolist()]
    return "".join(parts).rstrip("_") or "(empty)"


@cache
def font(size: int) -> Any:
    """The font of pictures, which Pillow brings along: the same everywhere."""
    return ImageFont.load_default(size)
