"""Lists of the files that were written of an experiment: what goes, and what no list can make go."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdmrun.spec.written import add_files, drop_others, list_path, listed_experiments, listed_files

OLD = ["figures/ring-tv-vs-nfe.png", "figures/ring-tv-vs-nfe.svg", "tables/ring.md"]
NEW = ["figures/ring-kl-vs-nfe.png", "tables/ring.md"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A results folder with the files of an experiment, and neighbours."""
    out = tmp_path / "results"
    for file in (*OLD, "figures/ring-mine.png", "scores/x/scores.json", "../precious"):
        (out / file).parent.mkdir(parents=True, exist_ok=True)
        (out / file).write_text(file)
    return out


def there(out: Path) -> set[str]:
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    return {file for file in files if not file.startswith(".plan")}


def test_what_is_no_longer_made_goes(out: Path) -> None:
    add_files(out, "ring", OLD)
    add_files(out, "ring", NEW)
    assert listed_files(out, "ring") == sorted({*OLD, *NEW}), "a job that is killed now leaves files of both"
    before = there(out)
    drop_others(out, "ring", NEW)
    assert before - there(out) == set(OLD) - set(NEW)
    assert listed_files(out, "ring") == NEW
    assert listed_experiments(out) == ["ring"]


def test_what_another_experiment_has_stays(out: Path) -> None:
    add_files(out, "ring", OLD)
    add_files(out, "ring-tv", OLD[:1])
    drop_others(out, "ring", NEW)
    assert (out / OLD[0]).exists()
    assert not (out / OLD[1]).exists()


def test_without_a_list_nothing_is_known(out: Path) -> None:
    before = there(out)
    drop_others(out, "ring", NEW)
    add_files(out, "empty", [])
    assert there(out) == before
    assert listed_experiments(out) == ["ring"]


@pytest.mark.parametrize(
    "line",
    [
        *("../precious", "tables/../../precious", "tables/..", "figures/.", "figures/", "tables", "", "/etc/passwd"),
        *("scores/x/scores.json", "figures/../scores/x/scores.json", "x/figures/ring-mine.png", "tables/\0"),
    ],
)
def test_no_list_leads_out_of_two_folders(out: Path, line: str) -> None:
    add_files(out, "ring", OLD)
    with open(list_path(out, "ring"), "a") as stream:
        stream.write(f"{line}\n")
    before = there(out)
    assert listed_files(out, "ring") == OLD
    drop_others(out, "ring", OLD)
    assert there(out) == before
    assert (out / "../precious").exists()


def test_folders_that_lie_elsewhere_are_left_alone_and_links_are_not_followed(out: Path, tmp_path: Path) -> None:
    (out / "figures").rename(tmp_path / "disk")
    (out / "figures").symlink_to(tmp_path / "disk")
    (out / "tables/ring.tex").symlink_to(tmp_path / "precious")
    add_files(out, "ring", [*OLD, "tables/ring.tex"])
    drop_others(out, "ring", [])
    assert (tmp_path / "disk/ring-tv-vs-nfe.png").exists()
    assert not list((out / "tables").iterdir())
    assert (tmp_path / "precious").exists()


def test_a_damaged_list_is_none(out: Path) -> None:
    list_path(out, "ring").parent.mkdir(parents=True)
    list_path(out, "ring").write_bytes(b"\xff\xfe")
    before = there(out)
    drop_others(out, "ring", [])
    assert there(out) == before
