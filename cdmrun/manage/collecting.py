"""The talk of ``cdmrun gc``: list, ask, delete, say how much was freed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from cdmrun.errors import UserError
from cdmrun.manage.garbage import Garbage, find_garbage, find_old_tables, remove
from cdmrun.spec.plan import build_plan


def collect_garbage(specs: Sequence[Path], out: Path, dry_run: bool = False, yes: bool = False) -> int:
    """Delete what no spec asks for, after a question.

    Parameters
    ----------
    specs
        What they ask for stays. If one of them is wrong, nothing is deleted.
    out
        The results folder.
    dry_run, yes
        Only list; delete without a question.

    Returns
    -------
    Bytes freed, or that would be with ``dry_run``.

    Raises
    ------
    SpecErrors, UserError
        If a spec is wrong, or the results folder is not there.
    """
    if not out.is_dir():
        raise no_results(out)
    plan = build_plan(specs)
    found = find_garbage(out, plan.runs) + find_old_tables(out, [experiment.name for experiment in plan.experiments])
    for one in found:
        typer.echo(f"{size_text(one.size):>10}  {one.what:<10}  {one.key}{'  (in use, stays)' if one.in_use else ''}")
    free = [one for one in found if not one.in_use]
    total = sum(one.size for one in free)
    counted = _counted(free)
    if dry_run or not free:
        typer.echo(f"{counted}: {size_text(total)} ({total} bytes) would be freed" if free else "nothing to delete")
        return total
    if not yes:
        typer.confirm(f"Delete {counted} ({size_text(total)}) from {out}?", abort=True)
    freed = sum(remove(out, one) for one in free)
    typer.echo(f"{size_text(freed)} ({freed} bytes) freed")
    return freed


def no_results(out: Path) -> UserError:
    """The complaint that there is no results folder."""
    return UserError(f"{out}: no such folder", "name the results folder with --out")


def size_text(size: int) -> str:
    """Bytes for people: ``512 B``, ``3.4 MiB``."""
    amount, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def _counted(found: Sequence[Garbage]) -> str:
    kinds = {
        "product": "product%s",
        "unfinished": "unfinished product%s",
        "card": "card%s",
        "work": "work folder%s",
        "tables": "set%s of tables",
    }
    counts = {kind: sum(one.what == kind for one in found) for kind in kinds}
    return ", ".join(f"{count} {kinds[kind] % ('s' * (count != 1))}" for kind, count in counts.items() if count)
