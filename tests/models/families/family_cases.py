"""A small random law of every family, and what it should be: by enumeration, and by formulas of its own."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from science_cases import generator
from torch import Tensor

from cdmrun.models.families import JointDistribution, families, make_head
from cdmrun.models.families.markov import FARTHEST

V, L, WIDTH, BATCH = 3, 3, 6, 4
MASK = V
OPTIONS: dict[str, dict[str, Any]] = {
    "mixture": {"components": 3, "rank": 4},
    "hmm": {"states": 3},
    "autoregressive": {"window": 2, "hidden": 5},
    "markov": {"order": 2, "hidden": 5},
}
SEQUENCES = list(itertools.product(range(V), repeat=L))
#: x_t and what is spoken of: everything masked; a token known; a masked position left out; nothing spoken.
FIXED = torch.tensor([[MASK, MASK, MASK], [MASK, 1, MASK], [MASK, MASK, 2], [0, MASK, MASK]])
SPOKEN = torch.tensor([[True, True, True], [True, False, True], [True, False, False], [False, False, False]])


def make_law(kind: str, dtype: torch.dtype = torch.float64, scale: float = 1.5) -> JointDistribution:
    """A law with random parameters everywhere, for four rows with different spoken positions."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        head = make_head(kind, V, L, WIDTH, **OPTIONS.get(kind, {})).to(dtype).requires_grad_(False)
        for parameter in head.parameters():
            torch.nn.init.normal_(parameter, std=0.7)
        features = torch.randn(BATCH, L, WIDTH, dtype=dtype)
        unary = scale * torch.randn(BATCH, L, V, dtype=dtype)
    return head(features, unary, FIXED, SPOKEN)


def spoken_sequences(row: int) -> list[tuple[int, ...]]:
    """Every sequence that agrees with `FIXED` where nothing is spoken."""
    choices = [range(V) if SPOKEN[row, i] else [int(FIXED[row, i])] for i in range(L)]
    return list(itertools.product(*choices))


def table(law: JointDistribution, row: int) -> dict[tuple[int, ...], float]:
    """Probability of each possible sequence of a row, by `log_prob` alone."""
    rows = spoken_sequences(row)
    log_probs = law.select(torch.full((len(rows),), row)).log_prob(torch.tensor(rows))
    return dict(zip(rows, log_probs.double().exp().tolist(), strict=True))


every_family = pytest.mark.parametrize("kind", sorted(families()))


def random_weights() -> Tensor:
    """Random log-weights [BATCH, L, V], one token all but forbidden."""
    log_w = torch.randn(BATCH, L, V, dtype=torch.float64, generator=generator(8))
    log_w[:, 0, 1] = -690.0
    return log_w


def enumerated_expectation(law: JointDistribution, log_w: Tensor, row: int) -> float:
    """log Σ_x q(x) Π_{i spoken} w_i(x^i)."""
    total = 0.0
    for x, p in table(law, row).items():
        total += p * math.exp(sum(float(log_w[row, i, x[i]]) for i in range(L) if SPOKEN[row, i]))
    return math.log(total)


def _softmax(x: np.ndarray) -> np.ndarray:
    weights = np.exp(x - x.max())
    return weights / weights.sum()


def _factorized(law: Any, row: int, x: tuple[int, ...]) -> float:
    return math.prod(float(law.log_probs[row, i, x[i]].exp()) for i in range(L) if SPOKEN[row, i])


def _mixture(law: Any, row: int, x: tuple[int, ...]) -> float:
    weights, log_probs = law.log_weights[row].exp().numpy(), law.log_probs(law.component)[row].numpy()
    return sum(
        weights[m] * math.prod(math.exp(log_probs[i, m, x[i]]) for i in range(L) if SPOKEN[row, i])
        for m in range(len(weights))
    )


def _hidden_markov(law: Any, row: int, x: tuple[int, ...]) -> float:
    b, u = law.start[row].numpy(), law.unary[row].numpy()
    log_transition, log_emission = law.transition.log().numpy(), law.emission.log().numpy()
    states, total = len(log_transition), 0.0
    for path in itertools.product(range(states), repeat=L):
        p = _softmax(b[0])[path[0]]
        for i in range(1, L):
            p *= _softmax(log_transition[path[i - 1]] + b[i])[path[i]]
        for i in range(L):
            if SPOKEN[row, i]:
                p *= _softmax(u[i] + log_emission[path[i]])[x[i]]
        total += p
    return total


def _autoregressive(law: Any, row: int, x: tuple[int, ...]) -> float:
    head, p = law.head, 1.0
    weight, bias = head.output.weight.numpy(), head.output.bias.numpy()
    for i in range(L):
        if not SPOKEN[row, i]:
            continue
        hidden = law.hidden[row, i].numpy().copy()
        for back in range(head.window):
            position = i - 1 - back
            if position < 0:
                token = V + 1
            else:
                token = x[position] if SPOKEN[row, position] else int(FIXED[row, position])
            hidden += head.previous[back, token].numpy()
        gelu = np.array([0.5 * h * (1 + math.erf(h / math.sqrt(2))) for h in hidden])
        p *= _softmax(law.unary[row, i].numpy() + weight @ gelu + bias)[x[i]]
    return p


def _markov(law: Any, row: int, x: tuple[int, ...]) -> float:
    head, p, before = law.head, 1.0, [-1]
    weight, bias = head.output.weight.numpy(), head.output.bias.numpy()
    for i in SPOKEN[row].nonzero()[:, 0].tolist():
        seen = [x[j] if j >= 0 else V for j in (before[::-1] + [-1] * head.order)[: head.order]]
        logits = law.unary[row, i].numpy().copy()
        for j in range(1, head.order + 1):
            starts = j >= len(before)  # nothing is that far back
            skipped = FARTHEST if starts else min(i - before[-j] - j, FARTHEST - 1)
            gate = law.gates[row, i, j - 1].item() * head.reach[j - 1, skipped].item()
            if j == 1:
                hidden = law.hidden[row, i] + head.previous[seen[0]] + head.near[skipped]
                gelu = np.array([0.5 * h * (1 + math.erf(h / math.sqrt(2))) for h in hidden.tolist()])
                logits += gate * (weight @ gelu + bias)
            else:
                code = sum(seen[m] * (V + 1) ** m for m in range(j))
                logits += gate * head.tables[j - 2][code].numpy()
        p *= _softmax(logits)[x[i]]
        before.append(i)
    return p


def _joint(law: Any, row: int, x: tuple[int, ...]) -> float:
    probabilities = law.log_probs[row].exp().tolist()
    return sum(
        p
        for y, p in zip(SEQUENCES, probabilities, strict=True)
        if all(y[i] == x[i] for i in range(L) if SPOKEN[row, i])
    )


FORMULAS: dict[str, Callable[[Any, int, tuple[int, ...]], float]] = {
    "factorized": _factorized,
    "mixture": _mixture,
    "hmm": _hidden_markov,
    "autoregressive": _autoregressive,
    "markov": _markov,
    "joint": _joint,
}
