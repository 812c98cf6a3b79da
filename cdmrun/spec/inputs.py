"""Files that a spec refers to, read once: digests for identities, arrays for checks."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdmrun.errors import UserError
from cdmrun.files import sha256_of
from cdmrun.limits import MAX_STATES, MAX_TRANSITIONS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: Arrays with more entries are not read: no table and no chain is that large.
MAX_ENTRIES = MAX_TRANSITIONS


class Files:
    """Reads each file once while a plan is built."""

    def __init__(self) -> None:
        self._digests: dict[str, str] = {}
        self._arrays: dict[str, npt.NDArray[Any] | str] = {}
        self._tokens: dict[str, tuple[tuple[int, ...], int] | str] = {}

    def problem(self, path: str) -> str:
        """Return why a file cannot be read, or nothing."""
        try:
            if not os.path.exists(path):
                return f"{path}: no such file (a path is relative to the spec that names it)"
            if not os.path.isfile(path):
                return f"{path}: not a file"
            if os.path.getsize(path) == 0:
                return f"{path}: the file is empty"
            with open(path, "rb"):
                return ""
        except (OSError, ValueError) as error:
            return f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"

    def sha256(self, path: str) -> str:
        """Return the digest of a file's bytes."""
        if path not in self._digests:
            self._digests[path] = sha256_of(Path(path))
        return self._digests[path]

    def tokens(self, path: str) -> tuple[tuple[int, ...], int] | str:
        """Return shape and largest number of a ``.npy`` file of tokens, or a sentence that says why there are none."""
        if path not in self._tokens:
            self._tokens[path] = self.problem(path) or _tokens(path)
        return self._tokens[path]

    def images(self, path: str) -> tuple[int, ...] | str:
        """Return the shape (n, H, W) of an idx file, or a sentence that says why there is none."""
        from cdmrun.data.idx import read_shape

        if problem := self.problem(path):
            return problem
        try:
            return read_shape(Path(path))
        except UserError as error:
            return f"{error.message}: {error.remedy}"

    def array(self, path: str) -> npt.NDArray[np.float64] | str:
        """Return the real array of a ``.npy`` file in float64, or a sentence that says why there is none."""
        if path not in self._arrays:
            self._arrays[path] = self.problem(path) or _load(path)
        return self._arrays[path]


def _tokens(path: str) -> tuple[tuple[int, ...], int] | str:
    from cdmrun.data.array import open_tokens

    try:
        array = open_tokens(Path(path))
    except UserError as error:
        return f"{error.message}: {error.remedy}"
    return array.shape, int(array.max())


def _load(path: str) -> npt.NDArray[Any] | str:
    import numpy as np

    try:
        array = np.load(path, allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError, EOFError, SyntaxError, MemoryError, TypeError) as error:
        return f"{path}: not a readable .npy array ({str(error).splitlines()[0]}): write it with numpy.save"
    if not isinstance(array, np.ndarray):
        return f"{path}: an archive of several arrays: write one array with numpy.save"
    if array.dtype.kind not in "fiu":
        return f"{path}: entries are {array.dtype}, not real numbers: save it as float64"
    if array.size > MAX_ENTRIES:
        shape = " × ".join(map(str, array.shape))
        return f"{path}: {shape} = {array.size:,} entries are too many (at most {MAX_ENTRIES:,})"
    return np.array(array, dtype=np.float64)


def state_problem(states: int, length: int, absorbing: bool) -> str:
    """Return why ``states``^``length`` states (one more a position with a mask) cannot be enumerated, or nothing."""
    alphabet = states + 1 if absorbing else states
    if length * math.log(alphabet) <= math.log(MAX_STATES) + 1e-9:
        return ""
    count = (
        f"{alphabet**length:,}"
        if length * math.log10(alphabet) < 15
        else f"about 10^{length * math.log10(alphabet):.0f}"
    )
    mask = f" ({states} values and the mask)" if absorbing else ""
    return (
        f"{alphabet}^{length} = {count} states{mask} are too many to enumerate (at most {MAX_STATES:,}): "
        "use fewer positions or fewer values"
    )
