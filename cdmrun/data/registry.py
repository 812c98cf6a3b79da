"""The data sets by name: a loader registers itself, `load` finds it."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from cdmrun.data.dataset import Dataset
from cdmrun.errors import UserError

Loader = Callable[..., Dataset]

_LOADERS: dict[str, Loader] = {}


def register(kind: str) -> Callable[[Loader], Loader]:
    """Make a loader answer to ``data.kind: kind``; its keyword arguments are the options of that kind."""

    def decorate(loader: Loader) -> Loader:
        _LOADERS[kind] = loader
        return loader

    return decorate


def kinds() -> list[str]:
    """Names that `load` understands, sorted."""
    return sorted(_LOADERS)


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
    kind = options.pop("kind", None)
    loader = _LOADERS.get(str(kind))
    if loader is None:
        raise UserError(f"data.kind: {kind!r} is not a data set", _suggest(str(kind), kinds()))
    _check_options(str(kind), loader, options)
    return loader(**options)


def _check_options(kind: str, loader: Loader, options: Mapping[str, Any]) -> None:
    parameters = inspect.signature(loader).parameters
    for name in options:
        if name not in parameters:
            raise UserError(f"data.{name}: {kind} has no such option", _suggest(name, sorted(parameters)))
    for name, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and name not in options:
            raise UserError(f"data.{name}: missing; {kind} needs it", f"add `{name}:` to the data section")


def _suggest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    choices = f"choose from {', '.join(known)}" if known else "leave it out"
    return f"did you mean {close[0]!r}? {choices}" if close else choices
