"""Metrics of completed sequences."""

from __future__ import annotations

from cdmrun.registry import MetricMember

#: What is hidden of a sequence that is to be completed.
_HIDDEN = {"random": "a random half", "middle": "the middle half"}


def _infill(pattern: str, name: str, label: str, unit: str, direction: str, description: str) -> MetricMember:
    """A metric of completed sequences; ``description`` goes on after what is hidden and what is given."""
    return MetricMember(
        name=f"infill_{pattern}_{name}",
        implementation=f"cdmrun.metrics.infill:infill_{pattern}_{name}",
        label=f"{label}, {_HIDDEN[pattern]} filled",
        unit=unit,
        bare=unit != "bits/token",
        direction=direction,
        exactness="bound" if name == "nll" else "estimate",
        reads="fills",
        needs="text",
        floor="" if name == "nll" else "held-out data",  # bits of the truth given the rest are not known
        ceiling="independent positions",
        unbounded=name == "nll",
        description=(
            f"Of held-out sequences {_HIDDEN[pattern]} is hidden, and completed by the sampler from the rest: "
            f"{description}"
        ),
    )


MEMBERS = tuple(
    _infill(pattern, *facts)
    for pattern in _HIDDEN
    for facts in (
        (
            "bleu",
            "BLEU",
            "BLEU",
            "higher",
            "character BLEU against the truth (100: all is right), of the middle alone, or of all that is scattered.",
        ),
        ("chrf", "chrF", "chrF", "higher", "chrF against the truth, of the same text (100: all is right)."),
        ("match", "Exact match", "share", "higher", "the share of completed tokens that are the truth's."),
        (
            "nll",
            "NLL",
            "bits/token",
            "lower",
            "bits a hidden token of the truth, a bound as nll_bound is; no judge is in it.",
        ),
    )
)
