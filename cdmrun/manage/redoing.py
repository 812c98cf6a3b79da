"""``cdmrun redo``: take products away, with all that was made from them, so that the next workflow makes them again."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

import typer

from cdmrun.errors import UserError
from cdmrun.files import is_locked
from cdmrun.manage.collecting import no_results, size_text
from cdmrun.manage.garbage import Garbage, garbage_of, remove
from cdmrun.spec.cards import users_of
from cdmrun.spec.explain import find_run
from cdmrun.spec.plan import build_plan
from cdmrun.spec.plan_types import Plan
from cdmrun.spec.state import states


def redo(
    words: Sequence[str],
    specs: Sequence[Path],
    out: Path,
    stale: bool = False,
    dry_run: bool = False,
    yes: bool = False,
) -> list[str]:
    """Delete products and what was made from them, after a question; tables and report that show them go, too.

    Parameters
    ----------
    words
        Keys of runs, the start of them, or their ids.
    specs
        What asks for the runs, and so has them made again.
    out
        The results folder.
    stale
        Besides, every product that other code made.
    dry_run, yes
        Only list; delete without a question.

    Returns
    -------
    Keys of what was deleted, or would be with ``dry_run``.

    Raises
    ------
    SpecErrors, UserError
        If a spec is wrong, no run is called that, nothing is to be made again, or a job holds one of the products.
    """
    if not out.is_dir():
        raise no_results(out)
    plan = build_plan(specs)
    chosen = {find_run(plan, word).key for word in words}
    if stale:
        chosen |= {key for key, state in states(plan, out).items() if state.state == "stale-code"}
    elif not chosen:
        raise UserError("no run is named", "name runs as `cdmrun status` shows them, or say --stale")
    found = [garbage_of(out, key) for key in reversed(with_consumers(plan, chosen))]  # consumers go first
    found = [one for one in found if one.paths]
    _refuse_if_at_work(out, found)
    pages = _pages(plan, out, {one.key for one in found})
    for one in found:
        typer.echo(f"{size_text(one.size):>10}  {one.what:<10}  {one.key}")
    for page in pages:
        typer.echo(f"{'':>10}  {'shows them':<10}  {page.relative_to(out)}")
    count = f"{len(found)} product{'s' * (len(found) != 1)}"
    if dry_run or not found:
        typer.echo(f"{count} would be deleted, and made again" if found else "nothing is there to be deleted")
        return [one.key for one in found]
    if not yes:
        typer.confirm(f"Delete {count} from {out}, to be made again?", abort=True)
    for page in pages:
        page.unlink(missing_ok=True)
    gone = [one.key for one in found if remove(out, one)]
    typer.echo(f"{len(gone)} deleted; the next `snakemake` makes them again")
    return gone


def with_consumers(plan: Plan, chosen: Collection[str]) -> list[str]:
    """Return chosen runs and every run that is made from one of them, directly or not, in the order of the plan."""
    found: dict[str, None] = {}
    for key, run in plan.runs.items():  # inputs come first
        if key in chosen or any(name in found for name in run.inputs.values()):
            found[key] = None
    return list(found)


def _refuse_if_at_work(out: Path, found: Sequence[Garbage]) -> None:
    held = [one.key for one in found if is_locked(out / one.key)]
    if held:
        raise UserError(
            f"{', '.join(held)}: a job is at work here", "wait until it ends, or stop it; nothing was deleted"
        )


def _pages(plan: Plan, out: Path, gone: Collection[str]) -> list[Path]:
    """The tables that show one of some products, and the report if there are any."""
    users = users_of(plan)
    names = {name for key in gone for name in users.get(key, [])}
    tables = [path for name in sorted(names) for path in sorted((out / "tables").glob(f"{name}.*"))]
    report = out / "report.html"
    return [path for path in (*tables, *([report] if names else [])) if os.path.lexists(path)]
