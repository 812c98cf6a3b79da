"""The metrics by what they need (`cdmrun.registry` has the declarations)."""

from __future__ import annotations

from typing import cast

from cdmrun.registry import MetricMember, find, names


def metric(name: str) -> MetricMember:
    """The declaration of a metric."""
    return cast(MetricMember, find("metric", name))


def metric_names() -> tuple[str, ...]:
    """All metrics, in the order of configs, so that listing them differently scores nothing anew."""
    return names("metric")
