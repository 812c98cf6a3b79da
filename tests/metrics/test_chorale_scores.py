"""What is read out of four voices: against loops that read them step by step, and by hand."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
import pytest
from fetched import load_or_skip

from cdmrun.data import Dataset
from cdmrun.metrics import chorales, domain_scores
from cdmrun.metrics.chorales import REST, Score, read_score
from cdmrun.metrics.scoring import SampleSet

STEPS = 16


def music(alphabet: tuple[str, ...], count: int = 3) -> tuple[np.ndarray, Dataset]:
    """Tokens at random, and a data set that spells them."""
    tokens = np.random.default_rng(0).integers(0, len(alphabet), (count, 4 * STEPS)).astype(np.uint8)
    data = Dataset("made-up", len(alphabet), 4 * STEPS, {}, None, False, alphabet, None, "made up", "none")
    return tokens, data


class Note(NamedTuple):
    pitch: int
    first: int
    length: int


def notes_step_by_step(names: list[str], holds: bool) -> list[Note]:
    """The notes of one voice, read from left to right; rests are left out."""
    notes: list[Note] = []
    for step, name in enumerate(names):
        pitch = int(name) if name.isdigit() else REST
        goes_on = name == "hold" if holds else bool(notes) and pitch == notes[-1].pitch
        if goes_on and notes:
            notes[-1] = notes[-1]._replace(length=notes[-1].length + 1)
        else:
            notes.append(Note(pitch, step, 1))
    return [note for note in notes if note.pitch != REST]


@pytest.mark.parametrize("alphabet", [("rest", "60", "62", "64"), ("hold", "rest", "55", "60")])
def test_notes_are_those_of_a_reader(alphabet: tuple[str, ...]) -> None:
    tokens, data = music(alphabet)
    score = read_score(tokens, data)
    counts = np.zeros((STEPS + 1, STEPS + 1), int)
    for sample in range(len(tokens)):
        voices = [[alphabet[token] for token in voice] for voice in tokens[sample].reshape(4, STEPS)]
        for number, names in enumerate(voices):
            notes = notes_step_by_step(names, "hold" in alphabet)
            assert score.begins[sample, number].sum() == len(notes)
            for one, other in pairwise(notes):
                if one.first + one.length == other.first:  # no rest between them
                    counts[one.length, other.length] += 1
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
    assert chorales.note_lengths(major).sum() == 0  # no note follows another
    assert chorales.length_distance(major, cluster) == 1.0


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


def test_real_chorales_and_independent_steps() -> None:
    data = load_or_skip(kind="chorales")
    real, rng = data.splits["test"], np.random.default_rng(0)
    train = rng.permutation(data.splits["train"])[: len(real)]

    def scores(samples: np.ndarray) -> list[float]:
        found = SampleSet(samples, data, None, 0)
        return [
            domain_scores.voice_range(found),
            domain_scores.note_lengths(found),
            abs(domain_scores.dissonance(found).value - domain_scores.dissonance(SampleSet(real, data, None, 0)).value),
        ]

    near, far = scores(train), scores(rng.permuted(real, axis=0))
    for one, other, times in zip(near, far, (3, 2, 10), strict=True):
        assert other > times * one
    assert scores(train[::-1]) == near
