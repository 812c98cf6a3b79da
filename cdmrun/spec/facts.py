"""What a data section implies before any data are read: alphabet, length, whether it can be enumerated."""

from __future__ import annotations

from dataclasses import dataclass

from cdmrun.spec.inputs import Files
from cdmrun.spec.kinds import KINDS
from cdmrun.spec.resolve import Resolved

#: Says of a key that it is not for every kind of data.
NEEDS_A_LAW = (
    f"needs data that can be enumerated ({', '.join(name for name, kind in KINDS.items() if kind.enumerable)})"
)


@dataclass(frozen=True)
class Facts:
    """The shape of the data; None where it is not known."""

    kind: str
    vocabulary: int | None
    length: int | None

    @property
    def enumerable(self) -> bool:
        return KINDS[self.kind].enumerable

    @property
    def text(self) -> bool:
        return KINDS[self.kind].text


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
    if data.get("source") == "transitions" and "file" in data:
        array = files.array(data["file"])
        return Facts(kind, None if isinstance(array, str) or array.ndim == 0 else array.shape[-1], data["length"])
    return Facts(kind, *KINDS[kind].shape(data))
