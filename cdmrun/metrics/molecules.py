"""Molecules as SMILES strings: which are valid, how many differ, and which are in no training file (with RDKit).

Imports RDKit only when something is computed; it belongs to the optional dependencies ``cdmrun[molecules]``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from cdmrun.data.dataset import Dataset
from cdmrun.data.leakage import in_rows
from cdmrun.errors import UserError

REMEDY = "install what molecules need: python -m pip install 'cdmrun[molecules]' (make install does)"


def rdkit_chem() -> Any:
    """RDKit's ``Chem``.

    Raises
    ------
    UserError
        Where RDKit is not installed.
    """
    try:
        from rdkit import Chem
    except ImportError as error:
        raise UserError(f"molecules cannot be read without the package rdkit: {error}", REMEDY) from error
    return Chem


@lru_cache(maxsize=1 << 20)
def canonical(smiles: str) -> str | None:
    """The canonical SMILES of a molecule, or None of what RDKit does not parse and sanitise, or has no atom."""
    from rdkit import rdBase

    chem = rdkit_chem()
    with rdBase.BlockLogs():  # a line for each string that is no molecule
        molecule = chem.MolFromSmiles(smiles)
    if molecule is None or not molecule.GetNumAtoms():
        return None
    found: str = chem.MolToSmiles(molecule)
    return found


def canonical_smiles(samples: npt.NDArray[np.integer[Any]], dataset: Dataset) -> list[str | None]:
    """The canonical SMILES of each sample [n, L], None where it is no molecule.

    A sample with a token after padding is none, whatever it would spell without the gap: no string of the data has one.
    """
    rdkit_chem()
    gap = np.zeros(len(samples), np.bool_)
    if dataset.padding is not None:
        padded = samples == dataset.padding
        gap = (padded[:, :-1] & ~padded[:, 1:]).any(axis=1)
    return [None if bad else canonical(dataset.decode(row)) for row, bad in zip(samples, gap, strict=True)]


def validity(molecules: Sequence[str | None]) -> float:
    """Share of samples that are molecules."""
    return sum(molecule is not None for molecule in molecules) / len(molecules)


def uniqueness(molecules: Sequence[str | None]) -> float:
    """Different molecules over all molecules; 0 where there is none. It falls with the number of samples."""
    valid = [molecule for molecule in molecules if molecule is not None]
    return len(set(valid)) / len(valid) if valid else 0.0


def novelty(molecules: Sequence[str | None], dataset: Dataset) -> float:
    """Share of the different molecules that are not in the training split; 0 where there is none.

    Molecules are compared by canonical SMILES. The training split is taken to be written so, as MOSES is; a training
    molecule that is spelled otherwise would be missed, and count as new.
    """
    found = sorted({molecule for molecule in molecules if molecule is not None})
    if not found:
        return 0.0
    rows = [row for molecule in found if (row := spell(molecule, dataset)) is not None]
    known = int(in_rows(np.stack(rows), dataset.splits["train"]).sum()) if rows else 0
    return 1.0 - known / len(found)


def spell(smiles: str, dataset: Dataset) -> npt.NDArray[np.integer[Any]] | None:
    """A string as tokens of the data [L], padded at the end; None where they cannot spell it, or not so briefly."""
    alphabet = tuple(dataset.alphabet or ())
    parts = _tokens(alphabet).findall(smiles)
    if "".join(parts) != smiles or len(parts) > dataset.length:
        return None
    row = np.full(dataset.length, dataset.padding or 0, dataset.splits["train"].dtype)
    row[: len(parts)] = [alphabet.index(part) for part in parts]
    return row


@cache
def _tokens(alphabet: tuple[str, ...]) -> re.Pattern[str]:
    """Matches one token, the longest that fits."""
    return re.compile("|".join(re.escape(token) for token in sorted(alphabet, key=len, reverse=True) if token))
