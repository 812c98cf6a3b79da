"""The data sets by name: `load` finds the loader that a declaration points at (`cdmrun.registry`)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from cdmrun.data.dataset import Dataset
from cdmrun.errors import UserError
from cdmrun.registry import implementation, names, nearest

Loader = Callable[..., Dataset]


def kinds() -> list[str]:
    """Names that `load` understands, sorted."""
    return sorted(names("data"))


def load(config: Mapping[str, Any]) -> Dataset:
    """Load the data set that a ``data`` section describes.

    Parameters
    ----------
    config
        ``{"kind": NAME, option: value, ...}``; options that are left out take the loader's defaults.

    Raises
    ------
    UserError
        For an unknown kind, an option the kind does not have or lacks, and whatever the loader finds wrong.
    """
    options = dict(config)
    kind = str(options.pop("kind", None))
    if kind not in names("data"):
        raise UserError(f"data.kind: {config.get('kind')!r} is not a data set", nearest(kind, names("data")))
    loader: Loader = implementation("data", kind)
    _check_options(kind, loader, options)
    return loader(**options)


def _check_options(kind: str, loader: Loader, options: Mapping[str, Any]) -> None:
    parameters = inspect.signature(loader).parameters
    for name in options:
        if name not in parameters:
            raise UserError(f"data.{name}: {kind} has no such option", nearest(name, tuple(parameters)))
    for name, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and name not in options:
            raise UserError(f"data.{name}: missing; {kind} needs it", f"add `{name}:` to the data section")
