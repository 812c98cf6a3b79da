"""Samples side by side: text in columns, pictures of images, molecules and chorales, and real data to compare with."""

from __future__ import annotations

import base64
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from cdmrun.data.dataset import Dataset
from cdmrun.errors import UserError
from cdmrun.metrics.chorales import read_score
from cdmrun.metrics.held_out import spread
from cdmrun.report.collect import is_complete
from cdmrun.report.lines import Line, lines_of, of_entry
from cdmrun.report.look import pretty
from cdmrun.report.midi import midi_file
from cdmrun.report.piano_roll import split
from cdmrun.report.pictures import Picture, can_be_drawn, draw, png
from cdmrun.spec.kinds import data_kind
from cdmrun.spec.plan_types import Entry, Experiment, Plan

#: Stands for a symbol outside the data's alphabet: a position still masked at the end.
MASK_SIGN = "▒"


@dataclass(frozen=True)
class Shown:
    """The samples of one cell: lines of text, or one picture; of chorales also what they sound like.

    Attributes
    ----------
    texts, picture
        One of the two.
    density
        How many of the picture's pixels are one of the page's.
    midi
        A MIDI file.
    """

    texts: tuple[str, ...] = ()
    picture: Picture | None = None
    density: int = 1
    midi: bytes = b""

    @property
    def image(self) -> str:
        """The picture as a data URI; nothing where there is none."""
        return "" if self.picture is None else data_uri(png(self.picture), "image/png")

    @property
    def width(self) -> int:
        """Width of the picture in pixels of the page."""
        return 0 if self.picture is None else self.picture.shape[1] // self.density


@dataclass(frozen=True)
class SampleRow:
    """One sampler, one seed: what it drew at each NFE (None where it has no such NFE or no product yet)."""

    label: str
    stem: str
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
    """Samples of the first seed of every line; None for data that cannot be shown, or are not there yet.

    Parameters
    ----------
    plan, experiment, out
        What was asked for, and the results folder. The data set is found through the inputs of a scores run.
    """
    content = data_kind(experiment.spec["data"]["kind"]).content
    dataset = dataset_of(plan, experiment, out)
    if dataset is None or not (dataset.alphabet or dataset.image_shape):
        return None
    shown = int(experiment.spec.get("report", {}).get("samples_shown", 6))
    test = dataset.splits.get("test", np.empty((0, 0), np.uint8))
    held_out = _show(spread(test, shown), dataset, content) if len(test) else Shown()
    columns = tuple(sorted({nfe for entry in experiment.entries for nfe in entry.nfe}))
    rows, masked = [], False
    for line in lines_of(experiment):
        row = _row(experiment, line, out, columns, dataset, shown)
        if row is not None:
            rows.append(row)
            masked = masked or any(MASK_SIGN in text for cell in row.cells if cell for text in cell.texts)
    kind = "text" if held_out.texts else "image"
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
    entry = first_ready(experiment, line, out, "samples")
    if entry is None:
        return None
    arrays = load_arrays(out / entry.samples / "samples.npz")
    content = data_kind(experiment.spec["data"]["kind"]).content
    drawn = [arrays.get(f"nfe_{nfe}") for nfe in columns]
    cells = tuple(None if tokens is None else _show(tokens[:shown], dataset, content) for tokens in drawn)
    stem = f"{experiment.name}-samples-{re.sub(r'[^A-Za-z0-9_.-]+', '-', line.name)}"
    return SampleRow(pretty(line.name), stem, entry.seed, cells)


def first_ready(experiment: Experiment, line: Line, out: Path, product: Literal["samples", "scores"]) -> Entry | None:
    """The entry of a line's first seed of which a product is complete, or None."""
    entries = [entry for entry in experiment.entries if of_entry(entry) == line]
    ready = [entry for entry in entries if is_complete(out, getattr(entry, product))]
    return min(ready, key=lambda entry: entry.seed, default=None)


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a file; none where the file is missing or damaged (the report shows what there is)."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return {}


def _show(tokens: np.ndarray, dataset: Dataset, content: str) -> Shown:
    """``tokens`` [n, L] as texts or as one picture."""
    if can_be_drawn(content) or not dataset.alphabet:
        picture, density = draw(tokens, dataset, content)
        midi = midi_file(split(read_score(tokens, dataset))) if content == "chorales" else b""
        return Shown(picture=picture, density=density, midi=midi)
    return Shown(tuple(decode(row, dataset.alphabet) for row in tokens))


def decode(tokens: np.ndarray, alphabet: Sequence[str]) -> str:
    """Token indices to text; what lies outside the alphabet (a mask) becomes `MASK_SIGN`."""
    return "".join(alphabet[token] if 0 <= token < len(alphabet) else MASK_SIGN for token in tokens.tolist())


def data_uri(content: bytes, kind: str) -> str:
    """``content`` as a URI that needs no request."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
