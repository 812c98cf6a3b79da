"""Every member is in the schema and the documentation, and its code is there; declarations are checked when made.

A member that the registry knows and these do not, or that the toy problems beside this file do not, fails.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import pytest
from member_cases import dispatcher, every_member, schema_of
from workflow_cases import REPOSITORY

import cdmrun.members
from cdmrun.errors import UserError
from cdmrun.processes import make_schedule
from cdmrun.registry import (
    KINDS,
    FamilyMember,
    ProcessMember,
    SamplerMember,
    find,
    implementation,
    names,
    registry,
    sources,
)
from cdmrun.spec.fragments import DISPATCH
from cdmrun.spec.schema import branches, section, whole_schema


@every_member
def test_the_schema_describes_it(kind: str, name: str) -> None:
    schema = schema_of(find(kind, name))
    assert schema is not None, f"{name} is registered, and cdmrun/spec/schema.json does not list it"
    assert len(schema["description"]) > 10
    for key, below in schema["properties"].items():
        assert below.get("description"), f"{name}.{key}"
        settled = key in schema.get("required", ()) or {"default", "x-default-when"} & set(below)
        assert settled, f"{name}.{key} has neither a default nor to be given"


def test_the_schema_lists_nothing_that_is_not_registered() -> None:
    assert set(section("baselines")["properties"]) == set(names("sampler"))
    assert set(section("evaluation")["properties"]["metrics"]["items"]["enum"]) == set(names("metric"))
    for kind in DISPATCH:
        assert {choice.value for choice in branches(dispatcher(kind))} == set(names(kind))


@every_member
def test_editors_need_no_more_than_the_file(kind: str, name: str) -> None:
    """Options in a declaration are for plugins: who reads schema.json alone would take the member for a mistake."""
    assert (kind, name) in registry().plugins or find(kind, name).options is None


@every_member
def test_the_documentation_names_it(kind: str, name: str) -> None:
    if (kind, name) in registry().plugins:
        assert find(kind, name).description
        return
    documents = "".join((REPOSITORY / "docs" / document).read_text() for document in ("specs.md", "laboratory.md"))
    assert re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", documents), f"docs/specs.md does not mention `{name}`"


def test_the_tutorial_names_what_no_option_may_be_called() -> None:
    paragraphs = (REPOSITORY / "docs/extending.md").read_text().split("\n\n")
    (keys,) = (text for text in paragraphs if text.startswith("Keys that all of a kind share"))
    assert {name for kind in KINDS for name in kind.shared} <= set(re.findall(r"`(\w+)`", keys))


@every_member
def test_its_code_is_there(kind: str, name: str) -> None:
    assert callable(implementation(kind, name))


def test_members_say_what_a_plan_needs() -> None:
    """The facts that checks rely on, where they are known by heart."""
    assert cast(FamilyMember, find("family", "joint")).enumerable
    assert cast(SamplerMember, find("sampler", "theta_rk2")).calls == 2
    assert isinstance(find("process", "absorbing"), ProcessMember)


RINGS = """
from cdmrun.registry import ProcessMember

def slow(vocabulary, schedule):
    from cdmrun.processes import Uniform
    return Uniform(vocabulary, schedule)

MEMBERS = (ProcessMember(name="slow", implementation="cdmrun.members.rings:slow", description="Uniform.", options={}),)
"""


def test_a_new_file_among_the_members_is_all_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rings.py").write_text(RINGS)
    monkeypatch.setattr(cdmrun.members, "__path__", [*cdmrun.members.__path__, str(tmp_path)])
    registry.cache_clear()
    try:
        assert whole_schema()["$defs"]["forward_process"]["properties"]["kind"]["enum"][-1] == "slow"
        assert implementation("process", "slow")(3, make_schedule("loglinear")).vocabulary == 3
        assert sources("train", {"forward_process": {"kind": "slow"}}) == (tmp_path / "rings.py",)
        assert sources("train", {"forward_process": {"kind": "uniform"}}) == ()
    finally:
        registry.cache_clear()


def test_a_name_that_nobody_has_gets_a_suggestion() -> None:
    with pytest.raises(UserError, match="'absorbin' is not a forward process") as caught:
        find("process", "absorbin")
    assert "did you mean 'absorbing'?" in caught.value.remedy


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"name": "Bars"}, "lower-case"),
        ({"implementation": "bars.load"}, "not module:attribute"),
        ({"description": ""}, "a description is missing"),
        ({"options": {"side": {"type": "integer"}}}, "option side has no description"),
        ({"options": {"side": {"description": "Pixels a side."}}}, "option side has no type"),
        ({"options": {"schedule": {"description": "Mine.", "type": "string"}}}, "schedule is a key that all have"),
    ],
)
def test_declarations_are_checked_as_they_are_made(wrong: dict[str, Any], complaint: str) -> None:
    right: dict[str, Any] = {"name": "bars", "implementation": "bars:load", "description": "Bars.", "options": {}}
    assert ProcessMember(**right).name == "bars"
    with pytest.raises(ValueError, match=complaint):
        ProcessMember(**right | wrong)
