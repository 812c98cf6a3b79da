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


def outer_laws(laws: Tensor) -> Tensor:
    """Laws of whole sequences whose positions are independent: [B, L, C] → [B, C^L]."""
    rows = laws[:, 0]
    for i in range(1, laws.shape[1]):
        rows = (rows.unsqueeze(-1) * laws[:, i].unsqueeze(1)).flatten(1)
    return rows


def mix_outer_laws(weights: Tensor, laws: Tensor) -> Tensor:
    """Σ_n w_n Π_i laws_{n,i}: a mixture of products as one law, weights [..., N] and laws [..., N, L, C] → [..., C^L].

    One matrix product between the two halves of the sequence; the N rows of C^L numbers are never written out.
    """
    half = laws.shape[-2] // 2
    if half == 0:
        return (weights.unsqueeze(-2) @ laws[..., 0, :]).squeeze(-2)
    *batch, count, _, states = laws.shape
    left, right = (
        outer_laws(part.reshape(-1, part.shape[-2], states)).view(*batch, count, -1)
        for part in (laws[..., :half, :], laws[..., half:, :])
    )
    return ((left * weights.unsqueeze(-1)).transpose(-1, -2) @ right).flatten(-2)
