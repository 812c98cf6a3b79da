"""Samples side by side: text in columns, images in grids, and real held-out data to compare with."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np

from cdmrun.data.dataset import Dataset
from cdmrun.errors import UserError
from cdmrun.report.collect import is_complete
from cdmrun.report.lines import Line, lines_of, of_entry
from cdmrun.report.look import pretty
from cdmrun.spec.plan_types import Entry, Experiment, Plan

#: Stands for a symbol outside the data's alphabet: a position still masked at the end.
MASK_SIGN = "▒"
_UPSCALE = 4


@dataclass(frozen=True)
class Shown:
    """The samples of one cell: lines of text, or one image as a data URI (with its size in CSS pixels)."""

    texts: tuple[str, ...] = ()
    image: str = ""
    width: int = 0


@dataclass(frozen=True)
class SampleRow:
    """One sampler, one seed: what it drew at each NFE (None where it has no such NFE or no product yet)."""

    label: str
    seed: int
    cells: tuple[Shown | None, ...]


@dataclass(frozen=True)
class SampleGrid:
    """Methods × NFE, and held-out data. ``kind`` is "text" or "image"; ``length`` is tokens a sample."""

    kind: str
    columns: tuple[int, ...]
    rows: tuple[SampleRow, ...]
    held_out: Shown
    length: int
    masked: bool


def sample_grid(plan: Plan, experiment: Experiment, out: Path) -> SampleGrid | None:
    """Samples of the first seed of every line; None for data that are neither text nor images, or not there yet.

    Parameters
    ----------
    plan, experiment, out
        What was asked for, and the results folder. The data set is found through the inputs of a scores run.
    """
    dataset = dataset_of(plan, experiment, out)
    if dataset is None or not (dataset.alphabet or dataset.image_shape):
        return None
    shown = int(experiment.spec.get("report", {}).get("samples_shown", 6))
    test = dataset.splits.get("test", np.empty((0, 0)))
    spread = np.linspace(0, len(test) - 1, min(shown, len(test))).round().astype(int)
    held_out = _show(test[spread], dataset) if len(test) else Shown()
    columns = tuple(sorted({nfe for entry in experiment.entries for nfe in entry.nfe}))
    rows, masked = [], False
    for line in lines_of(experiment):
        row = _row(experiment, line, out, columns, dataset, shown)
        if row is not None:
            rows.append(row)
            masked = masked or any(MASK_SIGN in text for cell in row.cells if cell for text in cell.texts)
    kind = "text" if dataset.alphabet else "image"
    return SampleGrid(kind, columns, tuple(rows), held_out, dataset.length, masked)


def dataset_of(plan: Plan, experiment: Experiment, out: Path) -> Dataset | None:
    """An experiment's data set; None where it is not there or damaged: the report shows what there is."""
    folder = data_folder(plan, experiment, out)
    try:
        return Dataset.read(folder) if folder is not None else None
    except UserError:
        return None


def data_folder(plan: Plan, experiment: Experiment, out: Path) -> Path | None:
    """The data product of an experiment, found through the inputs of its scores runs; None where it is not there."""
    for entry in experiment.entries:
        key = plan.runs[entry.scores].inputs.get("data") if entry.scores in plan.runs else None
        if key and is_complete(out, key):
            return out / key
    return None


def _row(
    experiment: Experiment, line: Line, out: Path, columns: tuple[int, ...], dataset: Dataset, shown: int
) -> SampleRow | None:
    entry = _first_ready(experiment, line, out)
    if entry is None:
        return None
    arrays = load_arrays(out / entry.samples / "samples.npz")
    cells = tuple(_show(arrays[f"nfe_{nfe}"][:shown], dataset) if f"nfe_{nfe}" in arrays else None for nfe in columns)
    return SampleRow(pretty(line.name), entry.seed, cells)


def _first_ready(experiment: Experiment, line: Line, out: Path) -> Entry | None:
    entries = [entry for entry in experiment.entries if of_entry(entry) == line and is_complete(out, entry.samples)]
    return min(entries, key=lambda entry: entry.seed, default=None)


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a file; none where the file is missing or damaged (the report shows what there is)."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return {}


def _show(tokens: np.ndarray, dataset: Dataset) -> Shown:
    """``tokens`` [n, L] as texts or as one image."""
    if dataset.alphabet:
        return Shown(tuple(decode(row, dataset.alphabet) for row in tokens))
    height, width = dataset.image_shape or (1, dataset.length)
    return _image(tokens.reshape(-1, height, width), dataset.vocabulary)


def decode(tokens: np.ndarray, alphabet: Sequence[str]) -> str:
    """Token indices to text; what lies outside the alphabet (a mask) becomes `MASK_SIGN`."""
    return "".join(alphabet[token] if 0 <= token < len(alphabet) else MASK_SIGN for token in tokens.tolist())


def _image(images: np.ndarray, levels: int) -> Shown:
    """Images [n, H, W] in rows of three as one PNG; masked pixels are blue, the gaps transparent."""
    count, height, width = images.shape
    across = min(3, count)
    down = -(-count // across)
    canvas = np.zeros((down * (height + 1) - 1, across * (width + 1) - 1, 4))
    for index, image in enumerate(images):
        top, left = (index // across) * (height + 1), (index % across) * (width + 1)
        grey = 1.0 - np.clip(image / max(levels - 1, 1), 0.0, 1.0)
        colour = np.stack([grey, grey, grey, np.ones_like(grey)], axis=-1)
        colour[image >= levels] = (0.25, 0.45, 0.85, 1.0)
        canvas[top : top + height, left : left + width] = colour
    canvas = canvas.repeat(_UPSCALE, axis=0).repeat(_UPSCALE, axis=1)
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, canvas, format="png", metadata=dict[str, Any](Software=None))
    return Shown(image=data_uri(buffer.getvalue(), "image/png"), width=canvas.shape[1])


def data_uri(content: bytes, kind: str) -> str:
    """``content`` as a URI that needs no request."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
