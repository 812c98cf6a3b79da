"""Validity, uniqueness and novelty: of strings by hand, and of real molecules."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest
from fetched import load_or_skip

from cdmrun.data import Dataset
from cdmrun.data.molecules import ALPHABET, PADDING, encode
from cdmrun.errors import UserError
from cdmrun.metrics import molecules

LENGTH = 20
TRAIN = ["CCO", "c1ccccc1", "CC(=O)O"]


def made_up(train: list[str]) -> Dataset:
    tokens, _ = encode(train, LENGTH)
    splits = {"train": tokens, "judge": tokens[:0], "test": tokens[:1]}
    return Dataset("molecules", len(ALPHABET), LENGTH, splits, None, False, ALPHABET, None, "made up", "none")


def tokens_of(*smiles: str) -> np.ndarray:
    return encode(list(smiles), LENGTH)[0]


def test_by_hand() -> None:
    data = made_up(TRAIN)
    samples = tokens_of("OCC", "C(O)C", "CCN", "C1CC", "c1cccc1", "CC(", "C=C#N")
    found = molecules.canonical_smiles(samples, data)
    # an open ring, an aromatic ring of odd size, an open bracket and a carbon with five bonds are none
    assert found == ["CCO", "CCO", "CCN", None, None, None, None]
    assert molecules.validity(found) == pytest.approx(3 / 7)
    assert molecules.uniqueness(found) == pytest.approx(2 / 3)
    assert molecules.novelty(found, data) == pytest.approx(1 / 2)  # ethanol is known, however it is spelled


def test_nothing_is_no_molecule() -> None:
    """An empty string parses; and no string of the data has a token after padding."""
    data = made_up(TRAIN)
    empty = np.full((1, LENGTH), PADDING, np.uint8)
    gap = tokens_of("CCO")
    gap[0, 1] = PADDING
    none = molecules.canonical_smiles(np.concatenate([empty, gap]), data)
    assert none == [None, None]
    assert molecules.validity(none) == molecules.uniqueness(none) == molecules.novelty(none, data) == 0.0


def test_what_the_tokens_cannot_spell_is_new() -> None:
    data = made_up(TRAIN)
    assert molecules.spell("[Na+]", data) is None
    assert molecules.spell("C" * (LENGTH + 1), data) is None
    spelled = molecules.spell("BrCCl", data)
    assert spelled is not None
    assert data.decode(spelled) == "BrCCl"
    assert molecules.novelty(["[Na+]", "CCO"], data) == 0.5


def test_real_molecules_are_valid_and_independent_positions_are_not() -> None:
    data = load_or_skip(kind="molecules", limit=2000)
    real = data.splits["test"][:300]
    rng = np.random.default_rng(0)
    found = molecules.canonical_smiles(real, data)
    assert molecules.validity(found) == 1.0
    assert molecules.uniqueness(found) == molecules.novelty(found, data) == 1.0
    known = molecules.canonical_smiles(data.splits["train"][:100], data)
    assert molecules.novelty(known, data) == 0.0
    assert molecules.validity(molecules.canonical_smiles(rng.permuted(real, axis=0), data)) < 0.05
    wrong = real.copy()
    wrong[np.arange(300), rng.integers(0, 15, 300)] = rng.integers(1, len(ALPHABET), 300)
    assert 0.05 < molecules.validity(molecules.canonical_smiles(wrong, data)) < 0.5  # one token replaced


def test_without_rdkit_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "rdkit":
            raise ImportError(f"No module named {name!r}")
        return genuine(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(UserError, match="without the package rdkit") as caught:
        molecules.canonical_smiles(tokens_of("CCO"), made_up(TRAIN))
    assert "cdmrun[molecules]" in caught.value.remedy
