"""The section on runs without a product: failed ones with the last lines of their logs, and all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cdmrun.report.collect import is_complete
from cdmrun.spec.joblog import tail
from cdmrun.spec.plan_types import Plan, Run
from cdmrun.spec.state import state_of_record

LOG_LINES = 20
_ORDER = ("failed", "interrupted", "running", "waiting", "not started")


@dataclass(frozen=True)
class Absent:
    """A run without a product.

    ``state`` is failed, interrupted, running, waiting (for a failed run, named in ``progress``) or not started;
    ``log`` is the end of its log.
    """

    key: str
    state: str
    progress: str = ""
    log: str = ""


def absent_runs(plan: Plan, out: Path) -> list[Absent]:
    """Runs of the plan that have no product, failed ones first, then in the order of the plan."""
    lost: dict[str, str] = {}
    absent = []
    for key, run in plan.runs.items():  # inputs come first
        if not is_complete(out, key):
            culprit = next((lost[name] for name in run.inputs.values() if name in lost), None)
            one = _absent(run, out, culprit)
            absent.append(one)
            if one.state in ("failed", "waiting"):
                lost[key] = culprit or key
    return sorted(absent, key=lambda one: _ORDER.index(one.state))


def failed(absent: Sequence[Absent]) -> list[Absent]:
    """Those that failed."""
    return [one for one in absent if one.state == "failed"]


def _absent(run: Run, out: Path, culprit: str | None) -> Absent:
    """What became of one run; ``culprit`` is the failed run that it needs, if there is one."""
    found = state_of_record(run, out)
    if found.state == "failed":
        return Absent(run.key, "failed", log=_log(out, run.key))
    if culprit is not None:
        return Absent(run.key, "waiting", culprit)
    if found.state == "missing":
        return Absent(run.key, "not started")
    return Absent(run.key, found.state, found.detail, _log(out, run.key))


def _log(out: Path, key: str) -> str:
    return "\n".join(tail(out / "logs" / f"{key}.log", LOG_LINES))
