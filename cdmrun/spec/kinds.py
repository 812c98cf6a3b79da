"""The kinds of data, and what each implies before any data are read: one line a kind, from which all lists derive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

#: (V, L) of a resolved ``data`` section; None where only a file can tell.
Shape = tuple[int | None, int | None]


@dataclass(frozen=True)
class DataKind:
    """One kind of data: how its shape follows from its options, and what can be said about it."""

    shape: Callable[[Mapping[str, Any]], Shape]
    enumerable: bool = False
    ordinal: bool = False
    text: bool = False


def _chain_values(data: Mapping[str, Any]) -> int | None:
    """V of ``kind: markov``; with source transitions the file tells."""
    if data["source"] == "text":
        return len(data["alphabet"])
    return 27 if data["source"] == "kjv" else data.get("states")


KINDS: Mapping[str, DataKind] = {
    "kjv": DataKind(lambda data: (27, data["length"]), text=True),
    "text": DataKind(lambda data: (len(data["alphabet"]), data["length"]), text=True),
    "digits": DataKind(lambda data: (17, 64), ordinal=True),
    "table": DataKind(lambda data: (None, None), enumerable=True),
    "potts_ring": DataKind(lambda data: (data["states"], data["length"]), enumerable=True),
    "ising_grid": DataKind(lambda data: (2, data["rows"] * data["columns"]), enumerable=True),
    "checkerboard": DataKind(lambda data: (data["size"], 2), enumerable=True, ordinal=True),
    "two_moons": DataKind(lambda data: (data["size"], 2), enumerable=True, ordinal=True),
    "sentences": DataKind(lambda data: (data["states"], data["length"]), enumerable=True),
    "markov": DataKind(lambda data: (_chain_values(data), data["length"])),
}
