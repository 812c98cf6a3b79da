"""Learned conditional models: a trunk, a unary layer, and the head of a family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cdmrun.models.base import ConditionalModel
from cdmrun.models.families import JointDistribution, make_head
from cdmrun.models.ratios import conditionals, log_ratios
from cdmrun.models.trunk import Trunk, sinusoids
from cdmrun.processes import Absorbing, ForwardProcess
from cdmrun.processes.base import TINY


@dataclass(frozen=True)
class NetworkShape:
    """What it takes to build a network again: saved beside its weights.

    Attributes
    ----------
    family
        Family name and options, e.g. ``{"kind": "hmm", "states": 64}``.
    trunk
        layers, width, heads, conv, mlp.
    matches
        ``clean`` or ``step``, see `ConditionalModel`.
    prediction
        What the unary layer says of a position: ``posterior``, P(x_0^i | x_t); ``leave_one_out``, P(x_0^i | x_t without
        position i), to which the evidence K_{t|0}(·, x_t^i) is then added (docs/method.md); or ``ratio``, the
        density ratios, from which the posterior is recovered (`cdmrun.models.ratios`). The first two are the same under
        the absorbing process.
    """

    length: int
    family: Mapping[str, Any] = field(default_factory=lambda: {"kind": "factorized"})
    trunk: Mapping[str, Any] = field(default_factory=dict)
    matches: str = "clean"
    prediction: str = "posterior"


class NetworkModel(ConditionalModel):
    """A teacher (factorised family) or a student (any family) as a network.

    The unary layer always predicts *clean* marginals. Where the law is over x_s (`matches` is ``step``, no masks),
    its unaries are the exact reverse kernel of those marginals, so that a student which starts from its teacher's
    weights starts as the teacher's analytic sampler; near it where the family's head starts at random (hmm, mixture).

    ``precision`` is how the trunk computes, ``float32`` or ``bf16`` (autocast); unaries, heads and likelihoods are
    float32 or better always.
    """

    precision: str = "float32"

    def __init__(self, process: ForwardProcess, shape: NetworkShape) -> None:
        super().__init__()
        self.process = process
        self.shape = shape
        self.length = shape.length
        self.matches = shape.matches
        self.absorbing = isinstance(process, Absorbing)
        self.trunk = Trunk(process.states, shape.length, timed=not self.absorbing, **shape.trunk)
        self.unary = nn.Linear(self.trunk.width, process.vocabulary)
        nn.init.zeros_(self.unary.weight)
        nn.init.zeros_(self.unary.bias)
        options = {key: value for key, value in shape.family.items() if key != "kind"}
        self.head = make_head(shape.family["kind"], process.vocabulary, shape.length, self.trunk.width, **options)

    def forward(
        self, x_t: Tensor, t: Tensor, s: Tensor | None = None, spoken: Tensor | None = None
    ) -> JointDistribution:
        s = torch.zeros_like(t) if s is None else s
        spoken = self.default_spoken(x_t) if spoken is None else spoken
        features = self._features(x_t, t, s, spoken)
        return self.head(features, self._unary_logits(features, x_t, t, s), x_t, spoken)

    def log_ratios(self, x_t: Tensor, t: Tensor) -> Tensor:
        """log r_i(y | x_t) as the network has them, float64 [B, L, C]; of a network with ``prediction: ratio``."""
        if self.shape.prediction != "ratio":
            raise ValueError(f"this network predicts {self.shape.prediction}, not ratio")
        features = self._features(x_t, t, torch.zeros_like(t), self.default_spoken(x_t))
        return log_ratios(self.process, self.unary(features), x_t, t)

    def start_from(self, teacher: NetworkModel) -> None:
        """Copy the teacher's trunk and unary layer; the trunks must have the same shape.

        A teacher is only ever asked with s = 0 and every mask spoken of. What it learned to make of these two inputs
        is folded into its constants, so that the copy answers as the teacher does whatever s and `spoken` are.
        """
        self.trunk.load_state_dict(teacher.trunk.state_dict())
        self.unary.load_state_dict(teacher.unary.state_dict())
        with torch.no_grad():
            if isinstance(self.process, Absorbing):
                self.trunk.token.weight[self.process.mask] += self.trunk.spoken
                self.trunk.spoken.zero_()
            if self.trunk.time is not None:
                first = self.trunk.time[0]
                assert isinstance(first, nn.Linear)
                of_s = first.weight[:, first.in_features // 2 :]
                first.bias.add_(of_s @ sinusoids(torch.zeros(1, device=of_s.device))[0])
                of_s.zero_()

    def _features(self, x_t: Tensor, t: Tensor, s: Tensor, spoken: Tensor) -> Tensor:
        with torch.autocast(x_t.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            features = self.trunk(x_t, t, s, spoken)
        return features.float()

    def _unary_logits(self, features: Tensor, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        logits = self.unary(features)
        if self.absorbing:  # at a masked position the evidence is flat, and what is revealed at s is the clean token
            return logits  # of ratios too: their softmax is the conditional
        if self.shape.prediction == "ratio":
            logits = conditionals(self.process, logits, x_t, t).log().to(logits.dtype)
        if self.shape.prediction == "leave_one_out":
            logits = logits + self.process.evidence(x_t, 0.0, t).clamp_min(TINY).log().to(logits.dtype)
        if self.matches == "step":
            law = self.process.reverse_kernel(logits.softmax(-1), x_t, s, t)
            logits = law.clamp_min(1e-30).log().to(logits.dtype)
        return logits
