"""One of the processes that torchrun starts: trains small networks with and without shards, and keeps what comes out.

Arguments: a folder, and the names of trainings (`CASES`), done one after the other.
"""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from compilers import Compiler, compiling_with, missing
from torch import Tensor, nn

from cdmrun.distill import BootstrapMatching, StepSchedule
from cdmrun.models import NetworkModel, NetworkShape
from cdmrun.processes import Uniform, make_schedule
from cdmrun.training import Group, TrainSettings, joined, train
from cdmrun.training.loop import _State
from cdmrun.training.sharding import Shards
from cdmrun.training.sources import table_source

SETTINGS = TrainSettings(
    steps=6, batch=16, lr=0.02, head_factor=2.0, warmup=2, weight_decay=0.1, ema=0.8, clip=0.05, checkpoint_every=0.0,
    log_every=2,
)  # fmt: skip
TRUNK = {"layers": 2, "width": 12, "heads": 2}
CLIP, KEEP = Shards.clip, _State.keep_average
PROCESS = Uniform(3, make_schedule("loglinear", 1e-3))


class StoppedError(Exception):
    """Stands for a kill."""


@dataclass
class Watched(BootstrapMatching):
    """A teacher, a student with a head and the student's average in each step; called twice where it is to be."""

    twice: bool = False
    left: int = 10**9

    def __call__(self, generator: torch.Generator) -> Tensor:
        if not self.left:
            raise StoppedError
        self.left -= 1
        loss = super().__call__(generator)
        return (loss + 0.5 * super().__call__(generator)) if self.twice else loss


@dataclass
class Training:
    """A training in a group, and what can be seen of it."""

    group: Group
    norms: list[float] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=dict)
    teacher: Any = None

    def start(self, settings: TrainSettings, twice: bool) -> tuple[NetworkModel, Watched]:
        torch.manual_seed(0)
        teacher = NetworkModel(PROCESS, NetworkShape(2, trunk=TRUNK)).eval()
        nn.init.normal_(teacher.unary.weight)
        student = NetworkModel(PROCESS, NetworkShape(2, {"kind": "hmm", "states": 4}, TRUNK, "step"))
        student.precision = teacher.precision = settings.precision
        share = self.group.share(settings.batch, settings.accumulate)
        source = table_source(np.full((3, 3), 1 / 9))
        return student, Watched(student, teacher, source, StepSchedule([1, 2]), share, 2, twice)

    def run(
        self, settings: TrainSettings, checkpoint: Path | None = None, stop: int = 0, twice: bool = False
    ) -> dict[str, Any]:
        student, objective = self.start(settings, twice)
        self.teacher = objective.teacher
        before = [*student.parameters()]
        objective.left = stop * settings.accumulate or objective.left
        try:
            result = train(student, objective, settings, 1, checkpoint, group=self.group, frozen=[objective.teacher])
        except StoppedError:
            dist.barrier()  # the leader may still be writing what all are going to read
            return {}
        assert all(now is then for now, then in zip(student.parameters(), before, strict=True))
        assert all(type(p) is nn.Parameter for p in objective.teacher.parameters())
        assert not any(module.training for module in student.modules())
        named = {"weights": student, "teacher": objective.teacher, "average": objective.averaged}
        states = {name: dict(model.state_dict()) for name, model in named.items()}
        return {**states, "history": result.history, "norms": self.norms, "held": self.held}


def watch(training: Training) -> None:
    """Take down the norm of every step, and the bytes that are held after the last."""

    def clipped(self: Shards, parameters: Any, largest: float) -> Tensor:
        norm = CLIP(self, parameters, largest)
        training.norms.append(float(norm))
        return norm

    def kept(self: _State) -> None:
        training.held.update(held_by(self), notes=notes_of(training.teacher))
        KEEP(self)

    Shards.clip, _State.keep_average = clipped, kept  # type: ignore[method-assign]


def notes_of(model: Any) -> int:
    """How many calls of a sharded model FSDP2 still has notes of."""
    sharded = hasattr(model.trunk, "reset_iter_state")
    return len(model.trunk._get_fsdp_state()._comm_ctx.post_forward_order) if sharded else 0


def held_by(state: _State) -> dict[str, int]:
    """Bytes that this process holds: of a trunk its weights, moments and average; and of all tensors there are."""

    def size(tensor: Any) -> int:
        local = tensor.to_local() if hasattr(tensor, "to_local") else tensor
        return int(local.untyped_storage().nbytes())

    names = [name for name, _ in state.model.named_parameters()]
    ours = [number for number, name in enumerate(names) if name.startswith("trunk.")]
    moments = [state.optimiser.state[state.parameters[number]] for number in ours]
    gc.collect()
    tensors = [thing for thing in gc.get_objects() if type(thing) in (Tensor, nn.Parameter)]
    everything = {tensor.untyped_storage().data_ptr(): size(tensor) for tensor in tensors if not tensor.is_sparse}
    return {
        "weights": sum(size(p) for p in state.model.get_submodule("trunk").parameters()),
        "moments": sum(size(kept[key]) for kept in moments for key in ("exp_avg", "exp_avg_sq")),
        "average": sum(size(state.average[number]) for number in ours),
        "everything": sum(everything.values()),
    }


def resumed(first: bool, second: bool) -> Callable[[Training, Path], dict[str, Any]]:
    """A training that is stopped within its fourth step and goes on, each with shards or without."""

    def case(training: Training, folder: Path) -> dict[str, Any]:
        settings, path = replace(SETTINGS, accumulate=2), folder / f"checkpoint-{first}-{second}.pt"
        assert not training.run(replace(settings, shard=first), path, stop=3)
        return training.run(replace(settings, shard=second), path)

    return case


def plain(twice: bool = False, **changes: Any) -> Callable[[Training, Path], dict[str, Any]]:
    return lambda training, _: training.run(replace(SETTINGS, **changes), twice=twice)


def compiled(training: Training, folder: Path) -> dict[str, Any]:
    """With a compiler that counts what it is given."""
    compiler = Compiler()
    with compiling_with(compiler), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = training.run(replace(SETTINGS, shard=True, compile=True))
    return {**found, "graphs": compiler.graphs, "warned": [str(warning.message) for warning in caught]}


def compiled_by_one(training: Training, folder: Path) -> dict[str, Any]:
    """The leader has a compiler, the others have none."""
    with compiling_with(Compiler() if training.group.leads else missing):
        return training.run(replace(SETTINGS, shard=True, compile=True))


CASES: dict[str, Callable[[Training, Path], dict[str, Any]]] = {
    "whole": plain(accumulate=2),
    "sharded": plain(accumulate=2, shard=True),
    "whole-twice": plain(twice=True),
    "sharded-twice": plain(twice=True, shard=True),
    "whole-bf16": plain(precision="bf16"),
    "sharded-bf16": plain(precision="bf16", shard=True),
    "resumed": resumed(True, True),
    "resumed-whole": resumed(True, False),
    "resumed-sharded": resumed(False, True),
    "compiled": compiled,
    "compiled-by-one": compiled_by_one,
    "plain": plain(shard=True),
}


if __name__ == "__main__":
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    with joined() as joint:
        for name in names:
            observed = Training(joint)
            watch(observed)
            torch.save(CASES[name](observed, folder), folder / f"{name}-{joint.rank}.pt")
