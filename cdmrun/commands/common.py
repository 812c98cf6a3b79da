"""What commands share: the application they register with, arguments, and printing."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cdmrun.errors import UserError

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

#: The panels of `cdmrun --help`.
ASK = "Look into specs and results"
JOBS = "What a job calls (any of these can be replayed by hand)"


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
SpecOption = Annotated[
    list[Path] | None,
    typer.Option("--spec", "-s", help="Where runs are looked up; all of specs/*.yaml if not given."),
]
RESULTS = Path("results")


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


def console() -> Console:
    """Where text goes: as wide as the terminal, or 140 characters in a file."""
    from rich.console import Console

    return Console(soft_wrap=False, width=None if sys.stdout.isatty() else 140)


def show(renderable: object) -> None:
    """Print what rich can print."""
    console().print(renderable)
