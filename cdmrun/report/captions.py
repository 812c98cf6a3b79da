"""Captions: what is exact and what is estimated, how many seeds and samples, which variants of the samplers ran."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from cdmrun.report.floor import FLOORED, factorised_floor, floor_sentence
from cdmrun.report.lines import Line, lines_of
from cdmrun.spec.metric_kinds import metric as metric_declaration
from cdmrun.spec.metric_kinds import metric_names
from cdmrun.spec.plan_types import Experiment

_KINDS = {
    "exact": "exact",
    "bound": "an upper bound, a mean over random draws",
    "estimate": "estimated from samples",
}
#: Bounds and differences whose estimates are no means over samples.
_OWN_KINDS = {
    ("kl_bound", "exact"): "an upper bound on kl, computed exactly",
    ("excess_nll_bound", "estimate"): "a mean over random draws of data and noise",
    ("excess_nll_bound", "bound"): "an upper bound, a mean over random draws of data and noise",
}
#: The same where whole laws are known and nothing is drawn.
_ENUMERATED_KINDS = {
    ("nll_bound", "bound"): "an upper bound on nll, computed exactly",
    ("kl_bound", "bound"): "an upper bound on kl, computed exactly",
}
#: The samplers that are called τ-leaping, and what a step does.
_JUMPS = {
    "any_jump": "any_jump, a position moves once if any jump falls into its step",
    "reject": "reject, a position moves only if exactly one jump falls into its step",
    "euler": "euler, a position moves with the expected number of its jumps, cut at 1, as probability",
    "poisson": "poisson, Poisson numbers of jumps of every size are summed and clamped to the levels",
}
BOLD = (
    "Bold: better than every other of its column by more than noise, p < 0.05 in pairs: by seed (Student t), "
    "with one seed by held-out sequence where both scored the same."
)
_TWO_CALLS = ("theta_trapezoidal", "theta_rk2")


def caption(experiment: Experiment, summary: pd.DataFrame, metrics: Sequence[str]) -> str:
    """The caption of a table or figure of ``metrics``; ``summary`` holds the rows of this experiment."""
    parts = [
        "Mean ± half-width of the 95 % interval "
        "(Student t over seeds; with one seed 1.96 standard errors where known).",
        f"Seeds: {_listed(experiment.spec.get('seeds', []))}; the column “seeds” says how many stand behind a row."
        f"{_shared_teacher(experiment)}",
    ]
    enumerated = _is_enumerated(experiment)
    parts.extend(exactness(summary, metric, enumerated) for metric in metrics)
    parts.extend(infinite_sentence(summary, metric) for metric in metrics)
    if FLOORED in metrics:
        floor = factorised_floor(experiment, summary)
        parts.append("kl ≤ kl_bound for every sampler: how far they are apart is how loose the certificate is.")
        parts.append(floor_sentence(floor) if floor else "")
    evaluation = experiment.spec.get("evaluation", {})
    parts.extend(_sizes(evaluation, metrics, enumerated))
    parts.extend(_judged(evaluation, metrics))
    parts.extend(_variants(experiment))
    parts.extend(_looser(experiment, metrics))
    parts.append(BOLD)
    return " ".join(part for part in parts if part)


def exactness(summary: pd.DataFrame, metric: str, enumerated: bool = False) -> str:
    """A sentence: ``nll_bound: exact for analytic at NFE 1; an upper bound, … for tau_leaping.``

    With an ``enumerated`` teacher bounds are expectations over whole laws: nothing is drawn.
    """
    own = summary[summary["metric"] == metric]
    kinds = list(own["estimate"].unique())
    if not kinds:
        return ""
    if len(kinds) == 1:
        return f"{metric}: {_kind(metric, kinds[0], enumerated)}."
    parts = []
    for kind in kinds:
        rows = own[own["estimate"] == kind]
        parts.append(f"{_kind(metric, kind, enumerated)} for {places(rows, own)}")
    return f"{metric}: {'; '.join(parts)}."


def _shared_teacher(experiment: Experiment) -> str:
    """What the seeds vary, where one teacher serves them all."""
    teacher = experiment.spec.get("teacher", {})
    if teacher.get("per_seed") or len(experiment.spec.get("seeds", [])) < 2:
        return ""
    return " All seeds share one teacher: they vary the students' training and the draws."


def infinite_sentence(summary: pd.DataFrame, metric: str) -> str:
    """Which methods have an infinite value, and how that comes about; nothing where all are finite."""
    own = summary[summary["metric"] == metric]
    infinite = own[own["mean"].abs() == math.inf]
    if infinite.empty:
        return ""
    why = "one law forbids what the other has"
    if (infinite["estimate"] == "estimate").all():
        why = "fewer than two samples can be measured"
    return f"{metric} is ∞ ({why}) for {places(infinite, own)}."


def _kind(metric: str, kind: str, enumerated: bool) -> str:
    known = _OWN_KINDS | (_ENUMERATED_KINDS if enumerated else {})
    return known.get((metric, kind)) or _KINDS.get(kind, kind)


def places(rows: pd.DataFrame, everything: pd.DataFrame) -> str:
    """``analytic at NFE 1, 2, progressive``: the lines of some rows, with NFE where that is not all of a line."""
    found = []
    for name, group in rows.groupby("name", sort=False):
        everywhere = len(group) == (everything["name"] == name).sum()
        found.append(str(name) if everywhere else f"{name} at NFE {_listed(sorted(group['nfe']))}")
    return _listed(found)


def _is_enumerated(experiment: Experiment) -> bool:
    """Whether bounds are expectations over whole laws, for which nothing is drawn."""
    return bool(experiment.spec.get("teacher", {}).get("kind") == "enumerated")


def _sizes(evaluation: Mapping[str, Any], metrics: Sequence[str], enumerated: bool) -> Iterator[str]:
    """Of how many sequences each kind of metric is; bounds on whole laws are of none."""
    known = [metric_declaration(name) for name in metrics if name in metric_names()]
    reads = {one.reads for one in known} - ({"kernels"} if enumerated else set())
    sizes = {
        "samples": ("samples", "Metrics of samples use {} samples a seed"),
        "kernels": ("held_out", "bounds {} held-out sequences"),
        "fills": ("infills", "infilling {}"),
    }
    parts = [text.format(evaluation[key]) for kind, (key, text) in sizes.items() if kind in reads and key in evaluation]
    if parts:
        sentence = "; ".join(parts)
        yield f"{sentence[0].upper()}{sentence[1:]}."
    if any(one.needs == "molecules" and one.name != "validity" for one in known):
        yield "Of samples that are no molecules only validity speaks: where few are valid, the others are of those few."
    if "self_bleu" in metrics:
        yield "self_bleu is of a hundred of the samples, if there are so many."


def _judged(evaluation: Mapping[str, Any], metrics: Sequence[str]) -> Iterator[str]:
    """Who judges; how well the judge does itself stands in the table."""
    judge = evaluation.get("judge", {})
    if "judge_nll" in metrics and judge:
        what = f"a {judge['order']}-gram model" if judge["kind"] == "ngram" else "an autoregressive network"
        yield f"judge_nll is by {what} of other documents, whose own score of held-out data is the floor."


def _variants(experiment: Experiment) -> Iterator[str]:
    """What exactly each baseline does, where one name covers several samplers."""
    settings = experiment.spec.get("baselines", {})
    for line in lines_of(experiment):
        own: Mapping[str, Any] = settings.get(line.name) or {}
        if line.role != "baseline":
            continue
        if line.method == "tau_leaping":
            yield from _leaping(line.name, own)
        elif line.method in _TWO_CALLS:
            theta = f" has θ = {own['theta']:g}, and" if "theta" in own else ""
            end = " (final: denoise, the very last one draws clean tokens)" if own.get("final") == "denoise" else ""
            yield f"{line.name}{theta} makes two calls a step{end}: half as many steps as NFE."


def _looser(experiment: Experiment, metrics: Sequence[str]) -> Iterator[str]:
    """Whose bounds are loosened by an estimate of each step's likelihood; on whole laws nothing is estimated."""
    draws = experiment.spec.get("evaluation", {}).get("draws")
    names = [line.name for line in lines_of(experiment) if _estimates_its_likelihood(line)]
    if names and draws and not _is_enumerated(experiment) and {"nll_bound", "excess_nll_bound"} & set(metrics):
        yield (
            f"Bounds of {_listed(names)} are looser than others: the likelihood of a step is a mean over {draws} draws "
            "there, inside the logarithm."
        )


def _estimates_its_likelihood(line: Line) -> bool:
    """The θ solvers, and a clean autoregressive student where more than one call is made (forced decoding)."""
    forced = line.role == "student" and line.family == "autoregressive" and line.settings.get("match") == "clean"
    return line.method in _TWO_CALLS or (forced and max(line.nfe) > 1)


def _leaping(name: str, own: Mapping[str, Any]) -> Iterator[str]:
    if own.get("jumps") in _JUMPS:
        yield f"{name} has jumps: {_JUMPS[own['jumps']]}."
    if own.get("final") == "denoise":
        yield f"{name} ends with final: denoise, one last draw from the clean conditionals, counted in its NFE."
    elif own:
        yield f"{name} has final: none, no denoising draw at the end."


def _listed(items: Sequence[object]) -> str:
    return ", ".join(str(item) for item in items)
