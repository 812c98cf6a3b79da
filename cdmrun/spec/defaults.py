"""The defaults that depend on other keys. All others stand in the schema; these are described there by
``x-default-when`` and decided here, in one place.

| key | default |
|---|---|
| title | the name |
| forward_process.alpha_min | 0 for absorbing, 1e-5 otherwise |
| students.*.target.kind | exact when the teacher is enumerated, else rollout |
| students.*.target.substeps, draws, levels | 64, 4096, 8 for a rollout; absent otherwise |
| students.*.init | random when the teacher is enumerated, else teacher |
| students.*.model | layers 2, width 64, heads 2 when init is random; absent otherwise |
| students.*.start | twice the largest nfe (progressive) |
| baselines.tau_leaping.final | denoise for absorbing, else none |
| baselines.tau_leaping.hold | rate for absorbing, else ratio |
| baselines.tau_leaping.jumps | poisson for ordinal data, else any_jump |
| evaluation.metrics | by data: enumerable, text, digits |
| report.tables, figures | all metrics by method and family; the first metric against nfe and against seconds |
"""

from __future__ import annotations

from typing import Any

ENUMERABLE = ("table", "potts_ring")
TEXT = ("kjv", "text")
ORDINAL = ("digits",)
ROLLOUT = {"substeps": 64, "draws": 4096, "levels": 8}
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
    for student in spec.get("students", {}).values():
        _student(student, teacher)
    leaping = spec.get("baselines", {}).get("tau_leaping")
    if leaping is not None and process is not None:
        absorbing = process["kind"] == "absorbing"
        leaping.setdefault("final", "denoise" if absorbing else "none")
        leaping.setdefault("hold", "rate" if absorbing else "ratio")
        ordinal = spec.get("data", {}).get("kind") in ORDINAL and not absorbing
        leaping.setdefault("jumps", "poisson" if ordinal else "any_jump")
    if "evaluation" in spec and "data" in spec:
        spec["evaluation"].setdefault("metrics", metrics_for(spec["data"]["kind"]))
    if "report" in spec and "metrics" in spec.get("evaluation", {}):
        _report(spec["report"], spec["evaluation"]["metrics"])


def metrics_for(data_kind: str) -> list[str]:
    """Return the metrics that make sense for a kind of data, the most telling first."""
    if data_kind in ENUMERABLE:
        return ["tv", "kl", "nll", "nll_bound"]
    if data_kind in TEXT:
        return ["nll_bound", "judge_nll", "entropy", "self_bleu"]
    return ["nll_bound", "entropy"]


def _student(student: dict[str, Any], teacher: dict[str, Any] | None) -> None:
    exact = teacher is not None and teacher["kind"] == "enumerated"
    if student["method"] == "progressive":
        student.setdefault("start", 2 * max(student["nfe"]))
    elif teacher is not None:
        target = student["target"]
        target.setdefault("kind", "exact" if exact else "rollout")
        if target["kind"] == "rollout":
            for key, value in ROLLOUT.items():
                target.setdefault(key, value)
    if teacher is not None:
        student.setdefault("init", "random" if exact else "teacher")
    if student.get("init") == "random":
        student.setdefault("model", dict(STUDENT_MODEL))


def _report(report: dict[str, Any], metrics: list[str]) -> None:
    tables = report.setdefault("tables", [{"rows": ["method", "family"], "columns": "nfe", "title": ""}])
    for table in tables:
        table.setdefault("values", list(metrics))
    figures = report.setdefault("figures", [{"x": cost, "hue": "name"} for cost in ("nfe", "seconds_per_sample")])
    for figure in figures:
        figure.setdefault("y", metrics[0])
