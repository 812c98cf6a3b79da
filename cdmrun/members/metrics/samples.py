"""Metrics of samples and of the sampler's kernels, on any data or on text."""

from __future__ import annotations

from cdmrun.registry import MetricMember

_CODE = "cdmrun.metrics.scoring"

MEMBERS = (
    MetricMember(
        name="nll_bound",
        implementation=f"{_CODE}:nll_bound",
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
        implementation=f"{_CODE}:judge_nll",
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
        implementation=f"{_CODE}:entropy",
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
        implementation=f"{_CODE}:self_bleu",
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
        implementation=f"{_CODE}:distinct_2",
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
        implementation=f"{_CODE}:distinct_3",
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
        implementation=f"{_CODE}:distinct_4",
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
        implementation=f"{_CODE}:novelty",
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
        implementation=f"{_CODE}:copied_8grams",
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
        implementation=f"{_CODE}:word_nll",
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
        implementation=f"{_CODE}:oov_rate",
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
)
