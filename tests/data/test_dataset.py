from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from cdmrun.data import Dataset, leakage, load
from cdmrun.data.chain import MarkovChain
from cdmrun.data.leakage import in_rows
from cdmrun.errors import UserError


def small(**changes: object) -> Dataset:
    fields: dict[str, object] = {
        "name": "small",
        "vocabulary": 3,
        "length": 2,
        "splits": {
            "train": np.array([[0, 1], [1, 2]], np.uint8),
            "judge": np.empty((0, 2), np.uint8),
            "test": np.array([[2, 2]], np.uint8),
        },
        "table": None,
        "ordinal": False,
        "alphabet": "ab ",
        "image_shape": (1, 2),
        "source": "made up",
        "licence": "none",
    }
    return Dataset(**(fields | changes))  # type: ignore[arg-type]


def test_saved_and_read_back_is_the_same(tmp_path: Path) -> None:
    data = small()
    data.save(tmp_path / "new" / "folder")
    back = Dataset.read(tmp_path / "new" / "folder")
    assert {k: v for k, v in vars(back).items() if k != "splits"} == {
        k: v for k, v in vars(data).items() if k != "splits"
    }
    assert list(back.splits) == ["train", "judge", "test"]
    for name, tokens in data.splits.items():
        np.testing.assert_array_equal(back.splits[name], tokens)
        assert back.splits[name].dtype == np.uint8


def test_enumerated_law_survives_bit_for_bit(tmp_path: Path) -> None:
    data = load({"kind": "potts_ring", "states": 3, "length": 3})
    data.save(tmp_path)
    back = Dataset.read(tmp_path)
    assert back.enumerable
    assert back.splits == {}
    np.testing.assert_array_equal(back.table, data.table)  # type: ignore[arg-type]


def test_saving_twice_writes_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        small().save(tmp_path / folder)
    for file in ("dataset.npz", "meta.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_meta_tells_sizes_source_licence_and_leakage(tmp_path: Path) -> None:
    small().save(tmp_path)
    meta = json.loads((tmp_path / "meta.json").read_text())
    assert meta["splits"]["train"] == {"sequences": 2, "tokens": 4}
    assert meta["leakage"] == {"test_in_train": 0.0}
    assert meta["source"] == "made up"
    assert meta["licence"] == "none"


def test_labels_are_kept(tmp_path: Path) -> None:
    labels = {"train": np.array([0, 3], np.uint8), "judge": np.empty(0, np.uint8), "test": np.array([1], np.uint8)}
    data = small(labels=labels)
    data.save(tmp_path)
    back = Dataset.read(tmp_path)
    assert back.labels is not None
    assert {name: classes.tolist() for name, classes in back.labels.items()} == {
        "train": [0, 3],
        "judge": [],
        "test": [1],
    }
    assert json.loads((tmp_path / "meta.json").read_text())["classes"] == 4


def test_tokens_spelled_by_strings(tmp_path: Path) -> None:
    """Several characters a token, or none: padding. A text's alphabet stays a string, spelled by characters."""
    data = small(alphabet=("", "Cl", "C"))
    assert data.decode([1, 2, 0]) == "ClC"
    assert data.padding == 0
    data.save(tmp_path)
    assert Dataset.read(tmp_path).alphabet == ("", "Cl", "C")
    assert small().padding is small(alphabet=None).padding is small(alphabet=("a", "b", "c")).padding is None


def test_decode() -> None:
    assert small().decode(np.array([0, 2, 1])) == "a b"
    assert small(alphabet=None).decode([0, 2, 1]) == "0 2 1"


@pytest.mark.parametrize(
    "damage",
    [b"", b"not a zip", b"PK\x03\x04 cut short", None],
    ids=["empty", "other", "truncated", "missing"],
)
def test_damaged_arrays_are_named(tmp_path: Path, damage: bytes | None) -> None:
    small().save(tmp_path)
    path = tmp_path / "dataset.npz"
    path.unlink() if damage is None else path.write_bytes(damage)
    with pytest.raises(UserError, match=r"dataset\.npz") as caught:
        Dataset.read(tmp_path)
    assert caught.value.remedy


def test_a_flipped_byte_is_noticed(tmp_path: Path) -> None:
    data = load({"kind": "digits"})
    data.save(tmp_path)
    path = tmp_path / "dataset.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"dataset\.npz"):
        Dataset.read(tmp_path)


def test_damaged_or_foreign_meta_is_named(tmp_path: Path) -> None:
    small().save(tmp_path)
    meta = json.loads((tmp_path / "meta.json").read_text())
    for content in ("{", json.dumps({"name": "small"}), json.dumps(meta | {"length": 3}), "[]"):
        (tmp_path / "meta.json").write_text(content)
        with pytest.raises(UserError, match=r"meta\.json"):
            Dataset.read(tmp_path)


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    small().save(tmp_path)
    np.savez(tmp_path / "dataset.npz", split_train=np.array([{"a": 1}], object))
    with pytest.raises(UserError, match=r"dataset\.npz"):
        Dataset.read(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"vocabulary": 2, "alphabet": None},
        {"length": 3},
        {"alphabet": "ab"},
        {"table": np.full((3, 3, 3), 1 / 27)},
        {"chain": MarkovChain.random(4, 1)},
        {"labels": {"train": np.array([0, 1], np.uint8), "test": np.array([1], np.uint8)}},
    ],
)
def test_inconsistent_data_sets_cannot_be_made(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"split|alphabet|table|chain|labels"):
        small(**changes)


def test_leakage_finds_copies_and_shifted_runs() -> None:
    rng = np.random.default_rng(0)
    train = rng.integers(0, 27, (40, 64)).astype(np.uint8)
    test = rng.integers(0, 27, (10, 64)).astype(np.uint8)
    test[0] = train[3]
    test[1, 5:37] = train[4, 20:52]
    test[2, 5:36] = train[4, 20:51]  # one short
    found = leakage({"train": train, "judge": test[:0], "test": test})
    assert found == {"test_in_train": 0.1, "test_sharing_32_with_train": 0.2}


def test_copies_of_whole_sequences_against_brute_force() -> None:
    rng = np.random.default_rng(1)
    for length, vocabulary in ((1, 300), (3, 4), (40, 2)):
        rows, others = (rng.integers(0, vocabulary, (n, length)).astype(np.uint16) for n in (50, 80))
        others[:5] = rows[10:15]
        expected = [any((row == other).all() for other in others) for row in rows]
        assert in_rows(rows, others).tolist() == expected


def test_equal_codes_are_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sequences that only share a code are no copies."""
    monkeypatch.setattr(
        importlib.import_module("cdmrun.data.leakage"), "_BASE", np.uint64(1)
    )  # then the code of a row is its sum
    rows, others = np.array([[0, 3], [2, 2]], np.uint8), np.array([[3, 0], [2, 2]], np.uint8)
    assert in_rows(rows, others).tolist() == [False, True]


def test_runs_are_for_excerpts_only() -> None:
    splits = {"train": np.zeros((2, 64), np.uint8), "test": np.zeros((1, 64), np.uint8)}
    assert leakage(splits, None) == {"test_in_train": 1.0}


def test_leakage_of_nothing_is_empty() -> None:
    assert leakage({}) == {}


def test_registry_errors_name_the_key_and_suggest() -> None:
    with pytest.raises(UserError, match="did you mean 'digits'"):
        load({"kind": "digit"})
    with pytest.raises(UserError, match=r"data\.lenght: kjv has no such option"):
        load({"kind": "kjv", "lenght": 3})
    with pytest.raises(UserError, match=r"data\.file: missing"):
        load({"kind": "text"})
    with pytest.raises(UserError, match="None is not a data set"):
        load({})
