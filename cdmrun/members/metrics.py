"""Metrics: what each is called, in which unit, which way is better, what it reads, and what it means in a sentence.

Their order is that of configs, so that listing them differently in a spec scores nothing anew.
"""

from __future__ import annotations

from cdmrun.registry import MetricMember

_SCORING = "cdmrun.metrics.scoring"
_EXACT = "cdmrun.metrics.exact_scores"

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
        ceiling="independent positions",
        unbounded=name == "nll",
        description=(
            f"Of held-out sequences {_HIDDEN[pattern]} is hidden, and completed by the sampler from the rest: "
            f"{description}"
        ),
    )


_INFILLS = tuple(
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

MEMBERS = (
    MetricMember(
        name="nll_bound",
        implementation=f"{_SCORING}:nll_bound",
        label="Held-out NLL bound",
        unit="bits/token",
        direction="lower",
        exactness="bound",
        reads="kernels",
        unbounded=True,
        floor="entropy of the target",
        ceiling="independent positions",
        description=(
            "An upper bound on the negative log-likelihood that the n-step sampler gives to held-out real data. "
            "Every sampler here has explicit step kernels, so every sampler has one; no judge is involved and low "
            "entropy does not flatter it. Under the absorbing process it is the exact likelihood at NFE 1."
        ),
    ),
    MetricMember(
        name="judge_nll",
        implementation=f"{_SCORING}:judge_nll",
        label="Judge NLL of samples",
        unit="bits/token",
        direction="lower",
        exactness="estimate",
        reads="samples",
        needs="text",
        judged=True,
        description=(
            "How surprising the samples are to an independent judge (an n-gram, or a network) fitted to other real "
            "data. A sampler can lower it by repeating itself: read it together with the entropy."
        ),
    ),
    MetricMember(
        name="entropy",
        implementation=f"{_SCORING}:entropy",
        label="Entropy of samples",
        unit="bits/token",
        direction="reference",
        exactness="estimate",
        reads="samples",
        ceiling="",
        description=(
            "Diversity of the samples. Neither low nor high is good in itself: close to held-out data is. It finds "
            "collapse and noise, and nothing else: independent positions have the entropy of the data."
        ),
    ),
    MetricMember(
        name="self_bleu",
        implementation=f"{_SCORING}:self_bleu",
        label="Self-BLEU",
        unit="BLEU",
        bare=True,
        direction="reference",
        exactness="estimate",
        reads="samples",
        needs="text",
        description=(
            "How much the samples share with one another (character BLEU of each sample against the others). "
            "Noise shares little, collapse much: close to held-out data is good."
        ),
    ),
    MetricMember(
        name="distinct_2",
        implementation=f"{_SCORING}:distinct_2",
        label="Distinct 2-grams",
        unit="share",
        bare=True,
        direction="reference",
        exactness="estimate",
        reads="samples",
        needs="text",
        description=(
            "Different pairs of neighbouring tokens over all pairs in the samples. Noise has many, collapse few: close "
            "to held-out data is good. It falls with the number of samples."
        ),
    ),
    MetricMember(
        name="distinct_3",
        implementation=f"{_SCORING}:distinct_3",
        label="Distinct 3-grams",
        unit="share",
        bare=True,
        direction="reference",
        exactness="estimate",
        reads="samples",
        needs="text",
        description="Different runs of three tokens over all of them in the samples; as distinct_2.",
    ),
    MetricMember(
        name="distinct_4",
        implementation=f"{_SCORING}:distinct_4",
        label="Distinct 4-grams",
        unit="share",
        bare=True,
        direction="reference",
        exactness="estimate",
        reads="samples",
        needs="text",
        description="Different runs of four tokens over all of them in the samples; as distinct_2.",
    ),
    MetricMember(
        name="novelty",
        implementation=f"{_SCORING}:novelty",
        label="Novel samples",
        unit="share",
        bare=True,
        direction="reference",
        exactness="estimate",
        reads="samples",
        needs="records",
        ceiling="",
        description=(
            "The share of samples that are no training sequence. A model that remembers its data falls below held-out "
            "data; noise is as novel as anything."
        ),
    ),
    MetricMember(
        name="copied_8grams",
        implementation=f"{_SCORING}:copied_8grams",
        label="8-grams of the training data",
        unit="share",
        bare=True,
        direction="reference",
        exactness="estimate",
        reads="samples",
        needs="text",
        description=(
            "The share of the samples' runs of eight tokens that stand somewhere in the training data. Held-out text "
            "has many, noise none, and copies of the training data have all: close to held-out data is good."
        ),
    ),
    MetricMember(
        name="word_nll",
        implementation=f"{_SCORING}:word_nll",
        label="Word NLL of samples",
        unit="bits/word",
        direction="reference",
        exactness="estimate",
        reads="samples",
        needs="text",
        package="pocketsphinx",
        description=(
            "How surprising the whole words of the samples are to a word trigram of modern English (package "
            "pocketsphinx), those that it knows. Read it together with oov_rate; close to held-out data is good."
        ),
    ),
    MetricMember(
        name="oov_rate",
        implementation=f"{_SCORING}:oov_rate",
        label="Unknown words",
        unit="share",
        bare=True,
        direction="reference",
        exactness="estimate",
        reads="samples",
        needs="text",
        package="pocketsphinx",
        description=(
            "The share of the samples' whole words that are none of the 72,000 that the word trigram knows: close to "
            "held-out data is good."
        ),
    ),
    *_INFILLS,
    MetricMember(
        name="excess_nll_bound",
        implementation=f"{_SCORING}:excess_nll_bound",
        label="Excess NLL bound",
        unit="bits/token",
        direction="lower",
        exactness="estimate",
        reads="kernels",
        needs="chain",
        log_scale=True,
        unbounded=True,
        ceiling="independent positions",
        description=(
            "nll_bound less the entropy rate of the chain that the data are drawn from, which is known: 0 for a "
            "perfect sampler, and all of it is the sampler's own loss."
        ),
    ),
    MetricMember(
        name="tv",
        implementation=f"{_EXACT}:tv",
        label="TV to the data law",
        unit="probability",
        bare=True,
        direction="lower",
        exactness="exact",
        reads="law",
        needs="law",
        log_scale=True,
        ceiling="independent positions",
        description=(
            "Total variation distance between the sampler's whole output law and the data law, computed on all "
            "states: no sampling noise."
        ),
    ),
    MetricMember(
        name="kl",
        implementation=f"{_EXACT}:kl",
        label="KL(data ‖ sampler)",
        unit="nats",
        direction="lower",
        exactness="exact",
        reads="law",
        needs="law",
        log_scale=True,
        unbounded=True,
        ceiling="independent positions",
        description=(
            "Kullback–Leibler divergence from the data law to the sampler's whole output law, computed on all "
            "states. Infinite where the sampler never makes something that the data have."
        ),
    ),
    MetricMember(
        name="kl_reverse",
        implementation=f"{_EXACT}:kl_reverse",
        label="KL(sampler ‖ data)",
        unit="nats",
        direction="lower",
        exactness="exact",
        reads="law",
        needs="law",
        log_scale=True,
        unbounded=True,
        ceiling="independent positions",
        description=(
            "Kullback–Leibler divergence the other way round: large where the sampler makes what the data hardly "
            "have, infinite where it makes what they never have."
        ),
    ),
    MetricMember(
        name="js",
        implementation=f"{_EXACT}:js",
        label="Jensen–Shannon divergence",
        unit="nats",
        direction="lower",
        exactness="exact",
        reads="law",
        needs="law",
        log_scale=True,
        ceiling="independent positions",
        description=(
            "Mean divergence of the data law and of the sampler's output law from their average: finite for any "
            "two laws, at most log 2, and blind to neither's excess."
        ),
    ),
    MetricMember(
        name="tv_marginal",
        implementation=f"{_EXACT}:tv_marginal",
        label="TV of single positions",
        unit="probability",
        bare=True,
        direction="lower",
        exactness="exact",
        reads="law",
        needs="law",
        log_scale=True,
        ceiling="independent positions",
        description=(
            "Total variation distance between the sampler's law and the data law of one position, mean over "
            "positions: what is wrong even without looking at correlations."
        ),
    ),
    MetricMember(
        name="tv_pairs",
        implementation=f"{_EXACT}:tv_pairs",
        label="TV of pairs of positions",
        unit="probability",
        bare=True,
        direction="lower",
        exactness="exact",
        reads="law",
        needs="law",
        log_scale=True,
        ceiling="independent positions",
        description=(
            "Total variation distance between the two laws of a pair of positions, mean over all pairs: with "
            "tv_marginal near zero, what is lost are correlations."
        ),
    ),
    MetricMember(
        name="nll",
        implementation=f"{_EXACT}:nll",
        label="Exact NLL",
        unit="bits/token",
        direction="lower",
        exactness="exact",
        reads="law",
        needs="law",
        unbounded=True,
        floor="entropy of the target",
        ceiling="independent positions",
        description=(
            "The exact expected negative log-likelihood of the data under the sampler's output law; nll_bound can "
            "never be below it."
        ),
    ),
    MetricMember(
        name="kl_bound",
        implementation=f"{_EXACT}:kl_bound",
        label="Bound on KL(data ‖ sampler)",
        unit="nats",
        direction="lower",
        exactness="bound",
        reads="law",
        needs="law",
        log_scale=True,
        unbounded=True,
        description=(
            "An upper bound on kl that needs the sampler's step kernels alone, never its output law: the "
            "divergence of its start from the noised data, plus the conditional divergence of every step. It is "
            "nll_bound in nats a sequence less the entropy of the target. Infinite where a step's kernel forbids "
            "what the true reverse process does."
        ),
    ),
    MetricMember(
        name="total_correlation",
        implementation=f"{_EXACT}:total_correlation",
        label="Conditional total correlation",
        unit="nats",
        direction="none",
        exactness="exact",
        reads="law",
        needs="law",
        log_scale=True,
        description=(
            "What the positions know of one another in a step of the true reverse process, summed over the steps: "
            "what the best kernel that is a product over positions loses in kl_bound. It belongs to the grid, not "
            "to the method."
        ),
    ),
    MetricMember(
        name="chi2_p",
        implementation=f"{_SCORING}:chi2_p",
        label="p-value of the χ² test",
        unit="p-value",
        bare=True,
        direction="none",
        exactness="estimate",
        reads="samples",
        needs="law",
        description=(
            "How often samples of the target law itself would fit it no better than these do (Pearson's χ² over "
            "all outcomes). Of an exact sampler it is uniform between 0 and 1: only a tiny one says something, "
            "and a large one is no merit."
        ),
    ),
)
