"""Checkpoints of a training in progress: everything a resumed run needs to end bit-identically.

Randomness is a pure function of (seed, step), so no generator state is kept; what is kept is weights, optimiser
moments, moving average, step and history. Read with ``weights_only``: a checkpoint is data, never code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import torch

from cdmrun.errors import UserError
from cdmrun.files import write_with


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, strings, lists and dicts of them) atomically."""

    def write(stream: BinaryIO) -> None:
        torch.save(state, stream)

    write_with(path, write)


def load_checkpoint(path: Path, identity: str) -> dict[str, Any] | None:
    """Read a checkpoint, or None if there is none.

    Raises
    ------
    UserError
        If the file is damaged, or was written by a training with another ``identity``.
    """
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes can make an unpickler raise anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{path}: this checkpoint cannot be read: {reason}",
            "delete the file; the training then starts again from its first step",
        ) from error
    if not isinstance(state, dict) or state.get("identity") != identity:
        raise UserError(
            f"{path}: this checkpoint is of another training, other inputs or another version of the code",
            "delete the file; the training then starts again from its first step",
        )
    return state
