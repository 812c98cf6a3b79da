"""The course of a training as a small CSV."""

from __future__ import annotations

from pathlib import Path

from cdmrun.files import write_atomic
from cdmrun.training import TrainResult


def write_history(path: Path, result: TrainResult) -> None:
    """Columns step, loss (nats a token), lr."""
    lines = ["step,loss,lr", *(f"{step},{loss!r},{rate!r}" for step, loss, rate in result.history)]
    write_atomic(path, "\n".join(lines) + "\n")
