"""The processes other than uniform and absorbing as specs name them: a generator with a schedule.

Each is called with the number of tokens, a schedule and the options of its kind; some kinds fix the number of tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from cdmrun.processes import generators
from cdmrun.processes.matrix import Matrix
from cdmrun.processes.schedules import Schedule


def matrix(vocabulary: int, schedule: Schedule, generator: Sequence[Sequence[float]]) -> Matrix:
    """Rates of your own; as many tokens as they have rows."""
    return Matrix(torch.tensor(generator, dtype=torch.float64), schedule, "matrix")


def hky85(vocabulary: int, schedule: Schedule, kappa: float, frequencies: Sequence[float]) -> Matrix:
    """Nucleotide substitution; four tokens."""
    return Matrix(generators.hky85(kappa, frequencies), schedule, "hky85")


def gaussian(vocabulary: int, schedule: Schedule, width: float) -> Matrix:
    """Jumps between ordinal levels, to near ones more often."""
    return Matrix(generators.discretised_gaussian(vocabulary, width), schedule, "gaussian")


def birth_death(vocabulary: int, schedule: Schedule) -> Matrix:
    """Ordinal levels, up or down by one."""
    return Matrix(generators.birth_death(vocabulary), schedule, "birth_death")


def block(vocabulary: int, schedule: Schedule, blocks: int, within: float) -> Matrix:
    """Jumps mostly within blocks of tokens."""
    return Matrix(generators.block(vocabulary, blocks, within), schedule, "block")
