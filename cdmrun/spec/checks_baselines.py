"""Semantic checks of ``baselines``: samplers that fit the process, and step counts they can keep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from cdmrun.limits import MAX_TWO_STAGE_STATES
from cdmrun.registry import SamplerMember, find, names
from cdmrun.spec.errors import SpecError
from cdmrun.spec.facts import facts_of
from cdmrun.spec.inputs import Files
from cdmrun.spec.metric_kinds import metric
from cdmrun.spec.resolve import Resolved


def check_baselines(e: Resolved, files: Files) -> Iterator[SpecError]:
    """Each baseline against the process, and the higher-order ones against their evaluations a step."""
    process, baselines = e.spec.get("forward_process"), e.spec.get("baselines", {})
    for name, baseline in baselines.items():
        calls = _sampler(name).calls
        if calls > 1:
            yield from _whole_steps(e, ("baselines", name), baseline, calls)
            yield from _written_out(e, ("baselines", name), files)
    if process is not None:
        yield from _fits(e, process, baselines)


def _sampler(name: str) -> SamplerMember:
    return cast(SamplerMember, find("sampler", name))


def _whole_steps(e: Resolved, place: tuple[str, ...], baseline: dict[str, Any], calls: int) -> Iterator[SpecError]:
    for index, nfe in enumerate(baseline["nfe"]):
        if nfe % calls == 0:
            continue
        message = f"{nfe} is odd: this solver calls the network twice a step, so give even numbers: [2, 4, 8]"
        if calls > 2:
            message = f"{nfe} is not a multiple of {calls}, the network calls of one step: give [{calls}, {2 * calls}]"
        yield e.error((*place, "nfe", index), message)


def _written_out(e: Resolved, place: tuple[str, ...], files: Files) -> Iterator[SpecError]:
    """The law of two stages is a sum over all states in the middle: the cube of the number of states."""
    facts, process = facts_of(e, files), e.spec.get("forward_process")
    wanted = [name for name in e.spec.get("evaluation", {}).get("metrics", []) if metric(name).needs == "law"]
    if process is None or facts is None or not facts.enumerable or not wanted or not facts.vocabulary:
        return
    states = (facts.vocabulary + (process["kind"] == "absorbing")) ** (facts.length or 1)
    if states > MAX_TWO_STAGE_STATES:
        message = (
            f"the exact law of a two-stage step on {states:,} states is out of reach "
            f"(at most {MAX_TWO_STAGE_STATES:,}): leave this baseline out, or use a smaller target"
        )
        yield e.key_error(place, message)


def _fits(e: Resolved, process: dict[str, Any], baselines: dict[str, Any]) -> Iterator[SpecError]:
    absorbing = process["kind"] == "absorbing"
    for name in baselines:
        wanted = _sampler(name).absorbing
        if wanted is None or wanted == absorbing:
            continue
        message = f"simulates the absorbing process, not {process['kind']}: use {_instead(name, absorbing)}"
        if absorbing:
            message = f"simulates processes without masks: use {_instead(name, absorbing)} for the absorbing process"
        yield e.key_error(("baselines", name), message)
    endless = process["alpha_min"] == 0 and process["schedule"] in ("loglinear", "cosine")
    if "uniformization" in baselines and endless and not absorbing:
        message = "0 lets the noise σ̄ grow without end, so no simulation can begin: use a small number such as 1e-5"
        yield e.error(("forward_process", "alpha_min"), message)
    if absorbing and baselines.get("tau_leaping", {}).get("jumps") == "poisson":
        message = "poisson adds up levels, and a mask is none: use any_jump, reject or euler"
        yield e.error(("baselines", "tau_leaping", "jumps"), message)


def _instead(name: str, absorbing: bool) -> str:
    """Samplers of the same sort that fit the process."""
    oracle = _sampler(name).oracle
    fitting = [
        other
        for other in names("sampler")
        if _sampler(other).oracle == oracle and _sampler(other).absorbing != (not absorbing)
    ]
    return " or ".join(fitting)
