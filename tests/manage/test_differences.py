"""Differences between specs and between runs: what, where it was written, and what follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdmrun.errors import UserError
from cdmrun.manage.asking import ask, diff_words
from cdmrun.manage.differences import diff_specs

from .conftest import RING, KeyOf, Results

Values = dict[str, tuple[object, str, object, str]]


def values(found) -> Values:  # type: ignore[no-untyped-def]
    """Path → value and place on the left, value and place on the right."""
    return {
        one.path: tuple(part for side in (one.left, one.right) for part in ((side.value, side.origin) if side else ()))
        for one in found
    }


def test_values_with_their_places_and_what_follows(results: Results) -> None:
    left = results.spec()
    right = results.spec("extends: a.yaml\nname: other\nstudents: {joint: {train: {steps: 7, lr: 1e-3}}}\n", "b.yaml")
    found = diff_specs(left, right)
    assert values(found.values) == {
        "students.joint.train.steps": (5, "a.yaml:10", 7, "b.yaml:3"),
        "students.joint.train.lr": (0.002, "default", 0.001, "b.yaml:3"),
    }
    runs = {kind.kind: (len(kind.both), len(kind.left), len(kind.right)) for kind in found.runs}
    assert runs == {
        "data": (1, 0, 0),
        "anchors": (1, 0, 0),
        "teachers": (1, 0, 0),
        "students": (0, 1, 1),
        "samples": (0, 1, 1),
        "scores": (0, 1, 1),
    }


def test_what_only_one_has_and_what_is_equal(results: Results) -> None:
    left = results.spec()
    right = results.spec(RING + "title: A name is no difference\nbaselines:\n  analytic: {nfe: [2]}\n", "b.yaml")
    (only,) = diff_specs(left, right).values
    assert (only.path, only.left, only.right.origin) == ("baselines.analytic.nfe", None, "b.yaml:13")  # type: ignore[union-attr]
    found = diff_specs(left, results.spec(RING.replace("ring\n", "renamed\n", 1), "c.yaml"))
    assert found.values == ()
    assert all(not kind.left and not kind.right for kind in found.runs)


def test_matrices_are_compared_point_by_point(results: Results) -> None:
    matrix = "matrix: {students.joint.train.steps: [1, 2, 3]}\n"
    left, right = results.spec(RING + matrix), results.spec(RING + matrix.replace(", 3", ""), "b.yaml")
    found = diff_specs(left, right)
    assert (found.values, found.experiments_left, found.experiments_right) == ((), ("ring-3",), ())
    longer = results.spec((RING + matrix).replace("nfe: [1, 2]", "nfe: [1]"), "c.yaml")
    (nfe,) = diff_specs(left, longer).values
    assert (nfe.path, nfe.times) == ("students.joint.nfe", 3)


def test_runs_differ_by_what_is_upstream(results: Results, key_of: KeyOf) -> None:
    one = results.plan(results.spec())
    edited = RING.replace("length: 3", "length: 4").replace("5}", "6}").replace("name: ring", "name: other")
    other = results.plan(results.spec(edited, "b.yaml"))
    words = key_of(one, "scores"), key_of(other, "scores")
    found = values(diff_words(*words, [Path("a.yaml"), Path("b.yaml")], results.out)[2])
    data = (3, "a.yaml:2", 4, "b.yaml:2")
    steps = (5, "a.yaml:10", 6, "b.yaml:10")
    assert {path.rsplit(" › ", 1)[-1]: value for path, value in found.items()} == {
        "length": data,
        "train.steps": steps,
    }
    # the second spec is gone: its runs are still on record
    Path("b.yaml").unlink()
    found = values(diff_words(*words, [Path("a.yaml")], results.out)[2])
    assert {value[2:] for value in found.values()} == {(4, "record"), (6, "record")}


def test_runs_of_two_kinds_have_nothing_to_compare(results: Results, key_of: KeyOf) -> None:
    plan = results.plan(results.spec())
    with pytest.raises(UserError, match="name two runs of one kind"):
        diff_words(key_of(plan, "data"), key_of(plan, "scores"), [Path("a.yaml")], results.out)


def test_asking_for_what_no_spec_wants_any_more(results: Results, key_of: KeyOf) -> None:
    old = results.plan(results.spec())
    student = key_of(old, "students")
    results.product(old, student)
    new = results.spec(RING.replace("5}", "6}"))
    found = ask(student, [new], results.out)
    assert (found.run.config, found.built) == (old.runs[student].config, None)
    assert found.manifest is not None
    assert found.state.state == "fresh"
    assert ask(student.rsplit("-", 1)[1], [new], results.out).run.key == student
    # without any spec at all, and from the card alone
    Path("a.yaml").unlink()
    (results.out / student / "manifest.json").write_text("{ half")
    found = ask(student, None, results.out)
    assert (found.run.key, found.manifest) == (student, None)
    (results.out / f".plan/{student}.json").write_text("")
    with pytest.raises(UserError, match="neither a manifest nor a card"):
        ask(student, None, results.out)


def test_asking_for_nothing_or_too_much(results: Results) -> None:
    results.plan(results.spec())
    with pytest.raises(UserError, match="could be any of 6 runs"):
        ask("", None, results.out)
    with pytest.raises(UserError, match=r"did you mean 'students/"):
        ask("student/cdm-joint-potts_ring", [Path("a.yaml")], results.out)
    for outside in ("../../etc/passwd-12345678", "students/../../x-12345678", "students/x\0-12345678"):
        with pytest.raises(UserError, match="no run"):
            ask(outside, None, results.out)
