"""Pictures of samples: what they show, that their bytes are always the same, and MIDI read back note by note."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from cdmrun.data import Dataset, load
from cdmrun.data.molecules import ALPHABET as SMILES
from cdmrun.data.molecules import encode
from cdmrun.metrics.chorales import read_score
from cdmrun.report.midi import midi_file
from cdmrun.report.pictures import draw, png
from cdmrun.report.sample_files import sample_files
from cdmrun.report.samples import SampleGrid, SampleRow, Shown

STEPS = 32


def molecules(*smiles: str) -> tuple[np.ndarray, Dataset]:
    tokens, _ = encode(list(smiles), 20)
    data = Dataset("molecules", len(SMILES), 20, {"train": tokens}, None, False, SMILES, None, "made up", "none")
    return tokens, data


def music(count: int = 2) -> tuple[np.ndarray, Dataset]:
    alphabet = ("rest", "hold", *map(str, range(40, 80)))
    tokens = np.random.default_rng(0).choice([0, 1, 1, 1, 5, 12, 30], (count, 4 * STEPS)).astype(np.uint8)
    return tokens, Dataset("chorales", 42, 4 * STEPS, {}, None, False, alphabet, None, "made up", "none")


def test_molecules_are_structures_and_others_are_shown_as_such() -> None:
    pytest.importorskip("rdkit")
    tokens, data = molecules("c1ccccc1", "CC(")
    picture, density = draw(tokens, data, "molecules")
    good, bad = np.split(picture, 2, axis=1)
    white, ground = np.full(3, 255), bad[150, 130, :3]
    assert (good[:, :, :3] == white).all(axis=2).mean() > 0.9  # thin lines
    assert not np.array_equal(ground, white)
    assert (bad[:, :, :3] == ground).all(axis=2).mean() > 0.6
    assert density > 1
    masked = tokens.copy()
    masked[0, 2] = data.vocabulary
    still, _ = draw(masked, data, "molecules")
    assert not np.array_equal(np.split(still, 2, axis=1)[0], good)


@pytest.mark.parametrize("content", ["molecules", "images", "chorales"])
def test_bytes_are_always_the_same(content: str) -> None:
    if content == "molecules":
        pytest.importorskip("rdkit")
        tokens, data = molecules("c1ccccc1", "CC(=O)O", "CC(")
    elif content == "images":
        data = load({"kind": "digits"})
        tokens = data.splits["test"][:5]
    else:
        tokens, data = music()
    one, same = (png(draw(tokens, data, content)[0]) for _ in range(2))
    assert one == same
    assert one != png(draw(tokens[::-1], data, content)[0])


def events(track: bytes) -> list[tuple[int, int, int, int]]:
    """(tick, status, first byte, second byte) of the channel events of a track."""
    place, tick, found = 0, 0, []
    while place < len(track):
        delta = 0
        while True:
            delta, more, place = delta << 7 | track[place] & 0x7F, track[place] & 0x80, place + 1
            if not more:
                break
        tick += delta
        status = track[place]
        if status == 0xFF:
            place += 3 + track[place + 2]
        elif status >> 4 == 0xC:
            place += 2
        else:
            found.append((tick, status, track[place + 1], track[place + 2]))
            place += 3
    return found


def test_midi_says_what_the_voices_sing() -> None:
    tokens, data = music(count=1)
    score = read_score(tokens, data)
    content = midi_file([type(score)(score.pitches[0], score.begins[0])])
    assert content[:14] == b"MThd" + struct.pack(">IHHH", 6, 1, 5, 480)
    place, tracks = 14, []
    while place < len(content):
        assert content[place : place + 4] == b"MTrk"
        size = int.from_bytes(content[place + 4 : place + 8], "big")
        tracks.append(content[place + 8 : place + 8 + size])
        place += 8 + size
    assert len(tracks) == 5  # the tempo, and a voice each
    for voice, track in enumerate(tracks[1:]):
        sounding = np.full(STEPS, -1)
        starts = {}
        for tick, status, pitch, _ in events(track):
            assert status & 0xF == voice
            if status >> 4 == 9:
                starts[pitch] = tick // 120
            else:
                sounding[starts.pop(pitch) : tick // 120] = pitch
        assert not starts
        np.testing.assert_array_equal(sounding, score.pitches[0, voice])


def test_a_file_a_method_with_the_step_counts_that_there_are() -> None:
    tokens, data = music()
    picture, _ = draw(tokens, data, "chorales")
    cell = Shown(picture=picture, midi=b"MThd")
    row = SampleRow("CDM, HMM", "bach-samples-hmm", 0, (cell, None, cell))
    files = sample_files(SampleGrid("image", (1, 3, 64), (row,), cell, 128, False), "bach")
    assert [file.name for file in files] == [
        "bach-samples-hmm.png",
        "bach-samples-hmm-nfe1.mid",
        "bach-samples-hmm-nfe64.mid",
        "bach-samples-held-out.mid",
    ]
    assert files[0].alt == "Samples of CDM, HMM at NFE 1, 64, beside held-out data"
    words = Shown(texts=("in the beginning",))
    text = SampleRow("CDM, HMM", "kjv-samples-hmm", 0, (words,))
    assert not sample_files(SampleGrid("text", (1,), (text,), words, 16, False), "kjv")
