"""The project as a newcomer meets it: README, Makefile, shipped specs, the library's front door, frozen ids."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import frozen_ids
import pytest
import typer
from frozen_ids import REPOSITORY, shipped_specs
from packaging.requirements import Requirement
from workflow_cases import write_words

import cdmrun
from cdmrun import cli
from cdmrun.commands.common import chosen_specs
from cdmrun.spec.explain import find_run
from cdmrun.spec.plan import build_plan
from cdmrun.spec.schema import SCHEMA_PATH, walk

README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")), REPOSITORY / "profiles/README.md"]


def commands(program: str) -> list[str]:
    """Lines of the README's shell blocks that call a program."""
    lines = [line.split("#")[0].strip() for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
    return [line for line in lines if line.startswith(f"{program} ")]


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = {word for line in commands("make") for word in shlex.split(line)[1:] if "=" not in word}
    assert {"tables", "test", "demo"} <= named <= targets
    # every target but files says what it is for
    assert targets == set(re.findall(r"^([a-z]+):.*## \w", makefile, re.MULTILINE))


def test_make_alone_lists_the_targets() -> None:
    shown = subprocess.run(["make", "-C", str(REPOSITORY)], capture_output=True, text=True, check=True).stdout
    for target in ("tables", "demo", "test", "lint", "clean"):
        assert f"make {target} " in shown


def examples() -> list[str]:
    """The lines that the help texts of commands give as examples."""
    group = typer.main.get_command(cli.app)
    texts = [command.help or "" for command in group.commands.values()]  # type: ignore[attr-defined]
    return re.findall(r"Example: \[cyan\](cdmrun .*?)\[/cyan\]", "\n".join(texts))


def parsed(line: str) -> dict[str, Any]:
    """What the line gives its command, if every option and argument is one that the command has; nothing is run."""
    _, name, *arguments = shlex.split(line)
    command = typer.main.get_command(cli.app)
    context = command.get_command(None, name).make_context(name, arguments)  # type: ignore[attr-defined]
    return cast(dict[str, Any], context.params)


def runs_named(given: Mapping[str, Any]) -> list[str]:
    """The words among a command's arguments that mean runs."""
    words = [given.get("run"), given.get("left"), given.get("right"), *(given.get("runs") or ())]
    return [word for word in words if word and not word.endswith(".yaml")]


def test_readme_and_help_show_commands_that_name_runs() -> None:
    """There is something for the test below to look up."""
    assert any(runs_named(parsed(line)) for line in commands("cdmrun"))
    assert {line.split()[1] for line in examples() if runs_named(parsed(line))} == {"explain", "accept", "redo"}


@pytest.mark.parametrize("line", sorted({*commands("cdmrun"), *examples()}))
def test_cdmrun_lines_of_readme_and_help_mean_something(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They parse, and a run that is named is one run, no more, of the specs that the command looks into."""
    monkeypatch.chdir(REPOSITORY)
    given = parsed(line)
    for word in runs_named(given):
        specs = [Path(spec) for spec in given["specs"] or ()]
        assert find_run(build_plan(chosen_specs(specs)), word).key.startswith(word)


def test_library_snippet_runs() -> None:
    (snippet,) = (text for kind, text in BLOCKS if kind == "python")
    done = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    distances = [float(line.split()[1]) for line in done.stdout.splitlines()]
    assert distances == sorted(distances, reverse=True)


@pytest.mark.parametrize("document", ["README.md", "docs/specs.md"])
def test_specs_in_documents_are_valid(document: str, tmp_path: Path) -> None:
    (tmp_path / "base").symlink_to(REPOSITORY / "specs/base")
    write_words(tmp_path / "my.txt")
    blocks = re.findall(r"```yaml\n(.*?)```", (REPOSITORY / document).read_text(), re.DOTALL)
    assert blocks
    for number, text in enumerate(blocks):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        assert build_plan([path]).runs


def test_the_document_lists_what_no_id_depends_on() -> None:
    """As keys that the schema marks; paths of files, which are marked too, it names in words."""
    (sentence,) = re.findall(r"Not part of any id: .*?\.\s", (REPOSITORY / "docs/specs.md").read_text(), re.DOTALL)
    marked = {
        name
        for schema in walk(json.loads(SCHEMA_PATH.read_text()))
        for name, below in schema.get("properties", {}).items()
        if below.get("x-identity") is False and not below.get("x-path")
    }
    assert {key.rpartition(".")[2] for key in re.findall(r"`([\w.]+)`", sentence)} == marked


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_paths_exist(document: Path) -> None:
    text = document.read_text()
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not re.match(r"https?:|results/", target):
            assert (document.parent / target).exists(), target
    for path in re.findall(r"`((?:cdmrun|specs|tests|profiles|docs)/[\w./-]+)`", text):
        assert (REPOSITORY / path).exists(), path


@pytest.mark.parametrize("path", shipped_specs(), ids=str)
def test_shipped_spec_is_valid(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    assert build_plan([path]).runs


def test_shipped_specs_have_names_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    names = [experiment.name for experiment in build_plan(shipped_specs()).experiments]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("path", sorted((REPOSITORY / "specs").rglob("*.yaml")), ids=lambda path: path.name)
def test_modeline_points_at_the_schema(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert found, f"{path}: the first line should be the schema's modeline, for editors"
    assert (path.parent / found[1]).resolve() == REPOSITORY / "cdmrun/spec/schema.json"


def test_frozen_ids() -> None:
    """A change to the code of the runner must not orphan what people have trained."""
    frozen, now = json.loads(frozen_ids.FROZEN.read_text()), frozen_ids.trained_ids()
    before = {key for keys in frozen.values() for key in keys}
    retrained = sorted({key for keys in now.values() for key in keys} - before)
    assert frozen == now, (
        f"this change retrains {len(retrained)} models ({', '.join(retrained[:5])}{' …' * (len(retrained) > 5)});"
        f" to accept that, run: {frozen_ids.COMMAND}"
    )


def test_front_door_offers_every_name() -> None:
    for name in cdmrun.__all__:
        assert getattr(cdmrun, name) is not None
    assert set(cdmrun.__all__) <= set(dir(cdmrun))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cdmrun.nothing  # noqa: B018
    # what type checkers read says the same as what is looked up
    source = Path(cdmrun.__file__).read_text()
    declared = {name: module for module, name in re.findall(r"from (\S+) import (\w+) as \2", source)}
    assert declared == cdmrun._HOME


def test_front_door_and_help_do_not_import_torch() -> None:
    code = "import sys, cdmrun, cdmrun.cli, cdmrun.workflow; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_pins_satisfy_the_ranges() -> None:
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert all(re.fullmatch(r"[\w.]+", version) for version in pins.values()), "no local tags, no paths"
    lowered = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for line in [*project["dependencies"], *extras["dev"], *extras["slurm"], *extras["bench"]]:
        wanted = Requirement(line)
        if wanted.name == project["name"]:  # one extra within another
            continue
        assert wanted.specifier.contains(lowered[wanted.name.lower()]), line
