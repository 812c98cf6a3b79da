"""The price of factorisation: what a kernel that is a product over positions must lose on a grid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from cdmrun.report.lines import Line, lines_of, of_line
from cdmrun.spec.plan_types import Experiment

FLOOR = "factorised floor (conditional total correlation)"
#: The metric that has this floor, and the metric that is it.
FLOORED, FLOOR_METRIC = "kl_bound", "total_correlation"
#: Methods whose step kernels are products over positions, whatever family their entry names.
_PRODUCTS = ("tau_leaping", "analytic", "progressive")


@dataclass(frozen=True)
class Floor:
    """Nats at each NFE, on the grid of the line it was computed for."""

    of: Line
    values: dict[int, float]


def is_product(method: str, family: str) -> bool:
    """Whether a method's step kernels are products over positions, so that it cannot go below the floor.

    The two stages of a θ solver make one step whose positions depend on one another: it is none.
    """
    return method in _PRODUCTS or (method == "cdm" and family == "factorized")


def factorised_floor(experiment: Experiment, summary: pd.DataFrame) -> Floor | None:
    """The floor at each NFE, or None where total_correlation was not measured.

    It depends on the grid alone. It is read off the analytic sampler, else off the product with the most NFE, and
    never off a θ solver, whose grid has half as many steps as NFE.
    """
    own = summary[(summary["experiment"] == experiment.name) & (summary["metric"] == FLOOR_METRIC)]
    products = [line for line in lines_of(experiment) if line.method == "cdm" or line.method in _PRODUCTS]
    floors = [Floor(line, _finite(of_line(own, line))) for line in products]
    floors = [floor for floor in floors if floor.values]
    return max(floors, key=lambda floor: (floor.of.method == "analytic", len(floor.values)), default=None)


def floor_sentence(floor: Floor) -> str:
    """What the floor is, for captions."""
    return (
        f"Factorised floor: the conditional total correlation of the true reverse steps, on the grid of "
        f"{floor.of.name}; a kernel that is a product over positions never goes below it in {FLOORED}, a joint family "
        "can."
    )


def _finite(rows: pd.DataFrame) -> dict[int, float]:
    values = {int(row["nfe"]): float(row["mean"]) for row in rows.to_dict("records")}
    return {nfe: values[nfe] for nfe in sorted(values) if math.isfinite(values[nfe])}
