"""Just enough MusicXML to read four-part chorales: who sings what from when to when, on a grid of sixteenths."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
import zipfile
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from cdmrun.errors import UserError

STEPS_PER_QUARTER = 4
REST = -1
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def read_mxl(content: bytes) -> ET.Element:
    """The root of a compressed MusicXML file.

    Raises
    ------
    UserError
        If it is no such file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            (name,) = [n for n in archive.namelist() if n.endswith((".xml", ".musicxml")) and "META-INF" not in n]
            return ET.fromstring(archive.read(name))
    except (zipfile.BadZipFile, KeyError, ValueError, ET.ParseError) as error:
        raise UserError(f"not a compressed MusicXML file: {error}", "give the .mxl file of one score") from error


def read_voices(root: ET.Element) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """What each part sings at each sixteenth, as MIDI pitches [parts, steps] (`REST`: nothing), and where notes begin.

    Repeats are not unfolded, grace notes are left out, of a chord or of two voices in a part the upper notes count,
    tied notes are one. A note that begins or ends between sixteenths begins or ends at the one before.
    """
    lines = [_part(part) for part in root.findall("part")]
    steps = max((len(pitches) for pitches, _ in lines), default=0)
    pitches = np.full((len(lines), steps), REST, np.int64)
    begins = np.zeros((len(lines), steps), np.bool_)
    for number, (line, starts) in enumerate(lines):
        pitches[number, : len(line)], begins[number, : len(starts)] = line, starts
    return pitches, begins


def _part(part: ET.Element) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    notes, end = _notes(part)
    pitches, begins = np.full(end, REST, np.int64), np.zeros(end, np.bool_)
    for first, last, pitch, tied in sorted(notes, key=lambda note: note[2]):  # higher ones last, over lower ones
        pitches[first:last] = pitch
        begins[first:last] = False
        if last > first:
            begins[first] = not tied
    return pitches, begins


def _notes(part: ET.Element) -> tuple[list[tuple[int, int, int, bool]], int]:
    """(first step, step after the last, pitch, whether tied to the one before) of each note, and all steps."""
    notes, start, divisions = [], Fraction(0), Fraction(1)
    for measure in part.findall("measure"):
        now = latest = start
        before = now
        for entry in measure:
            if (told := entry.findtext("divisions")) is not None:
                divisions = Fraction(told)
            if entry.tag not in ("note", "backup", "forward") or entry.find("grace") is not None:
                continue
            length = Fraction(entry.findtext("duration") or 0) / divisions * STEPS_PER_QUARTER
            if entry.tag == "backup":
                now -= length
                continue
            if entry.tag == "note" and entry.find("pitch") is not None:
                begin = before if entry.find("chord") is not None else now
                tied = any(tie.get("type") == "stop" for tie in entry.findall("tie"))
                notes.append((int(begin), int(begin + length), _midi(entry), tied))
            if entry.find("chord") is None:
                before, now = now, now + length
            latest = max(latest, now)
        start = latest
    return notes, int(start)


def _midi(note: ET.Element) -> int:
    step, octave = note.findtext("pitch/step") or "C", int(note.findtext("pitch/octave") or 4)
    return 12 * (octave + 1) + _STEPS[step] + round(float(note.findtext("pitch/alter") or 0))
