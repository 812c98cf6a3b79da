"""The metrics as a job asks for them: what each is called with, and those that read samples or kernels.

A metric returns its value, or a `Score` where more is known of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cdmrun.data.dataset import Dataset
from cdmrun.metrics import text
from cdmrun.metrics.entropy import sample_unigram_entropy
from cdmrun.metrics.exact_scores import ExactLaws
from cdmrun.metrics.excess import excess_nll_bound as bound_above_entropy
from cdmrun.metrics.features import Features
from cdmrun.metrics.goodness import chi2_p as goodness
from cdmrun.metrics.judges import Judge
from cdmrun.metrics.nll_bound import Bound, StepTerm
from cdmrun.metrics.nll_bound import nll_bound as bound_of_kernels
from cdmrun.metrics.words import word_judge
from cdmrun.models import MarkovTeacher
from cdmrun.samplers import Sampler

Floats = npt.NDArray[np.float64]


class Score(NamedTuple):
    """A value, its standard error, and whether it is ``exact``, a ``bound`` or an ``estimate`` (None: as declared).

    A mean over held-out sequences may give their values too, ``sequences`` [M], which pairs methods sequence by
    sequence; a bound that is a sum over the sampler's steps may give ``steps``, what each of them adds.
    """

    value: float
    stderr: float | None = None
    estimate: str | None = None
    sequences: npt.NDArray[np.float64] | None = None
    steps: tuple[StepTerm, ...] = ()


@dataclass(frozen=True)
class SampleSet:
    """What a metric that reads samples is called with.

    Attributes
    ----------
    samples
        Tokens [n, L], of a sampler or, for reference, of the data.
    dataset
        The data.
    judge
        A model of other data, where the spec asks for one.
    seed
        For metrics that draw.
    features
        What samples are compared in, where a metric asks for it.
    """

    samples: npt.NDArray[np.integer]
    dataset: Dataset
    judge: Judge | None
    seed: int
    features: Features | None = None


@dataclass
class KernelSet:
    """What a metric that reads a sampler's step kernels is called with.

    Attributes
    ----------
    sampler
        The sampler at one step count.
    dataset, held_out
        The data, and sequences [M, L] that no training has seen.
    draws
        Draws inside the logarithm where a kernel's likelihood is estimated.
    randomness
        A generator that is the same for every sampler: differences between them then vary less than either.
    laws
        Whole laws, where they can be written out.
    """

    sampler: Sampler
    dataset: Dataset
    held_out: Tensor | None
    draws: int
    randomness: Callable[[], torch.Generator]
    laws: ExactLaws | None = None

    @cached_property
    def excess(self) -> Bound:
        """The bound above the entropy of a chain; one pass serves two metrics."""
        assert self.dataset.chain is not None, "checked by the spec"
        assert self.held_out is not None
        truth = MarkovTeacher(self.sampler.process, self.dataset.chain, self.dataset.length).to(self.held_out.device)
        return bound_above_entropy(self.sampler, truth, self.held_out, self.randomness(), self.draws)


def true_entropy(dataset: Dataset) -> float | None:
    """Entropy of the data's law in bits a token, where it is known."""
    if dataset.table is not None:
        p_0 = dataset.table.reshape(-1)
        return float(-(p_0[p_0 > 0] * np.log2(p_0[p_0 > 0])).sum()) / dataset.length
    if dataset.chain is not None:
        return dataset.chain.entropy(dataset.length) / (dataset.length * math.log(2.0))
    return None


def nll_bound(kernels: KernelSet) -> Score:
    """The bound in bits a token: exact in expectation over a table, above the entropy of a chain, else on real data."""
    if kernels.laws is not None:
        laws = kernels.laws
        return Score((laws.kl_bound + laws.entropy) * laws.bits_per_token, None, "bound", steps=laws.steps)
    if kernels.dataset.chain is not None:
        return _of_bound(kernels.excess, true_entropy(kernels.dataset) or 0.0)
    assert kernels.held_out is not None
    return _of_bound(bound_of_kernels(kernels.sampler, kernels.held_out, kernels.randomness(), kernels.draws))


def excess_nll_bound(kernels: KernelSet) -> Score:
    """The bound above the entropy of the chain, bits a token."""
    return _of_bound(kernels.excess)


def _of_bound(bound: Bound, entropy: float = 0.0) -> Score:
    """A bound, with the entropy that it is above of added."""
    sequences = entropy + bound.sequences.cpu().numpy()
    estimate = "exact" if bound.exact else "bound"
    return Score(entropy + bound.bits_per_token, bound.stderr, estimate, sequences, bound.steps)


def judge_nll(found: SampleSet) -> Score:
    """Bits a token of the samples under the judge."""
    assert found.judge is not None, "the plan gives a judge to whoever asks for this"
    return _mean(found.judge.bits_per_token(found.samples))


def entropy(found: SampleSet) -> Score:
    """Unigram entropy of each sample, bits a token."""
    return _mean(sample_unigram_entropy(found.samples))


def self_bleu(found: SampleSet) -> float:
    """Character BLEU of each of a hundred samples, whichever they are, against the others."""
    return text.self_bleu([found.dataset.decode(row) for row in found.samples], seed=found.seed)


def distinct_2(found: SampleSet) -> float:
    """Different pairs of neighbouring tokens over all there are."""
    return text.distinct_n(found.samples, 2)


def distinct_3(found: SampleSet) -> float:
    """The same of three tokens."""
    return text.distinct_n(found.samples, 3)


def distinct_4(found: SampleSet) -> float:
    """The same of four tokens."""
    return text.distinct_n(found.samples, 4)


def novelty(found: SampleSet) -> Score:
    """Share of the samples that are no training sequence."""
    return _mean(text.is_novel(found.samples, found.dataset.splits["train"]).astype(float))


def copied_8grams(found: SampleSet) -> Score:
    """Share of the runs of eight tokens that stand in the training data."""
    return _mean(text.copied_runs(found.samples, found.dataset.splits["train"], 8))


def word_nll(found: SampleSet) -> Score:
    """Bits a word under the word trigram judge, of the words that it knows."""
    return _ratio(*_words(found)[:2])


def oov_rate(found: SampleSet) -> Score:
    """Share of the words that the word trigram judge does not know."""
    _, known, unknown = _words(found)
    return _ratio(unknown, known + unknown)


def chi2_p(found: SampleSet) -> float:
    """Pearson's χ² test of the samples against the target."""
    assert found.dataset.table is not None, "checked by the spec"
    codes = np.ravel_multi_index(tuple(found.samples.T.astype(np.int64)), found.dataset.table.shape)
    return goodness(codes, found.dataset.table.reshape(-1))


def _words(found: SampleSet) -> tuple[Floats, Floats, Floats]:
    """Bits, known words and unknown words of each sample."""
    return word_judge().score([found.dataset.decode(row) for row in found.samples])


def _ratio(above: Floats, below: Floats) -> Score:
    """Σ above / Σ below over samples, with the standard error of a ratio of means; NaN where there is nothing below."""
    if not below.sum():
        return Score(math.nan)
    value = float(above.sum() / below.sum())
    spread = (above - value * below).std(ddof=1) * math.sqrt(len(above)) / below.sum()
    return Score(value, float(spread))


def _mean(values: npt.NDArray[np.float64]) -> Score:
    return Score(float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values))))
