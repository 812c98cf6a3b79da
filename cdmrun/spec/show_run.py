"""All that is known about one run, for the terminal: what it is, what its manifest says, which line wrote what."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cdmrun.files import as_map
from cdmrun.spec.cards import users_of
from cdmrun.spec.explain import recorded_values, values_of
from cdmrun.spec.plan import Built
from cdmrun.spec.plan_types import Run
from cdmrun.spec.show import duration
from cdmrun.spec.state import RunState

_SHOWN = 20


def explanation(
    built: Built | None, run: Run, state: RunState, out: Path, manifest: Mapping[str, Any] | None = None
) -> RenderableType:
    """Return all that is known about one run.

    Parameters
    ----------
    built
        The plan that asks for the run; None if no spec does any more.
    run, state, out
        The run, its state, and the results folder.
    manifest
        Of its product, if there is one.
    """
    facts = _two_columns()
    rows = {
        "run": run.key,
        "kind": run.kind,
        "stage": run.stage,
        "command": command_of(run, out, manifest),
        "state": state.state + (f" ({state.detail})" if state.detail else ""),
        "inputs": _lines(run.inputs) or "none",
        **_uses(built, run),
    }
    for name, text in rows.items():
        facts.add_row(name, Text(text, overflow="fold"))
    if manifest:
        for name, text in provenance(manifest).items():
            facts.add_row(name, Text(text, overflow="fold"))
    values = Table("value of", "is", "written in", box=None, pad_edge=False, header_style="bold")
    for value in values_of(built, run) if built is not None else recorded_values(run):
        style = "dim" if value.origin == "default" else ""
        values.add_row(
            Text(value.path, overflow="fold"), Text(_short(value.value)), Text(value.origin, style, overflow="fold")
        )
    return Group(facts, Text(""), values)


def command_of(run: Run, out: Path, manifest: Mapping[str, Any] | None = None) -> str:
    """Return the command that makes the run, with as many threads as its product was made with."""
    threads = (manifest or {}).get("threads")
    more = ["--threads", str(threads)] if isinstance(threads, int) else []
    return shlex.join(["cdmrun", run.stage, run.key, "--out", str(out), *more])


def provenance(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What a manifest says of how its product came about, each fact as text; what it does not say is left out."""
    code, versions = as_map(manifest.get("code")), as_map(manifest.get("versions"))
    wall, memory, threads = (manifest.get(name) for name in ("wall_seconds", "peak_memory_bytes", "threads"))
    commit = f"{code['commit']}{' and changes to it' if code.get('dirty') else ''}" if code.get("commit") else ""
    other_code = {key: value for key, value in code.items() if key not in ("commit", "dirty") and value}
    found = {
        "made by": str(manifest.get("command", "")),
        "commit": commit,
        "code": ", ".join(f"{key} {value}" for key, value in other_code.items()),
        "device": str(manifest.get("device", "")) + (f", {threads} thread{'s' * (threads != 1)}" if threads else ""),
        "wall time": duration(wall) if isinstance(wall, int | float) else "",
        "peak memory": f"{memory / 2**20:.0f} MiB" if isinstance(memory, int | float) else "",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "inputs were": _lines(as_map(manifest.get("input_contents"))),
        "outputs": _lines(as_map(manifest.get("outputs"))),
    }
    return {name: text for name, text in found.items() if text}


def _uses(built: Built | None, run: Run) -> dict[str, str]:
    """What of the plan needs the run."""
    if built is None:
        return {"experiments": "none of the present specs asks for it"}
    consumers = [key for key, other in built.plan.runs.items() if run.key in other.inputs.values()]
    more = f"\n… and {len(consumers) - _SHOWN} more" if len(consumers) > _SHOWN else ""
    return {
        "used by": "\n".join(consumers[:_SHOWN]) + more or "tables alone",
        "experiments": ", ".join(users_of(built.plan).get(run.key, [])),
    }


def _two_columns() -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    return table


def _lines(entries: Mapping[str, Any]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in entries.items())


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
