"""An exact teacher: p_0 is a table, so every conditional, marginal and draw is exact (docs/laboratory.md)."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from cdmrun.models.exact import ExactTeacher
from cdmrun.models.families import Joint, JointDistribution
from cdmrun.models.families.base import shared
from cdmrun.processes import ForwardProcess
from cdmrun.processes.base import TINY, safe_divide
from cdmrun.processes.enumeration import check_enumerable, enumerate_states, push_table, state_codes

#: Bytes of laws over all states that are kept, each of one time: those of a long sampler, so that whoever draws many
#: blocks works them out once, and seconds a sample do not depend on how many times there are.
KEPT_BYTES = 256 * 2**20


@dataclass(frozen=True)
class LawAtTime:
    """What holds of every one of the C^L states at one time.

    Attributes
    ----------
    law
        p_t, float64 [C^L].
    marginals
        c_i(a | x_t), float64 [C^L, L, V]; those of p_0 where p_t is zero.
    """

    law: Tensor
    marginals: Tensor

    @property
    def bytes(self) -> int:
        """What it takes in memory."""
        return self.law.nbytes + self.marginals.nbytes


class EnumeratedTeacher(ExactTeacher):
    """p_{0|t}(x_0 | x_t) ∝ p_0(x_0) Π_i K_{t|0}(x_0^i, x_t^i), in float64.

    A state of probability zero under p_t has no conditional. The answer there is p_0, which no bound or law ever
    weighs by more than zero, and which lets samplers that stray there go on.

    Parameters
    ----------
    process
        The forward process, over the table's vocabulary.
    table
        p_0, shape (V, …, V) with L axes, sums to one.
    """

    table: Tensor
    sequences: Tensor

    def __init__(self, process: ForwardProcess, table: Tensor) -> None:
        super().__init__()
        vocabulary, length = table.shape[0], table.ndim
        if vocabulary != process.vocabulary:
            raise ValueError(f"the table has {vocabulary} tokens, the process {process.vocabulary}")
        check_enumerable(process.states, length)
        self.process = process
        self.length = length
        self.register_buffer("table", table.double().reshape(-1))
        self.register_buffer("sequences", enumerate_states(vocabulary, length), persistent=False)
        self._kept: OrderedDict[float, LawAtTime] = OrderedDict()

    def forward(
        self, x_t: Tensor, t: Tensor, s: Tensor | None = None, spoken: Tensor | None = None
    ) -> EnumeratedPosterior:
        spoken = self.default_spoken(x_t) if spoken is None else spoken
        return EnumeratedPosterior(x_t, spoken, t.double(), self)

    def log_marginal(self, x_t: Tensor, t: Tensor) -> Tensor:
        if (at := one_time(t)) is not None:
            mass = self.at_time(at).law[state_codes(x_t, self.process.states)]
        else:
            mass = self.weights(x_t, t).sum(-1)
        return mass.clamp_min(TINY).log()

    def log_data(self, x_0: Tensor) -> Tensor:
        return self.table[state_codes(x_0, self.process.vocabulary)].clamp_min(TINY).log()

    def entropy(self) -> float:
        return float(-torch.xlogy(self.table, self.table).sum())

    def weights(self, x_t: Tensor, t: Tensor) -> Tensor:
        """p_0(x_0) K_{t|0}(x_0, x_t) for every clean sequence, float64 [B, V^L]."""
        likelihood = self.process.evidence(x_t, 0.0, t)  # [B, L, C]
        joint = self.table.expand(x_t.shape[0], -1)
        for i in range(self.length):
            joint = joint * likelihood[:, i, self.sequences[:, i]]
        return joint

    def at_time(self, t: float) -> LawAtTime:
        """p_t and all clean conditionals, by contracting the table axis by axis: C^(L+1) work, not V^L · C^L."""
        if t not in self._kept:
            self._kept[t] = self._contract(t)
            most = max(4, KEPT_BYTES // self._kept[t].bytes)
            if len(self._kept) > most:
                self._kept.popitem(last=False)
        self._kept.move_to_end(t)
        return self._kept[t]

    @torch.inference_mode(False)  # what is kept may later be used where gradients are taken
    @torch.no_grad()
    def _contract(self, t: float) -> LawAtTime:
        vocabulary, length = self.process.vocabulary, self.length
        rows = self.process.kernel(0.0, t)[:vocabulary].to(self.table.device)  # K_{t|0}(a, y), [V, C]
        table = self.table.view([vocabulary] * length)
        law = push_table(self.process, table, t)
        marginals = law.new_empty(len(law), length, vocabulary)
        for i in range(length):
            others = table.movedim(i, 0)
            for _ in range(length - 1):  # moves each of the other axes to the end in turn
                others = torch.tensordot(others, rows, dims=([1], [0]))
            joint = others.unsqueeze(1) * rows.view(vocabulary, -1, *[1] * (length - 1))  # over (a, y^i, other y)
            joint = joint.movedim(1, i + 1).reshape(vocabulary, -1)
            clean = table.movedim(i, 0).reshape(vocabulary, -1).sum(-1, keepdim=True)
            marginals[:, i] = torch.where(law > 0, safe_divide(joint, law), clean).T
        return LawAtTime(law, safe_divide(marginals, marginals.sum(-1, keepdim=True)))


@dataclass(frozen=True)
class EnumeratedPosterior(JointDistribution):
    """p_{0|t}(· | x_t), of which only what is asked for is written out."""

    t: Tensor  # float64 [B]
    teacher: EnumeratedTeacher = shared()

    @cached_property
    def joint(self) -> Joint:
        """All V^L probabilities."""
        weights = self.teacher.weights(self.fixed, self.t)
        total = weights.sum(-1, keepdim=True)
        posterior = torch.where(total > 0, weights / total.clamp_min(TINY), self.teacher.table)
        vocabulary = self.teacher.process.vocabulary
        return Joint(self.fixed, self.spoken, posterior.log(), self.teacher.sequences, vocabulary)

    @property
    def log_probs(self) -> Tensor:
        """log p_{0|t} of every clean sequence, [B, V^L]."""
        return self.joint.log_probs

    def log_prob(self, x: Tensor) -> Tensor:
        return self.joint.log_prob(x)

    def log_probabilities(self, sequences: Tensor) -> Tensor:
        return self.joint.log_probabilities(sequences)

    def sample(self, generator: torch.Generator, decoding: str = "auto") -> Tensor:
        return self.joint.sample(generator)

    def log_expectation(self, log_w: Tensor, generator: torch.Generator | None = None, draws: int = 1) -> Tensor:
        return self.joint.log_expectation(log_w, generator, draws)

    def predictives(self, x: Tensor) -> Tensor:
        possible = replace(self.joint, log_probs=self.log_probs.clamp_min(math.log(TINY)))
        return possible.predictives(x)  # finite, even given tokens that cannot be

    def marginals(self) -> Tensor:
        at = one_time(self.t)
        if at is None:
            return self.joint.marginals()
        everywhere = self.teacher.at_time(at).marginals
        return self._known_marginals(everywhere[state_codes(self.fixed, self.teacher.process.states)])


def one_time(t: Tensor) -> float | None:
    """The time that a whole batch shares, or None."""
    return float(t[0]) if len(t) and bool((t == t[0]).all()) else None
