"""Whether a stage's fingerprint covers the code that it runs: what a stage imports, however far, is listed or known."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from cdmrun.registry import find, names
from cdmrun.stages.provenance import PACKAGE, SOURCES

#: How jobs are run and what is checked of their input; decides nothing of what comes out.
PLUMBING = (
    *("errors.py", "files.py", "limits.py", "plugins.py", "registry.py", "rates.py", "spec/", "members/"),
    *("data/dataset.py", "stages/board.py", "stages/history.py", "stages/job.py", "stages/parts.py"),
    "stages/provenance.py",
)
#: What comes along with imports and is not called: packages that others in them are taken from, the group of processes.
ALONG = {
    "fetch": ("models/", "processes/", "training/", "stages/randomness.py"),
    "judge": ("models/", "processes/", "samplers/", "data/chain.py", "data/leakage.py", "metrics/judges.py"),
    "features": ("models/", "processes/", "training/", "data/", "stages/randomness.py"),
    "anchor": ("models/", "processes/", "samplers/", "training/"),
    "train": ("samplers/", "data/leakage.py"),
    "draw": ("training/", "data/leakage.py"),
    "label": ("training/", "samplers/", "distill/", "data/leakage.py"),
    "distill": ("data/leakage.py",),
    "optimise": ("training/", "data/leakage.py"),
    "sample": ("training/", "data/leakage.py"),
    "evaluate": ("training/",),
}


@pytest.mark.parametrize("stage", SOURCES)
def test_everything_that_a_stage_imports_is_in_its_fingerprint(stage: str) -> None:
    covered = (*SOURCES[stage], *PLUMBING, *ALONG[stage])
    missing = [path for path in sorted(imported(f"stages/{stage}.py")) if not path.startswith(covered)]
    assert not missing, f"list these in SOURCES[{stage!r}], or here if they decide nothing of what it makes"


@pytest.mark.parametrize("stage", SOURCES)
def test_every_source_is_there(stage: str) -> None:
    assert all((PACKAGE / source).exists() for source in SOURCES[stage])


@pytest.mark.parametrize(
    ("kind", "stage"),
    [("data", "fetch"), ("process", "sample"), ("family", "sample"), ("sampler", "sample"), ("metric", "evaluate")],
)
def test_members_are_in_the_fingerprint_of_the_stage_that_calls_them(kind: str, stage: str) -> None:
    modules = {find(kind, name).implementation.partition(":")[0] for name in names(kind)}
    for path in (
        module.removeprefix("cdmrun.").replace(".", "/") for module in modules if module.startswith("cdmrun.")
    ):
        assert path.startswith(tuple(source.removesuffix(".py") for source in SOURCES[stage])), path


def imported(start: str) -> set[str]:
    """Files of the package that a file leads to, itself included; packages' own imports where names are theirs."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            if not path.startswith(PLUMBING) or path == "stages/job.py":
                waiting.extend(_imports(path))
    return found


def _imports(path: str) -> list[str]:
    nodes = ast.walk(ast.parse((PACKAGE / path).read_text(encoding="utf-8")))
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cdmrun.")]
    pairs = [(str(node.module), alias.name) for node in froms for alias in node.names]
    return [found for module, name in pairs if (found := _file(f"{module}.{name}") or _file(module))]


def _file(module: str) -> str | None:
    below = Path(*module.split(".")[1:])
    for path in (below.with_suffix(".py"), below / "__init__.py"):
        if (PACKAGE / path).is_file():
            return str(path)
    return None
