"""Optional TensorBoard logs: with CDMRUN_TENSORBOARD=DIR every job writes what it reports below DIR/<its key>."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cdmrun.errors import UserError
from cdmrun.training import Progress

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

VARIABLE = "CDMRUN_TENSORBOARD"


class Board:
    """Scalars of one job; a job that goes on writes over what a killed one had logged beyond its checkpoint."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, SummaryWriter] = {}

    def add(self, progress: Progress, part: str) -> None:
        """Log loss (nats a token), rate (steps a second) and seconds left, those that are known, at a step."""
        from torch.utils.tensorboard.writer import SummaryWriter

        if part not in self._writers:
            folder = str(self._folder / part)
            self._writers[part] = SummaryWriter(folder, purge_step=progress.step, flush_secs=10)
        for name in ("loss", "rate", "seconds_left"):
            value = getattr(progress, name)
            if value is not None:
                self._writers[part].add_scalar(name, value, progress.step)

    def close(self) -> None:
        """Write what is still in memory."""
        for writer in self._writers.values():
            writer.close()


@contextmanager
def open_board(key: str, environment: Mapping[str, str] = os.environ) -> Iterator[Board | None]:
    """The board of a run, or None where nobody asked for one.

    Raises
    ------
    UserError
        If one is asked for and TensorBoard is not installed.
    """
    folder = environment.get(VARIABLE)
    if not folder:
        yield None
        return
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"{VARIABLE} is set, and TensorBoard is not installed: {error}",
            f"pip install tensorboard, or unset {VARIABLE}",
        ) from error
    board = Board(Path(folder) / key)
    try:
        yield board
    finally:
        board.close()
