"""Metrics of data whose law is known: of output laws that can be written out, and of chains."""

from __future__ import annotations

from cdmrun.registry import MetricMember

_SCORING = "cdmrun.metrics.scoring"
_EXACT = "cdmrun.metrics.exact_scores"

MEMBERS = (
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
