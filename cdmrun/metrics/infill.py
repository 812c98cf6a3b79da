"""Infilling: half of the tokens of held-out sequences are given, a sampler completes the rest.

Under the absorbing process this is exact conditioning. A sequence with its hidden tokens masked is a state at the time
at which that share of tokens is left, and the true reverse process from there gives the hidden tokens given the others;
a sampler walks the same number of steps down a grid that begins at that time. Elsewhere a given token would have to be
noise as well, so infilling is offered under the absorbing process only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cdmrun.data.dataset import Dataset, Tokens
from cdmrun.metrics.anchors import position_laws
from cdmrun.metrics.nll_bound import BATCH, Bound, StepDraw, kernel_cost, step_terms
from cdmrun.metrics.scoring import Score
from cdmrun.metrics.text import visible
from cdmrun.models import EvaluationCounter
from cdmrun.processes import Absorbing
from cdmrun.processes.draws import draw_categorical
from cdmrun.samplers import Sampler, TransitionKernel

#: What is hidden: half of the positions, drawn for each sequence, or the half in the middle.
PATTERNS = ("random", "middle")


def hidden_positions(pattern: str, count: int, length: int, seed: int = 0) -> Tensor:
    """Which positions are hidden, bool [count, L]: L // 2 of each sequence, the same for every sampler."""
    hidden = np.zeros((count, length), dtype=bool)
    half = length // 2
    if pattern == "middle":
        hidden[:, (length - half) // 2 : (length - half) // 2 + half] = True
    else:
        order = np.random.default_rng(seed).random((count, length)).argsort(1)
        np.put_along_axis(hidden, order[:, :half], True, axis=1)
    return torch.from_numpy(hidden)


class Completer(Protocol):
    """What completes sequences, and says how likely it finds the truth."""

    def fill(self, x_0: Tensor, hidden: Tensor, generator: torch.Generator) -> Tensor:
        """Draw the hidden tokens, int64 [B, L] and bool [B, L] → [B, L]; it looks at the others alone."""

    def bound(self, x_0: Tensor, hidden: Tensor, generator: torch.Generator) -> tuple[float, float, bool]:
        """Bits a hidden token of the truth given the others, standard error, and whether each value is exact."""


class SamplerCompleter:
    """A sampler that starts from what is given.

    Attributes
    ----------
    evaluations, sequences
        Network evaluations by all fills so far, as a hook counted them, and sequences filled.
    """

    def __init__(self, sampler: Sampler, draws: int = 4) -> None:
        if not isinstance(sampler.process, Absorbing):
            raise ValueError(f"infilling is for the absorbing process, not {sampler.process.kind}")
        self.sampler, self.process, self.draws = sampler, sampler.process, draws
        self.evaluations = self.sequences = 0

    def fill(self, x_0: Tensor, hidden: Tensor, generator: torch.Generator) -> Tensor:
        blocks = []
        with EvaluationCounter(*self.sampler.models) as counter:
            for x, masked in zip(x_0.split(BATCH), hidden.split(BATCH), strict=True):
                start, sampler = self._start(x, masked)
                blocks.append(sampler.walk(start, generator))
        self.evaluations += counter.rows
        self.sequences += len(x_0)
        return torch.cat(blocks)

    @torch.inference_mode()
    def bound(self, x_0: Tensor, hidden: Tensor, generator: torch.Generator) -> tuple[float, float, bool]:
        """A bound as `nll_bound` is, of the true process given the start; exact in one step of an exact kernel."""
        blocks = zip(x_0.split(BATCH), hidden.split(BATCH), strict=True)
        batches = (self._batch_bound(x, masked, generator) for x, masked in blocks)
        exact = len(self.sampler.steps) == 1 and self.sampler.steps[0].kernel.exact_log_prob
        found = Bound.over_sequences(self.sampler, batches, int(hidden[0].sum()), exact)
        return found.bits_per_token, found.stderr, found.exact

    def _start(self, x_0: Tensor, hidden: Tensor) -> tuple[Tensor, Sampler]:
        """The given tokens among masks, and the sampler from the time at which that share is masked."""
        share = hidden.double().mean()
        begin = float(self.process.schedule.time_of(1.0 - share.cpu()))
        return torch.where(hidden, self.process.mask, x_0), self.sampler.starting_at(begin)

    def _batch_bound(self, x_0: Tensor, hidden: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What the start costs, which is nothing, [B], and each step, [B, K]; nats a sequence."""
        start, sampler = self._start(x_0, hidden)
        begin = sampler.steps[0].t

        def draw(clean: Tensor, t: Tensor, s: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            x_t = self.process.sample_bridge(clean, start, t, torch.full_like(t, begin), generator)
            return self.process.sample_bridge(clean, x_t, s, t, generator), x_t

        def cost(kernel: TransitionKernel, at: StepDraw, own: torch.Generator) -> Tensor:
            return kernel_cost(kernel, *at, own, self.draws)

        terms = step_terms(sampler, x_0, draw, cost, generator)
        return terms.new_zeros(len(x_0)), terms


class IndependentCompleter:
    """Draws each hidden token from the law of its position alone; ``laws`` are float64 [L, V]."""

    def __init__(self, laws: npt.NDArray[np.float64]) -> None:
        self.laws = torch.from_numpy(laws)

    @classmethod
    def of(cls, dataset: Dataset) -> IndependentCompleter:
        """With the laws of the training split."""
        return cls(position_laws(dataset.splits["train"], dataset.vocabulary))

    def fill(self, x_0: Tensor, hidden: Tensor, generator: torch.Generator) -> Tensor:
        drawn = draw_categorical(self.laws.expand(len(x_0), -1, -1), generator)
        return torch.where(hidden, drawn, x_0)

    def bound(self, x_0: Tensor, hidden: Tensor, generator: torch.Generator) -> tuple[float, float, bool]:
        """Exact."""
        log_laws = self.laws.log2().expand(len(x_0), -1, -1)
        bits = -log_laws.gather(-1, x_0.unsqueeze(-1)).squeeze(-1)
        values = (bits * hidden).sum(-1) / hidden.sum(-1)
        return float(values.mean()), float(values.std() / math.sqrt(len(values))), True


class Truth:
    """Fills in what was hidden: the score of real data, which no sampler reaches, since the rest leaves much open."""

    def fill(self, x_0: Tensor, hidden: Tensor, generator: torch.Generator) -> Tensor:
        return x_0

    def bound(self, x_0: Tensor, hidden: Tensor, generator: torch.Generator) -> tuple[float, float, bool]:
        """Nothing: it knows the tokens."""
        return 0.0, 0.0, True


@dataclass
class InfillSet:
    """What a metric that reads fills is called with.

    Attributes
    ----------
    dataset
        The data.
    truth
        Held-out sequences, int64 [M, L].
    completer
        What fills them.
    randomness
        A generator that is the same for every sampler.
    """

    dataset: Dataset
    truth: Tensor
    completer: Completer
    randomness: Callable[[], torch.Generator]
    _filled: dict[str, Tensor] = field(default_factory=dict)

    def hidden(self, pattern: str) -> Tensor:
        """The hidden positions, bool [M, L]."""
        return hidden_positions(pattern, *self.truth.shape).to(self.truth.device)

    def filled(self, pattern: str) -> Tensor:
        """The sequences as they were completed, int64 [M, L]; one filling serves all metrics."""
        if pattern not in self._filled:
            self._filled[pattern] = self.completer.fill(self.truth, self.hidden(pattern), self.randomness())
        return self._filled[pattern]

    def texts(self, pattern: str) -> tuple[list[str], list[str]]:
        """What was made and what is true, spaces visible: the hidden part where it is in one piece, else all."""
        shown = self.hidden(pattern)[0] if pattern == "middle" else slice(None)
        made, true = (self._decoded(x[:, shown].cpu().numpy()) for x in (self.filled(pattern), self.truth))
        return made, true

    def _decoded(self, tokens: Tokens) -> list[str]:
        return [visible(self.dataset.decode(row)) for row in tokens]


def _bleu(found: InfillSet, pattern: str) -> float:
    from sacrebleu.metrics import BLEU

    made, true = found.texts(pattern)
    return float(BLEU(tokenize="char").corpus_score(made, [true]).score)


def _chrf(found: InfillSet, pattern: str) -> float:
    from sacrebleu.metrics import CHRF

    made, true = found.texts(pattern)
    return float(CHRF().corpus_score(made, [true]).score)


def _match(found: InfillSet, pattern: str) -> Score:
    hidden = found.hidden(pattern)
    right = ((found.filled(pattern) == found.truth) & hidden).sum(-1).double() / hidden.sum(-1)
    return Score(float(right.mean()), float(right.std() / math.sqrt(len(right))))


def _nll(found: InfillSet, pattern: str) -> Score:
    bits, stderr, exact = found.completer.bound(found.truth, found.hidden(pattern), found.randomness())
    return Score(bits, stderr, "exact" if exact else "bound")


infill_random_bleu, infill_middle_bleu = (partial(_bleu, pattern=pattern) for pattern in PATTERNS)
infill_random_chrf, infill_middle_chrf = (partial(_chrf, pattern=pattern) for pattern in PATTERNS)
infill_random_match, infill_middle_match = (partial(_match, pattern=pattern) for pattern in PATTERNS)
infill_random_nll, infill_middle_nll = (partial(_nll, pattern=pattern) for pattern in PATTERNS)
