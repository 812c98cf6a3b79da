"""What became of each run, told from files alone: nothing is locked, nothing is written.

| state | meaning |
|---|---|
| fresh | the product is complete and its stage's code is unchanged |
| stale-code | complete, but the code of its stage has changed since |
| stale-upstream | complete, but something it was made from is stale |
| running | a job reports progress right now |
| interrupted | a job stopped half-way; running the workflow again resumes it |
| failed | a job wrote a log and left no product |
| missing | nothing has been done yet |
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cdmrun.spec.plan_types import Plan, Run

STATES = ("fresh", "stale-code", "stale-upstream", "running", "interrupted", "failed", "missing")
#: A job writes its progress far more often than this (seconds).
RECENT = 120.0


@dataclass(frozen=True)
class RunState:
    """The state of a run, one of `STATES`, and what there is to say about it."""

    state: str
    detail: str = ""
    seconds_left: float | None = None
    wall_seconds: float | None = None

    @property
    def done(self) -> bool:
        """Whether the product is complete, however old its code."""
        return self.state in {"fresh", "stale-code", "stale-upstream"}


def states(plan: Plan, out: Path) -> dict[str, RunState]:
    """Return the state of every run of a plan under the results folder ``out``."""
    found: dict[str, RunState] = {}
    fingerprint = _fingerprints()
    for key, run in plan.runs.items():  # inputs come first
        own = _own_state(run, Path(out), fingerprint)
        stale = [name for name in run.inputs.values() if found[name].state.startswith("stale")]
        if own.state == "fresh" and stale:
            own = RunState("stale-upstream", f"{stale[0]} is {found[stale[0]].state}", wall_seconds=own.wall_seconds)
        found[key] = own
    return found


def estimates(plan: Plan, out: Path) -> dict[str, float]:
    """Return seconds that each run may take, from earlier products: the median of its slug, else of its kind.

    Runs of a kind that was never made are left out.
    """
    by_kind: dict[str, list[float]] = {}
    by_slug: dict[str, list[float]] = {}
    for path in Path(out).glob("*/*/manifest.json"):
        seconds = (_json(path) or {}).get("wall_seconds")
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


def _own_state(run: Run, out: Path, fingerprint: Callable[[str], str | None]) -> RunState:
    folder = out / run.key
    manifest = _json(folder / "manifest.json")
    if manifest is not None:
        seconds = manifest.get("wall_seconds")
        made_by, now = _mapping(manifest.get("code")).get("fingerprint"), fingerprint(run.stage)
        if made_by and now and made_by != now:
            return RunState("stale-code", f"the code of {run.stage} has changed since", wall_seconds=seconds)
        return RunState("fresh", wall_seconds=seconds)
    progress = _json(folder / "work" / "progress.json")
    log = out / "logs" / f"{run.key}.log"
    if progress is not None and _age(folder / "work" / "progress.json") < RECENT:
        return RunState("running", _progress_text(progress), progress.get("seconds_left"))
    text = _last_line(log)
    if text:
        return RunState("failed", text)
    if progress is not None:
        return RunState("interrupted", _progress_text(progress))
    if log.exists() and _age(log) < RECENT:
        return RunState("running", "started")
    return RunState("missing")


def _progress_text(progress: Mapping[str, Any]) -> str:
    text = f"step {progress.get('step', '?')} of {progress.get('steps', '?')}"
    loss = progress.get("loss")
    return f"{text}, loss {loss:.4g}" if isinstance(loss, int | float) else text


def _fingerprints() -> Callable[[str], str | None]:
    """Return the fingerprint of a stage's code as it is now, or None where that cannot be told."""
    try:
        from cdmrun.stages.provenance import fingerprint
    except ImportError:
        return lambda stage: None
    return cache(fingerprint)


def _json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return float("inf")


def _last_line(log: Path) -> str:
    try:
        with open(log, "rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - 4096))
            lines = stream.read().decode("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].strip() if lines else ""
