"""Merging, deleting, and who wrote what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cdmrun.spec.errors import SpecErrors
from cdmrun.spec.extends import Loader
from cdmrun.spec.load import find_errors, load_specs

from .conftest import TEXT, Write


def merged(path: Path) -> object:
    node, errors = Loader().load(path)
    assert not errors, errors
    assert node is not None
    return node.plain()


def test_maps_merge_lists_replace_null_deletes(write: Write) -> None:
    write("a: {x: 1, y: 2}\nb: [1, 2]\nc: 3\n", "base/one.yaml")
    path = write("extends: base/one.yaml\na: {y: 5, z: 6}\nb: [9]\nc: ~\n")
    assert merged(path) == {"a": {"x": 1, "y": 5, "z": 6}, "b": [9]}


def test_several_bases_later_wins_and_a_diamond_is_fine(write: Write) -> None:
    write("v: root\nr: 1\n", "root.yaml")
    write("extends: root.yaml\nv: left\n", "left.yaml")
    write("extends: root.yaml\nw: right\n", "right.yaml")
    path = write("extends: [left.yaml, right.yaml]\n")
    assert merged(path) == {"v": "root", "r": 1, "w": "right"}


def test_a_cycle_is_reported_where_it_closes(write: Write) -> None:
    write("extends: a.yaml\n", "b.yaml")
    errors = find_errors([write("extends: b.yaml\n")])
    assert [str(e) for e in errors] == ["b.yaml:1:10: extends: extends itself in a circle: a.yaml → b.yaml → a.yaml"]


def test_extending_oneself_is_a_cycle(write: Write) -> None:
    assert "circle" in find_errors([write("extends: a.yaml\n")])[0].message


def test_a_missing_base_points_at_the_line_and_suggests(write: Write) -> None:
    write(TEXT, "base/text.yaml")
    errors = find_errors([write("name: x\nextends:\n  - base/txt.yaml\n")])
    assert [str(e) for e in errors] == ["a.yaml:3:5: extends: base/txt.yaml: no such file (did you mean 'text.yaml'?)"]


def test_an_inherited_error_points_at_the_file_that_wrote_it(write: Write) -> None:
    write(TEXT.replace("steps: 4000", "stepz: 4000"), "base/text.yaml")
    errors = find_errors([write("extends: base/text.yaml\nname: child\n")])
    assert [str(e) for e in errors] == [
        "base/text.yaml:7:11: teacher.train.stepz: unknown key 'stepz' (did you mean 'steps'?)"
    ]


def test_an_inherited_key_of_another_kind_says_how_to_take_it_away(write: Write) -> None:
    write(TEXT, "base/text.yaml")
    (error,) = find_errors([write("extends: base/text.yaml\nstudents:\n  cdm-hmm: {family: {kind: mixture}}\n")])
    assert (error.file, error.line, error.path) == ("base/text.yaml", 11, "students.cdm-hmm.family.states")
    assert "belongs to kind hmm, not mixture" in error.message
    assert "states: ~" in error.message
    fixed = "extends: base/text.yaml\nstudents:\n  cdm-hmm: {family: {kind: mixture, states: ~}}\n"
    assert not find_errors([write(fixed)])


def test_a_file_is_relative_to_the_spec_that_wrote_it(write: Write) -> None:
    write("alpha beta\n", "base/words.txt")
    text = TEXT.replace("{kind: kjv, length: 64}", "{kind: text, file: words.txt}")
    write(text, "base/text.yaml")
    (experiment,) = load_specs([write("extends: ../base/text.yaml\n", "deep/a.yaml")])
    assert experiment.spec["data"]["file"] == "base/words.txt"


@pytest.mark.parametrize("value", ["3", "[1]", "{a: b}", "''"])
def test_extends_must_be_paths(write: Write, value: str) -> None:
    with pytest.raises(SpecErrors) as caught:
        load_specs([write(f"extends: {value}\n" + TEXT)])
    assert any(e.path == "extends" for e in caught.value.errors)


def test_a_null_with_nothing_to_take_away_is_an_error(write: Write) -> None:
    (error,) = find_errors([write(TEXT + "title: ~\n")])
    assert "expected text, got nothing" in error.message


def test_the_base_is_read_once_for_many_specs(write: Write) -> None:
    write(TEXT.replace("hmm,", "hm,"), "base.yaml")
    paths = [write(f"extends: base.yaml\nname: n{i}\n", f"s{i}.yaml") for i in range(3)]
    assert len(find_errors(paths)) == 1


def test_merging_keeps_json_plain(write: Write) -> None:
    write("a: {x: 1}\n", "base.yaml")
    json.dumps(merged(write("extends: base.yaml\nb: [1.5, text, true, ~]\n")))
