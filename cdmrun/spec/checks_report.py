"""Semantic checks of ``evaluation`` and ``report``: metrics that can be computed, tables of what is computed."""

from __future__ import annotations

from collections.abc import Iterator

from cdmrun.spec.errors import SpecError, Step, did_you_mean
from cdmrun.spec.facts import NEEDS_A_LAW, Facts, facts_of
from cdmrun.spec.inputs import Files
from cdmrun.spec.metric_kinds import OF_CHAINS, OF_LAWS, OF_TEXT
from cdmrun.spec.resolve import Resolved


def check_metrics(e: Resolved, files: Files) -> Iterator[SpecError]:
    """Exact metrics need a law that can be enumerated, a judge needs text, samples must be data."""
    metrics = e.spec.get("evaluation", {}).get("metrics", [])
    facts = facts_of(e, files)
    for index, metric in enumerate(metrics if e.written("evaluation", "metrics") else []):
        place = ("evaluation", "metrics", index)
        if facts is not None and metric in OF_LAWS and not facts.enumerable:
            yield e.error(place, f"{metric} {NEEDS_A_LAW}, not {facts.kind}: use nll_bound")
        if facts is not None and metric in OF_TEXT and not facts.text:
            yield e.error(place, f"{metric} needs text (kjv, text), not {facts.kind}")
        if facts is not None and metric in OF_CHAINS and facts.kind != "markov":
            message = f"{metric} needs the true entropy (data of kind markov), not {facts.kind}: use nll_bound"
            yield e.error(place, message)
    process = e.spec.get("forward_process")
    leaping = e.spec.get("baselines", {}).get("tau_leaping", {})
    if process is not None and process["kind"] == "absorbing" and leaping.get("final") == "none":
        unfit = [metric for metric in metrics if metric in OF_TEXT]
        if unfit:
            message = f"none leaves masks in the samples, which {unfit[0]} cannot read: use denoise"
            yield e.error(("baselines", "tau_leaping", "final"), message)


def check_report(e: Resolved, files: Files) -> Iterator[SpecError]:
    """Tables, figures and orders of metrics that are measured; laws that can be drawn."""
    metrics = e.spec.get("evaluation", {}).get("metrics")
    report = e.spec.get("report")
    if metrics is None or report is None:
        return
    for number, table in enumerate(report.get("tables", [])):
        for index, value in enumerate(table.get("values", [])):
            yield from _measured(e, ("report", "tables", number, "values", index), value, metrics)
    for number, figure in enumerate(report.get("figures", [])):
        yield from _measured(e, ("report", "figures", number, "y"), figure["y"], metrics)
    for index, metric in enumerate(report.get("orders", [])):
        yield from _measured(e, ("report", "orders", index), metric, metrics)
    if report.get("laws"):
        yield from _drawable(e, facts_of(e, files))


def _measured(e: Resolved, place: tuple[Step, ...], metric: str, metrics: list[str]) -> Iterator[SpecError]:
    if metric not in metrics:
        known = f"not among evaluation.metrics ({', '.join(metrics)}): add it there{did_you_mean(metric, metrics)}"
        yield e.error(place, f"{metric} is {known}")


def _drawable(e: Resolved, facts: Facts | None) -> Iterator[SpecError]:
    """A law can be drawn on paper if it is a table over two positions."""
    if facts is None or (facts.enumerable and facts.length in (2, None)):
        return
    why = f"{facts.kind} has {facts.length}" if facts.enumerable else f"{facts.kind} cannot be enumerated"
    message = f"laws are drawn of enumerable data with two positions, and {why}: leave laws out"
    yield e.error(("report", "laws"), message)
