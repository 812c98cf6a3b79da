"""Several processes that train one model: each takes its share of every batch, and gradients are averaged.

torchrun starts the processes and says so in the environment. The first of them *leads*: it alone writes files. The
randomness of a step is a pure function of (seed, step, rank): a training on N processes is deterministic, and draws
other batches than one on M processes. At any step all processes hold the same weights, or their part of them
(`cdmrun.training.sharding`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn

from cdmrun.errors import UserError

#: Processes wait so long for one another, as when the leader waits for another runner; if one fails torchrun ends all.
PATIENCE = timedelta(days=7)


@dataclass(frozen=True)
class Group:
    """The processes of one training as one of them sees them; by default it is alone, and nothing is exchanged."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def share(self, batch: int, parts: int = 1) -> int:
        """Sequences of a batch that this process computes at once, if it computes its share in several parts.

        Raises
        ------
        UserError
            If the batch cannot be shared evenly.
        """
        if batch % (self.size * parts):
            among = [f"{self.size} processes"] if self.size > 1 else []
            among += [f"{parts} parts" + " each" * (self.size > 1)] if parts > 1 else []
            raise UserError(
                f"a batch of {batch} sequences cannot be shared evenly among {' of '.join(among)}",
                "set train.batch to a multiple, or change train.accumulate or the number of processes",
            )
        return batch // (self.size * parts)

    def leaders_word(self, word: bool) -> bool:
        """What the leader says; the others wait for it."""
        if self.size == 1:
            return word
        said = torch.tensor([int(word)])
        dist.broadcast(said, 0)
        return bool(said)

    def any(self, word: bool) -> bool:
        """Whether any process says so."""
        if self.size == 1:
            return word
        said = torch.tensor([int(word)])
        dist.all_reduce(said, dist.ReduceOp.MAX)
        return bool(said)

    def share_state(self, model: nn.Module) -> None:
        """Give every process the leader's weights and buffers."""
        if self.size > 1:
            for tensor in model.state_dict().values():
                dist.broadcast(tensor, 0)


ALONE = Group()


@contextmanager
def joined(environment: Mapping[str, str] = os.environ) -> Iterator[Group]:
    """Join the processes that torchrun started together with this one; alone without it."""
    size = int(environment.get("WORLD_SIZE", "1")) if "MASTER_ADDR" in environment else 1
    if size == 1:
        yield ALONE
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Group(dist.get_rank(), size)
    finally:
        dist.destroy_process_group()
