"""Random damage to a valid spec: always located errors, never an exception, never one that is nowhere."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdmrun.spec.errors import SpecErrors
from cdmrun.spec.load import find_errors
from cdmrun.spec.plan import build_plan

from .conftest import RING, TEXT

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["kjv", "cdm", "~", "a.b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=4,
)
KEYS = ["kind", "method", "nfe", "family", "extends", "matrix", "file", "students", "generator", "values"]


def check(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.yaml")
        path.write_bytes(content)
        found = find_errors([path])
        for error in found:
            assert error.file
            assert error.line >= 1
            assert error.column >= 1
            assert error.path
            assert error.message
            assert error.line <= content.count(b"\n") + content.count(b"\r") + 2
        if found:
            with pytest.raises(SpecErrors) as caught:
                build_plan([path])
            assert caught.value.errors == found
        else:
            build_plan([path])


def mutate(tree: object, pick: random.Random, junk: object) -> None:
    """Change one random place of a tree: replace, delete, rename or add."""
    nodes = [tree]
    for node in nodes:
        nodes += [v for v in (node.values() if isinstance(node, dict) else node) if isinstance(v, dict | list)]  # type: ignore[attr-defined]
    node = pick.choice(nodes)
    if isinstance(node, dict) and node:
        key = pick.choice(sorted(map(str, node)))
        action = pick.randrange(4)
        if action == 0:
            node[key] = junk
        elif action == 1:
            node.pop(key, None)
        elif action == 2:
            node[pick.choice(KEYS)] = node.pop(key, None)
        else:
            node[pick.choice(KEYS)] = junk
    elif isinstance(node, list) and node:
        node[pick.randrange(len(node))] = junk


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([TEXT, RING]), st.integers(0, 2**32), st.lists(JUNK, min_size=1, max_size=3))
def test_mutated_trees(text: str, seed: int, junk: list[object]) -> None:
    tree, pick = yaml.safe_load(text), random.Random(seed)
    for value in junk:
        mutate(tree, pick, value)
    check(yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from([TEXT, RING]),
    st.lists(st.tuples(st.integers(0, 600), st.integers(0, 6), st.binary(max_size=4)), min_size=1, max_size=3),
)
def test_mutated_bytes(text: str, edits: list[tuple[int, int, bytes]]) -> None:
    content = text.encode()
    for place, length, new in edits:
        content = content[:place] + new + content[place + length :]
    check(content)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=64))
def test_random_bytes(content: bytes) -> None:
    check(content)
