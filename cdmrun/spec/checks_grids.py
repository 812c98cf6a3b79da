"""Semantic checks of ``grid: optimised``: one model for all step counts, and few enough pairs of times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from cdmrun.limits import MAX_OPTIMISED_STEPS
from cdmrun.registry import SamplerMember, find
from cdmrun.spec.errors import SpecError
from cdmrun.spec.inputs import Files
from cdmrun.spec.resolve import Resolved


def check_grids(e: Resolved, files: Files) -> Iterator[SpecError]:
    """Every baseline and student whose grid is to be optimised."""
    for name, baseline in e.spec.get("baselines", {}).items():
        calls = cast(SamplerMember, find("sampler", name)).calls
        yield from _few_steps(e, ("baselines", name), baseline, calls)
    for name, student in e.spec.get("students", {}).items():
        yield from _few_steps(e, ("students", name), student, 1)
        if student.get("grid") == "optimised" and student.get("per_nfe"):
            message = "optimised needs one student for all step counts: leave per_nfe out, or use uniform or cosine"
            yield e.error(("students", name, "grid"), message)


def _few_steps(e: Resolved, place: tuple[str, ...], section: dict[str, Any], calls: int) -> Iterator[SpecError]:
    if section.get("grid") != "optimised":
        return
    for index, nfe in enumerate(section["nfe"]):
        if nfe // calls > MAX_OPTIMISED_STEPS:
            message = (
                f"a grid of {nfe // calls} steps is not optimised (at most {MAX_OPTIMISED_STEPS}: each pair of times "
                "costs): use uniform or cosine for so many"
            )
            yield e.error((*place, "nfe", index), message)
