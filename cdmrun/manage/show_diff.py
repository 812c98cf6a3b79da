"""Differences for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from cdmrun.manage.differences import Difference, Shared, SpecsDiff
from cdmrun.spec.explain import Value

_SHOWN = 20


def show_specs_diff(found: SpecsDiff, left: str, right: str) -> RenderableType:
    """Return the values that differ, and the runs that are shared or not as a consequence."""
    parts: list[RenderableType] = [show_values(found.values, left, right), Text("")]
    for side, names in ((left, found.experiments_left), (right, found.experiments_right)):
        if names:
            parts.append(Text(f"only {side} makes {len(names)} more experiments, from {names[0]} on"))
    both = sum(len(kind.both) for kind in found.runs)
    alone = sum(len(kind.left) for kind in found.runs), sum(len(kind.right) for kind in found.runs)
    tree = Tree(Text(f"runs: {both} shared, {alone[0]} only of {left}, {alone[1]} only of {right}", style="bold"))
    for kind in found.runs:
        _add(tree, kind)
    return Group(*parts, tree)


def show_values(found: Sequence[Difference], left: str, right: str) -> RenderableType:
    """Return one row for each value that differs, with the place that wrote it on each side."""
    if not found:
        return Text("no value differs")
    table = Table("value", left, right, box=None, pad_edge=False, header_style="bold")
    for one in found:
        path = one.path + (f"  ({one.times} times)" if one.times > 1 else "")
        table.add_row(Text(path, overflow="fold"), _side(one.left), _side(one.right))
    return table


def _add(tree: Tree, kind: Shared) -> None:
    node = tree.add(
        Text.assemble((kind.kind, "bold"), f": {len(kind.both)} shared, {len(kind.left)} − / {len(kind.right)} +")
    )
    for sign, style, keys in (("−", "red", kind.left), ("+", "green", kind.right)):
        for key in keys[:_SHOWN]:
            node.add(Text(f"{sign} {key}", style))
        if len(keys) > _SHOWN:
            node.add(Text(f"{sign} … and {len(keys) - _SHOWN} more", style="dim"))


def _side(value: Value | None) -> Text:
    if value is None:
        return Text("–", style="dim")
    text = str(value.value)
    shown = text if len(text) <= 60 else f"{text[:57]}…"
    return Text.assemble(Text(shown, overflow="fold"), ("  " + value.origin, "dim"))
