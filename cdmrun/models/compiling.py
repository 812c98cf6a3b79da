"""What torch.compile makes kernels of, in place: weights, names in checkpoints and whoever holds a model stay the same.

Trainings compile trunks: they are the bulk of a step, and their shapes are fixed, whereas shapes in heads and losses
may depend on the data. Where nothing is trained the step of the autoregressive head is compiled too, and both for one
number of rows. What is compiled differs by rounding. Compilers fail in many ways, and none of them is a reason to stop:
after a warning everything then runs as it was written.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor, nn

from cdmrun.models.families.autoregressive import AutoregressiveHead
from cdmrun.models.trunk import Trunk

#: What torch.compile compiles with.
BACKEND = "inductor"

#: What is worth compiling where nothing is trained: for each kind of module one function of tensors [B, …].
CALLS: dict[type[nn.Module], str] = {Trunk: "forward", AutoregressiveHead: "step"}


def compile_trunks(*models: nn.Module) -> None:
    """Have the trunks of some models compiled by the next calls that they get; others are left as they are."""
    for model in models:
        for module in model.modules():
            if isinstance(module, Trunk) and not module.compiled:
                module.compile(backend=BACKEND)
                module.compiled = True


def compile_blocks(trunk: Trunk) -> None:
    """Compile a trunk block by block, and nothing of what is hooked around its blocks."""
    for block in trunk.blocks:
        block.forward = torch.compile(block.forward, backend=BACKEND)


def compile_like(copied: nn.Module, original: nn.Module) -> None:
    """Compile the trunks of a copy if those of the original are: copies of modules are not compiled."""
    wanted = any(isinstance(module, Trunk) and module.compiled for module in original.modules())
    for module in copied.modules():
        if isinstance(module, Trunk):
            module.compiled = False
    if wanted:
        compile_trunks(copied)


def compile_for_rows(rows: int, *models: nn.Module) -> None:
    """Have the `CALLS` of some models, which are not trained any more, compiled for so many rows (`FixedRows`)."""
    for module in dict.fromkeys(module for model in models for module in model.modules()):
        for kind, call in CALLS.items():
            if isinstance(module, kind) and not isinstance(getattr(module, call), FixedRows):
                on_gpu = next(module.parameters()).is_cuda
                setattr(module, call, FixedRows(getattr(module, call), rows, on_gpu))


class FixedRows:
    """A function of tensors [B, …] that treats each row by itself, compiled for one B.

    Calls with fewer rows are padded, those with more are cut, so that nothing is compiled twice; a CUDA graph needs the
    one shape as well. It is the network that is padded, after all random numbers were drawn: draws, and calls counted,
    are those of the function as written. Half as many rows or fewer are not worth it, and go to that function; so do
    the halves of a block that did not fit into a GPU's memory, and whatever wants a gradient.

    Parameters
    ----------
    plain
        The function as written.
    rows
        B.
    graphs
        Whether a GPU is to play a recorded graph of its kernels, which spares it waiting for each to be launched.
    """

    #: Whether compiling has worked so far in this process.
    working = True

    def __init__(self, plain: Callable[..., Tensor], rows: int, graphs: bool = False) -> None:
        self.plain, self.rows, self.graphs = plain, rows, graphs
        mode: dict[str, Any] = {"mode": "reduce-overhead"} if graphs else {}
        self.compiled: Callable[..., Tensor] = torch.compile(plain, dynamic=False, backend=BACKEND, **mode)
        self.buffers: dict[Any, list[Tensor]] = {}

    def __call__(self, *inputs: Tensor) -> Tensor:
        count = len(inputs[0])
        few = count < self.rows and 2 * count <= self.rows + 1
        if few or torch.is_grad_enabled() or not FixedRows.working:
            return self.plain(*inputs)
        if count > self.rows:
            pieces = zip(*(each.split(self.rows) for each in inputs), strict=True)
            return torch.cat([self(*piece) for piece in pieces])
        try:
            return self._padded(inputs)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            FixedRows.working = False
            warn_without(error, "sampling")
            return self.plain(*inputs)

    @torch.inference_mode()  # one mode, or each would be compiled for
    def _padded(self, inputs: tuple[Tensor, ...]) -> Tensor:
        count = len(inputs[0])
        buffers = self._buffers(inputs)
        for buffer, each in zip(buffers, inputs, strict=True):
            buffer[:count] = each
        found = self.compiled(*buffers)[:count]
        return found.clone() if self.graphs else found  # a graph's next replay writes where this one did

    def _buffers(self, inputs: tuple[Tensor, ...]) -> list[Tensor]:
        """Tensors of the inputs' shapes and types but with all rows, always the same: with one layout and one address.

        What is left in them of earlier calls, zeros at first, are rows like any other.
        """
        kind = tuple((each.shape[1:], each.dtype, each.device) for each in inputs)
        if kind not in self.buffers:
            with torch.inference_mode(False):
                self.buffers[kind] = [each.new_zeros((self.rows, *each.shape[1:])) for each in inputs]
        return self.buffers[kind]


def warn_without(error: Exception, activity: str) -> None:
    """Warn that something goes on without a compiler."""
    warnings.warn(f"torch.compile does not work here, {activity} goes on without: {reason(error)}", stacklevel=4)


def reason(error: Exception) -> str:
    """The beginning of what a compiler complains of."""
    return shorten(str(error).strip() or type(error).__name__, 240, placeholder=" …")
