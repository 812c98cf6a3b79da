"""What each metric is called, in which unit, which way is better, and what it means in a sentence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MetricInfo:
    """How a metric is shown.

    ``direction`` is ``lower``, ``higher`` or ``reference`` (closer to the held-out data is better). ``exactness``
    says what the number usually is; the ``estimate`` column of the scores has the last word, cell by cell.
    """

    name: str
    label: str
    unit: str
    direction: str
    exactness: str
    meaning: str
    log_scale: bool = False

    @property
    def arrow(self) -> str:
        """``↓``, ``↑`` or ``→ data`` (closer to the held-out data)."""
        return {"lower": "↓", "higher": "↑"}.get(self.direction, "→ data")

    @property
    def heading(self) -> str:
        """The metric's name as in the CSV, the direction that is better, and the unit."""
        return f"{self.name} {self.arrow}" + (f" ({self.unit})" if self.unit else "")

    @property
    def axis(self) -> str:
        """Axis label of a figure."""
        return f"{self.label}{f' ({self.unit})' if self.unit else ''}  {self.arrow}"


_BITS = "bits/token"

METRICS: dict[str, MetricInfo] = {
    info.name: info
    for info in (
        MetricInfo(
            "nll_bound",
            "Held-out NLL bound",
            _BITS,
            "lower",
            "bound",
            "An upper bound on the negative log-likelihood that the n-step sampler gives to held-out real data. "
            "Every sampler here has explicit step kernels, so every sampler has one; no judge is involved and low "
            "entropy does not flatter it. Under the absorbing process it is the exact likelihood at NFE 1.",
        ),
        MetricInfo(
            "judge_nll",
            "Judge NLL of samples",
            _BITS,
            "lower",
            "estimate",
            "How surprising the samples are to an independent n-gram judge fitted to other real data. A sampler can "
            "lower it by repeating itself: read it together with the entropy.",
        ),
        MetricInfo(
            "entropy",
            "Entropy of samples",
            _BITS,
            "reference",
            "estimate",
            "Diversity of the samples. Neither low nor high is good in itself: close to held-out data is.",
        ),
        MetricInfo(
            "self_bleu",
            "Self-BLEU",
            "",
            "reference",
            "estimate",
            "How much the samples share with one another (character BLEU of each sample against the others). Noise "
            "shares little, collapse much: close to held-out data is good.",
        ),
        MetricInfo(
            "tv",
            "TV to the data law",
            "",
            "lower",
            "exact",
            "Total variation distance between the sampler's whole output law and the data law, computed on all "
            "states: no sampling noise.",
            log_scale=True,
        ),
        MetricInfo(
            "kl",
            "KL(data ‖ sampler)",
            "nats",
            "lower",
            "exact",
            "Kullback–Leibler divergence from the data law to the sampler's whole output law, computed on all states.",
            log_scale=True,
        ),
        MetricInfo(
            "nll",
            "Exact NLL",
            _BITS,
            "lower",
            "exact",
            "The exact expected negative log-likelihood of the data under the sampler's output law; nll_bound can "
            "never be below it.",
        ),
        MetricInfo(
            "validity",
            "Valid samples",
            "",
            "higher",
            "estimate",
            "The share of samples that are valid objects of their kind.",
        ),
        MetricInfo("fcd", "FCD", "", "lower", "estimate", "Fréchet ChemNet distance to held-out molecules."),
    )
}


def metric_info(name: str, unit: str = "") -> MetricInfo:
    """What is known of metric ``name``; an unknown one is shown under its own name, lower taken as better."""
    return METRICS.get(name) or MetricInfo(name, name, unit, "lower", "estimate", "")
