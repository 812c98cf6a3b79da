"""Chorales as standard MIDI files (format 1), to be listened to."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from cdmrun.metrics.chorales import REST, Score

TICKS_A_STEP = 120  # a step is a sixteenth
_TICKS_A_QUARTER = 4 * TICKS_A_STEP
_MICROSECONDS_A_QUARTER = 750_000  # 80 beats a minute
_CHOIR = 52  # General MIDI program, counted from 0: choir aahs
_PAUSE = 8  # steps between samples
_VELOCITY = 80


def midi_file(scores: Sequence[Score]) -> bytes:
    """Samples [voices, steps] one after another, a track a voice."""
    voices = len(scores[0].pitches)
    tempo = b"\x00\xff\x51\x03" + _MICROSECONDS_A_QUARTER.to_bytes(3, "big")
    tracks = [_track(tempo), *(_track(_voice(scores, voice)) for voice in range(voices))]
    header = b"MThd" + struct.pack(">IHHH", 6, 1, len(tracks), _TICKS_A_QUARTER)
    return header + b"".join(tracks)


def notes(score: Score, voice: int) -> list[tuple[int, int, int]]:
    """(first step, one past the last step, pitch) of each note that a voice sings."""
    found: list[tuple[int, int, int]] = []
    for step, pitch in enumerate(score.pitches[voice].tolist()):
        if pitch == REST:
            continue
        if score.begins[voice, step] or not found:
            found.append((step, step + 1, pitch))
        else:
            found[-1] = (found[-1][0], step + 1, pitch)
    return found


def _voice(scores: Sequence[Score], voice: int) -> bytes:
    """Events of one voice: a note ends before another begins."""
    events = [(0, bytes([0xC0 | voice, _CHOIR]))]
    start = 0
    for score in scores:
        for first, last, pitch in notes(score, voice):
            events.append(((start + first) * TICKS_A_STEP, bytes([0x90 | voice, pitch, _VELOCITY])))
            events.append(((start + last) * TICKS_A_STEP, bytes([0x80 | voice, pitch, 0])))
        start += score.pitches.shape[1] + _PAUSE
    now, content = 0, b""
    for tick, event in events:
        content += _variable(tick - now) + event
        now = tick
    return content


def _track(content: bytes) -> bytes:
    content += b"\x00\xff\x2f\x00"  # end of track
    return b"MTrk" + struct.pack(">I", len(content)) + content


def _variable(number: int) -> bytes:
    """Seven bits a byte, the highest first, all but the last one marked."""
    parts = [number & 0x7F]
    while number := number >> 7:
        parts.append(0x80 | (number & 0x7F))
    return bytes(reversed(parts))
