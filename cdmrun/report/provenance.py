"""Where every number comes from: the runs behind an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdmrun.files import peek_map
from cdmrun.report.collect import is_complete
from cdmrun.spec.plan_types import STAGE_OF_KIND, Experiment, Plan


@dataclass(frozen=True)
class Origin:
    """One product behind an experiment, and what its manifest says of it."""

    key: str
    kind: str
    feeds: tuple[str, ...]  # "cdm-hmm, seed 0": the rows that depend on it; empty where all do
    commit: str
    device: str
    wall: str
    memory: str
    versions: str
    command: str
    complete: bool
    note: str  # what is worth knowing of this very product: whose features, how good a judge


def origins(plan: Plan, experiment: Experiment, out: Path) -> list[Origin]:
    """Every run that the experiment's numbers depend on, in the order in which data flow."""
    feeds: dict[str, dict[str, None]] = {}
    for entry in experiment.entries:
        for key in closure(plan, [entry.scores, entry.samples, entry.model]):
            feeds.setdefault(key, {})[f"{entry.name}, seed {entry.seed}"] = None
        for key in [experiment.anchors] if experiment.anchors else []:  # what all rows are read against
            feeds.setdefault(key, {})[f"{entry.name}, seed {entry.seed}"] = None
    order = {key: index for index, key in enumerate(plan.runs)}
    kinds = list(STAGE_OF_KIND)
    keys = sorted(feeds, key=lambda key: (kinds.index(key.split("/")[0]), order.get(key, 0)))
    return [_origin(key, tuple(feeds[key]), len(experiment.entries), out) for key in keys]


def closure(plan: Plan, keys: list[str]) -> list[str]:
    """Some products and all that they are made from, each once."""
    seen: dict[str, None] = {}
    stack = list(keys)
    while stack:
        key = stack.pop()
        if key not in seen:
            seen[key] = None
            stack.extend(plan.runs[key].inputs.values() if key in plan.runs else ())
    return list(seen)


def _origin(key: str, feeds: tuple[str, ...], entries: int, out: Path) -> Origin:
    complete = is_complete(out, key)
    manifest: Mapping[str, Any] = peek_map(out / key / "manifest.json") or {}
    code = manifest.get("code", {})
    commit = str(code.get("commit") or "")[:12] + (" + changes" if code.get("dirty") else "")
    threads = manifest.get("threads")
    device = str(manifest.get("device", "")) + (f", {threads} thread{'s' if threads != 1 else ''}" if threads else "")
    memory = manifest.get("peak_memory_bytes")
    return Origin(
        key,
        key.split("/")[0],
        () if len(feeds) == entries and entries > 1 else feeds,
        commit,
        device,
        wall_time(manifest.get("wall_seconds")),
        f"{memory / 2**20:.0f} MiB" if memory else "",
        ", ".join(f"{name} {version}" for name, version in manifest.get("versions", {}).items()),
        f"cdmrun explain {key}",
        complete,
        _note(out / key) if complete else "",
    )


def _note(product: Path) -> str:
    """Which frozen network compares samples, or what a judge makes of held-out data."""
    features, judge = (peek_map(product / name) or {} for name in ("features.json", "judge.json"))
    parts = []
    if "sha256" in features:
        parts.append(f"{features.get('weights', 'network trained here')}, sha256 {features['sha256']}")
    if "held_out_accuracy" in features:
        parts.append(f"accuracy on held-out images {features['held_out_accuracy']:.3f}")
    if "held_out_bits_per_token" in judge:
        parts.append(f"held-out data: {judge['held_out_bits_per_token']:.3f} bits/token")
    return "; ".join(parts)


def wall_time(value: float | None) -> str:
    """Seconds that were measured, for people: ``4.2 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if value is None:
        return ""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
