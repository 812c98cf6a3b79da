"""Any UTF-8 text file as characters, split by contiguous blocks of paragraphs."""

from __future__ import annotations

import hashlib
import re
from itertools import pairwise
from pathlib import Path

from cdmrun.data.cleaning import TEXT8_ALPHABET, check_alphabet, check_length, clean
from cdmrun.data.dataset import Dataset
from cdmrun.data.documents import split_of, text_dataset
from cdmrun.errors import UserError

BLOCKS = 50
_SEPARATORS = (("\n\n", r"\n\s*\n"), ("\n", r"\n"), (" ", r"\s+"))


def load_text(file: str, length: int = 64, alphabet: str = TEXT8_ALPHABET) -> Dataset:
    """Windows of a text file: about 75 % of its blocks train, 15 % judge, 10 % test.

    Parameters
    ----------
    file
        Path of the text, UTF-8.
    length
        Characters in a window.
    alphabet
        The characters that exist. The default one means text8-style cleaning (lower case, digits spelled,
        everything else a space); any other keeps what it has and drops the rest, case and all.

    Raises
    ------
    UserError
        If the file is missing, not UTF-8 or too short, or the alphabet or length make no sense.
    """
    length = check_length(length)
    check_alphabet(alphabet)
    path = Path(file)
    content = _read(path)
    blocks = [clean(block, alphabet) for block in split_blocks(content.decode())]
    size, needed = sum(map(len, blocks)), 2 * BLOCKS * length
    if size < needed:
        raise UserError(
            f"{path}: {size} characters after cleaning; windows of {length} need at least {needed}",
            "give a longer text or a smaller length, or check that `alphabet:` has the characters of the text",
        )
    return text_dataset(
        "text",
        ((split_of(number), block) for number, block in enumerate(blocks)),
        length,
        source=f"file {path.name} (sha256 {hashlib.sha256(content).hexdigest()})",
        licence="the user's own file",
        alphabet=alphabet,
    )


def split_blocks(text: str, blocks: int = BLOCKS) -> list[str]:
    """Cut a text into contiguous blocks of about equal size, between paragraphs.

    Where there are too few paragraphs, between lines; where there are too few of those, between words. A
    paragraph stays whole, so fewer blocks come out if some are very long.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    for glue, pattern in _SEPARATORS:
        pieces = [piece for piece in re.split(pattern, text) if piece.strip()]
        if len(pieces) >= 4 * blocks:
            return _group(pieces, glue, blocks)
    step = max(1, -(-len(text) // blocks))
    return [text[i : i + step] for i in range(0, len(text), step)]


def _group(pieces: list[str], glue: str, blocks: int) -> list[str]:
    """Join neighbouring pieces: a piece goes to the block in which its first character falls."""
    total, before, cuts = sum(map(len, pieces)), 0, [0]
    for index, piece in enumerate(pieces):
        if before * blocks >= total * len(cuts):
            cuts.append(index)
        before += len(piece)
    return [glue.join(pieces[a:b]) for a, b in pairwise([*cuts, len(pieces)])]


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        content.decode()
        return content
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: not UTF-8: byte {error.object[error.start]:#04x} at offset {error.start}",
            f"convert it, e.g. iconv -f latin1 -t utf-8 {path.name} > {path.stem}.utf8.txt",
        ) from error
    except OSError as error:
        raise UserError(f"data.file: {path}: {error.strerror}", "give the path of a readable UTF-8 text") from error
