"""Gradients of several processes averaged while the backward pass is still at work on the others.

What PyTorch's DistributedDataParallel does, without its wrapper: an objective may call a model as often and by whatever
method it likes, in several parts, and the model that is stepped, averaged and saved is the model itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cdmrun.training.group import Group

#: Gradients that are exchanged together, in bytes; DistributedDataParallel's own default.
BUCKET_BYTES = 25 * 2**20


class Averaging:
    """Averages the gradients of some parameters over a group, bucket by bucket, those of the last parameters first.

    All processes exchange the same buckets in the same order, whichever gradients they have first; a parameter that the
    backward pass does not reach counts as zero. Alone it does nothing.
    """

    def __init__(self, group: Group, parameters: Sequence[nn.Parameter]) -> None:
        self._group = group
        self._buckets = _buckets(parameters) if group.size > 1 else []
        self._number = {id(p): number for number, bucket in enumerate(self._buckets) for p in bucket}
        self._hooks = [p.register_post_accumulate_grad_hook(self._ready) for bucket in self._buckets for p in bucket]
        self._missing: list[int] = []
        self._sent: list[tuple[Tensor, Any]] = []
        self._watching = False

    def close(self) -> None:
        """Leave the parameters alone from now on."""
        for hook in self._hooks:
            hook.remove()

    def begin(self) -> None:
        """The backward pass that comes next is the last of its step."""
        self._missing = [len(bucket) for bucket in self._buckets]
        self._sent, self._watching = [], True

    def finish(self, loss: Tensor) -> Tensor:
        """Wait until gradients are those of the group, after the backward pass; returns its loss."""
        self._watching = False
        if self._group.size == 1:
            return loss
        while len(self._sent) < len(self._buckets):
            self._send()
        loss = loss.clone()
        dist.all_reduce(loss)
        for bucket, (flat, work) in zip(self._buckets, self._sent, strict=True):
            work.wait()
            flat /= self._group.size
            for parameter, grad in zip(bucket, flat.split([p.numel() for p in bucket]), strict=True):
                if parameter.grad is not None:
                    parameter.grad.copy_(grad.view_as(parameter))
        self._sent = []
        return loss / self._group.size

    def _ready(self, parameter: Tensor) -> None:
        """A gradient is complete: send all buckets that now are, in their order."""
        if not self._watching:
            return
        self._missing[self._number[id(parameter)]] -= 1
        while len(self._sent) < len(self._buckets) and not self._missing[len(self._sent)]:
            self._send()

    def _send(self) -> None:
        bucket = self._buckets[len(self._sent)]
        flat = torch.cat([torch.zeros_like(p).view(-1) if p.grad is None else p.grad.reshape(-1) for p in bucket])
        self._sent.append((flat, dist.all_reduce(flat, async_op=True)))


def _buckets(parameters: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """The parameters in reverse order, in groups of one type and about `BUCKET_BYTES` each."""
    buckets: list[list[nn.Parameter]] = []
    held = 0
    for parameter in reversed(parameters):
        size = parameter.numel() * parameter.element_size()
        if not buckets or held + size > BUCKET_BYTES or buckets[-1][0].dtype != parameter.dtype:
            buckets.append([])
            held = 0
        buckets[-1].append(parameter)
        held += size
    return buckets
