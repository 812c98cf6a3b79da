"""Small state spaces written out: every state of C^L, and kernels and laws over all of them."""

from __future__ import annotations

import torch
from torch import Tensor

from cdmrun.errors import UserError
from cdmrun.limits import MAX_STATES
from cdmrun.processes.base import ForwardProcess


def check_enumerable(symbols: int, length: int) -> int:
    """symbols^length, or a `UserError` if that is more than `MAX_STATES`."""
    count = symbols**length
    if count > MAX_STATES:
        raise UserError(
            f"{symbols} states at {length} positions are {count:.3g} joint states; at most {MAX_STATES:,} can be "
            "enumerated",
            "use a smaller target, or drop the metrics tv, kl and nll and the joint family",
        )
    return int(count)


def enumerate_states(symbols: int, length: int) -> Tensor:
    """Every sequence, int64 [symbols^length, length], in row-major order (the last position varies fastest)."""
    check_enumerable(symbols, length)
    return torch.cartesian_prod(*[torch.arange(symbols)] * length).reshape(-1, length)


def state_codes(x: Tensor, symbols: int) -> Tensor:
    """The row of `enumerate_states` in which each sequence stands, int64 [...]."""
    powers = symbols ** torch.arange(x.shape[-1] - 1, -1, -1, device=x.device)
    return (x * powers).sum(-1)


def joint_kernel(process: ForwardProcess, length: int, s: float, t: float) -> Tensor:
    """K_{t|s} of whole sequences, float64 [C^L, C^L]: the Kronecker power of the one-position kernel."""
    one = process.kernel(s, t)
    kernel = one
    for _ in range(length - 1):
        kernel = torch.kron(kernel, one)
    return kernel


def push_table(process: ForwardProcess, table: Tensor, t: float) -> Tensor:
    """p_t over C^L states for a table p_0 of shape (V, …, V), float64 [C^L]."""
    rows = process.kernel(0.0, t)[: process.vocabulary]
    law = table.double()
    for _ in range(law.ndim):
        law = torch.tensordot(law, rows, dims=([0], [0]))  # moves each axis to the end in turn
    return law.reshape(-1)
