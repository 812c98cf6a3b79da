"""What a data section implies before any data are read: alphabet, length, whether it can be enumerated."""

from __future__ import annotations

from dataclasses import dataclass

from cdmrun.spec.defaults import ENUMERABLE, TEXT
from cdmrun.spec.inputs import Files
from cdmrun.spec.resolve import Resolved

_VOCABULARY = {"kjv": 27, "digits": 17}


@dataclass(frozen=True)
class Facts:
    """The shape of the data; None where it is not known."""

    kind: str
    vocabulary: int | None
    length: int | None

    @property
    def enumerable(self) -> bool:
        return self.kind in ENUMERABLE

    @property
    def text(self) -> bool:
        return self.kind in TEXT


def facts_of(experiment: Resolved, files: Files) -> Facts | None:
    """Return the facts of an experiment's data, or None if the section is broken."""
    data = experiment.spec.get("data")
    if data is None:
        return None
    kind = data["kind"]
    if kind == "table":
        array = files.array(data["file"])
        regular = not isinstance(array, str) and array.ndim > 0 and len(set(array.shape)) == 1
        if isinstance(array, str) or not regular:
            return Facts(kind, None, None)
        return Facts(kind, array.shape[0], array.ndim)
    if kind == "potts_ring":
        return Facts(kind, data["states"], data["length"])
    vocabulary = len(data["alphabet"]) if kind == "text" else _VOCABULARY[kind]
    return Facts(kind, vocabulary, data.get("length", 64))
