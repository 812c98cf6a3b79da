"""Sequences or images of the user's own, as a ``.npy`` array of whole numbers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdmrun.data.blocks import split_blockwise
from cdmrun.data.dataset import Dataset, Tokens, token_dtype
from cdmrun.data.options import whole
from cdmrun.errors import UserError

_REMEDY = "save whole numbers from 0 with numpy.save: [n, L] sequences or [n, H, W] images"


def load_array(
    file: str, vocabulary: int | None = None, ordinal: bool = False, test: float = 0.1, judge: float = 0.15
) -> Dataset:
    """Tokens [n, L], or images [n, H, W] that are read row by row.

    Parameters
    ----------
    file
        The ``.npy`` file, whole numbers from 0.
    vocabulary
        V; None: one more than the largest number.
    ordinal
        Whether neighbouring numbers are similar, as grey levels are.
    test, judge
        Shares of these splits: consecutive rows, in blocks spread over the file (`split_blockwise`).

    Raises
    ------
    UserError
        If the file is missing or holds something else, or an option makes no sense.
    """
    path = Path(file)
    array = open_tokens(path)
    largest = int(array.max())
    vocabulary = largest + 1 if vocabulary is None else whole("vocabulary", vocabulary, 2)
    if largest >= vocabulary:
        raise UserError(f"data.vocabulary: {path} has the number {largest}", f"write at least {largest + 1}")
    if vocabulary < 2:
        raise UserError(f"{path}: all numbers are 0", "there is nothing to learn; check the file")
    rows: Tokens = np.ascontiguousarray(array.reshape(len(array), -1)).astype(token_dtype(vocabulary))
    return Dataset(
        name="array",
        vocabulary=vocabulary,
        length=rows.shape[1],
        splits=split_blockwise(rows, test, judge),
        table=None,
        ordinal=bool(ordinal),
        alphabet=None,
        image_shape=(array.shape[1], array.shape[2]) if array.ndim == 3 else None,
        source=f"file {path.name} (sha256 {hashlib.sha256(path.read_bytes()).hexdigest()})",
        licence="the user's own file",
    )


def open_tokens(path: Path) -> npt.NDArray[np.integer[Any]]:
    """The array of a ``.npy`` file of tokens, [n, L] or [n, H, W]; it stays on disk until it is used.

    Raises
    ------
    UserError
        If there is no such file, or its numbers are no tokens.
    """
    try:
        array = np.load(path, allow_pickle=False, mmap_mode="r")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}", _REMEDY) from error
    except (ValueError, EOFError, SyntaxError, TypeError) as error:
        raise UserError(f"{path}: not a readable .npy array ({str(error).splitlines()[0]})", _REMEDY) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iu":
        kind = array.dtype if isinstance(array, np.ndarray) else "an archive of several arrays"
        raise UserError(f"{path}: {kind}, not whole numbers", _REMEDY)
    if array.ndim not in (2, 3) or not array.size:
        raise UserError(f"{path}: shape {array.shape} is neither [n, L] nor [n, H, W]", _REMEDY)
    if (least := int(array.min())) < 0:
        raise UserError(f"{path}: has the number {least}: tokens start at 0", _REMEDY)
    return array
