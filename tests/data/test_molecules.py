"""The molecules of MOSES themselves, and SMILES strings made up."""

from __future__ import annotations

import numpy as np
import pytest
from fetched import load_or_skip

from cdmrun.data import Dataset, molecules
from cdmrun.data.molecules import ALPHABET, PADDING, encode
from cdmrun.errors import UserError

SMILES = ["CCCS(=O)c1ccc2[nH]c(=NC(=O)OC)[nH]c2c1", "Brc1ccc(Cl)cc1", "C#N", "C[H]"]


@pytest.fixture(scope="module")
def moses() -> Dataset:
    return load_or_skip(kind="molecules", limit=5000)


def test_tokens_are_atoms() -> None:
    tokens, dropped = encode(SMILES, 12)
    assert dropped == 1  # the first one has 30 tokens
    assert [[ALPHABET[t] for t in row if t] for row in tokens] == [
        ["Br", "c", "1", "c", "c", "c", "(", "Cl", ")", "c", "c", "1"],
        ["C", "#", "N"],
        ["C", "[H]"],
    ]
    assert (tokens[1, 3:] == PADDING).all()


@pytest.mark.parametrize("length", [1, 2, 3, 12, 13, 40])
def test_what_fits_comes_back_in_order(length: int) -> None:
    tokens, dropped = encode(SMILES, length)
    sizes = [30, 12, 3, 2]
    fitting = [smiles for smiles, size in zip(SMILES, sizes, strict=True) if size <= length]
    assert ["".join(ALPHABET[t] for t in row) for row in tokens] == fitting
    assert dropped == len(SMILES) - len(fitting)
    assert tokens.shape == (len(fitting), length)


def test_nothing_at_all() -> None:
    assert encode([], 5)[0].shape == (0, 5)


@pytest.mark.parametrize("smiles", ["C[Si]C", "CXC", "C\xe9"])
def test_unknown_symbols_are_refused_by_line(smiles: str) -> None:
    with pytest.raises(ValueError, match="molecule 1"):
        encode(["CC", smiles], 8)


def test_moses(moses: Dataset) -> None:
    assert (moses.vocabulary, moses.length, moses.padding) == (25, 48, PADDING)
    sizes = {name: len(tokens) for name, tokens in moses.splits.items()}
    assert sizes == {"train": 4500, "judge": 499, "test": 5000}
    assert moses.dropped == 1
    assert moses.decode(moses.splits["train"][0]) == SMILES[0]
    assert moses.decode(moses.splits["test"][0]) == "CC1C2CCC(C2)C1CN(CCO)C(=O)c1ccc(Cl)cc1"
    for tokens in moses.splits.values():
        assert tokens.dtype == np.uint8
        assert not ((tokens[:, :-1] == PADDING) & (tokens[:, 1:] != PADDING)).any(), "padding is at the end"


def test_splits_share_no_molecule(moses: Dataset) -> None:
    assert moses.describe()["leakage"] == {"test_in_train": 0.0, "test_in_judge": 0.0}
    strings = {name: {moses.decode(row) for row in tokens} for name, tokens in moses.splits.items()}
    assert not strings["train"] & strings["judge"]
    assert not strings["train"] & strings["test"]


def test_shorter_sequences_leave_molecules_out(moses: Dataset) -> None:
    short = load_or_skip(kind="molecules", limit=5000, length=30)
    assert short.dropped > moses.dropped
    assert sum(map(len, short.splits.values())) + short.dropped == 10_000
    assert {short.decode(row) for row in short.splits["judge"]} < {moses.decode(row) for row in moses.splits["judge"]}


def test_scaffolds_of_the_other_test_file_are_new(moses: Dataset) -> None:
    scaffolds_of = pytest.importorskip("rdkit.Chem.Scaffolds.MurckoScaffold").MurckoScaffoldSmiles
    other = load_or_skip(kind="molecules", limit=5000, test="scaffolds")
    assert other.source.endswith("train.csv, test_scaffolds.csv")
    assert (other.splits["train"] == moses.splits["train"]).all()
    known = {scaffolds_of(moses.decode(row)) for row in moses.splits["train"]}
    seen = [np.mean([scaffolds_of(x.decode(row)) in known for row in x.splits["test"][:500]]) for x in (moses, other)]
    assert seen[0] > 0.3
    assert seen[1] == 0.0


def test_another_test_file_is_refused() -> None:
    with pytest.raises(UserError, match="'scaffold' is not one of random, scaffolds"):
        molecules.load_molecules(test="scaffold")


def test_the_assets_are_files_of_one_package() -> None:
    assert len({asset.requirement for asset in molecules.ASSETS}) == 1
