"""Errors that point into a spec, and the suggestion for a misspelt word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cdmrun.errors import UserError

#: One step into a spec: a key of a map or an index of a list.
Step = str | int


def dotted(path: Sequence[Step]) -> str:
    """``("students", "a", "nfe", 2)`` as ``students.a.nfe[2]``; the whole file is ``(file)``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text or "(file)"


@dataclass(frozen=True, order=True)
class SpecError:
    """One thing wrong in one place; lines and columns count from 1."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.column}: {self.path}: {self.message}"
        # what a spec says may hold line breaks and worse; an error is one line
        return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


class SpecErrors(UserError):  # noqa: N818 (it holds several)
    """Everything that is wrong with the given specs, sorted by position.

    Attributes
    ----------
    errors
        The located errors, without duplicates.
    """

    def __init__(self, errors: Iterable[SpecError]) -> None:
        self.errors = sorted(set(errors))
        super().__init__("\n".join(str(error) for error in self.errors))


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` if ``word`` resembles one of ``known``, else nothing."""
    match = closest(word, known)
    return f" (did you mean '{match}'?)" if match else ""


def did_you_mean_spec(path: Path) -> str:
    """Return the same for the name of a file, out of the specs in its folder."""
    try:
        known = sorted(entry.name for entry in path.parent.iterdir() if entry.suffix in {".yaml", ".yml"})
    except OSError:
        return ""
    return did_you_mean(path.name, known)


def closest(word: object, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known word that ``word`` most resembles, case and ``-``/``_`` aside; None if none does.

    ``cutoff`` is how much it must, at most 1.
    """
    originals = {_plain(name): name for name in known}
    matches = difflib.get_close_matches(_plain(str(word)), originals, n=1, cutoff=cutoff)
    return originals[matches[0]] if matches else None


def _plain(word: str) -> str:
    return word.lower().replace("-", "_")
