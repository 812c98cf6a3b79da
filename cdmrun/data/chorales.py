"""Chorales of J. S. Bach: four voices in sixteenths, as MIDI pitches, rests and holds; split by tune."""

from __future__ import annotations

import hashlib
import inspect
import io
import logging
import zipfile
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from cdmrun.data import musicxml
from cdmrun.data.dataset import Dataset, Tokens
from cdmrun.data.documents import split_of
from cdmrun.data.fetch import Asset, failure, fetch, unpack
from cdmrun.data.options import whole
from cdmrun.errors import UserError
from cdmrun.files import write_atomic

logger = logging.getLogger(__name__)

VOICES = ("Soprano", "Alto", "Tenor", "Bass")
LOWEST, HIGHEST = 36, 81
#: A rest, a note that goes on, and MIDI pitches that begin.
ALPHABET = ("rest", "hold", *map(str, range(LOWEST, HIGHEST + 1)))
REST, HOLD, FIRST_PITCH = 0, 1, 2
#: Sixteenths from the start of one window to that of the next.
HOP = 16
#: Chorales whose sopranos share so many intervals in a row are of one tune, in whatever key.
TUNE = 16
ASSET = Asset(
    package="music21",
    version="10.5.1",
    member="music21/corpus/bach/*.mxl",
    sha256="7d93689509e4af02a0bf7b0eaeac51cd737982c90909896810a5b3824d328865",
    instead="bring an array of your own: `data: {kind: array, file: PATH}`",
)
ASSETS = (ASSET,)


def load_chorales(steps: int = 64) -> Dataset:
    """Windows of some four bars out of 403 chorales, V = 48, L = 4 · steps: one voice after another, from the top.

    Chorales that set one tune are all in one split; windows of a chorale overlap.

    Parameters
    ----------
    steps
        Sixteenths in a window; chorales that are shorter are left out, and counted.

    Raises
    ------
    UserError
        If the scores can neither be found in the cache nor fetched.
    """
    steps = whole("steps", steps, 4, 512)
    pieces = parsed()
    splits: dict[str, list[Tokens]] = {"train": [], "judge": [], "test": []}
    for place, names in enumerate(tunes(pieces)):
        splits[split_of(place)] += [windows(pieces[name], steps) for name in names]
    return Dataset(
        name="chorales",
        vocabulary=len(ALPHABET),
        length=len(VOICES) * steps,
        splits={name: np.concatenate(found) for name, found in splits.items()},
        table=None,
        ordinal=False,
        alphabet=ALPHABET,
        image_shape=None,
        source=f"chorales of J. S. Bach in the corpus of package {ASSET.requirement}, windows of {steps} sixteenths",
        licence="package BSD-3-Clause; scores: the terms of the corpus, by piece",
        dropped=sum(tokens.shape[1] < steps for tokens in pieces.values()),
    )


def windows(piece: Tokens, steps: int) -> Tokens:
    """Windows [n, 4 · steps] of a piece [4, steps of the piece]; a note that is held into a window begins there."""
    starts = range(0, piece.shape[1] - steps + 1, HOP)
    sounding = _sounding(piece)
    found = np.empty((len(starts), len(VOICES), steps), np.uint8)
    for number, start in enumerate(starts):
        found[number] = piece[:, start : start + steps]
        found[number, :, 0] = sounding[:, start]
    return found.reshape(len(starts), -1)


def tunes(pieces: Mapping[str, Tokens]) -> list[list[str]]:
    """The names of the pieces, those on one tune together, in the order of the first of each."""
    owner = {name: name for name in pieces}

    def root(name: str) -> str:
        while owner[name] != name:
            name = owner[name]
        return name

    seen: dict[tuple[int, ...], str] = {}
    for name, piece in pieces.items():
        intervals = np.diff(piece[0][piece[0] >= FIRST_PITCH].astype(int)).tolist()
        for start in range(len(intervals) - TUNE + 1):
            other = seen.setdefault(tuple(intervals[start : start + TUNE]), name)
            owner[root(name)] = root(other)
    groups: dict[str, list[str]] = {}
    for name in pieces:
        groups.setdefault(root(name), []).append(name)
    return list(groups.values())


def parsed() -> dict[str, Tokens]:
    """Tokens [4, steps] of each chorale, by name; parsed once, then out of the cache, checked by a digest."""
    reader = hashlib.sha256((inspect.getsource(musicxml) + ASSET.sha256).encode()).hexdigest()[:12]
    path = ASSET.path.with_name(f"chorales-{reader}.npz")
    if path.is_file():
        digest, content = path.read_bytes()[:64], path.read_bytes()[64:]
        if hashlib.sha256(content).hexdigest().encode() == digest:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        logger.warning("%s is damaged; parsing the scores again", path)
    pieces = parse(unpack(fetch(ASSET)))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **pieces)  # type: ignore[arg-type]
    write_atomic(path, hashlib.sha256(buffer.getvalue()).hexdigest().encode() + buffer.getvalue())
    return pieces


def parse(scores: Mapping[str, bytes]) -> dict[str, Tokens]:
    """Tokens of the scores that have each of the four voices once; instruments beside them are left out."""
    pieces = {}
    for path, content in scores.items():
        try:
            root = musicxml.read_mxl(content)
        except (UserError, zipfile.BadZipFile) as error:
            raise failure(ASSET, f"{path}: {error}") from error
        parts = [(part.findtext("part-name") or "").strip() for part in root.findall("part-list/score-part")]
        if all(parts.count(voice) == 1 for voice in VOICES):
            pitches, begins = musicxml.read_voices(root)
            order = [parts.index(voice) for voice in VOICES]
            pieces[path.rpartition("/")[2].removesuffix(".mxl")] = encode(pitches[order], begins[order])
    return pieces


def encode(pitches: npt.NDArray[np.int64], begins: npt.NDArray[np.bool_]) -> Tokens:
    """Tokens of pitches [4, steps], and where notes begin."""
    tokens = np.where(pitches == musicxml.REST, REST, pitches - LOWEST + FIRST_PITCH)
    goes_on = ~begins[:, 1:] & (pitches[:, 1:] == pitches[:, :-1]) & (pitches[:, 1:] != musicxml.REST)
    tokens[:, 1:][goes_on] = HOLD
    return tokens.astype(np.uint8)


def _sounding(piece: Tokens) -> Tokens:
    """A piece with each hold replaced by the pitch that it holds."""
    found = piece.copy()
    for step in range(1, piece.shape[1]):
        found[:, step] = np.where(piece[:, step] == HOLD, found[:, step - 1], piece[:, step])
    return found
