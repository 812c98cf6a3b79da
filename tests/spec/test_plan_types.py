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
        (["specs/ring.yaml"], "2024_11_28", "snakemake --cores all --config specs=specs/ring.yaml out=./2024_11_28"),
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
        ({"specs": "a.yaml", "out": 20241128}, "Snakemake has read this name as the number 20241128; write it as"),
        ({"specs": "a.yaml", "out": True}, "Snakemake has read this name as True; write it as a path"),
        ({"specs": "a.yaml", "out": None}, "Snakemake has read this name as None; write it as a path"),
        ({"specs": "a.yaml", "out": "./-x"}, "a results folder's name may have"),
    ],
)
@pytest.mark.usefixtures("write")
def test_what_would_run_something_else_ends_snakemake(
    config: dict[str, object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        Pipeline(config)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "plain"), [("results/", "results"), ("./2024_11_28", "2024_11_28"), ("a//b/../c", "a/c")]
)
def test_a_results_folder_is_written_as_short_as_it_can_be(write: Write, out: str, plain: str) -> None:
    pipeline = Pipeline({"specs": str(write(RING)), "out": out})
    assert pipeline.out == plain
    assert all(path.startswith(f"{plain}/") for path in (*pipeline.products, *pipeline.tables))
