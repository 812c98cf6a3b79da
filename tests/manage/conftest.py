"""A results folder as jobs leave it, made in an instant: manifests, cards, logs, and files beside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdmrun.spec.cards import write_cards
from cdmrun.spec.plan import build_plan
from cdmrun.spec.plan_types import Plan

RING = """\
name: ring
data: {kind: potts_ring, states: 3, length: 3}
forward_process: {kind: uniform}
teacher: {kind: enumerated}
students:
  joint:
    method: cdm
    family: {kind: joint}
    nfe: [1, 2]
    train: {steps: 5}
"""


KeyOf = Callable[[Plan, str], str]


class Results:
    """A folder with specs and results, which is the working folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "results"

    def spec(self, text: str = RING, name: str = "a.yaml") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path.relative_to(self.folder)

    def plan(self, *specs: Path) -> Plan:
        """The plan of some specs, with cards, as the Snakefile makes it."""
        plan = build_plan(specs)
        write_cards(plan, self.out)
        return plan

    def product(self, plan: Plan, key: str, **more: Any) -> Path:
        """Complete a run with a file of 100 bytes and a manifest; ``more`` goes into that."""
        run, folder = plan.runs[key], self.out / key
        self.file(f"{key}/model.bin", "x" * 100)
        manifest = {"key": key, "config": dict(run.config), "inputs": dict(run.inputs), "wall_seconds": 2.0, **more}
        self.file(f"{key}/manifest.json", json.dumps(manifest))
        return folder

    def products(self, plan: Plan) -> None:
        for key in plan.runs:
            self.product(plan, key)

    def file(self, name: str, content: str) -> Path:
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    monkeypatch.chdir(tmp_path)
    return Results(tmp_path)


@pytest.fixture
def key_of() -> KeyOf:
    """The first run of a kind."""
    return lambda plan, kind: next(key for key, run in plan.runs.items() if run.kind == kind)
