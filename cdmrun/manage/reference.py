"""Writes reference results: what is kept of a results folder for others to hold theirs against."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cdmrun.files import read_map, write_atomic, write_json
from cdmrun.report.build import made_files
from cdmrun.report.collect import Fingerprint, incomplete, missing_scores
from cdmrun.report.html import plain
from cdmrun.report.markdown import escape
from cdmrun.report.provenance import closure, wall_time
from cdmrun.spec.plan_types import Experiment, Plan

#: What is kept of the files that `cdmrun table` writes: no vector graphics and no LaTeX, both come from these numbers.
_KEPT = (".md", ".csv", ".png")
_NOTES = "notes.md"


def write_reference(plan: Plan, out: Path, into: Path, fingerprint: Fingerprint | None = None) -> list[Path]:
    """Write tables, figures and manifests of every experiment of ``plan``, then a README.md of all that is there.

    The same results give the same bytes. Files of an experiment from an earlier call are removed first.

    Parameters
    ----------
    plan, out, fingerprint
        As for `cdmrun.report.build.write_tables`.
    into
        The folder of reference results.

    Returns
    -------
    The files written.

    Raises
    ------
    UserError
        If products are missing.
    """
    out, into = Path(out), Path(into)
    if missing := missing_scores(plan, out):
        raise incomplete(plan, out, missing)
    written = []
    for experiment, files in list(made_files(plan, out, False, fingerprint)):
        kept = {path: content for path, content in files.items() if path.endswith(_KEPT) and _is_light(path)}
        _remove(into, experiment.name)
        for path, content in kept.items():
            write_atomic(into / path, content)
            written.append(into / path)
        manifest = into / "manifests" / f"{experiment.name}.json"
        write_json(manifest, _condensed(plan, experiment, out, sorted(kept)))
        written.append(manifest)
    readme = into / "README.md"
    write_atomic(readme, _readme(into))
    return [*written, readme]


def _is_light(path: str) -> bool:
    """Numbers behind figures stand in the tables already."""
    return not (path.startswith("figures/") and path.endswith(".csv"))


def _remove(into: Path, name: str) -> None:
    """Remove what an earlier call wrote of an experiment."""
    manifest = into / "manifests" / f"{name}.json"
    listed = read_map(manifest, "files")["files"] if manifest.exists() else []
    folders = (into / "tables", into / "figures")
    for path in (into / str(file) for file in listed):
        if path.parent in folders:
            path.unlink(missing_ok=True)


def _condensed(plan: Plan, experiment: Experiment, out: Path, files: Sequence[str]) -> dict[str, Any]:
    """The resolved spec, and of each product by what it was made: commit, device, times; versions once for all."""
    environments: list[dict[str, Any]] = []
    products = []
    made = [key for entry in experiment.entries for key in (entry.samples, entry.model)]
    for key in sorted(closure(plan, [*experiment.products, *made])):
        manifest = read_map(out / key / "manifest.json", "key")
        code = manifest.get("code", {})
        environment = {name: manifest.get(name) for name in ("device", "machine", "versions")}
        if environment not in environments:
            environments.append(environment)
        products.append(
            {
                "key": key,
                "commit": code.get("commit"),
                "dirty": code.get("dirty"),
                "fingerprint": code.get("fingerprint"),
                "environment": environments.index(environment),
                "threads": manifest.get("threads"),
                "wall_seconds": manifest.get("wall_seconds"),
                "peak_memory_bytes": manifest.get("peak_memory_bytes"),
            }
        )
    return {
        "experiment": experiment.name,
        "title": experiment.title,
        "spec": plain(experiment.spec),
        "environments": environments,
        "products": products,
        "files": list(files),
    }


def _readme(into: Path) -> str:
    found = [read_map(path, "experiment", "products") for path in sorted((into / "manifests").glob("*.json"))]
    parts = [
        "# Reference results\n",
        "Written by `cdmrun reference` (`make reference`) from complete results; do not edit, except "
        f"`{_NOTES}`, which is copied below. `cdmrun compare results` holds a fresh run against them: same, within "
        "interval, or different, cell by cell. `manifests/NAME.json` has the resolved spec of an experiment and, for "
        "each product behind it, commit, device, versions, wall time and memory. Seconds a sample are those of the "
        "machine named: compare them within a table, not across machines.\n",
        "| experiment | seeds | made by | commit | work |",
        "|:--|:--|:--|:--|--:|",
        *(_line(one) for one in found),
        *_others(into, {one["experiment"] for one in found}),
        "",
        *_environments(found),
    ]
    notes = into / _NOTES
    if notes.is_file():
        parts.append(notes.read_text(encoding="utf-8").strip() + "\n")
    return "\n".join(parts)


def _line(one: Mapping[str, Any]) -> str:
    products = one["products"]
    commits = sorted({f"{str(p['commit'] or 'unknown')[:9]}{' + changes' if p['dirty'] else ''}" for p in products})
    wall = wall_time(sum(p["wall_seconds"] or 0.0 for p in products))
    devices = sorted({_device(environment) for environment in one["environments"]})
    seeds = ", ".join(map(str, one["spec"].get("seeds", [])))
    title = escape(one["title"] or one["experiment"])
    shown = ", ".join(commits[:3]) + (f" and {len(commits) - 3} more" if len(commits) > 3 else "")
    return f"| [{title}](tables/{one['experiment']}.md) | {seeds} | {'; '.join(devices)} | {shown} | {wall} |"


def _device(environment: Mapping[str, Any]) -> str:
    machine = environment.get("machine") or {}
    device = str(environment.get("device") or "unknown")
    if not machine:
        return device
    where = f"{machine.get('cpu')}, {machine.get('cores')} cores"
    return where if device == "cpu" else f"{device} ({where})"


def _others(into: Path, known: set[str]) -> list[str]:
    """Tables without a manifest: kept from before there were manifests, or put there by hand."""
    lines = []
    for path in sorted((into / "tables").glob("*.md")):
        if path.stem not in known:
            title = path.read_text(encoding="utf-8").split("\n", 1)[0].removeprefix("# ").strip()
            lines.append(f"| [{title or path.stem}](tables/{path.name}) | | no manifest | | |")
    return lines


def _environments(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The versions of everything, once for each set of them."""
    users: dict[str, list[str]] = {}
    for one in found:
        for environment in one["environments"]:
            users.setdefault(json.dumps(environment.get("versions") or {}), []).append(one["experiment"])
    if not users:
        return []
    lines = ["## Versions\n"]
    for versions, names in users.items():
        text = ", ".join(f"{name} {version}" for name, version in json.loads(versions).items())
        everywhere = len(users) == 1
        lines.append(f"* {text or 'unknown'}" + ("" if everywhere else f": {', '.join(dict.fromkeys(names))}"))
    return [*lines, ""]
