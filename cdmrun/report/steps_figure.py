"""What each step of a sampler costs, as staircases: the area under one is the bound at that NFE."""

from __future__ import annotations

import math
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cdmrun.report.canvas import FigureFiles, figure_style, save
from cdmrun.report.lines import Line, lines_of, of_line
from cdmrun.report.look import looks
from cdmrun.report.steps import bound_of, is_above_entropy, merged, reveals_evenly
from cdmrun.spec.plan_types import Experiment

#: More steps than this are merged, so that noise hides nothing.
_MOST = 16
#: The NFE that are drawn: no more colours than can be told apart.
_NFE = 6
_ACROSS = 3
_PANEL = (2.25, 1.95)  # inches


def draw_steps(
    experiment: Experiment, steps: pd.DataFrame, references: pd.DataFrame, with_png: bool = True
) -> FigureFiles | None:
    """A panel for each line, a staircase for each NFE; None where no score has steps."""
    metric = bound_of(experiment, steps)
    own = steps[(steps["metric"] == metric) & np.isfinite(steps["rate"])]
    lines = [line for line in lines_of(experiment) if len(of_line(own, line))]
    if metric is None or not lines:
        return None
    every = sorted({int(nfe) for nfe in own["nfe"].unique()})
    chosen = every if len(every) <= _NFE else [every[round(i * (len(every) - 1) / (_NFE - 1))] for i in range(_NFE)]
    drawn = {(line, nfe): _staircase(own, line, nfe) for line in lines for nfe in chosen}
    drawn = {key: stairs for key, stairs in drawn.items() if len(stairs)}
    png, svg = _draw(experiment, lines, chosen, drawn, with_png)
    named = [
        stairs.assign(name=line.name, nfe=nfe)[["name", "nfe", "t", "s", "bits_per_token", "rate"]]
        for (line, nfe), stairs in drawn.items()
    ]
    above = is_above_entropy(experiment, references, metric)
    note = (
        "Each step from its time t to the next, from noise (left) to data (right): the height is what it costs in a "
        f"unit of time{', bits a revealed token' if reveals_evenly(experiment) else ''}, so the area under a staircase "
        f"is {metric}{' above the entropy of the target' if above else ''}, but for what the start costs. More than "
        f"{_MOST} steps are merged. Mean over seeds."
    )
    alt = f"{experiment.title}: what each step adds to {metric}"
    csv = pd.concat(named).to_csv(index=False, lineterminator="\n")
    return FigureFiles(f"{experiment.name}-steps", png, svg, csv, alt, note)


def _staircase(steps: pd.DataFrame, line: Line, nfe: int) -> pd.DataFrame:
    own = of_line(steps, line)
    return merged(own[own["nfe"] == nfe], _MOST)


def _draw(
    experiment: Experiment,
    lines: list[Line],
    chosen: list[int],
    drawn: dict[tuple[Line, int], pd.DataFrame],
    with_png: bool,
) -> tuple[bytes, bytes]:
    across = min(_ACROSS, len(lines))
    down = math.ceil(len(lines) / across)
    labels = looks(lines, "name")
    colours = [mpl.colormaps["viridis_r"](0.12 + 0.88 * i / max(len(chosen) - 1, 1)) for i in range(len(chosen))]
    with figure_style():
        figure = Figure(figsize=(_PANEL[0] * across + 1.2, _PANEL[1] * down + 0.3))
        FigureCanvasAgg(figure)
        grid: Any = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
        for axes, line in zip(grid.ravel(), lines, strict=False):
            for nfe, colour in zip(chosen, colours, strict=True):
                stairs = drawn.get((line, nfe))
                if stairs is not None:
                    edges = [*stairs["t"], stairs["s"].iloc[-1]]
                    axes.stairs(stairs["rate"], 1.0 - np.array(edges), baseline=None, color=colour, linewidth=1.6)
            axes.set_title(labels[line].label)
        for index, axes in enumerate(grid.ravel()):
            axes.set_visible(index < len(lines))
            axes.tick_params(labelbottom=index + across >= len(lines))
        ticks = [0.0, 0.5, 1.0]
        grid[0, 0].set_xticks(ticks, [f"{1 - tick:g}" for tick in ticks])
        figure.supxlabel("time t, from noise to data", fontsize=9.5)
        unit = "bits a revealed token" if reveals_evenly(experiment) else "bits/token in a unit of time"
        figure.supylabel(unit, fontsize=9.5)
        handles = [mpl.lines.Line2D([], [], color=colour, linewidth=1.6) for colour in colours]
        figure.legend(handles, [f"NFE {nfe}" for nfe in chosen], loc="outside right upper", frameon=False)
        for axes in grid.ravel():
            sns.despine(ax=axes)
        return save(figure, with_png)
