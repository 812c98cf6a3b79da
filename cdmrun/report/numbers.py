"""Numbers as people read them: sensible digits, a shared power of ten, time in s, ms or µs."""

from __future__ import annotations

import math
from dataclasses import dataclass

DASH = "–"


@dataclass(frozen=True)
class Number:
    """A number ready to be set: ``mean ± half``, both times ``10**power``; texts only."""

    mean: str
    half: str = ""
    power: int = 0

    def __str__(self) -> str:
        body = f"{self.mean} ± {self.half}" if self.half else self.mean
        if not self.power:
            return body
        return f"({body})e{self.power}" if self.half else f"{body}e{self.power}"


def number(mean: float, half: float = math.nan, signed: bool = False) -> Number:
    """Round ``mean`` to two significant digits of ``half``; without a half-width, to four significant digits.

    Below 1e-3 in magnitude (mean and half both) a power of ten is taken out.
    """
    if math.isnan(mean):
        return Number(DASH)
    if math.isinf(mean):
        return Number("∞" if mean > 0 else "−∞")
    known = math.isfinite(half) and half > 1e-6 * abs(mean)
    size = max(abs(mean), half if known else 0.0)
    power = math.floor(math.log10(size)) if 0 < size < 1e-3 else 0
    scaled, width = mean / 10.0**power, (half / 10.0**power if known else math.nan)
    if known:
        decimals = min(max(1 - math.floor(math.log10(width)), 0), 7)
        if float(f"{width:.{decimals}f}") >= 10.0 ** (2 - decimals):  # rounding made a third digit
            decimals = max(decimals - 1, 0)
    else:
        decimals = 3 if scaled == 0 else min(max(3 - math.floor(math.log10(abs(scaled))), 0), 7)
    sign = "+" if signed else "-"
    text = f"{scaled:{sign}.{decimals}f}".replace("-", "−")
    return Number(text, f"{width:.{decimals}f}" if known else "", power)


def seconds(value: float) -> str:
    """A duration with its unit, three significant digits at most: ``12.3 ms``."""
    if not math.isfinite(value):
        return DASH
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= 0.9995 * scale or unit == "µs":
            scaled = value / scale
            decimals = 0 if scaled == 0 else max(2 - max(math.floor(math.log10(scaled)), 0), 0)
            text = f"{scaled:.{decimals}f}"
            return f"{text} {unit}"
    raise AssertionError("unreachable")
