"""Options of a ``data`` section as numbers, or an error that names the option."""

from __future__ import annotations

import math
from typing import Any

from cdmrun.errors import UserError


def whole(name: str, value: Any, least: int, most: int | None = None) -> int:
    """``value`` as a whole number from ``least`` to ``most``, or a `UserError` about ``data.name``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise UserError(f"data.{name}: {value!r} is not a whole number {bounds}", f"write e.g. `{name}: {least}`")
    return value


def real(name: str, value: Any) -> float:
    """``value`` as a finite number, or a `UserError` about ``data.name``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"data.{name}: {value!r} is not a finite number", f"write e.g. `{name}: 1.0`")
    return float(value)


def share(name: str, value: Any) -> float:
    """``value`` as a share from 0 up to, but not including, 1, or a `UserError` about ``data.name``."""
    number = real(name, value)
    if not 0.0 <= number < 1.0:
        raise UserError(f"data.{name}: {number:g} is not a share in [0, 1)", f"write e.g. `{name}: 0.1`")
    return number
