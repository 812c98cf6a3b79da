"""New specs: valid as they are, commented, and never in the place of another."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cdmrun.commands.handling import Like
from cdmrun.errors import UserError
from cdmrun.manage.starting import TEMPLATES, new_spec
from cdmrun.spec.load import load_specs
from cdmrun.spec.plan import build_plan
from cdmrun.spec.schema import SCHEMA_PATH

from .conftest import Results


@pytest.mark.parametrize("like", TEMPLATES)
def test_valid_and_commented(results: Results, like: str) -> None:
    path = new_spec("my-first", like)
    assert path == Path("specs/my-first.yaml")
    (experiment,) = load_specs([path])
    assert experiment.spec["name"] == "my-first"
    assert {run.kind for run in build_plan([path]).runs.values()} >= {"data", "teachers", "students", "scores"}
    text = path.read_text()
    assert text.count("#") > 8
    assert re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)[1] == str(SCHEMA_PATH)  # type: ignore[index]
    for comment in ("cdmrun validate specs/my-first.yaml", "--config specs=specs/my-first.yaml"):
        assert comment in text


def test_the_command_offers_every_template() -> None:
    assert tuple(Like) == TEMPLATES


def test_in_a_checkout_the_schema_is_relative(monkeypatch: pytest.MonkeyPatch, results: Results) -> None:
    schema = results.folder / "cdmrun/spec/schema.json"
    monkeypatch.setattr("cdmrun.manage.starting.SCHEMA_PATH", schema)
    assert new_spec("a", "exact").read_text().splitlines()[0].endswith("$schema=../cdmrun/spec/schema.json")


def test_nothing_is_overwritten(results: Results) -> None:
    path = new_spec("a", "exact")
    path.write_text("mine")
    with pytest.raises(UserError, match=r"specs/a\.yaml: exists already"):
        new_spec("a", "text")
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["", "../a", "a/b", "A", "a b", "a\n", "$(id)", "-a", "ä", "a" * 101])
def test_names_that_no_experiment_may_have(results: Results, name: str) -> None:
    with pytest.raises(UserError, match="cannot be the name of an experiment"):
        new_spec(name, "exact")
    assert not Path("specs").exists()
