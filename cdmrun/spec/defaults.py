"""The defaults that depend on other keys. All others stand in the schema; these are described there by
``x-default-when`` and decided here, in one place.

| key | default |
|---|---|
| title | the name |
| forward_process.alpha_min | 0 for absorbing, 1e-5 otherwise |
| data.order, alphabet, states, … (markov) | by source, see `CHAIN`; absent where they have no meaning |
| teacher.order, smoothing (markov) | 2 and 3.0; absent when the data are a chain themselves |
| students.*.target.kind | exact when the teacher is enumerated or markov, else rollout |
| students.*.target.contexts | for soft: data under the absorbing process, else walk |
| students.*.target.substeps, draws, levels, positions, labelled | see `TARGET`; absent where they have no meaning |
| students.*.alpha | 0.5 when divergence is alpha; absent otherwise |
| students.*.init | random when the teacher is enumerated or markov, else teacher |
| students.*.model | layers 2, width 64, heads 2 when init is random; absent otherwise |
| students.*.start | the largest nfe times substeps (progressive) |
| baselines.tau_leaping, theta_*.final | denoise for absorbing, else none |
| baselines.tau_leaping, theta_*.hold | rate for absorbing, else ratio |
| baselines.tau_leaping.jumps | poisson for ordinal data under a process of small jumps, else any_jump |
| evaluation.metrics | by data: enumerable, markov, text, others |
| report.tables | all metrics by method and family |
| report.figures | the first metric against nfe and, unless evaluation.timing is false, against seconds |
"""

from __future__ import annotations

from typing import Any

from cdmrun.spec.kinds import data_kind, is_ordinal, process_kind

EXACT_TEACHERS = ("enumerated", "markov")
FIT = {"order": 2, "smoothing": 3.0}
#: What the chain of ``data.kind: markov`` needs besides its length, by source; `file` is needed where it is None.
CHAIN: dict[str, dict[str, Any]] = {
    "kjv": FIT,
    "text": {**FIT, "file": None, "alphabet": "abcdefghijklmnopqrstuvwxyz "},
    "transitions": {"file": None},
    "random": {"order": 2, "states": 8, "concentration": 0.3, "seed": 0},
}
ROLLOUT = {"substeps": 64, "draws": 4096, "levels": 8}
#: The keys of a target besides its kind and contexts, by these two (contexts are for soft only).
TARGET: dict[tuple[str, str | None], dict[str, int]] = {
    ("rollout", None): ROLLOUT,
    ("bootstrap", None): {"substeps": 8},
    ("soft", "data"): {"positions": 1, "labelled": 0},
    ("soft", "draws"): {"positions": 1, **ROLLOUT},
    ("soft", "walk"): {"substeps": 8},
    ("exact", None): {},
    ("data", None): {},
}
STUDENT_MODEL = {"layers": 2, "width": 64, "heads": 2, "conv": 3, "mlp": 4}
ALPHA_MIN = 1e-5


def fill_dependent(spec: dict[str, Any]) -> None:
    """Fill, in place, every default that depends on other keys; a section that is absent is left alone.

    Parameters
    ----------
    spec
        A spec with the schema's own defaults filled; broken sections may be missing, and what depends on them stays
        unfilled.
    """
    if "title" not in spec and "name" in spec:
        spec["title"] = spec["name"]
    process = spec.get("forward_process")
    if process is not None and process["alpha_min"] is None:
        process["alpha_min"] = 0.0 if process["kind"] == "absorbing" else ALPHA_MIN
    teacher = spec.get("teacher")
    _chains(spec.get("data"), teacher)
    for student in spec.get("students", {}).values():
        _student(student, teacher, process)
    if process is not None:
        # elsewhere a jump goes anywhere: the sum of many is thrown against an end, and τ-leaping a straw man
        adds_up = "data" in spec and is_ordinal(spec["data"]) and process_kind(process["kind"]).local
        _leaping(spec.get("baselines", {}), process["kind"] == "absorbing", adds_up)
    if "evaluation" in spec and "data" in spec:
        spec["evaluation"].setdefault("metrics", metrics_for(spec["data"]["kind"]))
    if "report" in spec and "metrics" in spec.get("evaluation", {}):
        _report(spec["report"], spec["evaluation"])


def metrics_for(data: str) -> list[str]:
    """Return the metrics that make sense for a kind of data, the most telling first."""
    if data_kind(data).enumerable:
        return ["tv", "kl", "kl_bound", "nll", "nll_bound"]
    if data == "markov":
        return ["excess_nll_bound", "nll_bound"]
    if data_kind(data).content == "text":
        return ["nll_bound", "judge_nll", "entropy", "self_bleu"]
    if data_kind(data).content == "molecules":
        return ["nll_bound", "validity", "uniqueness", "fcd"]
    if data_kind(data).content == "chorales":
        return ["nll_bound", "voice_range", "dissonance", "note_lengths"]
    return ["nll_bound", "entropy"]


def _chains(data: dict[str, Any] | None, teacher: dict[str, Any] | None) -> None:
    """What a chain is made from: of the data, and of a markov teacher of other data."""
    if data is None:
        return
    if data["kind"] == "markov":
        for key, value in CHAIN[data["source"]].items():
            if value is not None:
                data.setdefault(key, value)
    elif teacher is not None and teacher["kind"] == "markov":
        for key, value in FIT.items():
            teacher.setdefault(key, value)


def _leaping(baselines: dict[str, Any], absorbing: bool, adds_up: bool) -> None:
    for name in ("tau_leaping", "theta_trapezoidal", "theta_rk2"):
        if (solver := baselines.get(name)) is not None:
            solver.setdefault("final", "denoise" if absorbing else "none")
            solver.setdefault("hold", "rate" if absorbing else "ratio")
    if (leaping := baselines.get("tau_leaping")) is not None:
        leaping.setdefault("jumps", "poisson" if adds_up else "any_jump")


def _student(student: dict[str, Any], teacher: dict[str, Any] | None, process: dict[str, Any] | None) -> None:
    exact = teacher is not None and teacher["kind"] in EXACT_TEACHERS
    if student["method"] == "progressive":
        student.setdefault("start", student["substeps"] * max(student["nfe"]))
    elif teacher is not None and "target" in student:
        _target(student["target"], exact, process)
    if student["method"] == "cdm" and student["divergence"] == "alpha":
        student.setdefault("alpha", 0.5)
    if teacher is not None:
        student.setdefault("init", "random" if exact else "teacher")
    if student.get("init") == "random":
        student.setdefault("model", dict(STUDENT_MODEL))


def _target(target: dict[str, Any], exact: bool, process: dict[str, Any] | None) -> None:
    target.setdefault("kind", "exact" if exact else "rollout")
    if target["kind"] == "soft" and process is not None:
        target.setdefault("contexts", "data" if process["kind"] == "absorbing" else "walk")
    for key, value in TARGET.get(target_way(target), {}).items():
        target.setdefault(key, value)


def target_way(target: dict[str, Any]) -> tuple[str, str | None]:
    """What decides which keys a target has: its kind, and for soft its contexts."""
    return target["kind"], target.get("contexts") if target["kind"] == "soft" else None


def _report(report: dict[str, Any], evaluation: dict[str, Any]) -> None:
    metrics = evaluation["metrics"]
    costs = ("nfe", "seconds_per_sample") if evaluation.get("timing", True) else ("nfe",)
    tables = report.setdefault("tables", [{"rows": ["method", "family"], "columns": "nfe", "title": ""}])
    for table in tables:
        table.setdefault("values", list(metrics))
    figures = report.setdefault("figures", [{"x": cost, "hue": "name"} for cost in costs])
    for figure in figures:
        figure.setdefault("y", metrics[0])
