"""A written spec → the resolved one: defaults filled, numbers of one type, file paths that can be opened.

Defaults come from the schema, through nested parents too; those that depend on other keys from `defaults`.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdmrun.spec.defaults import fill_dependent
from cdmrun.spec.errors import SpecError, Step
from cdmrun.spec.nodes import Node
from cdmrun.spec.schema import Schema, child, leaf, spec_schema
from cdmrun.spec.validate import Section


@dataclass(frozen=True)
class Resolved:
    """One experiment: what was written (with marks), and what it means. ``spec`` lacks sections that are broken."""

    source: Path
    node: Node
    spec: dict[str, Any]

    def written(self, *path: Step) -> bool:
        """Whether somebody wrote this key, as against a default."""
        return self.node.get(path) is not None

    def error(self, path: tuple[Step, ...], message: str) -> SpecError:
        """Return an error located at what stands at ``path``, or at the nearest thing above it."""
        return self.node.error(path, message)

    def key_error(self, path: tuple[Step, ...], message: str) -> SpecError:
        """Return an error located at the key that ends ``path``."""
        return self.node.locate_key(path).error(path, message)


def resolve(source: Path, node: Node, broken: Collection[Section] = ()) -> Resolved:
    """Resolve one expanded spec.

    Parameters
    ----------
    source
        The file that was asked for.
    node
        Its tree, after extends and matrix.
    broken
        Sections that the schema refused; they are left out.
    """
    schema = spec_schema()
    spec: dict[str, Any] = {}
    for name, below in schema["properties"].items():
        if (name,) in broken or name in {"extends", "matrix"}:
            continue
        written = node.value.get(name)
        if written is not None:
            spec[name] = fill(below, _intact(written, name, broken))
        elif "default" in below:
            spec[name] = _default(below)
    fill_dependent(spec)
    return Resolved(source, node, spec)


def fill(schema: Schema, node: Node) -> Any:
    """Return a written value with the schema's defaults, its numbers coerced and its paths made usable."""
    value = node.value
    if isinstance(value, dict):
        chosen = leaf(schema, {key: below.value for key, below in value.items()}) or {}
        filled = {}
        for name, below in chosen.get("properties", {}).items():
            if name in value:
                filled[name] = fill(below, value[name])
            elif "default" in below:
                filled[name] = _default(below)
        for name in value:
            below = child(chosen, name)
            if name not in filled and below is not None:
                filled[name] = fill(below, value[name])
        return filled
    if isinstance(value, list):
        return [fill(schema.get("items", {}), item) for item in value]
    if schema.get("x-path") and isinstance(value, str):
        return usable_path(value, node.mark.file)
    return coerce(schema, value)


def coerce(schema: Schema, value: Any) -> Any:
    """Give a number the type that the schema asks for, so that 1 and 1.0 are one value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    kinds = schema.get("type", ())
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if "integer" in kinds:
        return int(value)
    return float(value) if "number" in kinds else value


def usable_path(written: str, by: Path) -> str:
    """Return a path relative to the file that wrote it as one to open from here: short where it lies below here."""
    path = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(by)), written))
    here = os.getcwd()
    return os.path.relpath(path, here) if path.startswith(here + os.sep) else path


def _default(schema: Schema) -> Any:
    """Return a key's default, with the defaults inside it."""
    value = copy.deepcopy(schema["default"])
    if not isinstance(value, dict):
        return coerce(schema, value)
    chosen = leaf(schema, value) or {}
    for name, below in chosen.get("properties", {}).items():
        if name not in value and "default" in below:
            value[name] = _default(below)
    return value


def _intact(node: Node, name: str, broken: Collection[Section]) -> Node:
    bad = [section[1] for section in broken if len(section) == 2 and section[0] == name]
    return node.without(*bad) if bad and node.is_map else node
