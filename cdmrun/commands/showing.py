"""Commands that turn scores into what people read, and compare it: table, report, compare, reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cdmrun.commands.common import ASK, RESULTS, Out, Specs, app, chosen_specs, show
from cdmrun.errors import UserError


@app.command(rich_help_panel=ASK)
def table(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="A spec file.")],
    partial: Annotated[
        bool, typer.Option("--partial", help="With what is there: absent cells are –, n says how many.")
    ] = False,
    without_timing: Annotated[
        bool, typer.Option("--without-timing", help="Leave measured seconds out: two runs then have the same bytes.")
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

    for path in write_tables(built, out, partial, fingerprint, not without_timing):
        typer.echo(path)


@app.command(rich_help_panel=ASK)
def report(
    specs: Specs = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="With what is there: absent cells are –, failures are listed.")
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Experiments worked out at a time.")] = 1,
    out: Out = RESULTS,
) -> None:
    """Write the report with all tables, figures, samples and their provenance (results/report.html).

    Example: [cyan]cdmrun report specs/text-absorbing.yaml --partial[/cyan]
    """
    from cdmrun.spec.plan import build_plan

    built = build_plan(chosen_specs(specs))
    from cdmrun.report.build import write_report
    from cdmrun.stages.provenance import fingerprint

    typer.echo(write_report(built, out, partial, fingerprint, jobs))


REFERENCE = Path("results/reference")


@app.command(rich_help_panel=ASK)
def compare(
    one: Annotated[Path, typer.Argument(metavar="[A]", help="A results folder, or a folder of tables.")] = RESULTS,
    other: Annotated[Path, typer.Argument(metavar="[B]", help="What it is held against.")] = REFERENCE,
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="How far means may be apart, relative, where a teacher was trained anew.")
    ] = 0.02,
    as_json: Annotated[bool, typer.Option("--json", help="Every cell that is not the same, as JSON.")] = False,
) -> None:
    """Hold results against others, cell by cell: same, within interval, or different; exit with 1 if any is different.

    Seconds are compared as ratios and never fail. Experiments that only one has are named and left out.

    Example: [cyan]cdmrun compare results results/reference[/cyan]
    """
    from cdmrun.manage.comparing import as_json as plain
    from cdmrun.manage.comparing import compare as compare_folders

    found = compare_folders(one, other, tolerance)
    if as_json:
        typer.echo(json.dumps(plain(found), indent=1, ensure_ascii=False))
    else:
        from cdmrun.manage.show_comparison import show_comparison

        show(show_comparison(found, str(one), str(other)))
    raise typer.Exit(0 if found.passed else 1)


@app.command(rich_help_panel=ASK)
def reference(
    specs: Specs = None,
    out: Out = RESULTS,
    into: Annotated[Path, typer.Option(help="The folder of reference results.")] = REFERENCE,
) -> None:
    """Write reference results: tables, figures, condensed manifests and a list of them, from complete results.

    Experiments that the folder has of other specs stay. What stands in notes.md there becomes part of README.md.

    Example: [cyan]cdmrun reference specs/text-absorbing.yaml[/cyan]
    """
    from cdmrun.manage.reference import write_reference
    from cdmrun.spec.plan import build_plan
    from cdmrun.stages.provenance import fingerprint

    for path in write_reference(build_plan(chosen_specs(specs)), out, into, fingerprint):
        typer.echo(path)
