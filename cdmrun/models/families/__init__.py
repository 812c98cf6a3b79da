"""Student families: tractable joint laws whose parameters come from one network call (docs/families.md)."""

from __future__ import annotations

from typing import Any

from cdmrun.models.families.autoregressive import Autoregressive, AutoregressiveHead
from cdmrun.models.families.base import Head, JointDistribution
from cdmrun.models.families.factorized import Factorized, FactorizedHead
from cdmrun.models.families.hmm import HiddenMarkov, HiddenMarkovHead
from cdmrun.models.families.joint import Joint, JointHead
from cdmrun.models.families.markov import Markov, MarkovHead
from cdmrun.models.families.mixture import Mixture, MixtureHead
from cdmrun.registry import implementation, names


def families() -> tuple[str, ...]:
    """The families that specs can name, those of plugins included."""
    return names("family")


def make_head(kind: str, vocabulary: int, length: int, width: int, **options: Any) -> Head:
    """Build the head of a family by its spec name; ``options`` are the family's own (states, components, …)."""
    head: Head = implementation("family", kind)(vocabulary, length, width, **options)
    return head


__all__ = [
    "Autoregressive",
    "AutoregressiveHead",
    "Factorized",
    "FactorizedHead",
    "Head",
    "HiddenMarkov",
    "HiddenMarkovHead",
    "Joint",
    "JointDistribution",
    "JointHead",
    "Markov",
    "MarkovHead",
    "Mixture",
    "MixtureHead",
    "families",
    "make_head",
]
