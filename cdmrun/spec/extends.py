"""``extends:``: build a spec on others, keeping for every value the place that wrote it.

Maps are merged key by key, anything else is replaced, ``~`` takes an inherited key away. Paths are relative to the
file that names them; later ones win, the file itself wins over all. A cycle is an error, a diamond is fine.
"""

from __future__ import annotations

import os
from pathlib import Path

from cdmrun.spec.errors import SpecError, did_you_mean_spec
from cdmrun.spec.nodes import Mark, Node
from cdmrun.spec.yaml_loader import load_yaml

MAX_CHAIN = 50


class Loader:
    """Reads specs and what they extend, each file once."""

    def __init__(self) -> None:
        self._done: dict[str, tuple[Node | None, list[SpecError]]] = {}

    def load(self, path: Path) -> tuple[Node | None, list[SpecError]]:
        """Return the merged tree of ``path``, without ``extends``, and everything wrong with the files read."""
        return self._load(path, (), None)

    def _load(self, path: Path, stack: tuple[str, ...], origin: Mark | None) -> tuple[Node | None, list[SpecError]]:
        identity = os.path.realpath(path)
        if identity in stack and origin is not None:
            circle = " → ".join(Path(name).name for name in (*stack[stack.index(identity) :], identity))
            return None, [origin.error(("extends",), f"extends itself in a circle: {circle}")]
        if len(stack) > MAX_CHAIN and origin is not None:
            return None, [origin.error(("extends",), f"more than {MAX_CHAIN} files extend one another")]
        if origin is not None and not path.is_file():
            return None, [origin.error(("extends",), f"{path}: no such file{did_you_mean_spec(path)}")]
        if identity not in self._done:
            self._done[identity] = self._merged(path, (*stack, identity))
        return self._done[identity]

    def _merged(self, path: Path, stack: tuple[str, ...]) -> tuple[Node | None, list[SpecError]]:
        own, errors = load_yaml(path)
        errors = list(errors)
        if own is None or "extends" not in own.value:
            return own, errors
        merged: Node | None = None
        for target in _targets(own, errors):
            base, more = self._load(_beside(path, str(target.value)), stack, target.mark)
            errors += more
            if base is not None:
                merged = base if merged is None else merge(merged, base)
        own = own.without("extends")
        return (own if merged is None else merge(merged, own)), errors


def merge(base: Node, over: Node) -> Node:
    """Return ``base`` with ``over`` laid on it; a ``~`` that has nothing to take away stays, for the validator."""
    if not (base.is_map and over.is_map):
        return over
    value, keys = dict(base.value), dict(base.keys)
    for name, child in over.value.items():
        inherited = value.get(name)
        if inherited is not None and child.value is None:
            del value[name], keys[name]
            continue
        value[name] = child if inherited is None else merge(inherited, child)
        keys[name] = over.keys[name]
    return Node(value, over.mark, keys)


def _targets(own: Node, errors: list[SpecError]) -> list[Node]:
    node = own.value["extends"]
    entries = node.value if isinstance(node.value, list) else [node]
    good = [entry for entry in entries if isinstance(entry.value, str) and entry.value and "\0" not in entry.value]
    for entry in entries:
        if entry not in good:
            message = "expected the path of a spec, or a list of them, such as base/text.yaml"
            mark = own.locate(("extends",)) if entry is node else entry.mark
            errors.append(mark.error(("extends",), message))
    return good


def _beside(path: Path, target: str) -> Path:
    return Path(os.path.normpath(path.parent / target))
