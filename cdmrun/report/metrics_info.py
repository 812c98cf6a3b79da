"""What each metric is called, in which unit, which way is better, and what it means in a sentence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MetricInfo:
    """How a metric is shown.

    ``direction`` is ``lower``, ``higher``, ``reference`` (closer to the held-out data is better) or ``none`` (neither
    end is better: nothing is ranked by it). ``exactness`` says what the number usually is; the ``estimate`` column of
    the scores has the last word, cell by cell. ``unbounded`` metrics may be ∞ for a good reason, which is no defect.
    """

    name: str
    label: str
    unit: str
    direction: str
    exactness: str
    meaning: str
    log_scale: bool = False
    unbounded: bool = False

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


_BITS = "bits/token"
#: Below this an exact distance is rounding: a perfect sampler's.
NUMERICAL_ZERO = 1e-13

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
            unbounded=True,
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
            "Kullback–Leibler divergence from the data law to the sampler's whole output law, computed on all states. "
            "Infinite where the sampler never makes something that the data have.",
            log_scale=True,
            unbounded=True,
        ),
        MetricInfo(
            "kl_reverse",
            "KL(sampler ‖ data)",
            "nats",
            "lower",
            "exact",
            "Kullback–Leibler divergence the other way round: large where the sampler makes what the data hardly have, "
            "infinite where it makes what they never have.",
            log_scale=True,
            unbounded=True,
        ),
        MetricInfo(
            "js",
            "Jensen–Shannon divergence",
            "nats",
            "lower",
            "exact",
            "Mean divergence of the data law and of the sampler's output law from their average: finite for any two "
            "laws, at most log 2, and blind to neither's excess.",
            log_scale=True,
        ),
        MetricInfo(
            "tv_marginal",
            "TV of single positions",
            "",
            "lower",
            "exact",
            "Total variation distance between the sampler's law and the data law of one position, mean over positions: "
            "what is wrong even without looking at correlations.",
            log_scale=True,
        ),
        MetricInfo(
            "tv_pairs",
            "TV of pairs of positions",
            "",
            "lower",
            "exact",
            "Total variation distance between the two laws of a pair of positions, mean over all pairs: with "
            "tv_marginal near zero, what is lost are correlations.",
            log_scale=True,
        ),
        MetricInfo(
            "kl_bound",
            "Bound on KL(data ‖ sampler)",
            "nats",
            "lower",
            "bound",
            "An upper bound on kl that needs the sampler's step kernels alone, never its output law: the divergence of "
            "its start from the noised data, plus the conditional divergence of every step. It is nll_bound in nats a "
            "sequence less the entropy of the target. Infinite where a step's kernel forbids what the true reverse "
            "process does.",
            log_scale=True,
            unbounded=True,
        ),
        MetricInfo(
            "total_correlation",
            "Conditional total correlation",
            "nats",
            "none",
            "exact",
            "What the positions know of one another in a step of the true reverse process, summed over the steps: what "
            "the best kernel that is a product over positions loses in kl_bound. It belongs to the grid, not to the "
            "method.",
            log_scale=True,
        ),
        MetricInfo(
            "excess_nll_bound",
            "Excess NLL bound",
            _BITS,
            "lower",
            "estimate",
            "nll_bound less the entropy rate of the chain that the data are drawn from, which is known: 0 for a "
            "perfect sampler, and all of it is the sampler's own loss.",
            log_scale=True,
            unbounded=True,
        ),
        MetricInfo(
            "chi2_p",
            "p-value of the χ² test",
            "",
            "none",
            "estimate",
            "How often samples of the target law itself would fit it no better than these do (Pearson's χ² over all "
            "outcomes). Of an exact sampler it is uniform between 0 and 1: only a tiny one says something, and a large "
            "one is no merit.",
        ),
        MetricInfo(
            "nll",
            "Exact NLL",
            _BITS,
            "lower",
            "exact",
            "The exact expected negative log-likelihood of the data under the sampler's output law; nll_bound can "
            "never be below it.",
            unbounded=True,
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
