"""How a job's log ends: what it was doing, or why it stopped."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

#: A log may be long; no message at its end is longer than this (bytes).
_TAIL = 16_384
_FAILURE = re.compile(r"^\W*(error|killed|terminated)\b|error:|^traceback ", re.IGNORECASE)
_REMEDY = re.compile(r"^\s*remedy:")
_AT_WORK = re.compile(
    r": \d+/\d+( |$)|: complete after |: stopped at step \d+|already there$"
    r"|another runner is at work here|every GPU this job may use"
)


@dataclass(frozen=True)
class Ending:
    """The end of a log: the line that says most (empty if there is no text), and what it tells.

    ``failed`` is certain: a message with a remedy, or a traceback. ``at_work`` is what a job prints that goes on, or
    that was asked to stop. A line that is neither may be a warning, or the last word of a job that died.
    """

    line: str = ""
    failed: bool = False
    at_work: bool = False


def ending(log: Path) -> Ending:
    """Read the end of a log; a missing one is empty."""
    lines = tail(log, 30)
    said = [line for line in lines if line.strip() and not _REMEDY.match(line)]
    if not said:
        return Ending()
    last = said[-1].strip()
    if _AT_WORK.search(last):
        return Ending(last, at_work=True)
    return Ending(last, failed=bool(_REMEDY.match(lines[-1])) or any(_FAILURE.search(line) for line in said))


def tail(log: Path, count: int) -> list[str]:
    """Return the last lines of a log; none if it is missing."""
    try:
        with open(log, "rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - _TAIL))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return []
    return text.rstrip().splitlines()[-count:]
