"""Commands that change specs or products by hand: accept, gc, redo, new."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cdmrun.commands.common import ASK, RESULTS, Out, SpecOption, app, chosen_specs

#: Several runs.
Runs = Annotated[
    list[str] | None,
    typer.Argument(metavar="RUN", help="Runs' keys, the start of them, or their ids.", show_default=False),
]


class Like(StrEnum):
    """What a new spec starts from."""

    text = "text"
    digits = "digits"
    exact = "exact"
    chain = "chain"


@app.command(rich_help_panel=ASK)
def accept(
    reason: Annotated[str, typer.Option(help="Why the changed code would make the same; status shows it.")],
    runs: Runs = None,
    stale: Annotated[bool, typer.Option("--stale", help="Besides, every product that older code made.")] = False,
    specs: SpecOption = None,
    out: Out = RESULTS,
) -> None:
    """Vouch for stale-code products: the present code would make the same, so they count as fresh.

    The next change to the code of their stages makes them stale again.

    Example: [cyan]cdmrun accept teachers/network-absorbing-kjv --reason "only a docstring changed"[/cyan]
    """
    from cdmrun.manage.accepting import accept_products
    from cdmrun.stages.provenance import fingerprint

    accepted = accept_products(runs or [], specs, out, reason, fingerprint, stale)
    for line in [f"{folder}: accepted" for folder in accepted] or ["nothing is stale by its own code"]:
        typer.echo(line)


@app.command(rich_help_panel=ASK)
def gc(
    specs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SPEC",
            help="Specs whose products stay; all below specs/ if none is given, but those in a folder base.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only list what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    out: Out = RESULTS,
) -> None:
    """Delete products, tables and figures that none of the specs asks for, and what complete trainings left in work/.

    Never touches what a job holds, what cdmrun did not make, or anything outside the results folder.

    Example: [cyan]cdmrun gc --dry-run[/cyan]
    """
    from cdmrun.manage.collecting import collect_garbage

    if not specs:
        found = sorted(Path("specs").glob("**/*.yaml"))
        specs = chosen_specs([path for path in found if "base" not in path.parent.parts] or None)
    collect_garbage(specs, out, dry_run, yes)


@app.command(rich_help_panel=ASK)
def redo(
    runs: Runs = None,
    stale: Annotated[bool, typer.Option("--stale", help="Besides, every product that older code made.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only list what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    specs: SpecOption = None,
    out: Out = RESULTS,
) -> None:
    """Delete products and all that was made from them, so that the next workflow makes them again.

    Tables and report that show them go, too. Refuses while a job is at work on one of them.

    Example: [cyan]cdmrun redo teachers/network-absorbing-kjv --dry-run[/cyan]
    """
    from cdmrun.manage.redoing import redo as take_away

    take_away(runs or [], chosen_specs(specs), out, stale, dry_run, yes)


new_app = typer.Typer(no_args_is_help=True, help="Start something new.")
app.add_typer(new_app, name="new", rich_help_panel=ASK)


@new_app.command("spec")
def new_spec(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the file and of the experiment.")],
    like: Annotated[Like, typer.Option(help="What it models.")] = Like.exact,
) -> None:
    """Write specs/NAME.yaml, a commented spec to start from.

    Example: [cyan]cdmrun new spec my-first --like exact[/cyan]
    """
    from cdmrun.manage.starting import new_spec as write

    typer.echo(write(name, like.value))
