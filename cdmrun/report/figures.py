"""Figures: quality against NFE and against seconds a sample, with the plotted data beside each."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from cdmrun.report.collect import reference_value
from cdmrun.report.look import Look, looks
from cdmrun.report.metrics_info import metric_info
from cdmrun.report.numbers import number
from cdmrun.report.tables import HELD_OUT, Line, lines_of, longest_teacher_run, of_line
from cdmrun.spec.plan_types import Experiment

DPI = 200
_STYLE: dict[str, Any] = {
    "svg.hashsalt": "cdmrun",  # ids in the SVG depend on the content only
    "svg.fonttype": "path",  # looks the same where the font is not installed
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.labelsize": 9.5,
    "axes.titlesize": 10.0,
    "legend.fontsize": 8.5,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "axes.edgecolor": "#444444",
    "axes.linewidth": 0.8,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.constrained_layout.use": True,
}


@dataclass(frozen=True)
class FigureFiles:
    """One figure: file stem below ``figures/``, the bytes of each format, and what it shows in words."""

    stem: str
    png: bytes
    svg: bytes
    csv: str
    alt: str


def figure_specs(experiment: Experiment) -> list[dict[str, Any]]:
    """The spec's ``report.figures``, each with its file stem ``NAME-<y>-vs-<x>`` (and the hue, to tell twins apart)."""
    result: list[dict[str, Any]] = []
    taken: set[str] = set()
    for spec in experiment.spec.get("report", {}).get("figures", []):
        stem = f"{experiment.name}-{spec['y']}-vs-{spec['x']}"
        if stem in taken:
            stem = f"{stem}-by-{spec.get('hue', 'name')}"
        if stem not in taken:
            taken.add(stem)
            result.append({"hue": "name", **spec, "stem": stem})
    return result


def draw_figures(experiment: Experiment, summary: pd.DataFrame, references: pd.DataFrame) -> list[FigureFiles]:
    """Every figure that the spec asks for; the same input gives the same bytes."""
    summary = summary[summary["experiment"] == experiment.name]
    return [_draw(experiment, summary, references, spec) for spec in figure_specs(experiment)]


def _draw(
    experiment: Experiment, summary: pd.DataFrame, references: pd.DataFrame, spec: Mapping[str, Any]
) -> FigureFiles:
    metric, x = spec["y"], spec["x"]
    data = plotted_data(experiment, summary, references, metric)
    style = sns.axes_style("whitegrid") | _STYLE
    with mpl.rc_context(style):
        figure = Figure(figsize=(6.4, 3.6))
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        drawn = looks(lines_of(experiment), spec["hue"])
        _draw_lines(axes, data, x, drawn)
        _draw_references(axes, data)
        _set_axes(axes, data, x, metric)
        sns.despine(ax=axes)
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside right upper", frameon=False, handlelength=2.6)
        else:
            axes.text(0.5, 0.5, "no scores yet", transform=axes.transAxes, ha="center", color="#888888")
        png, svg = _save(figure)
    alt = f"{experiment.title}: {metric_info(metric).label} against {_X_LABELS.get(x, x)}"
    return FigureFiles(spec["stem"], png, svg, data.to_csv(index=False, lineterminator="\n"), alt)


def plotted_data(experiment: Experiment, summary: pd.DataFrame, references: pd.DataFrame, metric: str) -> pd.DataFrame:
    """What a figure of ``metric`` shows: the rows of the summary, then the reference lines (``role`` "reference")."""
    rows = summary[(summary["experiment"] == experiment.name) & (summary["metric"] == metric)].copy()
    columns = [c for c in rows.columns if c != "status"]
    extra = []
    longest = longest_teacher_run(experiment)
    if longest is not None:
        line, nfe = longest
        found = of_line(rows[rows["nfe"] == nfe], line)
        if len(found):
            name = f"teacher's longest run ({line.method}, NFE {nfe})"
            extra.append(found.iloc[0].to_dict() | {"name": name, "role": "reference"})
    held_out = reference_value(references, experiment.name, metric, HELD_OUT)
    if held_out is not None:
        extra.append({"experiment": experiment.name, "name": HELD_OUT, "metric": metric, "mean": held_out})
        extra[-1]["role"] = "reference"
    if not extra:
        return rows[columns]
    return pd.DataFrame(rows[columns].to_dict("records") + extra, columns=columns)


def _draw_lines(axes: Any, data: pd.DataFrame, x: str, drawn: Mapping[Line, Look]) -> None:
    for order, (line, look) in enumerate(drawn.items()):
        own = of_line(data[data["role"] != "reference"], line).sort_values("nfe")
        own = own[own["mean"].map(math.isfinite) & own[x].map(math.isfinite)]
        if own.empty:
            continue
        halves = ((own["ci_high"] - own["ci_low"]) / 2).fillna(0.0)
        sns.lineplot(
            x=own[x].to_numpy(dtype=float),
            y=own["mean"].to_numpy(dtype=float),
            ax=axes,
            color=look.colour,
            marker=look.marker,
            dashes=look.dashes,
            linewidth=look.width,
            markersize=look.size,
            markeredgewidth=0.6,
            zorder=3 + order,
            label=look.label,
            legend=False,
            errorbar=None,
            sort=False,
            estimator=None,
        )
        axes.errorbar(
            own[x], own["mean"], yerr=halves, fmt="none", ecolor=look.colour, elinewidth=1.1, capsize=2.2, zorder=2
        )


def _draw_references(axes: Any, data: pd.DataFrame) -> None:
    styles = {HELD_OUT: (":", "#000000", 1.6)}
    for row in data[data["role"] == "reference"].to_dict("records"):
        dash, colour, width = styles.get(row["name"], ("--", "#555555", 1.0))
        shown = number(row["mean"], (row["ci_high"] - row["ci_low"]) / 2)
        label = f"{row['name']}:\n{shown}".replace(" (", "\n(")
        axes.axhline(row["mean"], linestyle=dash, color=colour, linewidth=width, label=label, zorder=1.5)


_X_LABELS = {"nfe": "network evaluations per sample (NFE)", "seconds_per_sample": "seconds per sample (wall clock)"}


def _set_axes(axes: Any, data: pd.DataFrame, x: str, metric: str) -> None:
    info = metric_info(metric)
    axes.set_xlabel(_X_LABELS.get(x, x))
    axes.set_ylabel(info.axis)
    if info.log_scale and (data["mean"] > 0).any():
        axes.set_yscale("log", nonpositive="clip")
        _limit_decades(axes, data["mean"])
    if data.empty:
        return
    if x == "nfe":
        axes.set_xscale("log", base=2)
        ticks = sorted(data.loc[data["role"] != "reference", "nfe"].unique())
        axes.xaxis.set_major_locator(FixedLocator([float(tick) for tick in ticks]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
    elif data[x].gt(0).any():
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=_tick_subs(data[x])))
        axes.xaxis.set_major_formatter(EngFormatter(unit="s", sep=" "))
        axes.xaxis.set_minor_formatter(NullFormatter())


def _tick_subs(values: pd.Series) -> Sequence[float]:
    """More than the powers of ten where the values span less than two decades."""
    positive = values[values > 0]
    return (1.0,) if positive.max() / positive.min() > 100 else (1.0, 2.0, 5.0)


def _limit_decades(axes: Any, means: pd.Series) -> None:
    """Keep an interval that reaches below zero from stretching a log axis over empty decades."""
    positive = means[(means > 0) & means.map(math.isfinite)]
    axes.set_ylim(positive.min() / 2.5, positive.max() * 1.8)


def _save(figure: Figure) -> tuple[bytes, bytes]:
    png, svg = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return png.getvalue(), svg.getvalue()
