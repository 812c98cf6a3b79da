"""Semantic checks of ``baselines``: samplers that fit the process, and step counts they can keep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cdmrun.limits import MAX_TWO_STAGE_STATES
from cdmrun.spec.errors import SpecError
from cdmrun.spec.facts import facts_of
from cdmrun.spec.inputs import Files
from cdmrun.spec.metric_kinds import OF_LAWS
from cdmrun.spec.resolve import Resolved

THETA = ("theta_trapezoidal", "theta_rk2")


def check_baselines(e: Resolved, files: Files) -> Iterator[SpecError]:
    """Each baseline against the process, and the second-order ones against their two evaluations a step."""
    process, baselines = e.spec.get("forward_process"), e.spec.get("baselines", {})
    for name in THETA:
        if name in baselines:
            yield from _even(e, ("baselines", name), baselines[name])
            yield from _written_out(e, ("baselines", name), files)
    if process is not None:
        yield from _fits(e, process, baselines)


def _even(e: Resolved, place: tuple[str, ...], baseline: dict[str, Any]) -> Iterator[SpecError]:
    for index, nfe in enumerate(baseline["nfe"]):
        if nfe % 2:
            message = f"{nfe} is odd: this solver calls the network twice a step, so give even numbers: [2, 4, 8]"
            yield e.error((*place, "nfe", index), message)


def _written_out(e: Resolved, place: tuple[str, ...], files: Files) -> Iterator[SpecError]:
    """The law of two stages is a sum over all states in the middle: the cube of the number of states."""
    facts, process = facts_of(e, files), e.spec.get("forward_process")
    wanted = [metric for metric in e.spec.get("evaluation", {}).get("metrics", []) if metric in OF_LAWS]
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
    if "first_hitting" in baselines and not absorbing:
        message = f"simulates the absorbing process, not {process['kind']}: use uniformization"
        yield e.key_error(("baselines", "first_hitting"), message)
    if "uniformization" in baselines and absorbing:
        message = "simulates processes without masks: use first_hitting for the absorbing process"
        yield e.key_error(("baselines", "uniformization"), message)
    elif "uniformization" in baselines and process["alpha_min"] == 0 and process["schedule"] in ("loglinear", "cosine"):
        message = "0 lets the noise σ̄ grow without end, so no simulation can begin: use a small number such as 1e-5"
        yield e.error(("forward_process", "alpha_min"), message)
    if absorbing and baselines.get("tau_leaping", {}).get("jumps") == "poisson":
        message = "poisson adds up levels, and a mask is none: use any_jump, reject or euler"
        yield e.error(("baselines", "tau_leaping", "jumps"), message)
