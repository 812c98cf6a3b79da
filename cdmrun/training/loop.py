"""The training loop: one for teachers and students, resumable at any step with bit-identical results on CPU."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from cdmrun.errors import UserError
from cdmrun.models.compiling import compile_like, compile_trunks
from cdmrun.training.averaging import Averaging
from cdmrun.training.checkpoint import load_checkpoint, save_checkpoint
from cdmrun.training.determinism import deterministic
from cdmrun.training.group import ALONE, Group
from cdmrun.training.interrupt import Interrupted, stop_requested
from cdmrun.training.rehearsing import rehearse
from cdmrun.training.settings import TrainSettings
from cdmrun.training.sharding import Shards

#: An objective: the loss (nats a sequence) of a step, all its randomness drawn from the given generator.
Objective = Callable[[torch.Generator], Tensor]


@runtime_checkable
class UsesAverage(Protocol):
    """An objective whose targets depend on the moving average of the weights that it trains."""

    def use_average(self, averaged: nn.Module) -> None:
        """Take a copy of the model, to ask without gradients; the loop keeps its parameters at the average."""


@dataclass(frozen=True)
class Progress:
    """Where a long job stands, for whoever watches."""

    step: int
    steps: int
    loss: float | None = None  # nats a token
    rate: float | None = None  # steps a second
    seconds_left: float | None = None


@dataclass
class TrainResult:
    """What a training leaves besides the weights: (step, mean loss since the last entry, learning rate)."""

    history: list[tuple[int, float, float]] = field(default_factory=list)


def step_generator(
    seed: int, step: int, device: torch.device | str = "cpu", rank: int = 0, part: int = 0
) -> torch.Generator:
    """Randomness of a part of a step of a process, a pure function of the four numbers: what makes resuming exact."""
    mixed = seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + rank * 0xD6E8FEB86659FD93 + 0x94D049BB133111EB
    mixed = (mixed + part * 0xA0761D6478BD642F) % (1 << 63)
    return torch.Generator(device=device).manual_seed(mixed)


def train(
    model: nn.Module,
    objective: Objective,
    settings: TrainSettings,
    seed: int,
    checkpoint: Path | None = None,
    identity: str = "",
    report: Callable[[Progress], None] | None = None,
    group: Group = ALONE,
    frozen: Sequence[nn.Module] = (),
) -> TrainResult:
    """Minimise ``objective`` over the model's parameters; leaves the moving average in the model.

    Parameters
    ----------
    checkpoint
        Where to keep the state of the training; if the file exists, the training continues from it.
    identity
        Written into the checkpoint; one with another identity is refused.
    report
        Called every ``log_every`` steps.
    group
        The processes that train this model together; ``objective`` is then over this one's share of the batch, or over
        one of ``settings.accumulate`` parts of that (`Group.share`).
    frozen
        Models that the objective asks and does not train: compiled and sharded where the model is.

    Raises
    ------
    UserError
        If the loss is not finite, the checkpoint cannot be used, or a GPU's memory is too small. After this and what
        follows a model that was in shards is of no use any more.
    Interrupted
        On SIGTERM or SIGUSR1, once the checkpoint is written.
    """
    saved = load_checkpoint(checkpoint, identity) if checkpoint else None
    if saved is not None:
        _check_processes(saved, group, checkpoint)
        model.load_state_dict(saved["model"])
    group.share_state(model)
    averaged = copy.deepcopy(model).requires_grad_(False).eval() if isinstance(objective, UsesAverage) else None
    if settings.compile:
        compile_trunks(model, *frozen)
    shards = Shards(group if settings.shard else ALONE)
    if averaged is not None:
        compile_like(averaged, model)
        objective.use_average(averaged)
    shards.shard([model], [*frozen] if averaged is None else [averaged, *frozen])
    state = _State(model, settings, shards, averaged)
    if saved is not None:
        state.restore(saved)
    model.train()
    device = next(model.parameters()).device
    with (
        deterministic(settings.deterministic, device),
        closing(Averaging(group, shards.whole(state.parameters))) as averaging,
        stop_requested() as stopping,
    ):
        if settings.compile and state.step < settings.steps:
            generator = step_generator(seed, 0, device, group.rank)
            rehearse(model, objective, generator, warn=group.leads, sharded=shards.exist)
        last_saved = last_reported = time.monotonic()
        while state.step < settings.steps:
            parts = range(settings.accumulate)
            generators = [step_generator(seed, state.step, device, group.rank, part) for part in parts]
            loss = _one_step(state, objective, generators, averaging)
            now = time.monotonic()
            if state.log(loss) and report is not None:
                rate = settings.log_every / max(now - last_reported, 1e-9)
                last_reported = now
                left = (settings.steps - state.step) / rate
                report(Progress(state.step, settings.steps, state.history[-1][1], rate, left))
            stop = group.any(stopping())
            due = stop or state.step == settings.steps or now - last_saved > settings.checkpoint_every
            if checkpoint and shards.leaders_word(due):
                kept = state.snapshot(identity) | {"processes": group.size}  # of shards, all gather them
                if group.leads:
                    save_checkpoint(checkpoint, kept)
                last_saved = now
            if stop:
                group.any(True)  # nobody leaves before the leader has saved
                raise Interrupted(f"stopped at step {state.step} of {settings.steps}")
    state.keep_average()
    shards.restore()
    model.eval()
    return TrainResult(state.history)


def _check_processes(saved: dict[str, Any], group: Group, path: Path | None) -> None:
    """Refuse a checkpoint of another number of processes: with other batches the result would be neither's."""
    processes = saved.get("processes", 1)
    if processes != group.size:
        raise UserError(
            f"{path}: this checkpoint was written by a training on {processes} processes; this is one on {group.size}",
            f"start it with torchrun --nproc-per-node {processes}, or delete the file to start again",
        )


class _State:
    """Weights, optimiser, moving average, step and history of one training."""

    def __init__(
        self, model: nn.Module, settings: TrainSettings, shards: Shards, averaged: nn.Module | None = None
    ) -> None:
        self.model = model
        self.settings = settings
        self.shards = shards
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        held = {name: shards.held(p) for name, p in trained.items()}
        self.parameters = list(held.values())
        self.optimiser = torch.optim.AdamW(_groups(held, settings), lr=settings.lr, betas=(0.9, 0.98), fused=True)
        if averaged is None:
            self.average = [p.detach().clone() for p in self.parameters]
        else:
            copies = dict(averaged.named_parameters())  # over the same memory: nothing to update, nothing more to keep
            self.average = [shards.held(copies[name]).detach() for name in trained]
        self.step = 0
        self.history: list[tuple[int, float, float]] = []
        self.recent: list[float] = []

    def log(self, loss: float) -> bool:
        """Add a loss; whether a line of history was completed."""
        self.recent.append(loss)
        if self.step % self.settings.log_every and self.step != self.settings.steps:
            return False
        mean = sum(self.recent) / len(self.recent)
        self.history.append((self.step, mean, self.settings.rate_at(self.step - 1)))
        self.recent.clear()
        return True

    def snapshot(self, identity: str) -> dict[str, Any]:
        """All that a checkpoint holds, in full; where there are shards all processes ask, and the leader gets it."""
        average = [self.shards.gathered(p, mean) for p, mean in zip(self.parameters, self.average, strict=True)]
        return {
            "identity": identity,
            "step": self.step,
            "model": self.shards.state_dict(self.model),
            "optimiser": _each_moment(self.optimiser, self.optimiser.state_dict(), self.shards.gathered),
            "average": average,
            "history": [list(line) for line in self.history],
            "recent": self.recent,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from a snapshot, whose weights the model already has."""
        self.optimiser.load_state_dict(_each_moment(self.optimiser, saved["optimiser"], self.shards.part))
        for parameter, mine, kept in zip(self.parameters, self.average, saved["average"], strict=True):
            mine.copy_(self.shards.part(parameter, kept))
        self.step = saved["step"]
        self.history = [(int(a), float(b), float(c)) for a, b, c in saved["history"]]
        self.recent = list(saved["recent"])

    def keep_average(self) -> None:
        """Put the moving average into the model."""
        with torch.no_grad():
            for parameter, average in zip(self.parameters, self.average, strict=True):
                parameter.copy_(average)


def _groups(named: Mapping[str, nn.Parameter], settings: TrainSettings) -> list[dict[str, Any]]:
    """Parameter groups: matrices decay, vectors do not; a head has its own learning rate."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in named.items():
        groups.setdefault((name.startswith("head."), parameter.ndim >= 2), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": settings.weight_decay if matrix else 0.0,
            "factor": settings.head_factor if head else 1.0,
        }
        for (head, matrix), parameters in groups.items()
    ]


def _each_moment(
    optimiser: torch.optim.Optimizer, state: dict[str, Any], change: Callable[[nn.Parameter, Tensor], Tensor]
) -> dict[str, Any]:
    """An optimiser's state with its moments, tensors of a parameter's shape, changed; steps are single numbers."""
    parameters = [p for options in optimiser.param_groups for p in options["params"]]
    moments = {
        number: {key: change(parameters[number], value) if value.ndim else value for key, value in kept.items()}
        for number, kept in state["state"].items()
    }
    return {**state, "state": moments}


def _one_step(
    state: _State, objective: Objective, generators: Sequence[torch.Generator], averaging: Averaging
) -> float:
    """One optimiser step, with a generator for each part; returns the loss, averaged over parts and group."""
    settings = state.settings
    for options in state.optimiser.param_groups:
        options["lr"] = settings.rate_at(state.step) * options["factor"]
    state.optimiser.zero_grad(set_to_none=True)
    try:
        loss = averaging.finish(_backward(objective, generators, averaging))
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"this GPU has no room for a batch of {settings.batch} sequences in {settings.accumulate} part(s)",
            f"set train.accumulate to {2 * settings.accumulate}, or train.batch to less",
        ) from error
    state.shards.take_gradients()
    norm = state.shards.clip(state.parameters, settings.clip)
    value, size = torch.stack([loss.double(), norm.double()]).tolist()  # a GPU is waited for once a step, here
    if not math.isfinite(value + size):  # before it reaches the weights, so that the last checkpoint stays good
        raise UserError(
            f"the loss or its gradient is not finite at step {state.step + 1} of {settings.steps}",
            "lower train.lr or train.clip",
        )
    state.optimiser.step()
    state.step += 1
    # a short average at first, so that the random start is forgotten
    decay = min(settings.ema, state.step / (state.step + 10))
    torch._foreach_lerp_(state.average, [p.detach() for p in state.parameters], 1.0 - decay)
    return float(value)


def _backward(objective: Objective, generators: Sequence[torch.Generator], averaging: Averaging) -> Tensor:
    """Add up the gradient of the mean loss over all parts; returns that loss."""
    losses: list[Tensor] = []
    for generator in generators:
        loss = objective(generator)
        losses.append(loss.detach())
        if len(losses) == len(generators):
            averaging.begin()
        (loss / len(generators)).backward()
    return torch.stack(losses).mean()
