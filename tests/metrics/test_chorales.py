"""What is read out of four voices: against loops that read them step by step, and by hand."""

from __future__ import annotations

from itertools import combinations, groupby

import numpy as np
import pytest

from cdmrun.data import Dataset
from cdmrun.metrics import chorales
from cdmrun.metrics.chorales import REST, Score, read_score

STEPS = 16


def music(alphabet: tuple[str, ...], count: int = 3) -> tuple[np.ndarray, Dataset]:
    """Tokens at random, and a data set that spells them."""
    tokens = np.random.default_rng(0).integers(0, len(alphabet), (count, 4 * STEPS)).astype(np.uint8)
    data = Dataset("made-up", len(alphabet), 4 * STEPS, {}, None, False, alphabet, None, "made up", "none")
    return tokens, data


def notes_step_by_step(names: list[str], holds: bool) -> list[tuple[int, int]]:
    """(pitch, length) of the notes of one voice, read from left to right; rests are left out."""
    notes: list[list[int]] = []
    for name in names:
        if name == "hold" and notes:
            notes[-1][1] += 1
        else:
            notes.append([int(name) if name.isdigit() else REST, 1])
    if holds:
        merged = notes  # a note struck twice is two
    else:
        merged = [[pitch, sum(length for _, length in run)] for pitch, run in groupby(notes, key=lambda note: note[0])]
    return [(pitch, length) for pitch, length in merged if pitch != REST]


@pytest.mark.parametrize("alphabet", [("rest", "60", "62", "64"), ("hold", "rest", "55", "60")])
def test_notes_are_those_of_a_reader(alphabet: tuple[str, ...]) -> None:
    tokens, data = music(alphabet)
    score = read_score(tokens, data)
    counts = np.zeros(STEPS + 1, int)
    for sample in range(len(tokens)):
        voices = [[alphabet[token] for token in voice] for voice in tokens[sample].reshape(4, STEPS)]
        for number, names in enumerate(voices):
            notes = notes_step_by_step(names, "hold" in alphabet)
            assert score.begins[sample, number].sum() == len(notes)
            for _, length in notes:
                counts[length] += 1
    np.testing.assert_array_equal(chorales.note_lengths(score), counts)


def test_dissonance_against_loops() -> None:
    tokens, data = music(("rest", *map(str, range(48, 80))))
    score = read_score(tokens, data)
    for sample, found in enumerate(chorales.dissonance(score)):
        intervals = [
            abs(int(score.pitches[sample, a, step]) - int(score.pitches[sample, b, step])) % 12
            for a, b in combinations(range(4), 2)
            for step in range(STEPS)
            if REST not in (score.pitches[sample, a, step], score.pitches[sample, b, step])
        ]
        assert found == pytest.approx(sum(i in (1, 2, 6, 10, 11) for i in intervals) / len(intervals))


def chord(*pitches: int, count: int = 2) -> Score:
    """Samples that hold one chord for all their steps."""
    held = np.tile(np.array(pitches)[None, :, None], (count, 1, STEPS))
    begins = np.zeros(held.shape, bool)
    begins[:, :, 0] = True
    return Score(held, begins)


def test_chords_by_hand() -> None:
    major, cluster = chord(67, 64, 60, 48), chord(63, 62, 61, 60)
    assert chorales.dissonance(major).tolist() == [0.0, 0.0]
    assert chorales.dissonance(cluster)[0] == pytest.approx(5 / 6)  # all but the minor third between the outer voices
    assert chorales.dissonance(chord(REST, REST, REST, 48)).tolist() == [0.0, 0.0]
    assert chorales.note_lengths(major).tolist() == [0] * STEPS + [8]
    assert chorales.length_distance(major, cluster) == 0.0


def test_distances_are_zero_to_oneself_and_grow() -> None:
    tokens, data = music(("hold", "rest", *map(str, range(48, 80))), 40)
    score = read_score(tokens, data)
    assert chorales.range_distance(score, score) == 0.0
    assert chorales.length_distance(score, score) == 0.0
    wider = Score(np.where(score.pitches == REST, REST, 2 * score.pitches), score.begins)
    mean_range = np.mean([voice.mean() for voice in chorales.ranges(score)])
    assert chorales.range_distance(wider, score) == pytest.approx(mean_range)  # every range twice as wide
    silent = Score(np.full_like(score.pitches, REST), np.zeros_like(score.begins))
    assert chorales.range_distance(silent, score) == np.inf
    assert chorales.length_distance(silent, score) == 1.0
