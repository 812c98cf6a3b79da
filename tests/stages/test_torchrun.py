"""One product made by several processes: `torchrun -m cdmrun` on a real run card, over gloo."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file
from workflow_cases import DIGITS, TINY, plan_into, run_command

from cdmrun.stages.run import run_stage


def torchrun(*arguments: object) -> tuple[int, str]:
    """Two processes of cdmrun; exit status, and all they print."""
    command = ("torchrun", "--standalone", "--nproc-per-node", "2", "-m", "cdmrun", *map(str, arguments))
    done = run_command(*command)
    return done.returncode, done.stdout + done.stderr


def test_two_processes_make_one_product(tmp_path: Path) -> None:
    """Progressive distillation: several trainings in a row, in shards; one process alone writes files."""
    (tmp_path / "spec.yaml").write_text(TINY.replace("steps: 3, batch: 8", "steps: 3, batch: 8, shard: true"))
    out = tmp_path / "results"
    plan = plan_into(out, tmp_path / "spec.yaml")
    for key, run in plan.runs.items():
        if run.kind in ("data", "teachers"):
            run_stage(run.stage, key, out, "cpu", 1)
    (key,) = (key for key in plan.runs if key.startswith("students/progressive"))
    code, shown = torchrun("distill", key, "--out", out, "--device", "cpu", "--threads", 1)
    assert code == 0, shown
    assert shown.count(f"{key}: complete after") == 1
    manifest = json.loads((out / key / "manifest.json").read_text())
    assert manifest["processes"] == 2
    assert manifest["command"] == f"torchrun --nproc-per-node 2 -m cdmrun distill {key} --out {out}"
    expected = {f"model-{nfe}.{suffix}" for nfe in (2, 1) for suffix in ("json", "safetensors")}
    assert set(manifest["outputs"]) == expected | {"history-model-2.csv", "history-model-1.csv", "models.json"}
    (samples,) = (key for key in plan.runs if key.startswith("samples/progressive"))
    run_stage("sample", samples, out, "cpu", 1)
    code, shown = torchrun("sample", samples, "--out", out, "--device", "cpu")
    assert code != 0
    assert "`cdmrun sample` runs in one process\n  remedy: start it without torchrun" in shown


def test_shards_make_the_same_product(tmp_path: Path) -> None:
    """A teacher and a student with a head, under the same keys with shards as without, in files with whole weights."""
    sharded, whole = tmp_path / "sharded", tmp_path / "whole"
    (tmp_path / "spec.yaml").write_text(DIGITS)
    (tmp_path / "shards.yaml").write_text(DIGITS.replace("batch: 8}", "batch: 8, shard: true}"))
    plan = plan_into(sharded, tmp_path / "shards.yaml")
    data, teacher, draws, student = (
        next(key for key in plan.runs if key.startswith(start))
        for start in ("data/", "teachers/", "draws/", "students/cdm-hmm")
    )
    run_stage("fetch", data, sharded, "cpu", 1)
    code, shown = torchrun("train", teacher, "--out", sharded, "--device", "cpu", "--threads", 1)
    assert code == 0, shown
    run_stage("draw", draws, sharded, "cpu", 1)
    shutil.copytree(sharded, whole)
    assert plan_into(whole, tmp_path / "spec.yaml").runs.keys() == plan.runs.keys()
    for out in (sharded, whole):
        code, shown = torchrun("distill", student, "--out", out, "--device", "cpu", "--threads", 1)
        assert code == 0, shown
    found, expected = (load_file(out / student / "model.safetensors") for out in (sharded, whole))
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-5, atol=1e-5)
    manifest = json.loads((sharded / student / "manifest.json").read_text())
    assert manifest["config"]["train"]["shard"]
