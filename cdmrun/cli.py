"""The one door: what a person types (validate, plan, status, table, report, …) and what a job calls (the stages).

Imports nothing heavy before a command needs it, so that help is instant. Whatever a user can cause ends in a message
on stderr and exit status 1, without a traceback.
"""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cdmrun.errors import UserError
from cdmrun.warm import client

if TYPE_CHECKING:
    from rich.console import Console

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


class Like(StrEnum):
    """What a new spec starts from."""

    text = "text"
    digits = "digits"
    exact = "exact"
    chain = "chain"


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
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's key, the start of it, or its id.")]
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
    cores: Annotated[
        int | None, typer.Option("--cores", "-c", min=1, help="How many jobs may run at once; all cores if not given.")
    ] = None,
) -> None:
    """Show what the specs would train, what is reused, what is stale, and for about how long, without doing anything.

    Times are estimated from earlier runs of the same kind.

    Example: [cyan]cdmrun plan specs/text-absorbing.yaml --cores 4[/cyan]
    """
    from cdmrun.spec.plan import build_plan
    from cdmrun.spec.state import estimates, states

    built = build_plan(chosen_specs(specs))
    found, seconds = states(built, out), estimates(built, out)
    cores = cores or os.cpu_count() or 1
    if as_json:
        from cdmrun.spec.show import plan_json

        typer.echo(json.dumps(plan_json(built, found, seconds, cores), indent=1, ensure_ascii=False))
        return
    from cdmrun.spec.show import plan_tree

    _print(plan_tree(built, found, seconds, cores))


@app.command(rich_help_panel=_ASK)
def status(
    specs: Specs = None,
    out: Out = _RESULTS,
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

        raise typer.Exit(0 if watch_runs(built, out, interval, _console()) else 1)
    found = states(built, out)
    if as_json:
        from dataclasses import asdict

        typer.echo(json.dumps({key: asdict(state) for key, state in found.items()}, indent=1, ensure_ascii=False))
        return
    from cdmrun.spec.show import status_table

    _print(status_table(built, found))


@app.command(rich_help_panel=_ASK)
def explain(run: Run, specs: Specs = None, out: Out = _RESULTS) -> None:
    """Explain one run: what makes it, from what, for whom, and which line of which file wrote each value.

    A run_id from a table's CSV does as well, also of a run that no spec asks for any more.

    Example: [cyan]cdmrun explain students/cdm-hmm-kjv specs/text-absorbing.yaml[/cyan]
    """
    from cdmrun.manage.asking import ask
    from cdmrun.spec.show_run import explanation

    for word in run.split(";"):  # a summary's row stands on several runs, one a seed
        found = ask(word, specs, out)
        _print(explanation(found.built, found.run, found.state, out, found.manifest))


@app.command(rich_help_panel=_ASK)
def diff(
    left: Annotated[str, typer.Argument(metavar="A", help="A spec file, or a run's key, the start of it, or its id.")],
    right: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    specs: Annotated[
        list[Path] | None,
        typer.Option("--spec", "-s", help="Where runs are looked up; all of specs/*.yaml if not given."),
    ] = None,
    out: Out = _RESULTS,
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

        _print(show_specs_diff(diff_specs(*files), left, right))
        return
    from cdmrun.manage.asking import diff_words

    one, other, found = diff_words(left, right, specs, out)
    _print(show_values(found, one.key, other.key))


@app.command(rich_help_panel=_ASK)
def accept(
    run: Run,
    reason: Annotated[str, typer.Option(help="Why the changed code would make the same; status shows it.")],
    specs: Annotated[
        list[Path] | None,
        typer.Option("--spec", "-s", help="Where the run is looked up; all of specs/*.yaml if not given."),
    ] = None,
    out: Out = _RESULTS,
) -> None:
    """Vouch for a stale-code product: the present code would make the same, so it counts as fresh.

    The next change to the code of its stage makes it stale again.

    Example: [cyan]cdmrun accept teachers/network-absorbing-kjv --reason "only a docstring changed"[/cyan]
    """
    from cdmrun.manage.accepting import accept_product
    from cdmrun.manage.asking import ask
    from cdmrun.stages.provenance import fingerprint

    typer.echo(f"{accept_product(ask(run, specs, out).run, out, reason, fingerprint)}: accepted")


@app.command(rich_help_panel=_ASK)
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
    out: Out = _RESULTS,
) -> None:
    """Delete products that none of the specs asks for, and what complete trainings left in work/.

    Never touches what a job holds, what cdmrun did not make, or anything outside the results folder.

    Example: [cyan]cdmrun gc --dry-run[/cyan]
    """
    from cdmrun.manage.collecting import collect_garbage

    if not specs:
        found = sorted(Path("specs").glob("**/*.yaml"))
        specs = chosen_specs([path for path in found if "base" not in path.parent.parts] or None)
    collect_garbage(specs, out, dry_run, yes)


new_app = typer.Typer(no_args_is_help=True, help="Start something new.")
app.add_typer(new_app, name="new", rich_help_panel=_ASK)


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
def report(
    specs: Specs = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="With what is there: absent cells are –, failures are listed.")
    ] = False,
    out: Out = _RESULTS,
) -> None:
    """Write the report with all tables, figures, samples and their provenance (results/report.html).

    Example: [cyan]cdmrun report specs/text-absorbing.yaml --partial[/cyan]
    """
    from cdmrun.spec.plan import build_plan

    built = build_plan(chosen_specs(specs))
    from cdmrun.report.build import write_report
    from cdmrun.stages.provenance import fingerprint

    typer.echo(write_report(built, out, partial, fingerprint))


@app.command(rich_help_panel=_ASK)
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

#: What the Snakefile calls, one process each: these may start warm.
JOBS = ("fetch", "judge", "train", "draw", "distill", "sample", "evaluate", "table", "report")


def _console() -> Console:
    from rich.console import Console

    return Console(soft_wrap=False, width=None if sys.stdout.isatty() else 140)


def _print(renderable: object) -> None:
    _console().print(renderable)


def main() -> None:
    """Run the command line; what a user caused is a message on stderr and exit status 1."""
    if sys.argv[1:2] and sys.argv[1] in JOBS and client.wanted():
        status = client.run(sys.argv[1:])
        if status is not None:
            sys.exit(status)
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
