"""Random damage to more than 500 specs: always located errors, never an exception; what passes means what it says.

Keys that are renamed and added, and kinds that are put in, are those of the schema, and so is the rest of what is
damaged: each object of the schema, besides four whole specs.
"""

from __future__ import annotations

import copy
import random

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .checking import check
from .conftest import SPECS
from .from_schema import kinds, names, places

TREES = st.sampled_from([yaml.safe_load(text) for text in SPECS]) | st.sampled_from([p.spec for p in places()])
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([*kinds(), "~", "a.b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=4,
)


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
            node[pick.choice(names())] = node.pop(key, None)
        else:
            node[pick.choice(names())] = junk
    elif isinstance(node, list) and node:
        node[pick.randrange(len(node))] = junk


@settings(max_examples=350, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(TREES, st.integers(0, 2**32), st.lists(JUNK, min_size=1, max_size=3))
def test_mutated_trees(whole: object, seed: int, junk: list[object]) -> None:
    tree, pick = copy.deepcopy(whole), random.Random(seed)
    for value in junk:
        mutate(tree, pick, value)
    check(yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(SPECS),
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
