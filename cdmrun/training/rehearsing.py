"""A first step that is forgotten, so that all is compiled before one counts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from cdmrun.errors import UserError
from cdmrun.models.compiling import reason, warn_without


def rehearse(
    model: nn.Module,
    objective: Callable[[torch.Generator], Tensor],
    generator: torch.Generator,
    warn: bool = True,
    sharded: bool = False,
) -> None:
    """Take the gradient of one step and forget it, so that all is compiled.

    If that does not work, this process compiles nothing any more, and what should be compiled is run as it was written.

    Raises
    ------
    UserError
        If that does not work with shards: they are exchanged in each call, so that a process which broke one off and
        went on would be out of step with the others.
    """
    try:
        objective(generator).backward()
    except UserError:
        raise
    except Exception as error:
        if sharded:
            raise UserError(
                f"torch.compile does not work here: {reason(error)}", "leave out train.compile, or train.shard"
            ) from error
        torch.compiler.set_stance("force_eager")
        if warn:
            warn_without(error, "training")
    finally:
        model.zero_grad(set_to_none=True)
