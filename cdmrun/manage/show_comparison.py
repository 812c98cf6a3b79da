"""Comparisons for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cdmrun.manage.comparing import VERDICTS, Comparison, ExperimentComparison
from cdmrun.report.numbers import number

#: Rows of cells that are printed; --json has all.
_SHOWN = 40


def show_comparison(found: Comparison, one: str, other: str) -> RenderableType:
    """Return a row for each experiment, then the cells that are different or absent."""
    table = Table("experiment", "seeds", *VERDICTS, "seconds", "", box=None, pad_edge=False, header_style="bold")
    for experiment in found.experiments:
        table.add_row(*_row(experiment))
    parts: list[RenderableType] = [table, *_cells(found)]
    for names, there, absent in ((found.only_one, one, other), (found.only_other, other, one)):
        if names:
            parts.append(Text(f"not compared, {there} alone has them and {absent} not: {', '.join(names)}", "dim"))
    counted = sum(sum(experiment.counts.values()) for experiment in found.experiments)
    outside = sum(cell.outside for experiment in found.experiments for cell in experiment.cells)
    parts.append(
        Text(
            f"{outside} of {counted} cells lie outside their own 95 % interval; of those that have one, one in twenty "
            "does by chance",
            "dim",
        )
    )
    if untold := sum(experiment.counts["unjudged"] for experiment in found.experiments):
        parts.append(
            Text(
                f"{untold} unjudged: of one seed, trained or drawn, without a standard error, so that nothing says how "
                "far chance takes them; more seeds would (--json has them)",
                "dim",
            )
        )
    verdict = Text("passed", "bold green") if found.passed else Text("different", "bold red")
    return Group(*parts, verdict)


def _row(experiment: ExperimentComparison) -> Iterator[str | Text]:
    yield Text(experiment.name, "" if experiment.passed else "red")
    first, second = (",".join(map(str, seeds)) for seeds in experiment.seeds)
    yield first if first == second else f"{first} | {second}"
    for verdict in VERDICTS:
        count = experiment.counts[verdict]
        yield Text(str(count), "red" if count and verdict in ("different", "absent") else "")
    ratios = experiment.ratios
    yield f"× {ratios[0]:.2f} ({ratios[1]:.2f} … {ratios[2]:.2f})" if ratios else "–"
    yield Text("the same bytes, seconds left out", "green") if experiment.identical else ""


def _cells(found: Comparison) -> Iterator[RenderableType]:
    rows = [
        (experiment.name, cell)
        for experiment in found.experiments
        for cell in experiment.cells
        if cell.verdict in ("different", "absent")
    ]
    if not rows:
        return
    names = ("experiment", "name", "NFE", "metric", "verdict", "first", "second", "may differ by")
    table = Table(*names, box=None, pad_edge=False, header_style="bold")
    for name, cell in rows[:_SHOWN]:
        labels = (str(cell.labels["name"]), f"{cell.labels['nfe']:g}", str(cell.labels["metric"]))
        numbers = (str(number(value)) for value in (cell.one, cell.other, cell.allowed))
        table.add_row(name, *labels, cell.verdict, *numbers)
    yield Text()
    yield table
    if len(rows) > _SHOWN:
        yield Text(f"… and {len(rows) - _SHOWN} more, --json has them", "dim")
    yield Text()
