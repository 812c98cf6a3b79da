"""Semantic checks of ``teacher``, ``students`` and ``baselines``: what can be combined with what."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, cast

from cdmrun.limits import MAX_SCAN_WINDOW, MAX_TRANSITIONS
from cdmrun.registry import FamilyMember, find
from cdmrun.spec.checks_matching import check_matching
from cdmrun.spec.defaults import EXACT_TEACHERS
from cdmrun.spec.errors import SpecError
from cdmrun.spec.facts import Facts, facts_of, needs_a_law
from cdmrun.spec.inputs import Files
from cdmrun.spec.resolve import Resolved


def check_teacher(e: Resolved, files: Files) -> Iterator[SpecError]:
    """An exact teacher needs a law; a network's channels must divide among its heads."""
    teacher, facts = e.spec.get("teacher"), facts_of(e, files)
    if teacher is None:
        return
    if teacher["kind"] == "enumerated" and facts is not None and not facts.enumerable:
        other = "markov" if facts.kind == "markov" else "network"
        yield e.error(("teacher", "kind"), f"enumerated {needs_a_law()}, not {facts.kind}: use kind {other}")
    if "model" in teacher:
        yield from model_problems(e, ("teacher", "model"), teacher["model"])
    if "train" in teacher:
        yield from train_problems(e, ("teacher", "train"), teacher["train"])


def check_students(e: Resolved, files: Files) -> Iterator[SpecError]:
    """Each student by itself, then against the others."""
    facts, teacher = facts_of(e, files), e.spec.get("teacher")
    for name, student in e.spec.get("students", {}).items():
        place = ("students", name)
        yield from _init(e, place, student, teacher)
        yield from train_problems(e, (*place, "train"), student["train"], _served(student))
        if "family" in student:
            yield from _family(e, place, student["family"], facts)
            yield from _decoding(e, place, student)
        if student["method"] == "cdm":
            yield from check_matching(e, place, student)
        if student["method"] == "progressive":
            yield from _rounds(e, place, student)
            yield from _masked_only(e, place, student)
    yield from _same_students(e)


def _masked_only(e: Resolved, place: tuple[str, ...], student: dict[str, Any]) -> Iterator[SpecError]:
    """Without masks the composed target depends on a drawn state, in which only forward KL is linear."""
    process = e.spec.get("forward_process")
    if process is None or process["kind"] == "absorbing":
        return
    if student["divergence"] != "forward_kl":
        message = f"{student['divergence']} is biased under the {process['kind']} process: use forward_kl"
        yield e.error((*place, "divergence"), message)
    if student["grid"] == "released":
        message = f"released is a grid of the absorbing process, not {process['kind']}: use uniform"
        yield e.error((*place, "grid"), message)


def check_entries(e: Resolved, files: Files) -> Iterator[SpecError]:
    """At least one thing to sample."""
    sections = ("students", "baselines")
    whole = all(name in e.spec for name in ("data", "forward_process", "teacher", *sections))
    if whole and not any(e.spec[name] for name in sections):
        written = [e.node.value[name].value for name in sections if name in e.node.value]
        if not any(written):  # else the only ones are broken, and that is reported
            yield e.error((), "nothing to compare: give at least one of students and baselines")


def _family(e: Resolved, place: tuple[str, ...], family: dict[str, Any], facts: Facts | None) -> Iterator[SpecError]:
    member = cast(FamilyMember, find("family", family["kind"]))
    if member.enumerable and facts is not None and not facts.enumerable:
        message = f"{member.name} {needs_a_law()}, not {facts.kind}: use mixture, hmm, markov or autoregressive"
        yield e.error((*place, "family", "kind"), message)
    if member.name == "markov" and facts is not None and facts.vocabulary is not None:
        count = (facts.vocabulary + 1) ** family["order"] * facts.vocabulary
        if count > MAX_TRANSITIONS:
            message = (
                f"order {family['order']} over {facts.vocabulary} tokens has tables of {count:,} numbers, more than "
            )
            message += f"{MAX_TRANSITIONS:,}: take a lower order, or kind autoregressive"
            yield e.error((*place, "family", "order"), message)


def _decoding(e: Resolved, place: tuple[str, ...], student: dict[str, Any]) -> Iterator[SpecError]:
    """A way of drawing that the family has, at the price of all contexts of its window if it is a scan."""
    wanted, family = student.get("decoding", "auto"), student["family"]
    known = cast(FamilyMember, find("family", family["kind"])).decodings
    where = (*place, "decoding")
    if wanted == "auto":
        return
    if not known:
        yield e.key_error(where, f"{family['kind']} draws all positions at once: leave it out")
    elif wanted not in known:
        yield e.error(where, f"{family['kind']} has no {wanted}: choose from {', '.join(('auto', *known))}")
    elif wanted == "scan" and family.get("window", 0) > MAX_SCAN_WINDOW:
        message = f"scan goes through all contexts, for windows up to {MAX_SCAN_WINDOW}, here {family['window']}: "
        yield e.error(where, message + "use fixed_point or sequential")


def _init(
    e: Resolved, place: tuple[str, ...], student: dict[str, Any], teacher: dict[str, Any] | None
) -> Iterator[SpecError]:
    if teacher is not None and student["init"] == "teacher":
        if teacher["kind"] in EXACT_TEACHERS:
            yield e.error((*place, "init"), "an exact teacher has no weights to start from: use init random")
        elif "model" in student:
            message = "with init: teacher the trunk is the teacher's own: leave this out, or set init: random"
            yield e.key_error((*place, "model"), message)
            return
    if "model" in student:
        yield from model_problems(e, (*place, "model"), student["model"])


def model_problems(e: Resolved, place: tuple[str, ...], model: dict[str, Any]) -> Iterator[SpecError]:
    """Channels divide among heads, and a convolution has a middle."""
    width, heads = model["width"], model["heads"]
    if width % heads or width // heads % 2:
        key = "width" if e.written(*place, "width") or not e.written(*place, "heads") else "heads"
        message = f"width {width} over {heads} heads: each head needs the same, even number of channels"
        yield e.error((*place, key), message)
    if model["conv"] % 2 == 0:
        yield e.error((*place, "conv"), f"{model['conv']} taps have no middle: use an odd number such as 3")


def train_problems(e: Resolved, place: tuple[str, ...], train: dict[str, Any], served: int = 1) -> Iterator[SpecError]:
    """A batch divides into its parts, and each of them has sequences for all the step counts that are ``served``."""
    batch, parts = train["batch"], train["accumulate"]
    if parts == 1:
        return
    where = (*place, "accumulate")
    if batch % parts:
        nearest = batch + parts - batch % parts
        yield e.error(where, f"{parts} parts cannot share a batch of {batch} evenly: use a batch such as {nearest}")
    elif batch // parts < served:
        message = f"{parts} parts of a batch of {batch} have {batch // parts} sequences each, too few for the {served} "
        yield e.error(where, message + f"step counts in nfe, which take turns: use at most {max(batch // served, 1)}")


def _served(student: dict[str, Any]) -> int:
    """How many step counts take turns in a batch of a student's training."""
    return len(student["nfe"]) if student.get("per_nfe") is False else 1


def _rounds(e: Resolved, place: tuple[str, ...], student: dict[str, Any]) -> Iterator[SpecError]:
    """Progressive: 8, 4, 2, 1 in some order without gaps, each divided by substeps; the start a power of it above."""
    steps, factor = sorted(student["nfe"], reverse=True), student["substeps"]
    share = "half of" if factor == 2 else f"1/{factor} of"
    for above, below in pairwise(steps):
        if above != factor * below:
            index = student["nfe"].index(below)
            chain = [factor**power for power in range(len(steps) - 1, -1, -1)]
            message = f"{below} is not {share} {above}: a round divides by {factor}, so give a chain such as {chain}"
            yield e.error((*place, "nfe", index), message)
    ratio, remainder = divmod(student["start"], steps[0])
    while ratio > factor and ratio % factor == 0:
        ratio //= factor
    if remainder or ratio != factor:
        powers = ", ".join(str(factor**power) for power in (1, 2, 3))
        message = f"{student['start']} must be the largest nfe ({steps[0]}) times {powers}, …"
        yield e.error((*place, "start"), message)


def _same_students(e: Resolved) -> Iterator[SpecError]:
    seen: list[tuple[str, dict[str, Any]]] = []
    for name, student in e.spec.get("students", {}).items():
        payload = {**student, "nfe": sorted(student["nfe"])}
        twin = next((other for other, known in seen if known == payload), None)
        if twin is not None:
            message = f"asks for the very training that '{twin}' asks for: remove one, or change it"
            yield e.key_error(("students", name), message)
        seen.append((name, payload))
