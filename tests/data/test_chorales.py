"""Four voices in sixteenths: scores made up, and the chorales themselves."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fetched import load_or_skip

from cdmrun.data import chorales
from cdmrun.data.chorales import ALPHABET, HOLD, VOICES, encode, parse, tunes, windows
from cdmrun.data.musicxml import REST, read_mxl, read_voices
from cdmrun.errors import UserError


def note(pitch: str, duration: int, inside: str = "") -> str:
    """A note such as ``F4`` or ``F#4``, or ``rest``."""
    alter = "<alter>1</alter>" if "#" in pitch else ""
    height = f"<pitch><step>{pitch[0]}</step>{alter}<octave>{pitch[-1]}</octave></pitch>"
    return f"<note>{inside}{'<rest/>' if pitch == 'rest' else height}<duration>{duration}</duration></note>"


def score(*parts: str, names: tuple[str, ...] = VOICES) -> str:
    listed = "".join(
        f"<score-part id='P{i}'><part-name>{name}</part-name></score-part>" for i, name in enumerate(names)
    )
    divisions = "<attributes><divisions>2</divisions></attributes>"
    body = "".join(f"<part id='P{i}'><measure>{divisions}{p}</measure></part>" for i, p in enumerate(parts))
    return f"<score-partwise><part-list>{listed}</part-list>{body}</score-partwise>"


def mxl(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("META-INF/container.xml", "<container/>")
        archive.writestr("score.xml", text)
    return buffer.getvalue()


def test_pitches_rests_ties_and_voices() -> None:
    parts = (
        note("C4", 2) + note("F#4", 1) + note("F#4", 1) + note("rest", 2),
        note("A3", 2) + note("A3", 2, "<tie type='stop'/>") + "<backup><duration>2</duration></backup>" + note("C5", 1),
        note("C4", 2, "<grace/>") + note("G3", 1) + "<forward><duration>1</duration></forward>" + note("G3", 1),
    )
    pitches, begins = read_voices(ET.fromstring(score(*parts)))
    sung = [
        [60] * 4 + [66] * 4 + [REST] * 4,
        [57] * 4 + [72, 72, 57, 57] + [REST] * 4,
        [55, 55] + [REST] * 2 + [55, 55],
    ]
    assert pitches.tolist()[:2] == sung[:2]
    assert pitches[2, :6].tolist() == sung[2]
    assert np.flatnonzero(begins[0]).tolist() == [0, 4, 6]
    assert np.flatnonzero(begins[1]).tolist() == [0, 4]
    assert np.flatnonzero(begins[2]).tolist() == [0, 4]


def test_chords_sound_their_upper_note() -> None:
    pitches, _ = read_voices(ET.fromstring(score(note("C4", 2) + note("G4", 2, "<chord/>") + note("E4", 2))))
    assert pitches.tolist() == [[67] * 4 + [64] * 4]


def test_holds_are_told_from_repeated_notes_and_undone_at_the_start_of_a_window() -> None:
    pitches = np.array([[60, 60, 60, 60, REST, REST, 62, 62]] * 4)
    begins = np.zeros(pitches.shape, bool)
    begins[:, [0, 2, 6]] = True
    piece = encode(pitches, begins)
    assert [ALPHABET[token] for token in piece[0]] == ["60", "hold", "60", "hold", "rest", "rest", "62", "hold"]
    late = np.tile(piece, (1, 5))[:, 3:]  # begins in the middle of a note
    late[:, 0] = HOLD
    late = np.concatenate([piece[:, :3], late], axis=1)
    found = windows(late, 8)
    assert found.shape == ((late.shape[1] - 8) // 16 + 1, 32)
    assert (found.reshape(len(found), 4, 8)[:, :, 0] != HOLD).all()
    np.testing.assert_array_equal(found[1].reshape(4, 8)[:, 1:], late[:, 17:24])


def test_one_tune_in_two_keys_is_one_group() -> None:
    draw = np.random.default_rng(0)
    tune = draw.integers(20, 30, 40).astype(np.uint8)
    pieces = {"a": tune, "b": draw.integers(20, 30, 40).astype(np.uint8), "c": np.append(tune[10:35] + 5, tune[:5])}
    assert tunes({name: np.tile(piece, (4, 1)) for name, piece in pieces.items()}) == [["a", "c"], ["b"]]


def test_scores_with_other_parts() -> None:
    names = ("Horn", *VOICES)
    pieces = parse(
        {
            "x/b.mxl": mxl(score(note("C2", 2), *[note(f"C{o}", 2) for o in (5, 4, 4, 3)], names=names)),
            "x/a.mxl": mxl(score(note("C4", 2), names=("Piano",))),
        }
    )
    assert list(pieces) == ["b"]
    assert [ALPHABET[token] for token in pieces["b"][:, 0]] == ["72", "60", "60", "48"]
    with pytest.raises(UserError, match=r"x/c\.mxl"):
        parse({"x/c.mxl": b"no zip"})
    with pytest.raises(UserError, match="MusicXML"):
        read_mxl(mxl("<broken"))


def test_the_real_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_or_skip(kind="chorales")
    pieces = chorales.parsed()
    assert (data.vocabulary, data.length, len(pieces), data.dropped) == (48, 256, 403, 0)
    assert sum(map(len, data.splits.values())) > 4000
    assert len(data.splits["test"]) > 300
    leak = data.describe()["leakage"]
    assert max(leak.values()) < 0.01
    sung = [int(ALPHABET[token]) for token in pieces["bwv1.6"][:, 0]]
    assert sung == [65, 60, 57, 53]  # F major, as Wie schön leuchtet der Morgenstern begins
    # soprano above bass: parts are not mixed up
    voices = data.splits["test"].reshape(-1, 4, 64)[:, :, 0].astype(int)
    assert (voices[:, 0] > voices[:, 3]).mean() > 0.95

    def refuse(scores: object) -> None:
        raise AssertionError("parsed again")

    monkeypatch.setattr(chorales, "parse", refuse)
    assert set(chorales.parsed()) == set(pieces)


def test_a_damaged_parse_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDMRUN_CACHE", str(tmp_path))
    monkeypatch.setattr(chorales, "fetch", lambda asset: b"")
    monkeypatch.setattr(chorales, "unpack", lambda content: {"x/a.mxl": mxl(score(*[note("C4", 4)] * 4))})
    first = chorales.parsed()
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    np.testing.assert_array_equal(chorales.parsed()["a"], first["a"])
    assert path.read_bytes()[-1:] != b"?"
