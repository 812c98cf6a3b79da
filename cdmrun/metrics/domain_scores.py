"""Metrics of molecules, images and chorales as a job asks for them; how each is computed is in modules of its own."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from cdmrun.metrics import chorales, molecules
from cdmrun.metrics.features import Features
from cdmrun.metrics.image_features import ImageFeatures
from cdmrun.metrics.scoring import SampleSet, Score


def validity(found: SampleSet) -> Score:
    """Share of the samples that are molecules."""
    share, count = molecules.validity(_molecules(found)), len(found.samples)
    return Score(share, share_error(share, count))


def share_error(share: float, count: int) -> float:
    """Standard error of a share of ``count`` samples after Agresti and Coull: none of many is not never for certain.

    >>> share_error(0.5, 96), share_error(0.0, 96)
    (0.05, 0.014)
    """
    middle = (share * count + 2.0) / (count + 4.0)
    return math.sqrt(middle * (1.0 - middle) / (count + 4.0))


def uniqueness(found: SampleSet) -> float:
    """Share of different molecules among the samples that are molecules."""
    return molecules.uniqueness(_molecules(found))


def novelty_molecules(found: SampleSet) -> float:
    """Share of the different molecules that are not in the training data."""
    return molecules.novelty(_molecules(found), found.dataset)


def fcd(found: SampleSet) -> float:
    """Fréchet ChemNet distance to held-out molecules."""
    return _features(found).distance(found.samples, found.dataset)


def frechet(found: SampleSet) -> float:
    """Fréchet distance to held-out images in the frozen feature network."""
    return _features(found).distance(found.samples, found.dataset)


def class_entropy(found: SampleSet) -> float:
    """Entropy in bits of the classes that the feature network gives the samples."""
    shares = np.bincount(_network(found).classify(found.samples)) / len(found.samples)
    return float(-(shares[shares > 0] * np.log2(shares[shares > 0])).sum()) + 0.0


def class_information(found: SampleSet) -> float:
    """Bits that an image tells of its class: entropy of the mean class law less mean entropy of an image's."""
    laws = _network(found).class_laws(found.samples).astype(np.float64)
    laws = laws[np.lexsort(laws.T)]  # so that the order of the samples changes no digit
    return float(_entropy(laws.mean(axis=0)) - _entropy(laws).mean())


def voice_range(found: SampleSet) -> float:
    """Distance in semitones between the ranges of voices here and in held-out pieces."""
    return chorales.range_distance(_score(found), _held_out(found))


def dissonance(found: SampleSet) -> Score:
    """Share of simultaneous intervals that are dissonant."""
    shares = np.sort(chorales.dissonance(_score(found)))
    return Score(float(shares.mean()), float(shares.std(ddof=1) / math.sqrt(len(shares))))


def note_lengths(found: SampleSet) -> float:
    """Total variation distance between the lengths of notes here and in held-out pieces."""
    return chorales.length_distance(_score(found), _held_out(found))


def _molecules(found: SampleSet) -> list[str | None]:
    return molecules.canonical_smiles(found.samples, found.dataset)


def _features(found: SampleSet) -> Features:
    assert found.features is not None, "the plan gives features to whoever asks for this"
    return found.features


def _network(found: SampleSet) -> ImageFeatures:
    network = _features(found).network
    assert network is not None, "checked by the spec"
    return network


def _entropy(laws: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Bits of laws along the last axis."""
    found: npt.NDArray[np.float64] = -(laws * np.log2(np.where(laws > 0, laws, 1.0))).sum(axis=-1)
    return found


def _score(found: SampleSet) -> chorales.Score:
    return chorales.read_score(found.samples, found.dataset)


def _held_out(found: SampleSet) -> chorales.Score:
    return chorales.read_score(found.dataset.splits["test"], found.dataset)
