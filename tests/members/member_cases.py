"""Every member that a spec can name, built-in or of an installed plugin, and toy problems for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from science_cases import times

from cdmrun.processes.enumeration import enumerate_states
from cdmrun.registry import KINDS, Member, MetricMember, SamplerMember, names
from cdmrun.samplers import Sampler
from cdmrun.spec.fragments import DISPATCH
from cdmrun.spec.resolve import Resolved
from cdmrun.spec.schema import Schema, leaf, section

EVERY = [(kind.kind, name) for kind in KINDS for name in names(kind.kind)]
every_member = pytest.mark.parametrize(("kind", "name"), EVERY)
#: What a toy problem says where the schema has no default, or one that costs too much; by kind and name.
TOYS: dict[tuple[str, str], dict[str, Any]] = {
    ("data", "text"): {"file": "words.txt", "length": 16},
    ("data", "molecules"): {"limit": 500},
    ("data", "mnist"): {"limit": 500},
    ("data", "fashion_mnist"): {"limit": 500, "size": 14},
    ("data", "array"): {"file": "array.npy"},
    ("data", "idx"): {"file": "images.idx", "levels": 2},
    ("data", "table"): {"file": "table.npy"},
    ("data", "markov"): {"source": "random", "states": 3, "length": 8, "draws": 64},
    ("process", "matrix"): {"generator": [[-3, 1, 1, 1], [1, -2, 0, 1], [1, 1, -2, 0], [0, 1, 1, -2]]},
}
#: Data with as many tokens as `hky85` wants, and few sequences.
TOY_DATA = {"kind": "potts_ring", "states": 4, "length": 2}
TINY = {"model": {"layers": 1, "width": 8, "heads": 1}, "train": {"steps": 2, "batch": 4}}
Resolve = Callable[..., Resolved]


def each(kind: str) -> pytest.MarkDecorator:
    """The names of one kind as a parameter."""
    return pytest.mark.parametrize("name", names(kind))


def toy(kind: str, name: str) -> dict[str, Any]:
    return TOYS.get((kind, name), {})


def dispatcher(kind: str) -> Schema:
    """The schema that chooses among the members of a kind."""
    if kind != "family":
        return section("students", "any") if kind == "objective" else section(DISPATCH[kind].definition)
    found = leaf(section("students", "any"), {"method": "cdm"})
    assert found is not None
    return cast(Schema, found["properties"]["family"])


def schema_of(member: Member) -> Schema | None:
    """What the schema has of a member's keys; of a metric, which has none, its declaration."""
    if isinstance(member, MetricMember):
        listed = member.name in section("evaluation")["properties"]["metrics"]["items"]["enum"]
        return {"description": member.description, "properties": {}} if listed else None
    if isinstance(member, SamplerMember):
        return cast(Schema | None, section("baselines")["properties"].get(member.name))
    return leaf(dispatcher(member.kind), {DISPATCH[member.kind].key: member.name})


def rows_sum_to_one(sampler: Sampler) -> None:
    states = enumerate_states(sampler.process.states, sampler.length)
    for step in sampler.steps:
        rows = step.kernel.rows(states, *step.times(len(states)))
        assert (rows >= 0).all()
        torch.testing.assert_close(rows.sum(1), times(1.0, len(states)), atol=1e-6, rtol=0)
