from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from cdmrun.spec.plan import build_plan
from cdmrun.spec.plan_types import workflow_command
from cdmrun.workflow import Pipeline

from .conftest import CHAIN, RING, Write


@pytest.mark.parametrize(
    ("chosen", "out", "command"),
    [
        (["specs/chain.yaml", "specs/ring.yaml"], "results", "snakemake --cores all"),
        (["specs/chain.yaml", "specs/ring.yaml"], "there", "snakemake --cores all --config out=there"),
        (["specs/ring.yaml"], "results", "snakemake --cores all --config specs=specs/ring.yaml"),
        (["my own.yaml", "specs/ring.yaml"], "a b", None),
    ],
)
def test_the_command_makes_just_this_plan(write: Write, chosen: list[str], out: str, command: str | None) -> None:
    write(RING, "specs/ring.yaml")
    write(CHAIN, "specs/chain.yaml")
    write(RING.replace("name: ring", "name: own").replace("states: 3", "states: 2"), "my own.yaml")
    plan = build_plan([Path(path) for path in chosen])
    found = workflow_command(plan, Path(out))
    assert command in (None, found)
    config = dict(word.split("=") for word in shlex.split(found)[4:])
    pipeline = Pipeline(config)
    assert (set(pipeline.plan.runs), pipeline.out) == (set(plan.runs), out)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"spec": "a.yaml"}, "--config spec=…: no such name (did you mean 'specs'?); there are specs and out"),
        ({"out": "results"}, "no spec given, and no specs/*.yaml here: name one with --config specs="),
    ],
)
@pytest.mark.usefixtures("write")
def test_what_would_run_something_else_ends_snakemake(
    config: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        Pipeline(config)
    assert said in capsys.readouterr().err
