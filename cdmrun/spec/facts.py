"""What a data section implies before any data are read: alphabet, length, whether it can be enumerated."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cdmrun.spec.inputs import Files
from cdmrun.spec.kinds import data_kind, enumerable_kinds
from cdmrun.spec.resolve import Resolved


def needs_a_law() -> str:
    """What to say of a key that is not for every kind of data."""
    return f"needs data that can be enumerated ({', '.join(enumerable_kinds())})"


@dataclass(frozen=True)
class Facts:
    """The shape of the data; None where it is not known."""

    kind: str
    vocabulary: int | None
    length: int | None

    @property
    def enumerable(self) -> bool:
        return data_kind(self.kind).enumerable

    @property
    def content(self) -> str:
        return data_kind(self.kind).content


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
    if kind == "array":
        found = files.tokens(data["file"])
        if isinstance(found, str):
            return Facts(kind, data.get("vocabulary"), None)
        shape, largest = found
        return Facts(kind, data.get("vocabulary", largest + 1), math.prod(shape[1:]))
    if kind == "idx":
        images = files.images(data["file"])
        if isinstance(images, str):
            return Facts(kind, data["levels"], None)
        _, height, width = images
        size = data.get("size", height)
        return Facts(kind, data["levels"], size * size * width // height if height else None)
    return Facts(kind, *data_kind(kind).shape(data))
