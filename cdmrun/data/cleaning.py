"""From text to tokens: cleaning rules, the alphabet, windows."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cdmrun.data.dataset import SPLITS, token_dtype
from cdmrun.errors import UserError

TEXT8_ALPHABET = "abcdefghijklmnopqrstuvwxyz "
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_EXPANSIONS = {ord("æ"): "ae", ord("œ"): "oe", ord("ø"): "o", ord("ð"): "d", ord("þ"): "th", ord("ł"): "l"} | {
    ord("0") + value: f" {word} " for value, word in enumerate(_DIGITS)
}
_TO_SPACE = np.full(128, ord(" "), np.uint8)
_TO_SPACE[ord("a") : ord("z") + 1] = np.arange(ord("a"), ord("z") + 1)


def text8_clean(text: str) -> str:
    """Lower-case a–z and single spaces, as the text8 corpus has them.

    Accents are dropped (é → e), ligatures opened (æ → ae), digits spelled one by one (10 → one zero), and
    everything else becomes a space; runs of spaces become one and the ends are trimmed.
    """
    text = unicodedata.normalize("NFKD", text).casefold().translate(_EXPANSIONS)
    if not text.isascii():
        text = "".join(c for c in text if not unicodedata.combining(c))
    codes = np.frombuffer(text.encode("ascii", "replace"), np.uint8)
    return " ".join(_TO_SPACE[codes].tobytes().decode("ascii").split())


def alphabet_clean(text: str, alphabet: str) -> str:
    """Keep the characters of ``alphabet`` and drop all others; line breaks count as spaces if it has no line break."""
    if "\n" not in alphabet and " " in alphabet:
        text = " ".join(text.split())
    keep = frozenset(alphabet)
    return "".join(c for c in text if c in keep)


def clean(text: str, alphabet: str) -> str:
    """`text8_clean` for its own alphabet, `alphabet_clean` for any other."""
    return text8_clean(text) if alphabet == TEXT8_ALPHABET else alphabet_clean(text, alphabet)


def check_alphabet(alphabet: str) -> None:
    """Refuse an alphabet with fewer than two characters or with one twice."""
    twice = sorted({c for c in alphabet if alphabet.count(c) > 1})
    if len(alphabet) < 2 or twice:
        fault = f"{twice[0]!r} stands in it twice" if twice else f"it has {len(alphabet)} character(s)"
        raise UserError(f"data.alphabet: {fault}", "give at least two characters, each once")


def check_length(length: Any) -> int:
    """``length`` as a positive whole number, or a `UserError`."""
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        raise UserError(f"data.length: {length!r} is not a positive whole number", "write e.g. `length: 64`")
    return length


def encode(text: str, alphabet: str) -> npt.NDArray[Any]:
    """Tokens [n] of a cleaned text: each character's place in the alphabet."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    order = np.argsort([ord(c) for c in alphabet], kind="stable")
    points = np.array([ord(c) for c in alphabet], np.uint32)[order]
    places = np.minimum(np.searchsorted(points, codes), len(points) - 1)
    if not np.array_equal(points[places], codes):
        raise ValueError("text has characters outside the alphabet; clean it first")
    return order[places].astype(token_dtype(len(alphabet)))


def windows(documents: Sequence[str], alphabet: str, length: int) -> npt.NDArray[Any]:
    """Non-overlapping windows [n, length], none across two documents; what is left of a document is dropped."""
    parts = [encode(document, alphabet) for document in documents]
    rows = [part[: len(part) // length * length].reshape(-1, length) for part in parts]
    empty = np.empty((0, length), token_dtype(len(alphabet)))
    return np.concatenate([empty, *rows])


def split_windows(documents: Mapping[str, Sequence[str]], alphabet: str, length: int) -> dict[str, npt.NDArray[Any]]:
    """`windows` of every split; a split that gets none is a `UserError`."""
    splits = {name: windows(documents[name], alphabet, length) for name in SPLITS}
    for name, tokens in splits.items():
        if not len(tokens):
            longest = max((len(document) for document in documents[name]), default=0)
            raise UserError(
                f"data.length: no document of the {name} split has {length} characters (the longest has {longest})",
                "choose a smaller length or a longer text",
            )
    return splits
