"""Semantic checks of ``data`` and ``forward_process``: files, tables, generators, numbers of states."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cdmrun.limits import SUM_TOLERANCE
from cdmrun.rates import rate_problems
from cdmrun.spec.errors import SpecError, Step
from cdmrun.spec.facts import Facts, facts_of
from cdmrun.spec.inputs import Files, state_problem
from cdmrun.spec.resolve import Resolved

if TYPE_CHECKING:
    import numpy.typing as npt

_SCHEDULE_KEYS = {
    "alpha_min": ("loglinear", "cosine"),
    "sigma_min": ("geometric",),
    "sigma_max": ("geometric", "constant"),
}


def check_data(e: Resolved, files: Files) -> Iterator[SpecError]:
    """Files that are there and hold what they should; an alphabet without repetitions; few enough states."""
    data = e.spec.get("data")
    if data is None:
        return
    if data["kind"] == "text":
        yield from text_problems(e, data, files)
    elif data["kind"] == "table":
        array = files.array(data["file"])
        for problem in [array] if isinstance(array, str) else _table_problems(array, data["file"]):
            yield e.error(("data", "file"), problem)
    elif data["kind"] in ("array", "idx"):
        yield from _own_rows(e, data, files)
    elif data["kind"] == "checkerboard" and data["size"] % data["squares"]:
        message = f"{data['squares']} squares do not divide {data['size']} cells: make size a multiple of squares"
        yield e.error(("data", "squares" if e.written("data", "squares") else "size"), message)
    elif data["kind"] == "sentences" and data["sentences"] > data["states"] ** data["length"]:
        there_are = f"{data['states']}^{data['length']} = {data['states'] ** data['length']:,}"
        yield e.error(
            ("data", "sentences"), f"{data['sentences']} sequences of the {there_are} there are: ask for fewer"
        )
    elif data["kind"] != "markov" and isinstance(data.get("file"), str) and files.problem(data["file"]):
        yield e.error(("data", "file"), files.problem(data["file"]))  # of a plugin's
    yield from _states(e, facts_of(e, files))


def text_problems(e: Resolved, data: dict[str, Any], files: Files) -> Iterator[SpecError]:
    """What is wrong with a text file of the user's and its alphabet."""
    problem = files.problem(data["file"])
    if problem:
        yield e.error(("data", "file"), problem)
    repeated = sorted({c for c in data["alphabet"] if data["alphabet"].count(c) > 1})
    if repeated:
        yield e.error(("data", "alphabet"), f"characters listed more than once: {' '.join(map(repr, repeated))}")


def _own_rows(e: Resolved, data: dict[str, Any], files: Files) -> Iterator[SpecError]:
    """What is wrong with an array or images of the user's, and with the shares of their splits."""
    if data["test"] + data["judge"] >= 1:
        message = f"test ({data['test']:g}) and judge ({data['judge']:g}) leave nothing to train on"
        yield e.error(("data", "test" if e.written("data", "test") else "judge"), message)
    if data["kind"] == "array":
        found = files.tokens(data["file"])
        if isinstance(found, str):
            yield e.error(("data", "file"), found)
        elif found[1] >= data.get("vocabulary", found[1] + 1):
            message = f"{data['file']} has the number {found[1]}: write at least {found[1] + 1}"
            yield e.error(("data", "vocabulary"), message)
        return
    images = files.images(data["file"])
    if isinstance(images, str):
        yield e.error(("data", "file"), images)
    elif "size" in data and (images[1] % data["size"] or images[2] % max(1, images[1] // data["size"])):
        message = f"{data['size']} does not divide images of {images[1]} × {images[2]} by a whole factor"
        yield e.error(("data", "size"), message)


def check_process(e: Resolved, files: Files) -> Iterator[SpecError]:
    """A schedule's own keys only, sigma in order, and a generator that is one and fits the data."""
    process = e.spec.get("forward_process")
    if process is None:
        return
    schedule = process["schedule"]
    for key, schedules in _SCHEDULE_KEYS.items():
        written = e.node.get(("forward_process", key))
        if written is not None and written.value is not None and schedule not in schedules:
            message = f"has no meaning for schedule {schedule}, only for {' and '.join(schedules)}: leave it out"
            yield e.key_error(("forward_process", key), message)
    if schedule == "geometric" and process["sigma_min"] >= process["sigma_max"]:
        key = "sigma_min" if e.written("forward_process", "sigma_min") else "sigma_max"
        message = f"sigma_min ({process['sigma_min']:g}) must be less than sigma_max ({process['sigma_max']:g})"
        yield e.error(("forward_process", key), message)
    match process["kind"]:
        case "matrix":
            yield from _generator(e, process["generator"], files)
        case "hky85":
            yield from _nucleotides(e, process["frequencies"], files)
        case "block":
            yield from _blocks(e, process["blocks"], files)


def _states(e: Resolved, facts: Facts | None) -> Iterator[SpecError]:
    if facts is None or not facts.enumerable or facts.vocabulary is None or facts.length is None:
        return
    absorbing = e.spec.get("forward_process", {}).get("kind") == "absorbing"
    problem = state_problem(facts.vocabulary, facts.length, absorbing)
    if problem:
        yield e.error(("data", "file") if facts.kind == "table" else ("data",), problem)


def _table_problems(table: npt.NDArray[Any], file: str) -> Iterator[str]:
    import numpy as np

    if table.ndim == 0 or len(set(table.shape)) != 1 or table.shape[0] < 2:
        yield f"{file}: shape {table.shape} is not (V, …, V) with V ≥ 2: one axis a position, all of the same size"
        return
    bad = ~np.isfinite(table) | (table < 0)
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        yield f"{file}: entry {index} is {table[index]:g}: probabilities are finite and not negative"
        return
    total = float(table.sum())
    if abs(total - 1) > SUM_TOLERANCE:
        yield f"{file}: the entries sum to {total:.9g}, not to 1 (within {SUM_TOLERANCE:g}): divide by the sum"


def _generator(e: Resolved, generator: list[list[float]] | str, files: Files) -> Iterator[SpecError]:
    import numpy as np

    place: tuple[str, ...] = ("forward_process", "generator")
    if isinstance(generator, str):
        loaded = files.array(generator)
        if isinstance(loaded, str):
            yield e.error(place, loaded)
            return
        rates, name = loaded, f"{generator}: "
    else:
        name = ""
        for row, entries in enumerate(generator):
            if len(entries) != len(generator):
                message = (
                    f"row {row} has {len(entries)} entries, the generator has {len(generator)} rows: it must be square"
                )
                yield e.error((*place, row), message)
        if any(len(entries) != len(generator) for entries in generator):
            return
        rates = np.array(generator, dtype=np.float64)
    problems = list(rate_problems(rates))
    for problem in problems:
        where: tuple[Step, ...] = place if name or problem.row is None else (*place, problem.row)
        yield e.error(where, f"{name}{problem.fault}: {problem.remedy}")
    facts = facts_of(e, files)
    if not problems and facts is not None and facts.vocabulary not in (None, len(rates)):
        message = f"{name}{len(rates)} states, but data {facts.kind} has {facts.vocabulary} values: they must agree"
        yield e.error(place, message)


def _nucleotides(e: Resolved, frequencies: list[float], files: Files) -> Iterator[SpecError]:
    total = sum(frequencies)
    if abs(total - 1) > SUM_TOLERANCE:
        message = f"the frequencies sum to {total:.9g}, not to 1 (within {SUM_TOLERANCE:g}): divide by the sum"
        yield e.error(("forward_process", "frequencies"), message)
    facts = facts_of(e, files)
    if facts is not None and facts.vocabulary not in (None, 4):
        message = f"hky85 is about 4 nucleotides, but data {facts.kind} has {facts.vocabulary} values: use another kind"
        yield e.error(("forward_process", "kind"), message)


def _blocks(e: Resolved, blocks: int, files: Files) -> Iterator[SpecError]:
    facts = facts_of(e, files)
    if facts is not None and facts.vocabulary is not None and blocks > facts.vocabulary:
        message = f"{blocks} blocks, but data {facts.kind} has {facts.vocabulary} values: at most one block a value"
        yield e.error(("forward_process", "blocks"), message)
