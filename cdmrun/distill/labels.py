"""The teacher's laws of single tokens, given the tokens before them: what ``target: soft`` matches.

Under the absorbing process a teacher that answers any pattern of masks gives p(x^j | x_t, spoken tokens before j) in
one call, once it is shown them. `TeacherLabels` asks it for every batch anew; `KeptLabels` has what it said once, so
that all students and seeds share the calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cdmrun.distill.cdm import matched_states
from cdmrun.distill.steps import StepBatch, StepSchedule
from cdmrun.models import ConditionalModel
from cdmrun.processes import Absorbing
from cdmrun.processes.base import safe_divide
from cdmrun.processes.resident import Resident
from cdmrun.training.sources import PairSource


@dataclass(frozen=True)
class Labelled:
    """A batch of steps, and the teacher's laws of single tokens in them.

    Attributes
    ----------
    x, x_t, spoken
        Where each step ends and where it starts, both int64 [B, L], and the positions that it speaks of, bool [B, L].
    scored, weight
        Spoken positions without repetition, int64 [B, positions], and their weights, zero where there are too few;
        the weights of a sequence sum to how many it speaks of.
    label
        The teacher's law of each scored token given x_t and the spoken tokens before it, [B, positions, V].
    at
        The times of the steps.
    """

    x: Tensor
    x_t: Tensor
    spoken: Tensor
    scored: Tensor
    weight: Tensor
    label: Tensor
    at: StepBatch


#: Draws a batch of labelled steps.
Labels = Callable[[int, torch.Generator], Labelled]


class TeacherLabels:
    """Labels of steps that are new in each batch; each costs a row of a call of the teacher.

    Parameters
    ----------
    pairs
        Where the contexts (x_0, x_t) come from.
    match
        Whether a step ends at s (``step``) or in clean data (``clean``).
    positions
        How many positions of a sequence are scored; a row for the teacher each.
    """

    def __init__(
        self, teacher: ConditionalModel, pairs: PairSource, steps: StepSchedule, match: str, positions: int = 1
    ) -> None:
        if not isinstance(teacher.process, Absorbing):
            raise ValueError("the chain rule needs a process with masks: the teacher is shown part of a sequence")
        self.teacher = teacher
        self.pairs = pairs
        self.steps = steps
        self.match = match
        self.positions = min(positions, teacher.length)

    @torch.no_grad()
    def __call__(self, batch: int, generator: torch.Generator) -> Labelled:
        at = self.steps.draw(batch, generator)
        x_0, x_t = self.pairs(at.t, generator)
        x, spoken = matched_states(self.teacher.process, self.match, x_0, x_t, at, generator)
        spoken = self.teacher.default_spoken(x_t) if spoken is None else spoken
        scored, weight = self._scored(spoken, generator)
        return Labelled(x, x_t, spoken, scored, weight, self._labels(x, x_t, spoken, scored, at.t), at)

    def _scored(self, spoken: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        order = torch.rand(spoken.shape, dtype=torch.float64, device=spoken.device, generator=generator)
        scored = order.masked_fill(~spoken, -1.0).topk(self.positions, -1).indices
        return scored, label_weight(spoken, scored)

    def _labels(self, x: Tensor, x_t: Tensor, spoken: Tensor, scored: Tensor, t: Tensor) -> Tensor:
        """The teacher is asked at the time at which so many masks are to be expected (exactly, if α is linear).

        Under this process clean conditionals do not depend on time, but a state is impossible where α is zero.
        """
        process = self.teacher.process
        assert isinstance(process, Absorbing)
        before = torch.arange(x.shape[1], device=x.device) < scored.unsqueeze(-1)
        shown = torch.where(before & spoken.unsqueeze(1), x.unsqueeze(1), x_t.unsqueeze(1))
        masks, left = ((state == process.mask).sum(-1).double() for state in (x_t, shown))
        share = safe_divide(left, masks.unsqueeze(-1)).clamp_min(0.5 / x.shape[1])
        asked = (t.unsqueeze(-1) * share).flatten()
        laws = self.teacher(shown.flatten(0, 1), asked).marginals().view(*shown.shape, -1)
        return laws.gather(2, scored[..., None, None].expand(-1, -1, 1, laws.shape[-1])).squeeze(2)


def label_weight(spoken: Tensor, scored: Tensor) -> Tensor:
    """How many spoken positions each scored one stands for, float64 [B, positions]; zero for one not spoken of."""
    counted = spoken.gather(1, scored)
    return safe_divide(counted * spoken.sum(-1, keepdim=True).double(), counted.sum(-1, keepdim=True))


class KeptLabels:
    """Labels of steps that a teacher was asked for once, drawn evenly with replacement; no call of it any more.

    Parameters
    ----------
    kept
        The arrays of `label_arrays`.
    nfe
        The step counts of the samplers whose steps are wanted.
    """

    def __init__(self, kept: Mapping[str, np.ndarray], nfe: Sequence[int]) -> None:
        rows = np.isin(kept["n"], list(nfe))
        if not rows.any():
            raise ValueError(f"no kept label is of a sampler with {list(nfe)} steps")
        chosen = {name: np.ascontiguousarray(array[rows]) for name, array in kept.items()}
        self.kept = {name: Resident(torch.from_numpy(array)) for name, array in chosen.items()}

    def __call__(self, batch: int, generator: torch.Generator) -> Labelled:
        device = generator.device
        row = torch.randint(len(self.kept["n"]), (batch,), generator=generator, device=device)
        found = {name: array.on(device)[row] for name, array in self.kept.items()}
        spoken, scored = found["spoken"], found["scored"].long()
        at = StepBatch(found["t"], found["s"], found["n"].long())
        weight = label_weight(spoken, scored)
        return Labelled(found["x"].long(), found["x_t"].long(), spoken, scored, weight, found["label"], at)


def label_arrays(labelled: Labelled) -> dict[str, np.ndarray]:
    """What `KeptLabels` needs of a batch, as small as it goes: laws in float32, tokens in 16 bits if they fit."""
    at = labelled.at
    tokens = torch.int16 if labelled.label.shape[-1] < 2**15 else torch.int32  # numbers up to V, which is a mask
    kept = {
        "x": labelled.x.to(tokens),
        "x_t": labelled.x_t.to(tokens),
        "spoken": labelled.spoken,
        "scored": labelled.scored.to(torch.int32),
        "label": labelled.label.float(),
        "t": at.t,
        "s": at.s,
        "n": at.n.to(torch.int32),
    }
    return {name: value.cpu().numpy() for name, value in kept.items()}
