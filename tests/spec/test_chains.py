"""Specs with Markov chains: what is filled in, what is refused and where, and what decides identity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cdmrun.data.chain import MarkovChain
from cdmrun.spec.defaults import FIT
from cdmrun.spec.plan import build_plan
from cdmrun.spec.schema import leaf, section

from .conftest import Errors, Write

CHAIN = """\
name: chain
data: {kind: markov, length: 32}
forward_process: {kind: absorbing}
teacher: {kind: markov}
students:
  hmm:
    method: cdm
    family: {kind: hmm}
    nfe: [1, 2]
"""


def plan_of(write: Write, text: str) -> dict[str, object]:
    """Config of each run by the start of its key."""
    return {key.split("/")[0]: run for key, run in build_plan([write(text)]).runs.items()}


def test_defaults_follow_the_source(write: Write) -> None:
    runs = plan_of(write, CHAIN)
    assert runs["data"].config == {  # type: ignore[attr-defined]
        "kind": "markov",
        "source": "kjv",
        "order": 2,
        "length": 32,
        "smoothing": 3.0,
        "draws": 16384,
    }
    assert runs["teachers"].config["teacher"] == {"kind": "markov"}  # type: ignore[attr-defined]
    student = runs["students"].config  # type: ignore[attr-defined]
    assert (student["target"], student["init"]) == ({"kind": "exact"}, "random")
    random = plan_of(write, CHAIN.replace("length: 32", "source: random"))["data"].config  # type: ignore[attr-defined]
    assert {key: random[key] for key in ("order", "states", "concentration", "seed")} == {
        "order": 2,
        "states": 8,
        "concentration": 0.3,
        "seed": 0,
    }
    fitted = plan_of(write, CHAIN.replace("kind: markov, length: 32", "kind: kjv"))["teachers"]
    assert fitted.config["teacher"] == {"kind": "markov", **FIT}  # type: ignore[attr-defined]


def test_the_fit_is_described_as_it_is() -> None:
    for name in ("data", "teacher"):
        markov = leaf(section(name), {"kind": "markov"})
        assert markov is not None
        for key, value in FIT.items():
            assert markov["properties"][key]["x-default-when"].startswith(str(value))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("length: 32", "states: 4", "a.yaml:2:22: data.states: has no meaning for source kjv, only for random"),
        (
            "length: 32",
            "source: random, smoothing: 1",
            "a.yaml:2:38: data.smoothing: has no meaning for source random, only for kjv, text",
        ),
        ("length: 32", "source: text", "a.yaml:2:1: data.file: missing: source text"),
        ("length: 32", "source: transitions, file: t.npy", "a.yaml:2:49: data.file: t.npy: no such file"),
        ("length: 32", "source: random, states: 900", "a.yaml:2:1: data.order: 900^3 = 729,000,000 transition"),
        ("length: 32", "order: 3, length: 2", "a.yaml:2:29: data.order: a chain of order 3 has no sequences of 2"),
        ("teacher: {kind: markov}", "teacher: {kind: markov, order: 2}", "a.yaml:4:25: teacher.order: the data are"),
        ("{kind: markov}", "{kind: enumerated}", "not markov: use kind markov"),
        ("nfe: [1, 2]", "nfe: [1]\n    init: teacher", "a.yaml:10:11: students.hmm.init: an exact teacher"),
        ("{kind: hmm}", "{kind: joint}", "family.kind: joint needs data that can be enumerated"),
        (
            "kind: markov, length: 32",
            "kind: potts_ring",
            "a.yaml:4:17: teacher.kind: markov is fitted to sequences, and potts_ring is a table",
        ),
        (
            "kind: markov, length: 32",
            "kind: text, file: a.yaml, alphabet: 0123456789abcdefghijklmnopqrstuvwxyz",
            "",
        ),
    ],
)
def test_mistakes_are_located(errors: Errors, old: str, new: str, expected: str) -> None:
    assert CHAIN.count(old) >= 1
    found = [str(error) for error in errors(CHAIN.replace(old, new, 1))]
    if expected:
        assert any(expected in error for error in found), found
    else:
        assert not found


def test_teacher_of_too_many_transitions(errors: Errors) -> None:
    text = CHAIN.replace("kind: markov, length: 32", "kind: kjv").replace("kind: markov}", "kind: markov, order: 4}")
    assert not errors(text)
    letters = "".join(chr(0x4E00 + n) for n in range(300))
    text = text.replace("kind: kjv", f"kind: text, file: a.yaml, alphabet: {letters}").replace("order: 4", "order: 2")
    (error,) = errors(text)
    assert "teacher.order: 300^3 = 27,000,000 transition probabilities are too many" in str(error)


def test_transitions_are_checked_and_identified_by_content(write: Write, errors: Errors) -> None:
    text = CHAIN.replace("length: 32", "source: transitions, file: t.npy")
    write(text)
    chain = MarkovChain.random(3, 2, seed=0)
    np.save("t.npy", chain.transition)
    assert not errors(text)
    before = plan_of(write, text)["data"].id  # type: ignore[attr-defined]
    Path("t.npy").rename("u.npy")
    assert plan_of(write, text.replace("t.npy", "u.npy"))["data"].id == before  # type: ignore[attr-defined]
    np.save("t.npy", MarkovChain.random(3, 2, seed=1).transition)
    assert plan_of(write, text)["data"].id != before  # type: ignore[attr-defined]
    for bad, message in [
        (chain.transition * 0.9, "after context (0, 0) sum to 0.9"),
        (chain.transition[0, 0], "shape (3,) is not"),
        (-chain.transition, "probabilities are finite and not negative"),
    ]:
        np.save("t.npy", bad)
        (error,) = errors(text)
        assert message in str(error)
        assert error.path == "data.file"
    np.save("t.npy", chain.transition)
    (error,) = errors(text.replace("source", "order: 2, source"))
    assert str(error).startswith("a.yaml:2:22: data.order: has no meaning for source transitions")
