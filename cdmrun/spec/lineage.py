"""What complete products were made from, and which of them the next workflow makes anew for that.

A manifest records what its inputs held. If an input has been deleted, or made again and came out otherwise, the product
is of something that is not there any more: it is made again. One that comes out the same leaves all else as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cdmrun.files import peek_map
from cdmrun.spec.plan_types import Plan, Run


def contents(manifest: Mapping[str, Any]) -> str:
    """Return a digest of what a product holds: of the names and hashes of its files, not of how it came about."""
    return hashlib.sha256(json.dumps(manifest.get("outputs"), sort_keys=True).encode()).hexdigest()


def input_contents(run: Run, out: Path) -> dict[str, str | None]:
    """Return `contents` of each input of a run as it is now, by role; None for one that is not complete."""
    return {role: _contents_of(out, key) for role, key in sorted(run.inputs.items())}


def due_again(plan: Plan, out: Path) -> dict[str, str]:
    """Return the complete products that are to be made again, each with the reason, in words.

    Products whose manifests say nothing of their inputs, of earlier versions, are taken to be of what is there.
    """
    found: dict[str, str] = {}
    now: dict[str, str | None] = {}
    for key, run in plan.runs.items():  # inputs come first
        manifest = read_manifest(out, key)
        now[key] = None if manifest is None else contents(manifest)
        if manifest is None:
            continue
        recorded = manifest.get("input_contents")
        reason = _reason(run, recorded if isinstance(recorded, dict) else {}, now, found)
        if reason:
            found[key] = reason
    return found


def read_manifest(out: Path, key: str) -> dict[str, Any] | None:
    """Return a product's manifest as it stands, or None if it is not there or cannot be read."""
    return peek_map(Path(out) / key / "manifest.json")


def _reason(run: Run, recorded: Mapping[str, Any], now: Mapping[str, str | None], found: Mapping[str, str]) -> str:
    """Why a product is not of what is there, or nothing."""
    for role, key in run.inputs.items():
        if now[key] is None:
            return f"{key} is not there"
        if key in found:
            return f"{key} is made again"
        if role in recorded and recorded[role] != now[key]:
            return f"{key} is not the one it was made from"
    return ""


def _contents_of(out: Path, key: str) -> str | None:
    manifest = read_manifest(out, key)
    return None if manifest is None else contents(manifest)
