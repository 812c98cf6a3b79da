"""Commands that turn scores into what people read: table, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdmrun.commands.common import ASK, RESULTS, Out, Specs, app, chosen_specs
from cdmrun.errors import UserError


@app.command(rich_help_panel=ASK)
def table(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="A spec file.")],
    partial: Annotated[
        bool, typer.Option("--partial", help="With what is there: absent cells are –, n says how many.")
    ] = False,
    experiment: Annotated[
        str | None, typer.Option(help="Only this experiment, one of those the spec's matrix makes.")
    ] = None,
    out: Out = RESULTS,
) -> None:
    """Write the tables and figures of a spec from its scores (results/tables/NAME.*, results/figures/NAME-*).

    Example: [cyan]cdmrun table specs/text-absorbing.yaml --partial[/cyan]
    """
    from dataclasses import replace

    from cdmrun.spec.plan import build_plan

    built = build_plan([spec])
    if experiment is not None:
        chosen = tuple(e for e in built.experiments if e.name == experiment)
        if not chosen:
            names = ", ".join(e.name for e in built.experiments)
            raise UserError(f"{spec} makes no experiment {experiment!r}", f"choose one of: {names}")
        built = replace(built, experiments=chosen)
    from cdmrun.report.build import write_tables
    from cdmrun.stages.provenance import fingerprint

    for path in write_tables(built, out, partial, fingerprint):
        typer.echo(path)


@app.command(rich_help_panel=ASK)
def report(
    specs: Specs = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="With what is there: absent cells are –, failures are listed.")
    ] = False,
    out: Out = RESULTS,
) -> None:
    """Write the report with all tables, figures, samples and their provenance (results/report.html).

    Example: [cyan]cdmrun report specs/text-absorbing.yaml --partial[/cyan]
    """
    from cdmrun.spec.plan import build_plan

    built = build_plan(chosen_specs(specs))
    from cdmrun.report.build import write_report
    from cdmrun.stages.provenance import fingerprint

    typer.echo(write_report(built, out, partial, fingerprint))
