"""Semantic checks of what a ``method: cdm`` student is matched to: its ``target``, and its ``divergence``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cdmrun.spec.defaults import EXACT_TEACHERS, TARGET, target_way
from cdmrun.spec.errors import SpecError
from cdmrun.spec.resolve import Resolved


def check_matching(e: Resolved, place: tuple[str, ...], student: dict[str, Any]) -> Iterator[SpecError]:
    """Yield what is wrong with one student's target and divergence, and with the two together."""
    if "kind" not in student["target"]:
        return  # the default follows from a teacher that is broken itself
    yield from _kind(e, place, student["target"])
    yield from _contexts(e, place, student["target"])
    yield from _keys(e, place, student["target"])
    yield from _divergence(e, place, student)


def _kind(e: Resolved, place: tuple[str, ...], target: dict[str, Any]) -> Iterator[SpecError]:
    teacher = e.spec.get("teacher")
    if target["kind"] == "exact" and teacher is not None and teacher["kind"] not in EXACT_TEACHERS:
        message = "exact needs teacher.kind enumerated or markov: use rollout or soft for a network"
        yield e.error((*place, "target", "kind"), message)


def _contexts(e: Resolved, place: tuple[str, ...], target: dict[str, Any]) -> Iterator[SpecError]:
    """Only with masks can a teacher be shown the tokens before one and not those after it."""
    process = e.spec.get("forward_process")
    shown = target["kind"] == "soft" and target.get("contexts") in ("data", "draws")
    if shown and process is not None and process["kind"] != "absorbing":
        message = f"{target['contexts']} needs the absorbing process, not {process['kind']}: use walk"
        yield e.error((*place, "target", "contexts"), message)


def _keys(e: Resolved, place: tuple[str, ...], target: dict[str, Any]) -> Iterator[SpecError]:
    """Keys of the other kinds of target."""
    way = target_way(target)
    known = {"kind", *TARGET.get(way, target), *(["contexts"] if way[0] == "soft" else [])}
    for key in target:
        if key not in known and e.written(*place, "target", key):
            owners = " or ".join(_named(other) for other, keys in TARGET.items() if key in keys) or "soft"
            message = f"has a meaning for target.kind {owners} only, here it is {_named(way)}: leave it out"
            yield e.key_error((*place, "target", key), message)


def _divergence(e: Resolved, place: tuple[str, ...], student: dict[str, Any]) -> Iterator[SpecError]:
    """All but forward KL need the target's density: they are not linear in a target that is drawn."""
    divergence, target = student["divergence"], student["target"]
    by_token = target["kind"] == "soft" and target.get("contexts") != "walk"
    if divergence != "forward_kl" and target["kind"] != "exact" and not by_token:
        message = (
            f"{divergence} is biased with target.kind {_named(target_way(target))}, whose draws have an "
            "unknown density (only forward_kl is linear in its target): use forward_kl, or target.kind exact or soft"
        )
        yield e.error((*place, "divergence"), message)
    if "alpha" in student and divergence != "alpha":
        message = f"has a meaning for divergence alpha only, here it is {divergence}: leave it out"
        yield e.key_error((*place, "alpha"), message)


def _named(way: tuple[str, str | None]) -> str:
    kind, contexts = way
    return f"{kind} with contexts {contexts}" if contexts else kind
