"""What holds of any file that is given as a spec: errors with places, or a plan that means what the file says."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from cdmrun.spec.errors import SpecErrors
from cdmrun.spec.explain import leaves
from cdmrun.spec.load import find_errors, load_specs
from cdmrun.spec.plan import build_plan


def check(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.yaml")
        path.write_bytes(content)
        found = find_errors([path])
        for error in found:
            assert error.file
            assert error.line >= 1
            assert error.column >= 1
            assert error.path
            assert error.message
            assert error.line <= content.count(b"\n") + content.count(b"\r") + 2
            assert str(error).isprintable()
        if found:
            with pytest.raises(SpecErrors) as caught:
                build_plan([path])
            assert caught.value.errors == found
        else:
            legitimate(path)


def legitimate(path: Path) -> None:
    """A spec that passes has a plan, and means what it says: everything written in it is in what it resolves to."""
    plan = build_plan([path])
    assert plan.experiments
    assert all(name in plan.runs for run in plan.runs.values() for name in run.inputs.values())
    for experiment in load_specs([path]):
        written = {step for step, value in leaves(experiment.node.plain()) if value not in ({}, None)}
        resolved = {step for step, _ in leaves(experiment.spec)}
        assert written <= resolved
        for step in written & resolved:
            wrote, means = experiment.node.get(step), at(experiment.spec, step)
            assert wrote is not None
            assert (
                step[-1] in ("file", "generator") or wrote.plain() == means or not isinstance(means, int | float | str)
            )


def at(value: object, path: tuple[str, ...]) -> object:
    """What stands at a path of nested maps."""
    for step in path:
        value = value[step]  # type: ignore[index]
    return value
