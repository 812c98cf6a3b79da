"""The mathematics of discrete diffusion by explicit enumeration: slow, obvious, and independent of the package.

Numpy loops over every sequence; nothing of cdmrun is imported. Tests compare the package with this.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
from scipy.linalg import expm

Array = np.ndarray
#: K_{t|s} as a matrix, rows index the earlier state.
Kernel = Callable[[float, float], Array]


def alpha(kind: str, t: float, alpha_min: float = 0.0, sigma_min: float = 1e-4, sigma_max: float = 20.0) -> float:
    """Survival probability of a schedule."""
    if kind == "loglinear":
        return 1.0 - (1.0 - alpha_min) * t
    if kind == "cosine":
        return alpha_min + (1.0 - alpha_min) * (1.0 - math.cos(math.pi / 2 * (1.0 - t)))
    if kind == "constant":
        return math.exp(-sigma_max * t)
    assert kind == "geometric"
    return math.exp(-(sigma_min ** (1 - t) * sigma_max**t - sigma_min))


def sigma_bar(kind: str, t: float, alpha_min: float = 0.0, sigma_min: float = 1e-4, sigma_max: float = 20.0) -> float:
    """−log α_t, to all digits at small t too."""
    if kind in ("loglinear", "cosine"):
        lost = (1.0 - alpha_min) * (t if kind == "loglinear" else math.sin(math.pi / 2 * t))
        return -math.log1p(-lost) if lost < 1.0 else math.inf
    return sigma_max * t if kind == "constant" else sigma_min * math.expm1(t * math.log(sigma_max / sigma_min))


def named_generator(kind: str, size: int, **options: float) -> Array:
    """The generator of a named process by its definition, jump by jump; its slowest mode decays at rate one.

    ``gaussian`` has ``width``; ``birth_death`` none; ``block`` has ``blocks`` and ``within``; ``hky85`` has ``kappa``
    and the frequencies ``A``, ``C``, ``G``, ``T``.
    """
    rates = np.zeros((size, size))
    for a, b in itertools.permutations(range(size), 2):
        if kind == "gaussian":
            rates[a, b] = math.exp(-0.5 * ((a - b) / (options["width"] * (size - 1))) ** 2)
        elif kind == "birth_death":
            rates[a, b] = abs(a - b) == 1
        elif kind == "block":
            home = [x for x in range(size) if _block(x, size, options) == _block(a, size, options)]
            stays = options["within"] if len(home) > 1 else 0.0
            rates[a, b] = stays / (len(home) - 1) if b in home else (1 - stays) / (size - len(home))
        else:
            assert kind == "hky85"
            rates[a, b] = options["ACGT"[b]] * (options["kappa"] if {"ACGT"[a], "ACGT"[b]} in PAIRS else 1.0)
    generator = rates - np.diag(rates.sum(1))
    return generator / np.sort(-np.linalg.eigvals(generator).real)[1]


#: Purines and pyrimidines.
PAIRS = ({"A", "G"}, {"C", "T"})


def _block(x: int, size: int, options: dict[str, float]) -> int:
    return int(x * options["blocks"] // size)


def interpolating_generator(pi: Array) -> Array:
    """Q = 1 πᵀ − I."""
    return np.outer(np.ones(len(pi)), pi) - np.eye(len(pi))


def interpolating_kernel(pi: Array, alpha_of: Callable[[float], float]) -> Kernel:
    """Keep with probability α_t/α_s, else draw from π."""

    def kernel(s: float, t: float) -> Array:
        keep = alpha_of(t) / alpha_of(s) if alpha_of(s) > 0 else 1.0
        return np.array([[keep * (a == b) + (1 - keep) * pi[b] for b in range(len(pi))] for a in range(len(pi))])

    return kernel


def generator_kernel(generator: Array, alpha_of: Callable[[float], float]) -> Kernel:
    """exp((σ̄_t − σ̄_s) Q)."""
    return lambda s, t: expm(math.log(alpha_of(s) / alpha_of(t)) * generator)


def positive_kernel(generator: Array, sigma_of: Callable[[float], float]) -> Kernel:
    """The same with all digits of entries that are small: the Taylor series of the non-negative matrix Q + qI."""
    rate = -np.diag(generator).min()
    shifted = generator + rate * np.eye(len(generator))

    def kernel(s: float, t: float) -> Array:
        elapsed = sigma_of(t) - sigma_of(s)
        halvings = max(0, math.ceil(math.log2(max(rate * elapsed, 1e-9))))
        term = total = np.eye(len(generator))
        for n in range(1, 60):
            term = term @ shifted * (elapsed / 2**halvings / n)
            total = total + term
        total = total * math.exp(-rate * elapsed / 2**halvings)
        for _ in range(halvings):
            total = total @ total
        return total / total.sum(1, keepdims=True)

    return kernel


def sequences(symbols: int, length: int) -> list[tuple[int, ...]]:
    """All sequences, the last position varying fastest."""
    return list(itertools.product(range(symbols), repeat=length))


class Reference:
    """Everything about one table p_0 under one process, by enumeration.

    Parameters
    ----------
    kernel
        K_{t|s} of one position.
    generator
        Q at unit rate.
    table
        p_0 of shape (V, …, V).
    """

    def __init__(self, kernel: Kernel, generator: Array, table: Array) -> None:
        self.kernel = kernel
        self.generator = generator
        self.table = table
        self.V, self.L, self.C = table.shape[0], table.ndim, len(generator)
        self.clean = sequences(self.V, self.L)
        self.states = sequences(self.C, self.L)
        self.index = {x: n for n, x in enumerate(self.states)}

    def joint_kernel(self, s: float, t: float, clean_only: bool = False) -> Array:
        """P(x_t | x_s) of whole sequences."""
        one = self.kernel(s, t)
        rows = self.clean if clean_only else self.states
        return np.array([[math.prod(one[a, b] for a, b in zip(x, y, strict=True)) for y in self.states] for x in rows])

    def p_0(self) -> Array:
        return np.array([self.table[x] for x in self.clean])

    def law(self, t: float) -> Array:
        """p_t over all C^L states."""
        return self.p_0() @ self.joint_kernel(0.0, t, clean_only=True)

    def posterior(self, x_t: tuple[int, ...], t: float) -> Array:
        """p_{0|t}(· | x_t) over the V^L clean sequences; NaN where p_t(x_t) = 0."""
        one = self.kernel(0.0, t)
        joint = np.array(
            [self.table[x] * math.prod(one[a, b] for a, b in zip(x, x_t, strict=True)) for x in self.clean]
        )
        return joint / joint.sum() if joint.sum() > 0 else np.full(len(joint), np.nan)

    def conditionals(self, x_t: tuple[int, ...], t: float) -> Array:
        """c_i(a | x_t), [L, V]."""
        result = np.zeros((self.L, self.V))
        for x, p in zip(self.clean, self.posterior(x_t, t), strict=True):
            for i, a in enumerate(x):
                result[i, a] += p
        return result

    def ratios(self, x_t: tuple[int, ...], t: float, law: Array | None = None) -> Array:
        """r_i(y | x_t) = p_t(x_t with y at i) / p_t(x_t), [L, C]."""
        p_t = self.law(t) if law is None else law
        result = np.zeros((self.L, self.C))
        for i in range(self.L):
            for y in range(self.C):
                result[i, y] = p_t[self.index[(*x_t[:i], y, *x_t[i + 1 :])]] / p_t[self.index[x_t]]
        return result

    def reverse(self, s: float, t: float) -> Array:
        """p_{s|t}(x_s | x_t) by Bayes, [x_t, x_s]; rows of impossible x_t are NaN."""
        joint = self.law(s)[:, None] * self.joint_kernel(s, t)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (joint / joint.sum(0)).T

    def analytic(self, s: float, t: float) -> Array:
        """The product of the per-position marginals of p_{s|t}, [x_t, x_s]."""
        exact = self.reverse(s, t)
        rows = np.zeros_like(exact)
        for n in range(len(self.states)):
            single = np.zeros((self.L, self.C))
            for x_s, p in zip(self.states, exact[n], strict=True):
                for i, b in enumerate(x_s):
                    single[i, b] += p
            rows[n] = self.product(single)
        return rows

    def product(self, single: Array) -> Array:
        """Law over all states of independent positions with laws [L, C]."""
        return np.array([math.prod(single[i, b] for i, b in enumerate(x)) for x in self.states])

    def bridge(self, a: int, y: int, s: float, t: float) -> Array:
        """P(x_s = · | x_0 = a, x_t = y) of one position; zeros if impossible."""
        path = self.kernel(0.0, s)[a] * self.kernel(s, t)[:, y]
        return path / path.sum() if path.sum() > 0 else path

    def through_bridge(self, q: Array, x_t: tuple[int, ...], s: float, t: float) -> Array:
        """Σ_{x_0} q(x_0) Π_i bridge_i over all states x_s."""
        bridges = [[self.bridge(a, x_t[i], s, t) for a in range(self.V)] for i in range(self.L)]
        result = np.zeros(len(self.states))
        for x_0, weight in zip(self.clean, q, strict=True):
            for n, x_s in enumerate(self.states):
                result[n] += weight * math.prod(bridges[i][x_0[i]][x_s[i]] for i in range(self.L))
        return result

    def variational_bound(self, prior: Array, grid: list[float], rows: list[Array]) -> float:
        """E KL(x_1 | x_0 ‖ π) + Σ E [log q(x_s | x_0, x_t) − log p̂(x_s | x_t)], nats.

        ``rows[k]`` is the kernel from grid[k+1] down to grid[k].
        """
        total = 0.0
        last = self.kernel(0.0, 1.0)
        for x_0 in self.clean:
            for a in x_0:
                kl = sum(last[a, b] * math.log(last[a, b] / prior[b]) for b in range(self.C) if last[a, b] > 0)
                total += self.table[x_0] * kl
        for k, kernel_rows in enumerate(rows):
            s, t = grid[k], grid[k + 1]
            first, second = self.joint_kernel(0.0, s, clean_only=True), self.joint_kernel(s, t)
            for n, x_0 in enumerate(self.clean):
                path = self.table[x_0] * first[n][:, None] * second  # [x_s, x_t]
                ends = path.sum(0)
                for i, j in zip(*np.nonzero(path), strict=True):
                    total += path[i, j] * (math.log(path[i, j] / ends[j]) - math.log(kernel_rows[j, i]))
        return total


def walk(prior: Array, length: int, rows: list[Array]) -> Array:
    """The law after the last of ``rows`` (given from t = 0 up) starting from independent draws of ``prior``."""
    law = np.array([math.prod(prior[b] for b in x) for x in sequences(len(prior), length)])
    for kernel in reversed(rows):
        possible = law > 0
        law = law[possible] @ kernel[possible]
    return law


def leap(x: int, expected: Array, poisson: bool) -> Array:
    """Law of one position after a τ-leap with the given expected jumps to each state."""
    if not poisson:
        total = expected.sum()
        law = np.zeros(len(expected))
        law[x] = math.exp(-total)
        return law + (-math.expm1(-total) * expected / total if total > 0 else 0.0)
    reach = 150  # the most jumps of one size that are counted
    offset = 0
    sums = np.ones(1)
    for y, mean in enumerate(expected):
        if y == x or mean == 0:
            continue
        counts = np.exp([n * math.log(mean) - mean - math.lgamma(n + 1) for n in range(reach)])
        size = y - x
        spread = np.zeros(abs(size) * (reach - 1) + 1)
        spread[:: abs(size)] = counts if size > 0 else counts[::-1]
        sums = np.convolve(sums, spread)
        offset += min(0, size * (reach - 1))
    law = np.zeros(len(expected))
    for n, p in enumerate(sums):
        law[min(max(x + offset + n, 0), len(expected) - 1)] += p
    return law
