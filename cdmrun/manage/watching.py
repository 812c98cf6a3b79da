"""``cdmrun status --watch``: every run at work, its step, loss, rate and time left, until nothing more can come."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cdmrun.spec.plan_types import Plan
from cdmrun.spec.show import duration
from cdmrun.spec.state import STATES, RunState, states

_SHOWN = 40


def watch(
    plan: Plan, out: Path, interval: float, console: Console, sleep: Callable[[float], None] = time.sleep
) -> bool:
    """Show what is at work every ``interval`` seconds until every run is done or can no longer be.

    A terminal shows one table that is drawn anew; anything else gets one after the other.

    Returns
    -------
    Whether every run is done; False where some failed and the rest waits for those.
    """
    found = states(plan, out)
    if console.is_terminal:
        with Live(progress_table(plan, found), console=console, auto_refresh=False) as live:
            while not settled(plan, found):
                sleep(interval)
                found = states(plan, out)
                live.update(progress_table(plan, found), refresh=True)
    else:
        console.print(progress_table(plan, found))
        while not settled(plan, found):
            sleep(interval)
            found = states(plan, out)
            console.print(progress_table(plan, found))
    return all(state.done for state in found.values())


def settled(plan: Plan, found: Mapping[str, RunState]) -> bool:
    """Whether nothing more can come: every run is done, or failed, or needs one that failed."""
    lost: set[str] = set()
    for key, run in plan.runs.items():  # inputs come first
        if found[key].state == "failed" or (not found[key].done and lost & set(run.inputs.values())):
            lost.add(key)
        elif not found[key].done:
            return False
    return True


def progress_table(plan: Plan, found: Mapping[str, RunState]) -> RenderableType:
    """Return one row for each run at work, the failed ones, and how many runs are in each state."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("running", "step", "loss", "steps/s", "left"):
        table.add_column(name, justify="left" if name == "running" else "right", overflow="fold")
    running = [key for key in plan.runs if found[key].state == "running"]
    for key in running[:_SHOWN]:
        table.add_row(Text(key), *_numbers(found[key]))
    failed = [Text(f"failed: {key}: {found[key].detail}", "red") for key in plan.runs if found[key].state == "failed"]
    more = [Text(f"… and {len(rest) - _SHOWN} more", "dim") for rest in (running, failed) if len(rest) > _SHOWN]
    counts = Counter(state.state for state in found.values())
    summary = Text(", ".join(f"{counts[state]} {state}" for state in STATES if counts[state]), "bold")
    return Group(*([table] if running else []), *failed[:_SHOWN], *more, summary)


def _numbers(state: RunState) -> tuple[str, str, str, str]:
    said = state.progress or {}
    loss, rate = said.get("loss"), said.get("rate")
    return (
        f"{said['step']}/{said['steps']}" if "step" in said and "steps" in said else "–",
        f"{loss:.4g}" if isinstance(loss, int | float) else "–",
        f"{rate:.3g}" if isinstance(rate, int | float) else "–",
        duration(state.seconds_left) if state.seconds_left is not None else "–",
    )
