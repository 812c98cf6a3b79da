"""Redoing: what goes with a product, what stays, and when nothing is touched."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest
import typer

from cdmrun.errors import UserError
from cdmrun.manage.redoing import redo
from cdmrun.spec.plan_types import Plan

from .conftest import RING, KeyOf, Results

SPEC = [Path("a.yaml")]


@pytest.fixture
def plan(results: Results) -> Plan:
    """Everything made, tables and report included."""
    two = RING + "  parts:\n    method: cdm\n    family: {kind: factorized}\n    nfe: [1]\n"
    plan = results.plan(results.spec(two))
    results.products(plan)
    for name in ("tables/ring.md", "tables/ring.scores.csv", "tables/ring-2.md", "report.html"):
        results.file(name, "numbers")
    return plan


def there(results: Results, plan: Plan) -> set[str]:
    return {key for key in plan.runs if (results.out / key / "manifest.json").exists()}


def pages(results: Results) -> set[str]:
    return {path.name for path in (results.out / "tables").iterdir()} | {p.name for p in results.out.glob("*.html")}


def test_a_student_goes_with_its_samples_and_scores(results: Results, plan: Plan, key_of: KeyOf) -> None:
    student = next(key for key in plan.runs if key.startswith("students/cdm-joint"))
    results.file(f"logs/{student}.log", "complete")
    expected = {key for key in plan.runs if "/cdm-joint" in key}
    assert set(redo([student], SPEC, results.out, dry_run=True)) == expected
    assert there(results, plan) == set(plan.runs)
    assert set(redo([student.split("-")[-1]], SPEC, results.out, yes=True)) == expected
    assert there(results, plan) == set(plan.runs) - expected
    assert not (results.out / f"logs/{student}.log").exists()
    # another experiment's tables stay; cards do, for whoever calls a stage by hand
    assert pages(results) == {"ring-2.md"}
    assert (results.out / f".plan/{student}.json").exists()


def test_a_folder_that_is_not_there_is_no_empty_one(results: Results) -> None:
    with pytest.raises(UserError, match="nowhere: no such folder"):
        redo([], [results.spec()], results.folder / "nowhere", stale=True)


def test_a_teacher_goes_with_all_but_the_data(results: Results, plan: Plan, key_of: KeyOf) -> None:
    redo([key_of(plan, "teachers")], SPEC, results.out, yes=True)
    assert there(results, plan) == {key_of(plan, "data"), key_of(plan, "anchors")}


def test_stale_ones_go(results: Results, plan: Plan, key_of: KeyOf, capsys: pytest.CaptureFixture[str]) -> None:
    assert redo([], SPEC, results.out, stale=True) == []
    assert capsys.readouterr().out == "nothing is there to be deleted\n"
    assert there(results, plan) == set(plan.runs)
    scores = key_of(plan, "scores")
    results.product(plan, scores, code={"fingerprint": "of long ago"})
    assert redo([], SPEC, results.out, stale=True, yes=True) == [scores]


def test_nothing_goes_while_a_job_is_at_work(results: Results, plan: Plan, key_of: KeyOf) -> None:
    student, samples = key_of(plan, "students"), key_of(plan, "samples")
    with open(results.out / samples / ".lock", "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=f"{samples}: a job is at work here"):
            redo([student], SPEC, results.out, yes=True)
    assert there(results, plan) == set(plan.runs)
    assert "report.html" in pages(results)


def test_nothing_goes_without_a_yes_or_a_name(
    results: Results, plan: Plan, key_of: KeyOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typer, "confirm", lambda text, abort: (_ for _ in ()).throw(typer.Abort))
    with pytest.raises(typer.Abort):
        redo([key_of(plan, "students")], SPEC, results.out)
    with pytest.raises(UserError, match="no run is named"):
        redo([], SPEC, results.out, yes=True)
    with pytest.raises(UserError, match="studens"):
        redo(["studens/cdm"], SPEC, results.out, yes=True)
    assert there(results, plan) == set(plan.runs)


def test_links_are_taken_away_and_never_followed(results: Results, plan: Plan, key_of: KeyOf, tmp_path: Path) -> None:
    scores, outside = key_of(plan, "scores"), tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    (results.out / scores / "more").symlink_to(outside)
    (results.out / "tables/ring.tex").symlink_to(outside / "precious")
    redo([scores], SPEC, results.out, yes=True)
    assert (outside / "precious").read_text() == "precious"
    assert not (results.out / scores).exists()
