"""Semantic checks of Markov chains: of ``data.kind: markov``, and of a markov teacher that is fitted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cdmrun.errors import UserError
from cdmrun.limits import MAX_TRANSITIONS
from cdmrun.spec.checks_data import text_problems
from cdmrun.spec.defaults import CHAIN, FIT
from cdmrun.spec.errors import SpecError
from cdmrun.spec.facts import facts_of
from cdmrun.spec.inputs import Files
from cdmrun.spec.resolve import Resolved


def check_chains(e: Resolved, files: Files) -> Iterator[SpecError]:
    """Only keys that mean something, files that hold what they should, and a size that fits memory and sequences."""
    data, teacher = e.spec.get("data"), e.spec.get("teacher")
    if data is not None and data["kind"] == "markov":
        yield from _data(e, data, files)
    if data is not None and teacher is not None and teacher["kind"] == "markov":
        yield from _teacher(e, data, teacher, files)


def _data(e: Resolved, data: dict[str, Any], files: Files) -> Iterator[SpecError]:
    source = data["source"]
    meant = CHAIN[source]
    for key in sorted({key for keys in CHAIN.values() for key in keys} - set(meant)):
        having = [name for name, keys in CHAIN.items() if key in keys]
        if key in data:
            message = f"has no meaning for source {source}, only for {', '.join(having)}: leave it out"
            yield e.key_error(("data", key), message)
    if "file" in meant and "file" not in data:
        yield e.error(("data", "file"), f"missing: source {source} is a file of yours")
    elif source == "transitions":
        yield from _transitions(e, data, files)
    elif source == "text":
        yield from text_problems(e, data, files)
    if "order" in meant:
        yield from _size(e, ("data", "order"), data["order"], files)


def _transitions(e: Resolved, data: dict[str, Any], files: Files) -> Iterator[SpecError]:
    from cdmrun.data.chain import check_transitions

    array = files.array(data["file"])
    if isinstance(array, str):
        yield e.error(("data", "file"), array)
        return
    try:
        check_transitions(array, data["file"])
    except UserError as error:
        yield e.error(("data", "file"), f"{error.message}: {error.remedy}")
        return
    if data["length"] < array.ndim - 1:
        yield e.error(("data", "length"), _too_short(data["length"], array.ndim - 1))


def _teacher(e: Resolved, data: dict[str, Any], teacher: dict[str, Any], files: Files) -> Iterator[SpecError]:
    facts = facts_of(e, files)
    if data["kind"] == "markov":
        for key in FIT:
            if key in teacher:
                message = "the data are a chain, and the teacher is that chain: leave this out"
                yield e.key_error(("teacher", key), message)
    elif facts is not None and facts.enumerable:
        message = f"markov is fitted to sequences, and {facts.kind} is a table: use kind enumerated"
        yield e.error(("teacher", "kind"), message)
    else:
        yield from _size(e, ("teacher", "order"), teacher["order"], files)


def _size(e: Resolved, place: tuple[str, ...], order: int, files: Files) -> Iterator[SpecError]:
    facts = facts_of(e, files)
    if facts is None:
        return
    if facts.vocabulary is not None and facts.vocabulary ** (order + 1) > MAX_TRANSITIONS:
        entries = f"{facts.vocabulary}^{order + 1} = {facts.vocabulary ** (order + 1):,}"
        message = f"{entries} transition probabilities are too many (at most {MAX_TRANSITIONS:,}): use a smaller order"
        yield e.error(place, message)
    if facts.length is not None and facts.length < order:
        yield e.error(place, _too_short(facts.length, order))


def _too_short(length: int, order: int) -> str:
    return f"a chain of order {order} has no sequences of {length} tokens: use a length of at least {order}"
