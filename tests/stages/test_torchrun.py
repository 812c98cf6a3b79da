"""One product made by several processes: `torchrun -m cdmrun` on a real run card, over gloo."""

from __future__ import annotations

import json
from pathlib import Path

from workflow_cases import TINY, plan_into, run_command

from cdmrun.stages.run import run_stage


def torchrun(*arguments: object) -> tuple[int, str]:
    """Two processes of cdmrun; exit status, and all they print."""
    command = ("torchrun", "--standalone", "--nproc-per-node", "2", "-m", "cdmrun", *map(str, arguments))
    done = run_command(*command)
    return done.returncode, done.stdout + done.stderr


def test_two_processes_make_one_product(tmp_path: Path) -> None:
    """Progressive distillation: several trainings in a row, of which one process alone writes files."""
    (tmp_path / "spec.yaml").write_text(TINY)
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
