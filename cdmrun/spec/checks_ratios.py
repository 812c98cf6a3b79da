"""Semantic checks of ``teacher.prediction: ratio``: where ratios of a network still tell clean conditionals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from cdmrun.limits import AMPLIFICATION
from cdmrun.spec.errors import SpecError
from cdmrun.spec.inputs import Files
from cdmrun.spec.resolve import Resolved

#: The processes whose inverse kernel a network's parametrisation can be built around.
INVERTIBLE = ("absorbing", "uniform")


def check_ratios(e: Resolved, files: Files) -> Iterator[SpecError]:
    """The inverse kernel must not magnify what a network gets wrong; some of the data must be left at t = 1."""
    process, teacher = e.spec.get("forward_process"), e.spec.get("teacher")
    if process is None or teacher is None or teacher.get("prediction") != "ratio":
        return
    if process["kind"] not in INVERTIBLE:
        message = (
            f"ratio is for the {' and the '.join(INVERTIBLE)} process: on the way back to clean conditionals the "
            f"inverse of {process['kind']} magnifies a network's errors, each mode by its own factor: use posterior "
            "or leave_one_out"
        )
        yield e.error(("teacher", "prediction"), message)
    elif process["kind"] == "uniform" and _noise_at_the_end(process) > math.log(AMPLIFICATION):
        key = "alpha_min" if process["schedule"] in ("loglinear", "cosine") else "sigma_max"
        message = (
            f"{process[key]:g} leaves less than {1 / AMPLIFICATION:g} of the data at t = 1, where ratios then tell "
            f"nothing of them: use {'1e-5' if key == 'alpha_min' else 'at most 20'}, or another prediction"
        )
        yield e.error(("forward_process", key), message)


def _noise_at_the_end(process: dict[str, Any]) -> float:
    """σ̄ = −log α at t = 1."""
    match process["schedule"]:
        case "geometric":
            return float(process["sigma_max"] - process["sigma_min"])
        case "constant":
            return float(process["sigma_max"])
    return -math.log(process["alpha_min"]) if process["alpha_min"] > 0 else math.inf
