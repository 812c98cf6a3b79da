"""What each metric is called, in which unit, which way is better, and what it means in a sentence."""

from __future__ import annotations

from dataclasses import dataclass

from cdmrun.spec.metric_kinds import metric, metric_names


@dataclass(frozen=True)
class MetricInfo:
    """How a metric is shown.

    ``direction`` is ``lower``, ``higher``, ``reference`` (closer to the held-out data is better) or ``none`` (neither
    end is better: nothing is ranked by it). ``exactness`` says what the number usually is; the ``estimate`` column of
    the scores has the last word, cell by cell. ``unbounded`` metrics may be ∞ for a good reason, which is no defect.
    ``floor`` and ``ceiling`` name what the metric is read against, where there is such a thing (`cdmrun.registry`).
    """

    name: str
    label: str
    unit: str
    direction: str
    exactness: str
    meaning: str
    log_scale: bool = False
    unbounded: bool = False
    floor: str = ""
    ceiling: str = ""

    def reference_label(self, what: str) -> str:
        """What a row of something to read against is called: ``held-out data (floor)``."""
        place = {self.floor: " (floor)", self.ceiling: " (ceiling)"}.get(what, "")
        return f"{what}{place}"

    @property
    def arrow(self) -> str:
        """``↓``, ``↑``, ``→ data`` (closer to the held-out data), or nothing where neither end is better."""
        return {"lower": "↓", "higher": "↑", "none": ""}.get(self.direction, "→ data")

    @property
    def heading(self) -> str:
        """The metric's name as in the CSV, the direction that is better, and the unit."""
        return " ".join(part for part in (self.name, self.arrow, f"({self.unit})" if self.unit else "") if part)

    @property
    def axis(self) -> str:
        """Axis label of a figure."""
        return f"{self.label}{f' ({self.unit})' if self.unit else ''}  {self.arrow}".rstrip()


#: Below this an exact distance is rounding: a perfect sampler's.
NUMERICAL_ZERO = 1e-13


def metric_info(name: str, unit: str = "") -> MetricInfo:
    """What is known of metric ``name``; an unknown one is shown under its own name, lower taken as better."""
    if name not in metric_names():
        return MetricInfo(name, name, unit, "lower", "estimate", "")
    known = metric(name)
    return MetricInfo(
        name,
        known.label,
        "" if known.bare else known.unit,
        known.direction,
        known.exactness,
        known.description,
        known.log_scale,
        known.unbounded,
        known.floor or "",
        known.ceiling or "",
    )
