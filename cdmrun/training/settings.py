"""How to train: one set of settings for teachers, students and every baseline that learns."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainSettings:
    """Optimiser and length of a training; the keys of `train:` in a spec.

    Attributes
    ----------
    steps, batch
        Optimiser steps, and sequences a step.
    accumulate
        In how many parts, one after the other, the sequences of a step are computed: memory for a larger batch. Each
        part has random numbers of its own, and the step's gradient is the mean over them.
    lr, warmup, decay
        Peak learning rate, steps of linear warm-up, and what follows: ``cosine`` to zero, or ``constant``.
    head_factor
        What multiplies the rate for the parameters of a family's head: a trunk that starts from its teacher wants
        small steps, a head that starts from nothing large ones.
    weight_decay, clip
        AdamW's decay (matrices only), and the bound on the gradient's norm.
    ema
        Decay of the exponential moving average of the weights, which is what is kept.
    precision
        ``float32``, or ``bf16``: the trunk under autocast, heads and losses in float32.
    compile
        Whether trunks are compiled by torch.compile (`cdmrun.models.compiling`): the same but for rounding.
    shard
        Whether several processes keep trunks in shards (`cdmrun.training.sharding`): the same but for rounding.
    deterministic
        Whether a GPU is to give the same bits each time (`cdmrun.training.determinism`).
    checkpoint_every, log_every
        Seconds between checkpoints; steps between log lines. Neither changes the result.
    """

    steps: int = 2000
    batch: int = 64
    accumulate: int = 1
    lr: float = 2e-3
    head_factor: float = 1.0
    warmup: int = 100
    decay: str = "cosine"
    weight_decay: float = 0.0
    clip: float = 1.0
    ema: float = 0.999
    precision: str = "float32"
    compile: bool = False
    shard: bool = False
    deterministic: bool = False
    checkpoint_every: float = 60.0
    log_every: int = 50

    def rate_at(self, step: int) -> float:
        """Learning rate of a step (0-based), a pure function of it."""
        warm = min(1.0, (step + 1) / max(1, self.warmup))
        if self.decay == "constant":
            return self.lr * warm
        progress = max(0, step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * warm * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
