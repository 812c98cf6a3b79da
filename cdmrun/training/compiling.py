"""Trunks compiled by torch.compile, in place: weights, names in checkpoints and whoever holds a model stay the same.

Only trunks are: they are the bulk of a step, and their shapes are fixed, whereas shapes in heads and losses may depend
on the data. What a compiled trunk says differs by rounding.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from textwrap import shorten

import torch
from torch import Tensor, nn

from cdmrun.errors import UserError
from cdmrun.models.trunk import Trunk

#: What torch.compile compiles with.
BACKEND = "inductor"


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


def rehearse(
    model: nn.Module, objective: Callable[[torch.Generator], Tensor], generator: torch.Generator, warn: bool = True
) -> None:
    """Take the gradient of one step and forget it, so that all is compiled.

    If that does not work, this process compiles nothing any more, and what should be compiled is run as it was written.
    """
    try:
        objective(generator).backward()
    except UserError:
        raise
    except Exception as error:  # compilers fail in many ways, and none of them is a reason not to train
        torch.compiler.set_stance("force_eager")
        if warn:
            reason = shorten(str(error).strip() or type(error).__name__, 240, placeholder=" …")
            warnings.warn(f"torch.compile does not work here, training goes on without: {reason}", stacklevel=3)
    finally:
        model.zero_grad(set_to_none=True)
