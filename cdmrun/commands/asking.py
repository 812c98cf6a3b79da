"""Commands that ask and change nothing: validate, plan, status, explain, diff, schema."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cdmrun.commands.common import ASK, RESULTS, Out, Run, SpecOption, Specs, app, chosen_specs, console, show
from cdmrun.errors import UserError


class Format(StrEnum):
    """How `validate` prints errors."""

    text = "text"
    json = "json"


@app.command(rich_help_panel=ASK)
def validate(
    specs: Specs = None,
    format: Annotated[
        Format, typer.Option(help="text, one error a line, or json for editors and scripts.")
    ] = Format.text,
) -> None:
    """Check specs; print every error as [bold]file:line:col: path: message[/bold] and exit with 1 if there is one.

    Misspelt keys and values come with a suggestion; a value inherited through extends points at the file that wrote it.

    Example: [cyan]cdmrun validate specs/text-absorbing.yaml[/cyan]
    """
    from dataclasses import asdict

    from cdmrun.spec.load import find_errors

    paths = chosen_specs(specs)
    errors = find_errors(paths)
    if format is Format.json:
        typer.echo(json.dumps({"ok": not errors, "errors": [asdict(error) for error in errors]}, indent=1))
    else:
        for error in errors:
            typer.echo(str(error))
        word = "spec" if len(paths) == 1 else "specs"
        typer.echo(
            f"{len(errors)} error{'s' * (len(errors) != 1)}" if errors else f"{len(paths)} {word} valid", err=True
        )
    raise typer.Exit(1 if errors else 0)


@app.command(rich_help_panel=ASK)
def plan(
    specs: Specs = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole plan as JSON, configs included.")] = False,
    out: Out = RESULTS,
    cores: Annotated[
        int | None, typer.Option("--cores", "-c", min=1, help="How many jobs may run at once; all cores if not given.")
    ] = None,
) -> None:
    """Show what the specs would train, what is reused, what is stale, and for about how long, without doing anything.

    Times are estimated from earlier runs of the same kind.

    Example: [cyan]cdmrun plan specs/text-absorbing.yaml --cores 4[/cyan]
    """
    from cdmrun.spec.plan import build_plan
    from cdmrun.spec.plan_types import workflow_command
    from cdmrun.spec.state import estimates, states

    built = build_plan(chosen_specs(specs))
    found, seconds = states(built, out), estimates(built, out)
    cores = cores or os.cpu_count() or 1
    if as_json:
        from cdmrun.spec.show import plan_json

        typer.echo(json.dumps(plan_json(built, found, seconds, cores), indent=1, ensure_ascii=False))
        return
    from cdmrun.spec.show import plan_tree

    show(plan_tree(built, found, seconds, cores))
    if not all(state.done for state in found.values()):
        typer.echo(f"to make it: {workflow_command(built, out)}")


@app.command(rich_help_panel=ASK)
def status(
    specs: Specs = None,
    out: Out = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Key, state and detail of each run as JSON.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Step, loss, rate and time left of what runs, until all is done.")
    ] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks of --watch.")] = 2.0,
) -> None:
    """Show the state of every run: fresh, stale-code, stale-upstream, running, interrupted, failed or missing.

    With --watch, show the runs at work again and again, until all is done or Ctrl-C; exit with 1 if runs have
    failed and nothing more can come.

    Example: [cyan]cdmrun status --watch[/cyan]
    """
    from cdmrun.spec.plan import build_plan
    from cdmrun.spec.state import states

    built = build_plan(chosen_specs(specs))
    if watch:
        from cdmrun.manage.watching import watch as watch_runs

        raise typer.Exit(0 if watch_runs(built, out, interval, console()) else 1)
    found = states(built, out)
    if as_json:
        from dataclasses import asdict

        typer.echo(json.dumps({key: asdict(state) for key, state in found.items()}, indent=1, ensure_ascii=False))
        return
    from cdmrun.spec.show import status_table

    show(status_table(built, found, out))


@app.command(rich_help_panel=ASK)
def explain(run: Run, specs: Specs = None, out: Out = RESULTS) -> None:
    """Explain one run: what makes it, from what, for whom, and which line of which file wrote each value.

    A run_id from a table's CSV does as well, also of a run that no spec asks for any more.

    Example: [cyan]cdmrun explain teachers/network-absorbing-kjv specs/text-absorbing.yaml[/cyan]
    """
    from cdmrun.manage.asking import ask
    from cdmrun.spec.show_run import explanation

    for word in run.split(";"):  # a summary's row stands on several runs, one a seed
        found = ask(word, specs, out)
        show(explanation(found.built, found.run, found.state, out, found.manifest))


@app.command(rich_help_panel=ASK)
def diff(
    left: Annotated[str, typer.Argument(metavar="A", help="A spec file, or a run's key, the start of it, or its id.")],
    right: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    specs: SpecOption = None,
    out: Out = RESULTS,
) -> None:
    """Compare two specs, or two runs: which values differ, and which line of which file wrote each.

    For specs also: which runs they share, and which only one of them needs.

    Example: [cyan]cdmrun diff specs/exact-uniform.yaml specs/exact-absorbing.yaml[/cyan]
    """
    files = [Path(word) for word in (left, right) if word.endswith((".yaml", ".yml")) or Path(word).is_file()]
    if len(files) == 1:
        raise UserError(f"{files[0]} is a spec, the other is not", "name two specs, or two runs")
    from cdmrun.manage.show_diff import show_specs_diff, show_values

    if files:
        from cdmrun.manage.differences import diff_specs

        show(show_specs_diff(diff_specs(*files), left, right))
        return
    from cdmrun.manage.asking import diff_words

    one, other, found = diff_words(left, right, specs, out)
    show(show_values(found, one.key, other.key))


@app.command(rich_help_panel=ASK)
def schema(
    text: Annotated[
        bool, typer.Option("--text", help="The schema itself, installed plugins included, not where it lies.")
    ] = False,
) -> None:
    """Print where the JSON Schema of specs lies, for the first line of a spec, so that editors help.

    Example: [cyan]echo "# yaml-language-server: $schema=$(cdmrun schema)"[/cyan]
    """
    from cdmrun.spec.schema import SCHEMA_PATH, whole_schema

    typer.echo(json.dumps(whole_schema(), indent=2, ensure_ascii=False) if text else str(SCHEMA_PATH))
