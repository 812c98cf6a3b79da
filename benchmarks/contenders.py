"""Whose speed is compared: cdmrun's own code, the flow_matching package, and MDLM in plain code (`plain`).

Each with its own network, and with cdmrun's, so that what a network costs and what a loss, a loop or a sampler costs
can be told apart. All networks have as many layers, heads and channels, and the same batches of the same data.
flow_matching (CC BY-NC) is optional and only ever called. What makes a contender also sets up the process it is in.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import flow
import numpy as np
import plain
import torch
from measuring import Setting, flops
from torch import Tensor, nn

from cdmrun.models import NetworkModel, NetworkShape
from cdmrun.models.compiling import compile_for_rows, compile_trunks
from cdmrun.models.trunk import Trunk
from cdmrun.processes import Absorbing
from cdmrun.samplers import analytic_sampler
from cdmrun.stages.heap import keep_freed_memory
from cdmrun.training import TrainSettings, train
from cdmrun.training.denoising import Denoising
from cdmrun.training.sources import array_source

#: Peak learning rate of all trainings.
LR = 2e-3


@dataclass(frozen=True)
class Size:
    """The networks and their sequences; by default the teacher's of the text experiments."""

    vocabulary: int = 27
    length: int = 64
    layers: int = 3
    width: int = 96
    heads: int = 3

    @property
    def mask(self) -> int:
        """The state after the tokens."""
        return self.vocabulary

    def trunk(self) -> dict[str, int]:
        """What cdmrun's trunk is told."""
        return {"layers": self.layers, "width": self.width, "heads": self.heads}

    def data(self) -> np.ndarray:
        """Sequences to train on, uint8 [n, L]; what they say does not change what they cost."""
        rows = np.random.default_rng(0).integers(self.vocabulary, size=(4096, self.length))
        return rows.astype(np.uint8)


@dataclass(frozen=True)
class Contender:
    """Something that trains, or that samples; its unit is a training step, or a network call of the sampler.

    Attributes
    ----------
    name, network, variant
        Whose loss and loop, or whose sampler; whose network, ``own`` or ``cdmrun's``; what else sets it apart.
    tokens
        Of a unit.
    seconds
        Runs some units and tells the seconds of one.
    once
        What is counted and profiled: ``units`` units (of training, forward and backward).
    trains
        Whether units are training steps.
    """

    name: str
    network: str
    variant: str
    model: nn.Module
    tokens: int
    seconds: Callable[[], float]
    once: Callable[[], Any]
    units: int = 1
    trains: bool = True

    @property
    def label(self) -> str:
        """How tables call it."""
        return ", ".join([self.name, f"{self.network} network", *([self.variant] if self.variant else [])])

    @property
    def parameters(self) -> int:
        """How many the model has."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def flops(self) -> float:
        """Operations of a unit's matrix products and attention (of training, forward and backward)."""
        return flops(self.once) / self.units


# -- networks ---------------------------------------------------------------------------------------------------


class TrunkAlone(nn.Module):
    """cdmrun's trunk and a linear layer as others call a network: states [B, L] and times [B] to logits [B, L, C]."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.mask = size.mask
        self.trunk = Trunk(size.vocabulary + 1, size.length, timed=False, **size.trunk())
        self.out = plain.zeroed(nn.Linear(size.width, size.vocabulary + 1))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.out(self.trunk(x, t, t, x == self.mask))


class Cast(nn.Module):
    """A network under the setting's autocast, answering in float32."""

    def __init__(self, network: nn.Module, setting: Setting) -> None:
        super().__init__()
        self.network = torch.compile(network) if setting.compiled else network
        self.device, self.low = setting.device, setting.precision == "bf16"

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        with torch.autocast(self.device, torch.bfloat16, enabled=self.low):
            logits = self.network(x, t)
        return logits.float()


def own_model(size: Size, setting: Setting) -> NetworkModel:
    """cdmrun's network as a spec makes it."""
    torch.manual_seed(0)
    shape = NetworkShape(size.length, trunk=size.trunk())
    model = NetworkModel(Absorbing(size.vocabulary), shape).to(setting.device)
    model.precision = setting.precision
    return model


def peer_model(size: Size, setting: Setting, network: str) -> nn.Module:
    """The plain network, or cdmrun's."""
    torch.manual_seed(0)
    shape = (size.length, size.layers, size.width, size.heads)
    made = TrunkAlone(size) if network == "cdmrun's" else plain.DiffusionTransformer(size.vocabulary + 1, *shape)
    return Cast(made, setting).to(setting.device)


# -- training ---------------------------------------------------------------------------------------------------


def peers() -> list[str]:
    """Those that are measured beside cdmrun."""
    return ["flow_matching", "MDLM"] if flow.installed() else ["MDLM"]


def trainees(size: Size, setting: Setting, batch: int, steps: int) -> list[Callable[[], Contender]]:
    """All that train, as functions that make them: whoever measures memory makes only one.

    ``steps`` is how many a measurement takes; the first of them, which sets up the optimiser, is not counted.
    """
    loops = [("own", True), ("own", False), ("cdmrun's", True)]
    return [
        partial(own_trainee, size, setting, batch, steps),
        *(partial(peer_trainee, size, setting, batch, steps, name, *loop) for name in peers() for loop in loops),
    ]


def own_trainee(size: Size, setting: Setting, batch: int, steps: int) -> Contender:
    """`cdmrun.training.train` as `cdmrun train` calls it, but for checkpoints."""
    keep_freed_memory()
    model = own_model(size, setting)
    if setting.compiled:
        compile_trunks(model)  # as `train.compile` does
    objective = Denoising(model, array_source(size.data()), batch)
    generator = torch.Generator(setting.device).manual_seed(0)
    settings = TrainSettings(steps=steps, batch=batch, lr=LR, log_every=1)

    def seconds() -> float:
        ends: list[float] = []
        train(model, objective, settings, 0, report=lambda _: ends.append(setting.clock()))
        return (ends[-1] - ends[0]) / (steps - 1)

    return Contender("cdmrun", "own", "", model, batch * size.length, seconds, lambda: objective(generator).backward())


def peer_trainee(
    size: Size, setting: Setting, batch: int, steps: int, name: str, network: str, tuned: bool
) -> Contender:
    """A peer's loss in the plain loop, with the allocator told as cdmrun's jobs tell it, unless all is as usual."""
    if tuned:
        keep_freed_memory()
    model = peer_model(size, setting, network)
    rows = torch.from_numpy(size.data()).to(setting.device)

    def data() -> Tensor:
        return rows[torch.randint(len(rows), (batch,), device=setting.device)].long()

    def mdlm_loss() -> Tensor:
        return plain.mdlm_loss(model, data(), size.mask)

    loss = mdlm_loss if name == "MDLM" else flow.kl_loss(model, data, size.mask)

    def seconds() -> float:
        ends = [setting.clock() for _ in plain.train(model, loss, steps, LR, tuned)]
        return (ends[-1] - ends[0]) / (steps - 1)

    variant = "" if tuned else "as usual"
    return Contender(name, network, variant, model, batch * size.length, seconds, lambda: loss().backward())


# -- sampling ---------------------------------------------------------------------------------------------------


def drawers(size: Size, setting: Setting, batch: int, calls: int) -> list[Callable[[], Contender]]:
    """All that sample, as functions that make them; a measurement is ``calls`` network calls, from masks to tokens."""
    choices = itertools.product(peers(), ("own", "cdmrun's"), (torch.float32, torch.float64))
    return [
        partial(own_drawer, size, setting, batch, calls),
        *(partial(peer_drawer, size, setting, batch, calls, *choice) for choice in choices),
    ]


def own_drawer(size: Size, setting: Setting, batch: int, calls: int) -> Contender:
    """The analytic sampler."""
    keep_freed_memory()
    model = own_model(size, setting).eval()
    if setting.compiled:
        compile_for_rows(batch, model)  # as `evaluation.compile` does
    sampler = analytic_sampler(model, calls)
    generator = torch.Generator(setting.device).manual_seed(0)
    tokens = batch * size.length
    return drawer("cdmrun", "own", "float64", setting, model, tokens, calls, lambda: sampler.sample(batch, generator))


def peer_drawer(
    size: Size, setting: Setting, batch: int, calls: int, name: str, network: str, dtype: torch.dtype
) -> Contender:
    """A peer's sampler, with random choices in float32 (as released) or float64 (as cdmrun's)."""
    keep_freed_memory()
    model = peer_model(size, setting, network).eval()
    masks = torch.full((batch, size.length), size.mask, device=setting.device)

    def ancestral() -> Tensor:
        return plain.mdlm_sample(model, masks, size.mask, calls, dtype)

    sample = ancestral if name == "MDLM" else flow.euler_sampler(model, masks, size.vocabulary + 1, calls, dtype)
    draws = str(dtype).removeprefix("torch.")
    return drawer(name, network, draws, setting, model, batch * size.length, calls, sample)


def drawer(
    name: str,
    network: str,
    draws: str,
    setting: Setting,
    model: nn.Module,
    tokens: int,
    calls: int,
    sample: Callable[[], Tensor],
) -> Contender:
    """A sampler as a contender."""

    def seconds() -> float:
        return setting.seconds(sample) / calls

    return Contender(name, network, f"{draws} draws", model, tokens, seconds, sample, calls, False)
