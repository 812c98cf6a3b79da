"""What became of each run, told from files alone; nothing is written.

| state | meaning |
|---|---|
| fresh | the product is complete, and its stage's code unchanged or accepted as equivalent (`cdmrun accept`) |
| stale-code | complete, but the code of its stage has changed since |
| stale-upstream | complete, but something it was made from is stale, is gone, or has been made again and differs |
| running | a job holds the product's lock, or reported progress a moment ago (on another machine, perhaps) |
| interrupted | a job stopped half-way; running the workflow again resumes it |
| failed | a job left no product, and its log says why |
| missing | nothing has been done yet |
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cdmrun.files import as_map, is_locked, peek_map
from cdmrun.spec.accepted import accepted_reason, is_stale
from cdmrun.spec.joblog import ending
from cdmrun.spec.lineage import due_again
from cdmrun.spec.plan_types import Plan, Run

STATES = ("fresh", "stale-code", "stale-upstream", "running", "interrupted", "failed", "missing")
#: A job writes its progress far more often than this (seconds).
RECENT = 120.0


@dataclass(frozen=True)
class RunState:
    """The state of a run, one of `STATES`, and what there is to say about it.

    ``progress`` is what a job said last: ``step``, ``steps``, ``loss`` (nats a token), ``rate`` (steps a second).
    ``again`` is set for a complete product that the next workflow makes again (`cdmrun.spec.lineage`).
    """

    state: str
    detail: str = ""
    seconds_left: float | None = None
    wall_seconds: float | None = None
    progress: Mapping[str, Any] | None = None
    again: bool = False

    @property
    def done(self) -> bool:
        """Whether the workflow has nothing left to make here: the product is complete, however old its code."""
        return self.state in {"fresh", "stale-code", "stale-upstream"} and not self.again


def states(plan: Plan, out: Path) -> dict[str, RunState]:
    """Return the state of every run of a plan under the results folder ``out``."""
    found: dict[str, RunState] = {}
    fingerprint, again = _fingerprints(), due_again(plan, Path(out))
    for key, run in plan.runs.items():  # inputs come first
        own = _own_state(run, Path(out), fingerprint)
        if own.done and key in again:
            state = own.state if own.state == "stale-code" else "stale-upstream"
            found[key] = RunState(state, f"to be made again: {again[key]}", wall_seconds=own.wall_seconds, again=True)
            continue
        stale = [name for name in run.inputs.values() if found[name].state.startswith("stale")]
        if own.state == "fresh" and stale:
            own = RunState("stale-upstream", f"{stale[0]} is {found[stale[0]].state}", wall_seconds=own.wall_seconds)
        found[key] = own
    return found


def state_of_record(run: Run, out: Path) -> RunState:
    """Return the state of a run that is in no plan, by itself: of what it was made from nothing is said."""
    return _own_state(run, Path(out), _fingerprints())


def estimates(plan: Plan, out: Path) -> dict[str, float]:
    """Return seconds that each run may take, from earlier products: the median of its slug, else of its kind.

    Runs of a kind that was never made are left out.
    """
    by_kind: dict[str, list[float]] = {}
    by_slug: dict[str, list[float]] = {}
    for path in Path(out).glob("*/*/manifest.json"):
        seconds = (peek_map(path) or {}).get("wall_seconds")
        if isinstance(seconds, int | float) and not isinstance(seconds, bool):
            by_kind.setdefault(path.parent.parent.name, []).append(float(seconds))
            slug = f"{path.parent.parent.name}/{path.parent.name.rsplit('-', 1)[0]}"
            by_slug.setdefault(slug, []).append(float(seconds))
    found = {}
    for key, run in plan.runs.items():
        known = by_slug.get(f"{run.kind}/{run.slug}") or by_kind.get(run.kind)
        if known:
            found[key] = statistics.median(known)
    return found


def _own_state(run: Run, out: Path, fingerprint: Callable[..., str | None]) -> RunState:
    folder = out / run.key
    manifest = peek_map(folder / "manifest.json")
    if manifest is None:
        return _unfinished(folder, out / "logs" / f"{run.key}.log")
    seconds = manifest.get("wall_seconds")
    made_by, now = as_map(manifest.get("code")).get("fingerprint"), fingerprint(run.stage, *run.sources)
    if is_stale(folder, made_by, now):
        return RunState("stale-code", f"the code of {run.stage} has changed since", wall_seconds=seconds)
    reason = accepted_reason(folder, made_by, now) if made_by and now else None
    return RunState("fresh", f"accepted: {reason}" if reason else "", wall_seconds=seconds)


def _unfinished(folder: Path, log: Path) -> RunState:
    """The state of a run without a product."""
    path = folder / "work" / "progress.json"
    progress, end = peek_map(path), ending(log)
    text = _progress_text(progress) if progress else ""
    left = progress.get("seconds_left") if progress else None
    left = float(left) if isinstance(left, int | float) else None
    locked = is_locked(folder)
    if end.failed and not locked:
        return RunState("failed", end.line, progress=progress)
    if locked or (progress is not None and _age(path) < RECENT):
        return RunState("running", text or "started", left, progress=progress)
    if end.line and not end.at_work:
        return RunState("failed", end.line, progress=progress)
    if progress is not None or end.line:
        return RunState("interrupted", text or end.line, progress=progress)
    if log.exists():  # a job writes nothing before it has imported what it needs
        return RunState("running", "started") if _age(log) < RECENT else RunState("interrupted", "left no message")
    return RunState("missing")


def _progress_text(progress: Mapping[str, Any]) -> str:
    text = f"step {progress.get('step', '?')} of {progress.get('steps', '?')}"
    loss = progress.get("loss")
    return f"{text}, loss {loss:.4g}" if isinstance(loss, int | float) else text


def _fingerprints() -> Callable[..., str | None]:
    """Return the fingerprint of a stage's code as it is now, or None where that cannot be told."""
    try:
        from cdmrun.stages.provenance import fingerprint
    except ImportError:
        return lambda stage, *sources: None
    return cache(fingerprint)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return float("inf")
