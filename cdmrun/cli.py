"""The one door: what a person types (validate, plan, status, explain, table, report) and what a job calls (the stages).

Imports nothing heavy before a command needs it, so that help is instant. Whatever a user can cause ends in a message
on stderr and exit status 1, without a traceback.
"""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cdmrun.errors import UserError

app = typer.Typer(
    name="cdmrun",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="How few steps are enough, and at what loss: distillation experiments for discrete diffusion, declared"
    " in YAML.\n\nA spec says what to compare. [bold]snakemake --cores all[/bold] runs every specs/*.yaml; these"
    " commands look into specs and results, and are what its jobs call.",
)

_ASK = "Look into specs and results"
_JOBS = "What a job calls (any of these can be replayed by hand)"


class Format(StrEnum):
    """How `validate` prints errors."""

    text = "text"
    json = "json"


class Device(StrEnum):
    """Where a stage computes."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


Specs = Annotated[
    list[Path] | None,
    typer.Argument(metavar="SPEC", help="Spec files; all of specs/*.yaml if none is given.", show_default=False),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="The results folder.")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="The run, as `cdmrun plan` prints it: kind/slug-id.")]
DeviceOption = Annotated[Device, typer.Option(help="Where to compute; auto takes a GPU if there is one.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; as many as PyTorch likes if not given.")]
_RESULTS = Path("results")


def chosen_specs(specs: list[Path] | None) -> list[Path]:
    """Return the given specs, or all of ``specs/*.yaml``.

    Raises
    ------
    UserError
        If none is given and there is none.
    """
    found = list(specs or sorted(Path("specs").glob("*.yaml")))
    if not found:
        raise UserError("no spec given, and no specs/*.yaml here", "name a spec: cdmrun plan path/to/spec.yaml")
    return found


@app.command(rich_help_panel=_ASK)
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


@app.command(rich_help_panel=_ASK)
def plan(
    specs: Specs = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole plan as JSON, configs included.")] = False,
    out: Out = _RESULTS,
) -> None:
    """Show what the specs would train, what is shared and what is already there, without doing anything.

    Times are estimated from earlier runs of the same kind.

    Example: [cyan]cdmrun plan specs/text-absorbing.yaml[/cyan]
    """
    from cdmrun.spec.plan import build_plan
    from cdmrun.spec.state import estimates, states

    built = build_plan(chosen_specs(specs))
    found, seconds = states(built, out), estimates(built, out)
    if as_json:
        from cdmrun.spec.show import plan_json

        typer.echo(json.dumps(plan_json(built, found, seconds), indent=1, ensure_ascii=False))
        return
    from cdmrun.spec.show import plan_tree

    _print(plan_tree(built, found, seconds))


@app.command(rich_help_panel=_ASK)
def status(
    specs: Specs = None,
    out: Out = _RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Key, state and detail of each run as JSON.")] = False,
) -> None:
    """Show the state of every run: fresh, stale-code, stale-upstream, running, interrupted, failed or missing.

    Example: [cyan]cdmrun status --out results[/cyan]
    """
    from cdmrun.spec.plan import build_plan
    from cdmrun.spec.state import states

    built = build_plan(chosen_specs(specs))
    found = states(built, out)
    if as_json:
        from dataclasses import asdict

        typer.echo(json.dumps({key: asdict(state) for key, state in found.items()}, indent=1, ensure_ascii=False))
        return
    from cdmrun.spec.show import status_table

    _print(status_table(built, found))


@app.command(rich_help_panel=_ASK)
def explain(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's key, the start of it, or its id.")],
    specs: Specs = None,
    out: Out = _RESULTS,
) -> None:
    """Explain one run: what makes it, from what, for whom, and which line of which file wrote each value.

    Example: [cyan]cdmrun explain students/cdm-hmm-kjv specs/text-absorbing.yaml[/cyan]
    """
    from cdmrun.spec.explain import find_run
    from cdmrun.spec.plan import build
    from cdmrun.spec.show import explanation
    from cdmrun.spec.state import states

    built = build(chosen_specs(specs))
    found = find_run(built.plan, run)
    _print(explanation(built, found, states(built.plan, out)[found.key], out))


@app.command(rich_help_panel=_ASK)
def table(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="A spec file.")],
    partial: Annotated[
        bool, typer.Option("--partial", help="With what is there: absent cells are –, n says how many.")
    ] = False,
    experiment: Annotated[
        str | None, typer.Option(help="Only this experiment, one of those the spec's matrix makes.")
    ] = None,
    out: Out = _RESULTS,
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


@app.command(rich_help_panel=_ASK)
def report(specs: Specs = None, out: Out = _RESULTS) -> None:
    """Write the report with all tables, figures, samples and their provenance (results/report.html).

    Example: [cyan]cdmrun report specs/text-absorbing.yaml[/cyan]
    """
    from cdmrun.spec.plan import build_plan

    built = build_plan(chosen_specs(specs))
    from cdmrun.report.build import write_report
    from cdmrun.stages.provenance import fingerprint

    typer.echo(write_report(built, out, fingerprint=fingerprint))


@app.command(rich_help_panel=_ASK)
def schema(
    text: Annotated[bool, typer.Option("--text", help="The schema itself, not where it lies.")] = False,
) -> None:
    """Print where the JSON Schema of specs lies, for the first line of a spec, so that editors help.

    Example: [cyan]echo "# yaml-language-server: $schema=$(cdmrun schema)"[/cyan]
    """
    from cdmrun.spec.schema import SCHEMA_PATH

    typer.echo(SCHEMA_PATH.read_text(encoding="utf-8") if text else str(SCHEMA_PATH))


def _stage(name: str, teaches: str, example: str) -> None:
    """Register the command of one stage."""

    def command(
        key: Key,
        out: Out = _RESULTS,
        device: DeviceOption = Device.auto,
        threads: Threads = None,
    ) -> None:
        from cdmrun.stages.run import run_stage

        run_stage(name, key, out, device.value, threads)

    command.__doc__ = f"{teaches}\n\nExample: [cyan]cdmrun {name} {example} --out results[/cyan]"
    app.command(name, rich_help_panel=_JOBS)(command)


_stage("fetch", "Get a data set and cut it into sequences.", "data/kjv-1a2b3c4d")
_stage("judge", "Train the n-gram judge on text that teachers never see.", "judges/ngram6-kjv-1a2b3c4d")
_stage("train", "Train a teacher; interrupted, it resumes where it stopped.", "teachers/network-absorbing-kjv-1a2b3c4d")
_stage(
    "draw",
    "Draw sequences from a teacher's long sampler, to train students on.",
    "draws/kjv-absorbing-64x4096-1a2b3c4d",
)
_stage("distill", "Distill a student; interrupted, it resumes where it stopped.", "students/cdm-hmm-kjv-1a2b3c4d")
_stage("sample", "Draw samples at every NFE, with the time each takes.", "samples/cdm-hmm-kjv-1a2b3c4d")
_stage("evaluate", "Score samples and models.", "scores/cdm-hmm-kjv-1a2b3c4d")


def _print(renderable: object) -> None:
    from rich.console import Console

    console = Console(soft_wrap=False, width=None if sys.stdout.isatty() else 140)
    console.print(renderable)


def main() -> None:
    """Run the command line; what a user caused is a message on stderr and exit status 1."""
    try:
        app()
    except UserError as error:
        _fail(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror or error}")
    except KeyboardInterrupt:
        _fail("interrupted; what is complete is kept, run it again to go on", 130)
    except MemoryError:
        _fail("out of memory: use a smaller batch, model or number of states")


def _fail(message: str, code: int = 1) -> None:
    print(message, file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
