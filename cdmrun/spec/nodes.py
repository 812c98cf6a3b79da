"""A spec with its source marks: a tree of nodes that know which file, line and column wrote them.

Nodes are immutable and shared: merging two specs or setting a value copies only the maps on the way to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cdmrun.spec.errors import SpecError, Step, dotted


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file; line and column count from 1."""

    file: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    def error(self, path: Sequence[Step], message: str) -> SpecError:
        """Return an error at this place about the value at ``path``."""
        return SpecError(str(self.file), self.line, self.column, dotted(path), message)


@dataclass(frozen=True, slots=True)
class Node:
    """One value: a scalar, a list of nodes, or a map from text to nodes.

    ``mark`` is where the value starts; for a map, ``keys`` says where each of its keys stands.
    """

    value: Any
    mark: Mark
    keys: Mapping[str, Mark] = field(default_factory=dict)

    @property
    def is_map(self) -> bool:
        return isinstance(self.value, dict)

    def plain(self) -> Any:
        """Return the value without marks: dicts, lists and scalars of its own, safe to change."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def get(self, path: Sequence[Step]) -> Node | None:
        """Return the node at ``path``, or None if nobody wrote it."""
        node: Node | None = self
        for step in path:
            node = _child(node, step)
            if node is None:
                return None
        return node

    def locate(self, path: Sequence[Step]) -> Mark:
        """Return where the value at ``path`` stands, or the nearest thing above it that was written.

        A map or list is located by the key that introduces it, which is what a reader looks for.
        """
        node, mark = self, self.mark
        for step in path:
            child = _child(node, step)
            if child is None:
                break
            introduced = isinstance(step, str) and isinstance(child.value, dict | list)
            mark = node.keys.get(str(step), child.mark) if introduced else child.mark
            node = child
        return mark

    def locate_key(self, path: Sequence[Step]) -> Mark:
        """Return where the key that ends ``path`` stands, or the nearest thing above it."""
        parent = self.get(path[:-1])
        if parent is not None and parent.is_map and path and str(path[-1]) in parent.keys:
            return parent.keys[str(path[-1])]
        return self.locate(path)

    def error(self, path: Sequence[Step], message: str) -> SpecError:
        """Return an error about the value at ``path``."""
        return self.locate(path).error(path, message)

    def without(self, *names: str) -> Node:
        """Return this map without some keys."""
        value = {key: child for key, child in self.value.items() if key not in names}
        return Node(value, self.mark, {key: self.keys[key] for key in value})

    def with_value(self, path: Sequence[str], value: Node, key_mark: Mark) -> Node:
        """Return a copy in which ``path`` holds ``value``; maps on the way are made where missing."""
        if not path:
            return value
        children = self.value if isinstance(self.value, dict) else {}
        child = children.get(path[0])
        if child is None or not child.is_map:
            child = Node({}, key_mark)
        new = child.with_value(path[1:], value, key_mark)
        keys = {**self.keys, path[0]: self.keys.get(path[0], key_mark)}
        return Node({**children, path[0]: new}, self.mark, keys)


def _child(node: Node | None, step: Step) -> Node | None:
    if node is None:
        return None
    if isinstance(node.value, dict) and isinstance(step, str):
        return node.value.get(step)
    if isinstance(node.value, list) and isinstance(step, int) and 0 <= step < len(node.value):
        return node.value[step]
    return None
