"""The metrics by what they need; the order is that of configs, so that listing them differently scores nothing anew."""

from __future__ import annotations

#: Need text to read.
OF_TEXT = ("judge_nll", "self_bleu")

#: Need the true law of the data as a chain.
OF_CHAINS = ("excess_nll_bound",)

#: Need a target that can be written out.
OF_LAWS = (
    *("tv", "kl", "kl_reverse", "js", "tv_marginal", "tv_pairs"),
    *("nll", "kl_bound", "total_correlation", "chi2_p"),
)

METRICS = ("nll_bound", "judge_nll", "entropy", "self_bleu", *OF_CHAINS, *OF_LAWS)
