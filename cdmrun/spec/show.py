"""Plans and states for the terminal (rich) and for scripts (plain data)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from cdmrun.spec.cards import users_of
from cdmrun.spec.makespan import makespan
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
_LOGS = 5


def plan_tree(
    plan: Plan, states: Mapping[str, RunState], seconds: Mapping[str, float], cores: int = 1
) -> RenderableType:
    """Return the plan as a tree by kind: what would run, what is reused or stale, for about how long, who shares it.

    Parameters
    ----------
    seconds
        From `cdmrun.spec.state.estimates`.
    cores
        How many jobs may run at once.
    """
    users = users_of(plan)
    tree = Tree(Text.assemble(("plan", "bold"), f": {_names(plan)}, {_counts(states, plan.runs)}"))
    for kind, stage in STAGE_OF_KIND.items():
        runs = [run for run in plan.runs.values() if run.kind == kind]
        if not runs:
            continue
        node = tree.add(Text.assemble((kind, "bold"), f" ({stage}): {_counts(states, [run.key for run in runs])}"))
        for run in _most_telling(runs, states):
            node.add(_line(run, states[run.key], seconds.get(run.key), len(users.get(run.key, []))))
        if len(runs) > _SHOWN:
            node.add(Text(f"… and {len(runs) - _SHOWN} more (--json lists all)", style="dim"))
    return Group(tree, Text(_time(plan_totals(plan, states, seconds, cores))))


def plan_totals(
    plan: Plan, states: Mapping[str, RunState], seconds: Mapping[str, float], cores: int
) -> dict[str, int | float]:
    """Return how much there is to do: numbers of runs, and estimated seconds of work and on ``cores``."""
    todo = {key for key in plan.runs if not states[key].done}
    return {
        "runs": len(plan.runs),
        "to_do": len(todo),
        "reused": len(plan.runs) - len(todo),
        "stale": sum(states[key].state.startswith("stale") for key in plan.runs),
        "without_estimate": sum(key not in seconds for key in todo),
        "seconds_of_work": sum(seconds.get(key, 0.0) for key in sorted(todo)),
        "seconds_on_cores": makespan(plan, todo, seconds, cores),
        "cores": cores,
    }


def plan_json(
    plan: Plan, states: Mapping[str, RunState], seconds: Mapping[str, float], cores: int = 1
) -> dict[str, Any]:
    """Return the plan as plain data; arguments as `plan_tree`."""
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
    return {"totals": plan_totals(plan, states, seconds, cores), "runs": runs, "experiments": experiments}


def status_table(plan: Plan, states: Mapping[str, RunState], out: Path) -> RenderableType:
    """Return one row a run, a count of each state, and where the logs of failed runs are."""
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
    failed = [key for key in plan.runs if states[key].state == "failed"]
    logs = [Text(f"why it failed: {out / 'logs' / key}.log", no_wrap=True, overflow="ignore") for key in failed[:_LOGS]]
    more = [Text(f"… and {len(failed) - _LOGS} more", style="dim")] if len(failed) > _LOGS else []
    absent = [] if out.is_dir() else [Text(f"there is no folder {out} yet (another one: --out)")]
    return Group(table, Text(summary, style="bold"), *logs, *more, *absent)


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


def _most_telling(runs: list[Run], states: Mapping[str, RunState]) -> list[Run]:
    """As many runs as are shown, in the order of the plan; where not all are, what is to do or stale comes first."""
    if len(runs) <= _SHOWN:
        return runs
    return sorted(runs, key=lambda run: states[run.key].state == "fresh")[:_SHOWN]


def _counts(states: Mapping[str, RunState], keys: Collection[str]) -> str:
    waiting = sum(not states[key].done for key in keys)
    stale = sum(states[key].state.startswith("stale") for key in keys)
    of_which = f" ({stale} stale)" if stale else ""
    if not waiting:
        return f"all {len(keys)} there{of_which}"
    return f"{waiting} to do" + (f", {len(keys) - waiting} reused{of_which}" if waiting < len(keys) else "")


def _time(totals: Mapping[str, int | float]) -> str:
    """What is to do in hours, so far as earlier runs tell."""
    unknown = totals["without_estimate"]
    if not totals["to_do"]:
        return "nothing to compute"
    if unknown == totals["to_do"]:
        return "no estimate of the time: no run of these kinds has been made yet"
    work, cores = f"about {duration(totals['seconds_of_work'])} of work", totals["cores"]
    shared = f", {duration(totals['seconds_on_cores'])} on {cores} cores" if cores > 1 else ""
    return work + shared + (f", and {unknown} runs of kinds never run before" if unknown else "")


def _names(plan: Plan) -> str:
    names = [experiment.name for experiment in plan.experiments]
    return names[0] if len(names) == 1 else f"{len(names)} experiments"
