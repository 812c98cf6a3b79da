"""Records of a data set for people, in characters: text, pictures, four voices."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cdmrun.data.dataset import Dataset

#: From white paper to black ink.
_INK = " .:-=+*#%@"
_NOTES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")
_VOICES = 4
#: Sixteenths in a line of music.
_SYSTEM = 16


def records(dataset: Dataset, count: int, content: str = "") -> list[str]:
    """Some records as text, each of one line or more.

    Parameters
    ----------
    dataset
        The data; records are held-out ones spread evenly over the test split, or, of a law that is written out, the
        most probable sequences with their probabilities.
    count
        How many at most.
    content
        What the data show (`cdmrun.registry.CONTENTS`).
    """
    if dataset.table is not None:
        law = dataset.table.reshape(-1)
        likely = np.argsort(-law, kind="stable")[:count]
        rows = np.stack(np.unravel_index(likely, dataset.table.shape), axis=1)
        return [
            f"{picture(row, dataset) if dataset.image_shape else dataset.decode(row)}   p = {law[code]:.4g}"
            for row, code in zip(rows, likely, strict=True)
        ]
    test = dataset.splits["test"]
    places = np.linspace(0, len(test) - 1, min(count, len(test))).round().astype(int)
    return [record(row, dataset, content) for row in test[places]]


def record(tokens: npt.NDArray[np.integer[Any]], dataset: Dataset, content: str = "") -> str:
    """One sequence [L] as text."""
    if content == "chorales" and dataset.alphabet is not None:
        return staff(tokens, dataset)
    return picture(tokens, dataset) if dataset.image_shape is not None else dataset.decode(tokens)


def picture(tokens: npt.NDArray[np.integer[Any]], dataset: Dataset) -> str:
    """An image, two characters a pixel, the lowest level blank."""
    assert dataset.image_shape is not None
    scale = (len(_INK) - 1) / max(dataset.vocabulary - 1, 1)
    rows = np.asarray(tokens).reshape(dataset.image_shape)
    return "\n".join("".join(2 * _INK[round(int(token) * scale)] for token in row).rstrip() for row in rows)


def staff(tokens: npt.NDArray[np.integer[Any]], dataset: Dataset) -> str:
    """Four voices, a line each: notes where they begin, ``-`` where they go on, ``.`` for rests."""
    assert dataset.alphabet is not None
    names = [_note(spelled) for spelled in dataset.alphabet]
    voices = np.asarray(tokens).reshape(_VOICES, -1)
    systems = (voices[:, start : start + _SYSTEM] for start in range(0, voices.shape[1], _SYSTEM))
    return "\n\n".join("\n".join(_line([names[int(token)] for token in voice]) for voice in s) for s in systems)


def _line(notes: list[str]) -> str:
    return " ".join(f"{note:<3}" for note in notes).rstrip()


def _note(spelled: str) -> str:
    if not spelled.isdigit():
        return "-" if spelled == "hold" else "."
    octave, place = divmod(int(spelled), 12)
    return f"{_NOTES[place]}{octave - 1}"
