"""Made-up exact experiments: distances that fall with a known order, certificates, an oracle, laws on a grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from made_up_results import ORACLE, Builder

from cdmrun.report.collect import collect
from cdmrun.report.summary import summarise
from cdmrun.spec.plan_types import Experiment

FULL, EVEN, FEW = (1, 2, 4, 8, 16, 32, 64), (2, 4, 8, 16, 32, 64), (1, 2, 4, 8)
#: method, family, name, role, NFE; name: order of its total variation distance
EXACT_LINES = (
    ("tau_leaping", "factorized", "tau_leaping", "baseline", FULL),
    ("analytic", "factorized", "analytic", "baseline", FULL),
    ("theta_trapezoidal", "factorized", "theta_trapezoidal", "baseline", EVEN),
    ORACLE,
    ("cdm", "factorized", "product", "student", FEW),
    ("cdm", "joint", "joint", "student", FEW),
)
ORDER = {"tau_leaping": 1.0, "analytic": 1.25, "theta_trapezoidal": 2.0, "product": 1.0, "joint": 0.0}
BASELINES = {
    "tau_leaping": {"jumps": "reject", "final": "none"},
    "theta_trapezoidal": {"theta": 0.5, "final": "denoise"},
    "uniformization": {"stop": 1e-5},
}
METRICS = ("tv", "kl", "kl_bound", "total_correlation", "chi2_p")
REPORT = {
    "tables": [{"rows": ["method", "family"], "columns": "nfe", "values": list(METRICS)}],
    "figures": [{"x": "nfe", "y": "tv", "hue": "name"}, {"x": "nfe", "y": "kl_bound", "hue": "name"}],
    "orders": ["tv", "kl"],
}


def floor_at(nfe: int) -> float:
    """The made-up conditional total correlation; a θ solver has half as many steps as NFE."""
    return round(0.9 / nfe, 9)


def exact_value(metric: str, name: str, nfe: int, seed: int) -> float:
    """Distances of exactly known order, alike for baselines, a little apart between seeds for students."""
    jitter = 1.0 + 0.01 * (seed - 1) * (name in ("product", "joint"))
    distance = 0.3 * jitter * nfe ** -ORDER.get(name, 0.0) * (1e-3 if name == "joint" else 1.0)
    if metric == "tv":
        return distance
    if metric == "kl":
        return 2 * distance**2
    if metric == "kl_bound":
        joint = 1e-4 * jitter
        return {"joint": joint, "tau_leaping": 3.0 / nfe}.get(name, 1.1 * floor_at(nfe) * jitter + 2 * distance**2)
    if metric == "total_correlation":
        return floor_at(nfe // 2) if name.startswith("theta") else floor_at(nfe)
    return 0.2 + 0.1 * seed + 0.001 * len(name) / nfe


def exact_experiment(builder: Builder, name: str = "exact", **changes: Any) -> Experiment:
    """An experiment of `EXACT_LINES` with `METRICS`; ``changes`` are arguments of `Builder.experiment`."""
    settings = {"teacher": {"kind": "enumerated"}, "baselines": BASELINES}
    usual: dict[str, Any] = {
        "data": "table",
        "lines": EXACT_LINES,
        "value": exact_value,
        "report": REPORT,
        "settings": settings,
    }
    metrics = changes.pop("metrics", METRICS)
    return builder.experiment(name, metrics, **(usual | changes))


def scores_of(builder: Builder) -> pd.DataFrame:
    """Long-form scores of everything a builder made."""
    return collect(builder.plan(), builder.out, partial=True)


def summary_of(builder: Builder) -> pd.DataFrame:
    """Means over seeds of everything a builder made."""
    return summarise(scores_of(builder))


def checkerboard(size: int = 8) -> np.ndarray:
    """A law [V, V] on the dark squares; not symmetric, so that a transposed picture shows."""
    cells = np.indices((size, size)).sum(0) // 2 % 2 * np.linspace(1.0, 2.0, size)[:, None]
    return np.asarray(cells / cells.sum())


def blurred(law: np.ndarray, width: float) -> np.ndarray:
    """The law, smeared over neighbours along both axes."""
    distance = np.subtract.outer(np.arange(len(law)), np.arange(len(law)))
    kernel = np.exp(-0.5 * (distance / width) ** 2)
    kernel /= kernel.sum(1, keepdims=True)
    result = kernel.T @ law @ kernel
    return np.asarray(result / result.sum())


def board_law(name: str, nfe: int) -> np.ndarray:
    """A line's output law: the target, sharper with more steps."""
    return blurred(checkerboard(), 4.0 / nfe if ORDER.get(name, 1.0) else 0.01)
