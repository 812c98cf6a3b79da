"""Exact laws of two-position targets as pictures: every method at a few NFE, side by side with the target."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from cdmrun.report.canvas import FigureFiles, figure_style, save
from cdmrun.report.lines import Line, lines_of
from cdmrun.report.look import pretty
from cdmrun.report.numbers import number
from cdmrun.report.samples import dataset_of, first_ready, load_arrays
from cdmrun.spec.plan_types import Experiment, Plan

Law = npt.NDArray[np.float64]

#: More rows than this are no file for people.
MAX_CSV_ROWS = 200_000
#: Small probabilities are seen too: colours follow the square root.
_GAMMA = 0.5
_COLOURS = "magma_r"  # perceptually uniform, light where there is nothing
_HEADROOM = 1.5  # times the target's largest probability: the top of the colours
_PANEL = 1.25  # inches
_NOTE = (
    "Exact output laws of the first seed: probability of each pair of values, the first position to the right and the "
    "second upwards. One colour scale for all panels, in proportion to the square root of the probability, up to "
    "1.5 times the target's largest. Below each panel its total variation distance to the target."
)


@dataclass(frozen=True)
class LawRow:
    """One method: its law [V, V] at each NFE, None where it has no such NFE or no product yet."""

    line: Line
    laws: tuple[Law | None, ...]


def draw_laws(plan: Plan, experiment: Experiment, out: Path, with_png: bool = True) -> FigureFiles | None:
    """The picture that ``report.laws`` asks for, a list of NFE.

    None where it is not asked for, the data are not a table over two positions, or no scores product holds laws.
    """
    steps = tuple(experiment.spec.get("report", {}).get("laws", ()))
    target = _target(plan, experiment, out) if steps else None
    if target is None:
        return None
    rows = [LawRow(line, _laws(experiment, line, out, steps, len(target))) for line in lines_of(experiment)]
    rows = [row for row in rows if any(law is not None for law in row.laws)]
    if not rows:
        return None
    png, svg = _draw(target, steps, rows, with_png)
    csv, note = _csv(target, steps, rows), _NOTE
    if not csv:
        note += f" More than {MAX_CSV_ROWS:,} numbers: no CSV, they are in laws.npz of the scores products."
    alt = f"{experiment.title}: exact laws at NFE {', '.join(map(str, steps))}"
    return FigureFiles(f"{experiment.name}-laws", png, svg, csv, alt, note)


def law_distance(p: Law, q: Law) -> float:
    """½ Σ |p − q|; mass that q has outside the data (masks left over) counts too."""
    return 0.5 * float(np.abs(p - q).sum() + max(1.0 - q.sum(), 0.0))


def _target(plan: Plan, experiment: Experiment, out: Path) -> Law | None:
    dataset = dataset_of(plan, experiment, out)
    if dataset is None:
        return None
    flat = dataset.table is not None and dataset.length == 2 and dataset.image_shape is None
    return dataset.table if flat else None


def _laws(experiment: Experiment, line: Line, out: Path, steps: tuple[int, ...], size: int) -> tuple[Law | None, ...]:
    """The laws of a line's first seed with scores, [V, V] each; what has another shape is none."""
    entry = first_ready(experiment, line, out, "scores")
    arrays = load_arrays(out / entry.scores / "laws.npz") if entry else {}
    laws = (arrays.get(f"nfe_{nfe}") for nfe in steps)
    return tuple(law.reshape(size, size) if law is not None and law.size == size * size else None for law in laws)


def _draw(target: Law, steps: tuple[int, ...], rows: list[LawRow], with_png: bool) -> tuple[bytes, bytes]:
    across, down = 1 + len(steps), len(rows)
    # a law heaped up in a corner must not take the colours from all others
    norm = PowerNorm(_GAMMA, vmin=0.0, vmax=_HEADROOM * float(target.max()), clip=True)
    with figure_style():
        figure = Figure(figsize=(_PANEL * across + 1.9, (_PANEL + 0.12) * down + 0.3))
        FigureCanvasAgg(figure)
        grid: Any = figure.subplots(down, across, squeeze=False)
        for axes, row in zip(grid, rows, strict=True):
            image = _panel(axes[0], target, norm)
            axes[0].set_ylabel(pretty(row.line.name), rotation=0, ha="right", va="center", labelpad=8)
            axes[0].set_xlabel(" ")  # as high as the panels with a distance
            for axis, law in zip(axes[1:], row.laws, strict=True):
                _panel(axis, law, norm)
                axis.set_xlabel("" if law is None else f"TV {number(law_distance(target, law))}", labelpad=3)
        for axis, title in zip(grid[0], ("target", *(f"NFE {nfe}" for nfe in steps)), strict=True):
            axis.set_title(title)
        figure.colorbar(
            image, ax=grid, label="probability", extend="max", shrink=min(1.0, 2.2 / down), aspect=18, pad=0.02
        )
        return save(figure, with_png)


def _panel(axes: Any, law: Law | None, norm: PowerNorm) -> Any:
    """One law; an empty place where there is none. Returns what the colour bar needs."""
    axes.set_xticks([])
    axes.set_yticks([])
    if law is None:
        axes.spines[:].set_visible(False)
        return None
    return axes.imshow(law.T, origin="lower", cmap=_COLOURS, norm=norm, interpolation="nearest")


def _csv(target: Law, steps: tuple[int, ...], rows: list[LawRow]) -> str:
    """Long form: one row for each law and cell; empty where that is too long."""
    named = [("target", math.nan, target)]
    named += [
        (row.line.name, nfe, law) for row in rows for nfe, law in zip(steps, row.laws, strict=True) if law is not None
    ]
    if len(named) * target.size > MAX_CSV_ROWS:
        return ""
    first, second = (axis.ravel() for axis in np.indices(target.shape))
    cells = [{"first": first, "second": second, "probability": law.ravel()} for _, _, law in named]
    parts = [
        pd.DataFrame({"name": name, "nfe": nfe, **cell}) for (name, nfe, _), cell in zip(named, cells, strict=True)
    ]
    frame = pd.concat(parts).astype({"nfe": "Int64"})
    return frame.to_csv(index=False, lineterminator="\n")
