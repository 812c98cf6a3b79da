"""One of the processes that torchrun starts: trains a small network together with the others and keeps its weights.

Arguments: a folder, and the step in which the last of them is told to stop (0: none).
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from cdmrun.training import Group, Interrupted, TrainSettings, averaging, joined, train

SETTINGS = TrainSettings(
    steps=12, batch=8, accumulate=2, lr=0.05, warmup=2, ema=0.8, clip=0.5, checkpoint_every=1e9, log_every=5
)


def network() -> nn.Module:
    """A small network, the same each time, with a parameter that has no part in anything."""
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    made.register_parameter("unused", nn.Parameter(torch.ones(2)))
    return made


def loss_of(model: nn.Module, batch: int, generator: torch.Generator) -> Tensor:
    """Regression on drawn inputs."""
    x = torch.randn(batch, 3, generator=generator)
    return (model(x)[:, 0] - x.sum(1)).square().mean()


def member(group: Group, folder: Path, stop: int) -> None:
    """Train as one of the group; the last process alone is told to stop."""
    model, calls = network(), 0

    def objective(generator: torch.Generator) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == stop * SETTINGS.accumulate and group.rank == group.size - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss_of(model, group.share(SETTINGS.batch, SETTINGS.accumulate), generator)

    try:
        result = train(model, objective, SETTINGS, 3, folder / "checkpoint.pt", "me", group=group)
    except Interrupted as interrupted:
        (folder / f"stopped-{group.rank}").write_text(str(interrupted))
        return
    torch.save({"weights": model.state_dict(), "history": result.history}, folder / f"rank-{group.rank}.pt")


if __name__ == "__main__":
    averaging.BUCKET_BYTES = 64  # two buckets, of which the second has to be waited for
    with joined() as joint:
        member(joint, Path(sys.argv[1]), int(sys.argv[2]))
