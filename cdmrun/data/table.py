"""An enumerated law that the user brings as an array."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdmrun.data.dataset import Dataset
from cdmrun.errors import UserError
from cdmrun.limits import MAX_STATES, SUM_TOLERANCE


def load_table(file: str) -> Dataset:
    """p_0 from a ``.npy`` file of shape (V, …, V), one axis a position.

    Raises
    ------
    UserError
        If the file is missing or damaged, the axes differ in size, an entry is negative or not finite, the
        sum is off one by more than 1e-6, or there are more than 20,000 states.
    """
    path = Path(file)
    array = read_array(path)
    table = check_table(array, str(path))
    return Dataset(
        name="table",
        vocabulary=table.shape[0],
        length=table.ndim,
        splits={},
        table=table,
        ordinal=False,
        alphabet=None,
        image_shape=None,
        source=f"file {path.name} (sha256 {hashlib.sha256(path.read_bytes()).hexdigest()})",
        licence="the user's own file",
    )


def check_table(array: npt.NDArray[Any], where: str) -> npt.NDArray[np.float64]:
    """The array as an exactly normalised float64 law; ``where`` names it in errors."""
    if array.ndim == 0 or array.shape[0] < 2 or len(set(array.shape)) != 1:
        raise UserError(
            f"{where}: shape {array.shape} is not (V, …, V) with V ≥ 2",
            "save an array with one axis a position, all axes of the same size",
        )
    check_states(array.shape[0], array.ndim, where)
    if array.dtype.kind not in "fiu":
        raise UserError(f"{where}: entries are {array.dtype}, not real numbers", "save it as float64")
    table = array.astype(np.float64)
    bad = ~np.isfinite(table) | (table < 0)
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        raise UserError(
            f"{where}: entry {index} is {table[index]:g} ({int(bad.sum())} such entries); "
            "probabilities are finite and not negative",
            "mend the entries and save the array again",
        )
    total = float(table.sum())
    if abs(total - 1.0) > SUM_TOLERANCE:
        raise UserError(
            f"{where}: the entries sum to {total:.9g}, not to 1 (within {SUM_TOLERANCE:g})",
            "divide by the sum: p /= p.sum()" if total > 0 else "give at least one state a probability",
        )
    return table / total


def check_states(vocabulary: int, length: int, where: str) -> None:
    """Refuse more states than can be enumerated."""
    states = vocabulary**length
    if states > MAX_STATES:
        raise UserError(
            f"{where}: {vocabulary}^{length} = {states} states are too many to enumerate (at most {MAX_STATES})",
            "use fewer positions or fewer tokens, or a data set of samples with a network teacher",
        )


def read_array(path: Path) -> npt.NDArray[Any]:
    """The array of a ``.npy`` file that an option names; a missing or damaged file is a `UserError`."""
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise UserError(f"data.file: {path}: no such file", "give the path of a .npy array") from error
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise UserError(f"{path}: not a readable .npy array: {error}", "write it with numpy.save(path, p)") from error
    if not isinstance(array, np.ndarray):
        raise UserError(f"{path}: an archive of several arrays", "write one array with numpy.save(path, p)")
    return array
