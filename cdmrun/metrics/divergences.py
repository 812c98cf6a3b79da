"""How far one law over sequences is from another, both written out; all in float64.

A sampler's law may have mass outside the data sequences (masks left over): it is given as its part inside, whose sum
then falls short of one, and every divergence counts the rest.
"""

from __future__ import annotations

import math
from itertools import combinations

import torch
from torch import Tensor

from cdmrun.processes.base import TINY


def total_variation(p: Tensor, q: Tensor) -> float:
    """½ Σ |p − q|; mass that q has elsewhere counts too. In [0, 1]."""
    return float(0.5 * ((p - q).abs().sum() + (1.0 - q.sum()).clamp_min(0.0)))


def kl_divergence(p: Tensor, q: Tensor) -> float:
    """KL(p ‖ q) in nats; infinite where q misses what p has, or p's missing mass lies outside."""
    if bool(((q <= TINY) & (p > 0)).any()) or float(p.sum()) < 1.0 - 1e-12:
        return math.inf
    return float((torch.xlogy(p, p) - torch.xlogy(p, q.clamp_min(TINY))).sum().clamp_min(0.0))


def cross_entropy(p: Tensor, q: Tensor) -> float:
    """−E_p log q in nats."""
    return kl_divergence(p, q) - float(torch.xlogy(p, p).sum())


def jensen_shannon(p: Tensor, q: Tensor) -> float:
    """½ KL(p ‖ m) + ½ KL(q ‖ m) with m = ½(p + q), in nats; from 0 to log 2."""
    outside = (1.0 - q.sum()).clamp_min(0.0)  # there m is q/2, and each unit of mass costs log 2
    mixed = (0.5 * (p + q)).clamp_min(TINY).log()
    inside = torch.xlogy(p, p) - p * mixed + torch.xlogy(q, q) - q * mixed
    return float(0.5 * (inside.sum() + outside * math.log(2.0)).clamp_min(0.0))


def marginal_variation(p: Tensor, q: Tensor, positions: int) -> float:
    """Mean total variation between the laws of every single position (1) or pair of positions (2).

    Parameters
    ----------
    p, q
        Laws of shape (V, …, V), one axis a position.
    positions
        How many positions are looked at together; no more than there are.
    """
    axes = range(p.ndim)
    distances = []
    for kept in combinations(axes, min(positions, p.ndim)):
        summed = [axis for axis in axes if axis not in kept]
        of_p, of_q = (law.sum(summed) if summed else law for law in (p, q))
        distances.append(total_variation(of_p, of_q))
    return sum(distances) / len(distances)
