"""Captions: what is exact and what is estimated, how many seeds and samples, what the samplers do at the end."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from cdmrun.spec.plan_types import Experiment

_KINDS = {
    "exact": "exact",
    "bound": "an upper bound, a mean over random draws",
    "estimate": "estimated from samples",
}


def caption(experiment: Experiment, summary: pd.DataFrame, metrics: Sequence[str]) -> str:
    """The caption of a table or figure of ``metrics``; ``summary`` holds the rows of this experiment."""
    parts = [
        "Mean ± half-width of the 95 % interval "
        "(Student t over seeds; with one seed 1.96 standard errors where known).",
        f"Seeds: {_listed(experiment.spec.get('seeds', []))}; the column “seeds” says how many stand behind a row."
        f"{_shared_teacher(experiment)}",
    ]
    sentences = [exactness(summary, metric) for metric in metrics]
    if experiment.spec.get("teacher", {}).get("kind") == "enumerated":  # expectations over whole laws, nothing drawn
        sentences = [
            sentence.replace(_KINDS["bound"], "an upper bound on nll, computed exactly") for sentence in sentences
        ]
    parts.extend(sentences)
    evaluation = experiment.spec.get("evaluation", {})
    if "samples" in evaluation:
        parts.append(f"Sample metrics use {evaluation['samples']} samples a seed.")
    parts.extend(_final_steps(experiment))
    parts.append("Bold: best of its column, its interval apart from the runner-up's.")
    return " ".join(part for part in parts if part)


def exactness(summary: pd.DataFrame, metric: str) -> str:
    """A sentence: ``nll_bound: exact (analytic at NFE 1), otherwise an upper bound.``"""
    own = summary[summary["metric"] == metric]
    kinds = list(own["estimate"].unique())
    if not kinds:
        return ""
    if len(kinds) == 1:
        return f"{metric}: {_KINDS.get(kinds[0], kinds[0])}."
    parts = []
    for kind in kinds:
        rows = own[own["estimate"] == kind]
        places = []
        for name, group in rows.groupby("name", sort=False):
            everywhere = len(group) == (own["name"] == name).sum()
            places.append(str(name) if everywhere else f"{name} at NFE {_listed(sorted(group['nfe']))}")
        parts.append(f"{_KINDS.get(kind, kind)} for {_listed(places)}")
    return f"{metric}: {'; '.join(parts)}."


def _shared_teacher(experiment: Experiment) -> str:
    """What the seeds vary, where one teacher serves them all."""
    teacher = experiment.spec.get("teacher", {})
    if teacher.get("per_seed") or len(experiment.spec.get("seeds", [])) < 2:
        return ""
    return " All seeds share one teacher: they vary the students' training and the draws."


def _final_steps(experiment: Experiment) -> list[str]:
    tau = experiment.spec.get("baselines", {}).get("tau_leaping")
    if not tau:
        return []
    if tau.get("final") == "denoise":
        return ["tau_leaping ends with final: denoise, one last draw from the clean conditionals, counted in its NFE."]
    return ["tau_leaping has final: none, no denoising draw at the end."]


def _listed(items: Sequence[object]) -> str:
    return ", ".join(str(item) for item in items)
