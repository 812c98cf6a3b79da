"""Garbage: what goes, what stays, and that nothing outside the results folder is touched."""

from __future__ import annotations

import fcntl
import io
import json
import os
import shutil
from pathlib import Path

import pytest
import typer

from cdmrun.errors import UserError
from cdmrun.manage.collecting import collect_garbage, size_text
from cdmrun.manage.garbage import find_garbage, remove
from cdmrun.spec.plan_types import Plan
from cdmrun.spec.written import add_files

from .conftest import RING, KeyOf, Results

OTHER = RING.replace("steps: 5", "steps: 6")


@pytest.fixture
def two(results: Results) -> tuple[Plan, Plan]:
    """All products of two specs that share their teacher: the plan that is kept, and the other."""
    kept, other = results.plan(results.spec()), results.plan(results.spec(OTHER, "b.yaml"))
    for plan in (kept, other):
        results.products(plan)
    return kept, other


def sweep(results: Results, kept: Plan) -> int:
    return sum(remove(results.out, one) for one in find_garbage(results.out, kept.runs) if not one.in_use)


def test_only_what_no_spec_asks_for_goes(results: Results, two: tuple[Plan, Plan]) -> None:
    kept, other = two
    alone = set(other.runs) - set(kept.runs)
    assert {key.split("/")[0] for key in alone} == {"students", "samples", "scores"}
    for key in alone:
        results.file(f"logs/{key}.log", "a log\n")
    found = find_garbage(results.out, kept.runs)
    assert {one.key for one in found} == alone
    assert {one.what for one in found} == {"product"}
    before = sum(path.stat().st_size for path in results.out.rglob("*") if path.is_file())
    freed = sweep(results, kept)
    assert before - freed == sum(path.stat().st_size for path in results.out.rglob("*") if path.is_file())
    for key in alone:
        for gone in (key, f".plan/{key}.json", f"logs/{key}.log"):
            assert not (results.out / gone).exists()
    assert all((results.out / key / "manifest.json").exists() for key in kept.runs)
    assert find_garbage(results.out, kept.runs) == []


def test_what_was_planned_or_begun_and_given_up_goes(results: Results, key_of: KeyOf) -> None:
    other = results.plan(results.spec(OTHER))
    student = key_of(other, "students")
    results.file(f"{student}/work/checkpoint.pt", "half")
    found = {one.key: one.what for one in find_garbage(results.out, {})}
    assert found == {key: "unfinished" if key == student else "card" for key in other.runs}
    sweep(results, Plan({}, ()))
    assert not [path for path in results.out.rglob("*") if path.is_file()]


def test_the_work_folder_of_a_complete_product_goes_alone(results: Results, key_of: KeyOf) -> None:
    plan = results.plan(results.spec())
    done, begun = key_of(plan, "students"), key_of(plan, "teachers")
    results.product(plan, done)
    for key in (done, begun):
        results.file(f"{key}/work/checkpoint.pt", "y" * 50)
    (only,) = find_garbage(results.out, plan.runs)
    assert (only.key, only.what, only.size) == (done, "work", 50)
    assert sweep(results, plan) == 50
    assert not (results.out / done / "work").exists()
    assert (results.out / done / "model.bin").exists()
    assert (results.out / begun / "work/checkpoint.pt").exists()


def test_what_a_job_holds_stays(results: Results, two: tuple[Plan, Plan]) -> None:
    kept, other = two
    key = next(key for key in other.runs if key not in kept.runs)
    with open(results.out / key / ".lock", "w") as stream:
        found = {one.key: one for one in find_garbage(results.out, kept.runs)}
        assert not found[key].in_use
        fcntl.flock(stream, fcntl.LOCK_EX)
        # found free, taken since
        assert remove(results.out, found[key]) == 0
        assert {one.key for one in find_garbage(results.out, kept.runs) if one.in_use} == {key}
        sweep(results, kept)
        assert (results.out / key / "manifest.json").exists()
    sweep(results, kept)
    assert not (results.out / key).exists()


def test_what_is_not_ours_stays(results: Results, two: tuple[Plan, Plan]) -> None:
    kept, other = two
    key = next(key for key in other.runs if key not in kept.runs)
    mine = ("students/my-notes/a.txt", "students/by-hand-12345678/a.txt", "tables/old.md", "elsewhere/x-12345678/a.txt")
    for name in mine:
        results.file(name, "mine")
    # a manifest of another product, copied; and one that is none
    shutil.copytree(results.out / key, results.out / "students/copied-87654321")
    results.file("students/odd-11111111/manifest.json", '["a list"]')
    sweep(results, Plan({}, ()))
    for name in (*mine, "students/copied-87654321/model.bin", "students/odd-11111111/manifest.json"):
        assert (results.out / name).exists(), name


def test_links_are_taken_away_and_never_followed(results: Results, tmp_path: Path, two: tuple[Plan, Plan]) -> None:
    kept, other = two
    first, second, third = sorted(key for key in other.runs if key not in kept.runs)
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep/precious.txt").write_text("precious")
    # links inside a product, a product that is itself a link, and a lock that leads out
    (results.out / first / "folder").symlink_to(outside)
    (results.out / first / "file").symlink_to(outside / "deep/precious.txt")
    (results.out / first / "work").symlink_to(outside / "deep")
    shutil.move(results.out / second, outside / "product")
    (results.out / second).symlink_to(outside / "product")
    (results.out / third / ".lock").symlink_to(outside / "deep/precious.txt")
    # in a product that stays, a work folder that is a link
    stays = next(iter(kept.runs))
    (results.out / stays / "work").symlink_to(outside / "deep")
    sweep(results, kept)
    for key in (first, second, third):
        assert not os.path.lexists(results.out / key)
    assert not os.path.lexists(results.out / stays / "work")
    assert (outside / "deep/precious.txt").read_text() == "precious"
    assert (outside / "product/manifest.json").exists()


def test_a_kind_that_lies_elsewhere_is_left_alone(results: Results, tmp_path: Path, two: tuple[Plan, Plan]) -> None:
    kept, other = two
    shutil.move(results.out / "students", tmp_path / "disk")
    (results.out / "students").symlink_to(tmp_path / "disk")
    shutil.move(results.out / ".plan/samples", tmp_path / "cards")
    (results.out / ".plan/samples").symlink_to(tmp_path / "cards")
    cards = sorted((tmp_path / "cards").iterdir())
    sweep(results, kept)
    assert {f"students/{path.name}" for path in (tmp_path / "disk").iterdir()} >= {
        key for key in other.runs if key.startswith("students/")
    }
    assert sorted((tmp_path / "cards").iterdir()) == cards


def test_the_talk(results: Results, two: tuple[Plan, Plan], capsys: pytest.CaptureFixture[str], monkeypatch) -> None:  # type: ignore[no-untyped-def]
    kept, other = two
    alone = sorted(set(other.runs) - set(kept.runs))
    total = collect_garbage([Path("a.yaml")], results.out, dry_run=True)
    shown = capsys.readouterr().out
    assert all(key in shown for key in alone)
    assert f"3 products: {size_text(total)} ({total} bytes) would be freed" in shown
    for answer in ("n\n", "\n", ""):  # no, nothing, and nobody there
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        with pytest.raises(typer.Abort):
            collect_garbage([Path("a.yaml")], results.out)
    assert all((results.out / key).exists() for key in alone)
    capsys.readouterr()
    assert collect_garbage([Path("a.yaml")], results.out, yes=True) == total
    assert capsys.readouterr().out.endswith(f"({total} bytes) freed\n")
    assert not any((results.out / key).exists() for key in alone)
    collect_garbage([Path("a.yaml")], results.out)
    assert capsys.readouterr().out == "nothing to delete\n"


def test_tables_of_experiments_that_no_spec_asks_for_go(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    """By the lists of what was written; without one, of an earlier version, nothing is known of them."""
    results.products(results.plan(results.spec()))
    for name in ("ring", "gone", "ring-before"):
        for file in (f"tables/{name}.md", f"figures/{name}-tv-vs-nfe.png", f"logs/tables/{name}.log"):
            results.file(file, "x" * 10)
    for name in ("ring", "gone"):
        add_files(results.out, name, [f"tables/{name}.md", f"figures/{name}-tv-vs-nfe.png"])
        results.file(f".plan/shown/{name}.json", "what")
        results.file(f".plan/shown/{name}.made", "what")
    add_files(results.out, "gone", ["tables/ring.md", "../../a.yaml"])
    specs = [Path("a.yaml")]
    collect_garbage(specs, results.out, dry_run=True)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].endswith("  tables      tables/gone.*, figures/gone-*")
    assert shown[1].startswith("1 set of tables: ")
    assert (results.out / "tables/gone.md").exists()
    before = {path for path in results.folder.rglob("*") if path.is_file()}
    collect_garbage(specs, results.out, yes=True)
    gone = before - {path for path in results.folder.rglob("*") if path.is_file()}
    plan = {results.out / f".plan/shown/gone.{end}" for end in ("json", "made", "files")}
    files = {results.out / file for file in ("tables/gone.md", "figures/gone-tv-vs-nfe.png", "logs/tables/gone.log")}
    assert gone == plan | files
    capsys.readouterr()
    collect_garbage(specs, results.out, yes=True)
    assert capsys.readouterr().out == "nothing to delete\n"


def test_a_wrong_spec_or_folder_deletes_nothing(results: Results, two: tuple[Plan, Plan]) -> None:
    wrong = results.spec(RING.replace("joint}", "jiont}"), "wrong.yaml")
    with pytest.raises(UserError, match="did you mean 'joint'"):
        collect_garbage([Path("a.yaml"), wrong], results.out, yes=True)
    with pytest.raises(UserError, match="no such folder"):
        collect_garbage([Path("a.yaml")], Path("absent"), yes=True)
    assert all(json.loads((results.out / key / "manifest.json").read_text()) for plan in two for key in plan.runs)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 * 2**30, "3.0 GiB"), (2**52, "4096.0 TiB")]
)
def test_sizes_read_well(size: int, text: str) -> None:
    assert size_text(size) == text
