"""Semantic checks of ``evaluation`` and ``report``: metrics that can be computed, tables of what is computed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from typing import Any

from cdmrun.registry import CONTENTS
from cdmrun.spec.checks_models import model_problems, train_problems
from cdmrun.spec.errors import SpecError, Step, did_you_mean
from cdmrun.spec.facts import Facts, facts_of, needs_a_law
from cdmrun.spec.inputs import Files
from cdmrun.spec.kinds import data_kind, kinds_showing, labelled_kinds
from cdmrun.spec.metric_kinds import metric
from cdmrun.spec.resolve import Resolved

#: What can name the rows of a table besides the values of students and baselines.
ROW_LABELS = ("experiment", "process", "method", "family", "name")


def check_metrics(e: Resolved, files: Files) -> Iterator[SpecError]:
    """Exact metrics need a law that can be enumerated, a judge needs text, samples must be data."""
    metrics = e.spec.get("evaluation", {}).get("metrics", [])
    facts = facts_of(e, files)
    for index, name in enumerate(metrics if e.written("evaluation", "metrics") else []):
        lacking = _lacking(metric(name).needs, facts) if facts is not None else ""
        if lacking or (lacking := _absent(metric(name).package)):
            yield e.error(("evaluation", "metrics", index), f"{name} {lacking}")
        elif (
            metric(name).reads == "fills" and e.spec.get("forward_process", {}).get("kind", "absorbing") != "absorbing"
        ):
            message = (
                f"{name} is offered under the absorbing process, where given tokens stay as they are: leave it out"
            )
            yield e.error(("evaluation", "metrics", index), message)
    judge = e.spec.get("evaluation", {}).get("judge", {})
    if "model" in judge:
        yield from model_problems(e, ("evaluation", "judge", "model"), judge["model"])
    if "train" in judge:
        yield from train_problems(e, ("evaluation", "judge", "train"), judge["train"])
    process = e.spec.get("forward_process")
    leaping = e.spec.get("baselines", {}).get("tau_leaping", {})
    if process is not None and process["kind"] == "absorbing" and leaping.get("final") == "none":
        unfit = [name for name in metrics if metric(name).needs in CONTENTS]
        if unfit:
            message = f"none leaves masks in the samples, which {unfit[0]} cannot read: use denoise"
            yield e.error(("baselines", "tau_leaping", "final"), message)


def _lacking(needs: str, facts: Facts) -> str:
    """What a metric needs and the data are not, or nothing."""
    if needs == "law" and not facts.enumerable:
        return f"{needs_a_law()}, not {facts.kind}: use nll_bound"
    if needs in CONTENTS and needs != facts.content:
        return f"needs {needs} ({', '.join(kinds_showing(needs))}), not {facts.kind}"
    if needs == "records" and facts.enumerable:
        return f"compares with training sequences, and {facts.kind} is a law: leave it out"
    if needs == "chain" and facts.kind != "markov":
        return f"needs the true entropy (data of kind markov), not {facts.kind}: use nll_bound"
    if needs == "classes" and not data_kind(facts.kind).labelled:
        return f"needs sequences with classes ({', '.join(labelled_kinds())}), not {facts.kind}"
    return ""


def _absent(package: str) -> str:
    """A package that a metric cannot be computed without and that is not installed, or nothing."""
    if not package or importlib.util.find_spec(package) is not None:
        return ""
    return f"needs package {package}, which is not installed: python -m pip install {package}, or leave it out"


def check_report(e: Resolved, files: Files) -> Iterator[SpecError]:
    """Tables, figures and orders of metrics that are measured; laws that can be drawn."""
    metrics = e.spec.get("evaluation", {}).get("metrics")
    report = e.spec.get("report")
    if metrics is None or report is None:
        return
    for number, table in enumerate(report.get("tables", [])):
        for index, label in enumerate(table.get("rows", [])):
            yield from _labelled(e, ("report", "tables", number, "rows", index), label)
        for index, value in enumerate(table.get("values", [])):
            yield from _measured(e, ("report", "tables", number, "values", index), value, metrics)
    for number, figure in enumerate(report.get("figures", [])):
        yield from _measured(e, ("report", "figures", number, "y"), figure["y"], metrics)
        if figure["x"] == "seconds_per_sample" and not e.spec["evaluation"].get("timing", True):
            message = "evaluation.timing is false, so that there are no seconds to show: use nfe, or leave timing out"
            yield e.error(("report", "figures", number, "x"), message)
    for index, name in enumerate(report.get("orders", [])):
        yield from _measured(e, ("report", "orders", index), name, metrics)
    if report.get("laws"):
        yield from _drawable(e, facts_of(e, files))


def _labelled(e: Resolved, place: tuple[Step, ...], label: str) -> Iterator[SpecError]:
    """A row is named by a label of the scores, or by a value that some student or baseline has."""
    sections = [e.spec.get(name) or {} for name in ("students", "baselines")]
    paths = {path for section in sections for settings in section.values() for path in _paths(settings or {})}
    if label not in ROW_LABELS and label not in paths:
        known = [*ROW_LABELS, *sorted(paths)]
        message = f"{label} is neither a label of the scores ({', '.join(ROW_LABELS)}) nor a value of any student"
        yield e.error(place, f"{message}{did_you_mean(label, known)}")


def _paths(settings: Mapping[str, Any], start: str = "") -> Iterator[str]:
    """All dotted paths of a section, those of maps too."""
    for name, value in settings.items():
        yield f"{start}{name}"
        if isinstance(value, Mapping):
            yield from _paths(value, f"{start}{name}.")


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
