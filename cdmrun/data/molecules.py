"""MOSES: drug-like molecules as SMILES strings, a token an atom, a bond, a ring digit or a bracket."""

from __future__ import annotations

import gzip
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cdmrun.data.cleaning import check_length
from cdmrun.data.dataset import Dataset
from cdmrun.data.fetch import Asset, failure, fetch_all
from cdmrun.data.options import whole
from cdmrun.errors import UserError

#: What a token is spelled as; the empty string is padding, always at the end.
ALPHABET = (
    *("", "C", "N", "O", "S", "F", "Cl", "Br", "c", "n", "o", "s", "[nH]", "[H]"),
    *("(", ")", "=", "#", "-", "1", "2", "3", "4", "5", "6"),
)
PADDING = 0
#: Every so many molecules of the training file, one is the judge's.
JUDGE_EVERY = 10
_INSTEAD = "bring arrays of your own: `data: {kind: array, file: PATH}`"
TRAIN, TEST, SCAFFOLDS = ASSETS = tuple(
    Asset("molsets", "0.3.1", f"moses/dataset/data/{name}.csv.gz", sha256, _INSTEAD)
    for name, sha256 in (
        ("train", "786f0313aa6b9ba5514df685f885742a70ea8d86f1a4fa48115f7f80a634265c"),
        ("test", "f896fbf3764f88d94670b9959e5872c600c12152a18233823e820761b7a791b2"),
        ("test_scaffolds", "adffb2192c1bfe31ab0e13154d4af19a37dc18bdbf3cd7b4491e04405128adde"),
    )
)
#: The test files of MOSES, by what `data.test` calls them.
_TESTS = {"random": TEST, "scaffolds": SCAFFOLDS}
# Tokens of several characters, each as one byte that no SMILES string has; longest first.
_MULTIPLE = tuple(
    (token.encode(), bytes([128 + number]))
    for number, token in enumerate(sorted((t for t in ALPHABET if len(t) > 1), key=len, reverse=True))
)
_UNKNOWN = 255


def load_molecules(length: int = 48, limit: int | None = None, test: str = "random") -> Dataset:
    """The 1.58 M molecules of MOSES and 176 k to test with, V = 25; of its training file every tenth is the judge's.

    Parameters
    ----------
    length
        Tokens in a sequence, padded at the end; longer molecules are left out (0.02 % at 48) and counted.
    limit
        At most so many molecules of each file are read, its first ones; None: all.
    test
        What to test with: ``random``, molecules drawn as the training file's were, or ``scaffolds``, molecules whose
        Bemis–Murcko scaffold no molecule of the training file has.

    Raises
    ------
    UserError
        If the files can neither be found in the cache nor fetched, or for another ``test``.
    """
    length = check_length(length)
    if test not in _TESTS:
        raise UserError(f"data.test: {test!r} is not one of {', '.join(_TESTS)}", "leave it out for the random one")
    limit = None if limit is None else whole("limit", limit, JUDGE_EVERY)
    files = (TRAIN, _TESTS[test])
    contents = zip(files, fetch_all(files), strict=True)
    training, held_out = (_strings(asset, content, limit) for asset, content in contents)
    judge = training[JUDGE_EVERY - 1 :: JUDGE_EVERY]
    del training[JUDGE_EVERY - 1 :: JUDGE_EVERY]
    encoded = {
        name: encode(b"\n".join(smiles), length)
        for name, smiles in (("train", training), ("judge", judge), ("test", held_out))
    }
    return Dataset(
        name="molecules",
        vocabulary=len(ALPHABET),
        length=length,
        splits={name: tokens for name, (tokens, _) in encoded.items()},
        table=None,
        ordinal=False,
        alphabet=ALPHABET,
        image_shape=None,
        source=f"MOSES (Polykovskiy et al. 2020), from package {TRAIN.requirement}: train.csv, "
        f"{_TESTS[test].member.rpartition('/')[2].removesuffix('.gz')}",
        licence="MIT",
        dropped=sum(dropped for _, dropped in encoded.values()),
    )


def encode(smiles: Sequence[str] | bytes, length: int) -> tuple[npt.NDArray[np.uint8], int]:
    """Tokens [n, length] of SMILES strings in order, padded at the end, and how many were left out.

    Parameters
    ----------
    smiles
        The strings, or one text with a string a line.
    length
        Longer ones are left out.

    Raises
    ------
    ValueError
        For a string with something that is not in `ALPHABET`.
    """
    text = smiles if isinstance(smiles, bytes) else "\n".join(smiles).encode()
    if not text:
        return np.empty((0, length), np.uint8), 0
    for token, byte in _MULTIPLE:
        text = text.replace(token, byte)
    codes = np.frombuffer(text.rstrip(b"\n") + b"\n", np.uint8)
    ends = np.flatnonzero(codes == ord("\n"))
    starts = np.concatenate([[0], ends[:-1] + 1])
    values = _table()[codes]
    if (values == _UNKNOWN).any():
        line = int(np.searchsorted(ends, np.argmax(values == _UNKNOWN)))
        raise ValueError(f"molecule {line}: a symbol that none of the {len(ALPHABET)} tokens spells")
    sizes = ends - starts
    fits = sizes <= length
    rows = np.full((int(fits.sum()), length), PADDING, np.uint8)
    rows[np.arange(length) < sizes[fits, None]] = values[np.repeat(fits, sizes + 1) & (codes != ord("\n"))]
    return rows, int((~fits).sum())


def _table() -> npt.NDArray[np.uint8]:
    """The token of each byte; a line break is padding."""
    table = np.full(256, _UNKNOWN, np.uint8)
    for token, byte in [*_MULTIPLE, *((t.encode(), t.encode()) for t in ALPHABET if len(t) == 1)]:
        table[byte[0]] = ALPHABET.index(token.decode())
    table[ord("\n")] = PADDING
    return table


def _strings(asset: Asset, content: bytes, limit: int | None) -> list[bytes]:
    """The first column of a file with a header."""
    try:
        lines = gzip.decompress(content).split(b"\n", -1 if limit is None else limit + 1)
    except (OSError, EOFError) as error:
        raise failure(asset, f"{asset.member} is no gzip file: {error}") from error
    return [line.partition(b",")[0] for line in lines[1:][:limit] if line]
