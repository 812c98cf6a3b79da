"""Plans, states and explanations for the terminal (rich) and for scripts (plain data)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from cdmrun.spec.cards import users_of
from cdmrun.spec.explain import values_of
from cdmrun.spec.plan import Built
from cdmrun.spec.plan_types import STAGE_OF_KIND, Plan, Run
from cdmrun.spec.state import STATES, RunState

_COLOURS = {
    "fresh": "green",
    "stale-code": "yellow",
    "stale-upstream": "yellow",
    "running": "cyan",
    "interrupted": "yellow",
    "failed": "red",
    "missing": "dim",
}
_SHOWN = 40


def plan_tree(plan: Plan, states: Mapping[str, RunState], seconds: Mapping[str, float]) -> RenderableType:
    """Return the plan as a tree by kind: what is there, what would run and for about how long, who shares it."""
    users = users_of(plan)
    todo = [key for key in plan.runs if not states[key].done]
    tree = Tree(Text.assemble(("plan", "bold"), f": {_names(plan)}, {len(plan.runs)} runs, {len(todo)} to do"))
    for kind, stage in STAGE_OF_KIND.items():
        runs = [run for run in plan.runs.values() if run.kind == kind]
        if not runs:
            continue
        waiting = [run for run in runs if not states[run.key].done]
        node = tree.add(Text.assemble((kind, "bold"), f" ({stage}): {_counts(len(waiting), len(runs))}"))
        for run in runs[:_SHOWN]:
            node.add(_line(run, states[run.key], seconds.get(run.key), len(users.get(run.key, []))))
        if len(runs) > _SHOWN:
            node.add(Text(f"… and {len(runs) - _SHOWN} more (--json lists all)", style="dim"))
    known = [seconds[key] for key in todo if key in seconds]
    unknown = len(todo) - len(known)
    if known:
        rest = f", and {unknown} runs of kinds never run before" if unknown else ""
        return Group(tree, Text(f"about {duration(sum(known))} of work, one after the other{rest}"))
    return tree


def plan_json(plan: Plan, states: Mapping[str, RunState], seconds: Mapping[str, float]) -> dict[str, Any]:
    """Return the plan as plain data."""
    users = users_of(plan)
    runs = [
        {
            **run.described(),
            "experiments": users.get(key, []),
            "state": states[key].state,
            "estimated_seconds": seconds.get(key),
        }
        for key, run in plan.runs.items()
    ]
    experiments = [
        {
            "name": experiment.name,
            "title": experiment.title,
            "source": str(experiment.source),
            "spec": experiment.spec,
            "entries": [vars(entry) for entry in experiment.entries],
        }
        for experiment in plan.experiments
    ]
    return {"runs": runs, "experiments": experiments}


def status_table(plan: Plan, states: Mapping[str, RunState]) -> RenderableType:
    """Return one row a run, and a count of each state."""
    table = Table("run", "state", "detail", box=None, pad_edge=False, header_style="bold")
    for key in plan.runs:
        found = states[key]
        detail = found.detail
        if found.seconds_left is not None:
            detail += f", about {duration(found.seconds_left)} left"
        elif found.wall_seconds is not None and not detail:
            detail = f"took {duration(found.wall_seconds)}"
        table.add_row(Text(key, overflow="fold"), Text(found.state, _COLOURS[found.state]), Text(detail))
    counts = Counter(state.state for state in states.values())
    summary = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    return Group(table, Text(summary, style="bold"))


def explanation(built: Built, run: Run, state: RunState, out: Path) -> RenderableType:
    """Return all that is known about one run."""
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="bold")
    users = users_of(built.plan).get(run.key, [])
    consumers = [key for key, other in built.plan.runs.items() if run.key in other.inputs.values()]
    rows = {
        "run": run.key,
        "kind": run.kind,
        "stage": run.stage,
        "command": f"cdmrun {run.stage} {run.key} --out {out}",
        "state": state.state + (f" ({state.detail})" if state.detail else ""),
        "inputs": "\n".join(f"{role}: {key}" for role, key in run.inputs.items()) or "none",
        "used by": "\n".join(consumers[:20]) + (f"\n… and {len(consumers) - 20} more" if len(consumers) > 20 else ""),
        "experiments": ", ".join(users),
    }
    for name, text in rows.items():
        facts.add_row(name, Text(text, overflow="fold"))
    values = Table("value of", "is", "written in", box=None, pad_edge=False, header_style="bold")
    for value in values_of(built, run):
        style = "dim" if value.origin == "default" else ""
        values.add_row(
            Text(value.path, overflow="fold"), Text(_short(value.value)), Text(value.origin, style, overflow="fold")
        )
    return Group(facts, Text(""), values)


def duration(seconds: float) -> str:
    """Return seconds as people say them: 45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _line(run: Run, state: RunState, seconds: float | None, users: int) -> Text:
    text = Text.assemble(run.key, "  ", (state.state, _COLOURS[state.state]))
    if not state.done and seconds is not None:
        text.append(f"  about {duration(seconds)}")
    if users > 1:
        text.append(f"  shared by {users} experiments", style="dim")
    return text


def _counts(waiting: int, total: int) -> str:
    if not waiting:
        return f"all {total} there"
    return f"{waiting} to do" + (f", {total - waiting} reused" if waiting < total else "")


def _names(plan: Plan) -> str:
    names = [experiment.name for experiment in plan.experiments]
    return names[0] if len(names) == 1 else f"{len(names)} experiments"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
