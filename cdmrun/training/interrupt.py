"""Being asked to stop: SIGTERM and SIGUSR1 become a question that long work asks between its steps."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupted(Exception):  # noqa: N818  (not an error)
    """The process was asked to stop, and what it had done is kept."""


@contextmanager
def stop_requested() -> Iterator[Callable[[], bool]]:
    """Remember SIGTERM and SIGUSR1 instead of dying of them; yields whether one has come."""
    received: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        received.append(number)

    previous: dict[int, Any] = {}
    try:
        for number in (signal.SIGTERM, signal.SIGUSR1):
            previous[number] = signal.signal(number, remember)
    except ValueError:  # not in the main thread: whoever runs us there handles signals
        pass
    try:
        yield lambda: bool(received)
    finally:
        for kept, handler in previous.items():
            signal.signal(kept, handler)
