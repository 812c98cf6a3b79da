"""``matrix:``: one spec becomes one experiment for each combination of the values given under dotted paths."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from typing import Any

from cdmrun.spec.errors import SpecError, closest, did_you_mean
from cdmrun.spec.nodes import Mark, Node

MAX_EXPERIMENTS = 20_000
_FIXED = {"name", "extends", "matrix"}
_SLUG_LENGTH = 24


def expand(spec: Node) -> tuple[list[Node], list[SpecError]]:
    """Return the experiments of a spec, named ``NAME-<value slugs>``, and what is wrong with its matrix.

    A value replaces whatever stands at its path. With errors, the spec itself (without its matrix) is returned, so
    that the rest of it can still be checked.
    """
    matrix = spec.value.get("matrix")
    if matrix is None:
        return [spec], []
    base = spec.without("matrix")
    errors = list(_wrong(base, matrix, spec.locate_key(("matrix",))))
    if errors:
        return [base], errors
    axes = [(path, matrix.keys[path], matrix.value[path].value) for path in matrix.value]
    if not axes:
        return [base], []
    slugs = [_distinct([slug_of(value.plain()) for value in values]) for _, _, values in axes]
    points = itertools.product(
        *[list(zip(values, names, strict=True)) for (_, _, values), names in zip(axes, slugs, strict=True)]
    )
    return [_point(base, axes, point) for point in points], []


def slug_of(value: Any) -> str:
    """Return a value as part of a name: ``[1, 2]`` as ``1-2``, ``0.5`` as ``0-5``, ``{kind: hmm}`` as ``hmm``."""
    if isinstance(value, dict):
        text = "-".join(slug_of(part) for part in value.values())
    elif isinstance(value, list):
        text = "-".join(slug_of(part) for part in value)
    elif isinstance(value, float) and value.is_integer() and abs(value) < 1e6:
        text = str(int(value))
    else:
        text = "none" if value is None else str(value).lower()
    text = re.sub(r"^-(?=[0-9.])", "m", text)
    return re.sub(r"[^a-z0-9]+", "-", text).strip("-")[:_SLUG_LENGTH].strip("-") or "x"


def _point(base: Node, axes: list[tuple[str, Mark, list[Node]]], point: tuple[tuple[Node, str], ...]) -> Node:
    spec = base
    for (path, key_mark, _), (value, _) in zip(axes, point, strict=True):
        spec = spec.with_value(path.split("."), value, key_mark)
    name = spec.value.get("name")
    if name is None or not isinstance(name.value, str):
        return spec
    named = Node("-".join([name.value, *(slug for _, slug in point)]), name.mark)
    return spec.with_value(["name"], named, spec.keys["name"])


def _distinct(slugs: list[str]) -> list[str]:
    if len(set(slugs)) == len(slugs):
        return slugs
    return [f"{slug}-v{index + 1}" for index, slug in enumerate(slugs)]


def _wrong(base: Node, matrix: Node, key: Mark) -> Iterator[SpecError]:
    if not matrix.is_map:
        yield key.error(("matrix",), "expected a map of dotted paths to lists of values, such as data.length: [32, 64]")
        return
    paths = [path.split(".") for path in matrix.value]
    for name, values in matrix.value.items():
        where = matrix.keys[name]
        steps = name.split(".")
        if not isinstance(values.value, list) or not values.value:
            yield values.mark.error(("matrix", name), "expected a list of values with at least one in it")
        elif values.plain() and len({repr(value) for value in values.plain()}) < len(values.value):
            yield values.mark.error(("matrix", name), "a value is listed twice")
        if steps[0] in _FIXED or "" in steps:
            yield where.error(("matrix", name), "not a dotted path to a setting, such as students.NAME.train.steps")
        if any(other != steps and other == steps[: len(other)] for other in paths):
            yield where.error(("matrix", name), "another path of the matrix contains this one: the two would collide")
        yield from _unreachable(base, name, steps, where)
    yield from _too_many(matrix)


def _unreachable(base: Node, name: str, steps: list[str], where: Mark) -> Iterator[SpecError]:
    """Paths through something that is no map, or to a student or baseline that nobody defined."""
    for depth in range(1, len(steps)):
        node = base.get(steps[:depth])
        if node is not None and not node.is_map:
            yield where.error(
                ("matrix", name), f"{'.'.join(steps[:depth])} is not a map, so it has no '{steps[depth]}'"
            )
            return
    if len(steps) > 2 and steps[0] in {"students", "baselines"} and base.get(steps[:2]) is None:
        group = base.get(steps[:1])
        known = list(group.value) if group is not None and group.is_map else []
        kind = steps[0].removesuffix("s")
        near = did_you_mean(steps[1], known) if closest(steps[1], known) else f"; there is {', '.join(known) or 'none'}"
        yield where.error(("matrix", name), f"no {kind} is called '{steps[1]}'{near}")


def _too_many(matrix: Node) -> Iterator[SpecError]:
    count = math.prod(len(values.value) for values in matrix.value.values() if isinstance(values.value, list))
    if count > MAX_EXPERIMENTS:
        yield matrix.mark.error(
            ("matrix",), f"{count:,} experiments; at most {MAX_EXPERIMENTS:,} can be planned at once"
        )
