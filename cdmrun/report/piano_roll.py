"""Chorales as piano rolls: time to the right, pitch upwards, a colour a voice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cdmrun.data.dataset import Dataset
from cdmrun.metrics.chorales import REST, Score, read_score

#: Soprano, alto, tenor, bass.
COLOURS = ((213, 94, 0), (0, 158, 115), (0, 114, 178), (120, 70, 140))
LOWEST, HIGHEST = 36, 84
_STEP, _PITCH = 4, 2  # pixels
_GAP = 6


def draw_rolls(tokens: np.ndarray, dataset: Dataset) -> npt.NDArray[np.uint8]:
    """Samples [n, 4 · steps] below one another, the gaps transparent."""
    rolls = [draw_roll(score) for score in split(read_score(tokens, dataset))]
    gap = np.zeros((_GAP, rolls[0].shape[1], 4), np.uint8)
    return np.concatenate([part for roll in rolls for part in (roll, gap)][:-1])


def split(score: Score) -> list[Score]:
    """The samples one by one, each [voices, steps]."""
    return [Score(pitches, begins) for pitches, begins in zip(score.pitches, score.begins, strict=True)]


def draw_roll(score: Score) -> npt.NDArray[np.uint8]:
    """One sample: octaves and quarters are ruled, the first pixel of a note is lighter."""
    steps = score.pitches.shape[1]
    roll = np.full(((HIGHEST - LOWEST) * _PITCH, steps * _STEP, 4), 255, np.uint8)
    roll[:, :: 4 * _STEP, :3] = 236
    roll[-1 :: -12 * _PITCH, :, :3] = 214
    for voice in reversed(range(len(score.pitches))):  # the soprano is on top
        for step in np.flatnonzero(score.pitches[voice] != REST):
            pitch = int(np.clip(score.pitches[voice, step], LOWEST, HIGHEST - 1))
            top, left = (HIGHEST - 1 - pitch) * _PITCH, int(step) * _STEP
            roll[top : top + _PITCH, left : left + _STEP, :3] = COLOURS[voice]
            if score.begins[voice, step]:
                roll[top : top + _PITCH, left, :3] = tuple((255 + c) // 2 for c in COLOURS[voice])
    return roll
