"""Four-part chorales as music: how far each voice ranges, how its notes sound together, how long they are held."""

from __future__ import annotations

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cdmrun.data.dataset import Dataset

VOICES = 4
REST = -1
#: What a token means that is no pitch and holds the note before it.
HOLD = "hold"
#: Intervals in semitones, octaves aside: seconds, sevenths and the tritone.
_DISSONANT = (1, 2, 6, 10, 11)


class Score(NamedTuple):
    """What the voices sing: MIDI pitches [n, voices, steps], `REST` where one is silent, and where notes begin."""

    pitches: npt.NDArray[np.int64]
    begins: npt.NDArray[np.bool_]


def read_score(samples: npt.NDArray[np.integer[Any]], dataset: Dataset) -> Score:
    """Tokens [n, 4 · steps], voice after voice, as pitches.

    A token is spelled as a MIDI number, as ``hold``, or as anything else, which is a rest; so is a mask. Where none is
    ``hold``, a note is taken to last as long as its pitch stays the same.
    """
    alphabet = tuple(dataset.alphabet or ())
    meaning = np.array([*(int(name) if name.isdigit() else REST for name in alphabet), REST])
    holds = np.array([*(name == HOLD for name in alphabet), False])
    tokens = np.minimum(samples, len(alphabet)).reshape(len(samples), VOICES, -1)
    pitches, held = meaning[tokens], holds[tokens]
    for step in range(1, pitches.shape[2]):
        pitches[:, :, step] = np.where(held[:, :, step], pitches[:, :, step - 1], pitches[:, :, step])
    changes = np.ones(pitches.shape, np.bool_)
    changes[:, :, 1:] = pitches[:, :, 1:] != pitches[:, :, :-1]
    begins = (changes | ~held) if holds.any() else changes
    begins[:, :, 0] = True
    return Score(pitches, begins & (pitches != REST))


def ranges(score: Score) -> list[npt.NDArray[np.int64]]:
    """For each voice the semitones from its lowest to its highest note in each sample where it sings."""
    sounding = score.pitches != REST
    low = np.where(sounding, score.pitches, np.iinfo(np.int64).max).min(axis=2)
    high = np.where(sounding, score.pitches, np.iinfo(np.int64).min).max(axis=2)
    sings = sounding.any(axis=2)
    return [(high - low)[sings[:, voice], voice] for voice in range(VOICES)]


def range_distance(samples: Score, real: Score) -> float:
    """Wasserstein distance in semitones between the laws of a voice's range, mean over voices.

    A voice that is silent in all samples of one side is at an infinite distance.
    """
    from scipy.stats import wasserstein_distance

    pairs = zip(ranges(samples), ranges(real), strict=True)
    return float(np.mean([wasserstein_distance(a, b) if len(a) and len(b) else np.inf for a, b in pairs]))


def dissonance(score: Score) -> npt.NDArray[np.float64]:
    """Share of the intervals of each sample that are dissonant, [n]; of a silent one 0.

    Intervals are those of every two voices that sing at the same time, step by step.
    """
    dissonant, sounding = np.zeros(len(score.pitches)), np.zeros(len(score.pitches))
    for first, second in combinations(range(VOICES), 2):
        one, other = score.pitches[:, first], score.pitches[:, second]
        both = (one != REST) & (other != REST)
        dissonant += (both & np.isin(np.abs(one - other) % 12, _DISSONANT)).sum(axis=1)
        sounding += both.sum(axis=1)
    return np.divide(dissonant, sounding, out=np.zeros_like(dissonant), where=sounding > 0)


def note_lengths(score: Score) -> npt.NDArray[np.int64]:
    """How often a note that lasts i steps is followed by one of j, [steps + 1, steps + 1], all voices together.

    The window cuts notes at its ends. Pairs rather than single notes, because where notes mostly begin in a bar is a
    property of each step alone, and already gives the law of single lengths nearly away.
    """
    samples, voices, steps = score.pitches.shape
    # every change is an end as well, also one to a rest
    edges = score.begins.copy()
    edges[:, :, 1:] |= score.pitches[:, :, 1:] != score.pitches[:, :, :-1]
    edges[:, :, 0] = True
    flat = np.flatnonzero(edges.reshape(-1))  # voices follow one another, and each begins with an edge
    lengths = np.diff(np.append(flat, samples * voices * steps))
    is_note = score.begins.reshape(-1)[flat]
    follows = is_note[:-1] & is_note[1:] & (flat[:-1] // steps == flat[1:] // steps)
    counts = np.zeros((steps + 1, steps + 1), np.int64)
    np.add.at(counts, (lengths[:-1][follows], lengths[1:][follows]), 1)
    return counts


def length_distance(samples: Score, real: Score) -> float:
    """Total variation distance between the laws of the lengths of two successive notes; 1 where one side has none."""
    p, q = note_lengths(samples), note_lengths(real)
    if not p.sum() or not q.sum():
        return 1.0
    return 0.5 * float(np.abs(p / p.sum() - q / q.sum()).sum())
