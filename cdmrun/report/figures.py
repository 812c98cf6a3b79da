"""Figures: quality against NFE and against seconds a sample, with the plotted data beside each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from cdmrun.report.canvas import FigureFiles, figure_style, save
from cdmrun.report.captions import infinite_sentence, places
from cdmrun.report.collect import HELD_OUT
from cdmrun.report.floor import FLOOR, factorised_floor, floor_sentence
from cdmrun.report.guides import draw_guides
from cdmrun.report.lines import Line, lines_of, of_line, oracles_of
from cdmrun.report.look import Look, looks
from cdmrun.report.metrics_info import NUMERICAL_ZERO, metric_info
from cdmrun.report.numbers import number
from cdmrun.report.oracles import EXACT_IN_LAW
from cdmrun.report.orders import fitted, has_solvers, order_metrics, order_text, orders_sentence
from cdmrun.report.plotted import FLOOR_ROLE, of_lines, plotted_data, shown
from cdmrun.spec.plan_types import Experiment


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


def draw_figures(
    experiment: Experiment,
    summary: pd.DataFrame,
    references: pd.DataFrame,
    orders: pd.DataFrame,
    with_png: bool = True,
) -> list[FigureFiles]:
    """Every figure that the spec asks for; the same input gives the same bytes.

    ``orders`` are from `cdmrun.report.orders.fitted_orders`; figures of those metrics against NFE show them.
    """
    summary = summary[summary["experiment"] == experiment.name]
    return [_draw(experiment, summary, references, orders, spec, with_png) for spec in figure_specs(experiment)]


def _draw(
    experiment: Experiment,
    summary: pd.DataFrame,
    references: pd.DataFrame,
    orders: pd.DataFrame,
    spec: Mapping[str, Any],
    with_png: bool,
) -> FigureFiles:
    metric, x = spec["y"], spec["x"]
    data = plotted_data(experiment, summary, references, metric)
    if x != "nfe":
        data = data[data["role"] != FLOOR_ROLE]
    with_orders = x == "nfe" and metric in order_metrics(experiment)
    with figure_style():
        figure = Figure(figsize=(6.4, 3.6))
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        drawn = _with_orders(_looks(experiment, data, spec["hue"]), orders if with_orders else orders[:0], metric)
        _draw_lines(axes, data, x, drawn)
        _draw_oracles(axes, data, x, drawn)
        _draw_references(axes, data)
        _draw_floor(axes, data)
        _set_axes(axes, data, x, metric)
        if with_orders:
            draw_guides(axes, shown(data, x, above=NUMERICAL_ZERO), metric)
        sns.despine(ax=axes)
        if entries := axes.get_legend_handles_labels()[1]:
            figure.set_figheight(max(3.6, _LEGEND_LINE * sum(1 + entry.count("\n") for entry in entries)))
            figure.legend(loc="outside right upper", frameon=False, handlelength=2.6)
        else:
            axes.text(0.5, 0.5, "no scores yet", transform=axes.transAxes, ha="center", color="#888888")
        png, svg = save(figure, with_png)
    alt = f"{experiment.title}: {metric_info(metric).label} against {_X_LABELS.get(x, x)}"
    note = _note(experiment, summary, data, metric, with_orders)
    return FigureFiles(spec["stem"], png, svg, data.to_csv(index=False, lineterminator="\n"), alt, note)


def _looks(experiment: Experiment, data: pd.DataFrame, hue: str) -> dict[Line, Look]:
    """Looks of all lines, and of the oracles that have something to show."""
    oracles = [line for line in oracles_of(experiment) if len(of_line(data, line))]
    return looks([*lines_of(experiment), *oracles], hue)


def _with_orders(drawn: dict[Line, Look], orders: pd.DataFrame, metric: str) -> dict[Line, Look]:
    """The looks with fitted orders in their labels."""
    labelled = dict(drawn)
    for line, look in drawn.items():
        order = fitted(orders, line, metric)
        if order is not None:
            labelled[line] = replace(look, label=f"{look.label} · order {order_text(order)}")
    return labelled


def _draw_lines(axes: Any, data: pd.DataFrame, x: str, drawn: Mapping[Line, Look]) -> None:
    for order, (line, look) in enumerate(drawn.items()):
        own = of_line(shown(data, x), line).sort_values("nfe")
        if own.empty:
            continue
        halves = ((own["ci_high"] - own["ci_low"]) / 2).fillna(0.0)
        for index, stretch in enumerate(_stretches(own, of_line(of_lines(data), line))):
            sns.lineplot(
                x=stretch[x].to_numpy(dtype=float),
                y=stretch["mean"].to_numpy(dtype=float),
                ax=axes,
                color=look.colour,
                marker=look.marker,
                dashes=look.dashes,
                linewidth=look.width,
                markersize=look.size,
                markeredgewidth=0.6,
                zorder=3 + order,
                label=None if index else look.label,
                legend=False,
                errorbar=None,
                sort=False,
                estimator=None,
            )
        axes.errorbar(
            own[x], own["mean"], yerr=halves, fmt="none", ecolor=look.colour, elinewidth=1.1, capsize=2.2, zorder=2
        )


def _stretches(own: pd.DataFrame, measured: pd.DataFrame) -> list[pd.DataFrame]:
    """What can be drawn, cut where a value in between cannot: no line leads through an infinite point."""
    gaps = measured.loc[~measured.index.isin(own.index), "nfe"].to_numpy()
    cuts = np.array([(gaps < nfe).sum() for nfe in own["nfe"]])
    return [stretch for _, stretch in own.groupby(cuts)]


def _draw_oracles(axes: Any, data: pd.DataFrame, x: str, drawn: Mapping[Line, Look]) -> None:
    """One marker for each oracle, at the cost it happened to have."""
    x = "nfe_counted" if x == "nfe" else x
    for line, look in drawn.items():
        own = of_line(shown(data, x, "oracle"), line)
        if len(own):
            half = ((own["ci_high"] - own["ci_low"]) / 2).fillna(0.0)
            axes.errorbar(own[x], own["mean"], yerr=half, fmt="none", ecolor=look.colour, elinewidth=1.1, capsize=2.2)
            axes.plot(
                *(own[x], own["mean"]),
                marker=look.marker,
                markersize=7.5,
                linestyle="none",
                markerfacecolor="white",
                markeredgecolor=look.colour,
                markeredgewidth=1.4,
                zorder=20,
                label=f"{look.label} (exact)",
            )


def _draw_floor(axes: Any, data: pd.DataFrame) -> None:
    own = shown(data, "nfe", FLOOR_ROLE, above=NUMERICAL_ZERO)
    if len(own):
        label = FLOOR.replace(" (", "\n(").replace("conditional ", "conditional\n")
        axes.plot(
            own["nfe"], own["mean"], linestyle=(0, (4, 2)), color="#111111", linewidth=1.3, label=label, zorder=30
        )


def _draw_references(axes: Any, data: pd.DataFrame) -> None:
    styles = {HELD_OUT: (":", "#000000", 1.6)}
    own = data[data["role"] == "reference"]
    for row in own[np.isfinite(own["mean"])].to_dict("records"):
        dash, colour, width = styles.get(row["name"], ("--", "#555555", 1.0))
        shown = number(row["mean"], (row["ci_high"] - row["ci_low"]) / 2)
        label = f"{row['name']}:\n{shown}".replace(" (", "\n(")
        axes.axhline(row["mean"], linestyle=dash, color=colour, linewidth=width, label=label, zorder=1.5)


#: Inches that a line of the legend takes: a figure of many lines is as high as its legend.
_LEGEND_LINE = 0.185

_X_LABELS = {"nfe": "network evaluations per sample (NFE)", "seconds_per_sample": "seconds per sample (wall clock)"}


def _set_axes(axes: Any, data: pd.DataFrame, x: str, metric: str) -> None:
    info = metric_info(metric)
    axes.set_xlabel(_X_LABELS.get(x, x))
    axes.set_ylabel(info.axis)
    finite = data[np.isfinite(data["mean"])]
    if info.log_scale and (finite["mean"] > NUMERICAL_ZERO).any():
        axes.set_yscale("log", nonpositive="clip")
        _limit_decades(axes, finite["mean"])
    if data.empty:
        return
    if x == "nfe":
        axes.set_xscale("log", base=2)
        own = of_lines(data)["nfe"]
        ticks = sorted((own if len(own) else data["nfe"].dropna()).unique())
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
    """Keep intervals that reach below zero, and numerical zeros, from stretching a log axis over empty decades."""
    positive = means[means > NUMERICAL_ZERO]
    axes.set_ylim(positive.min() / 2.5, positive.max() * 1.8)


def _note(experiment: Experiment, summary: pd.DataFrame, data: pd.DataFrame, metric: str, with_orders: bool) -> str:
    """The caption: what is drawn besides the lines, and what is left out."""
    parts = ["Bars: 95 % intervals."] if data["ci_low"].lt(data["ci_high"]).any() else []
    if with_orders:
        parts.append(orders_sentence([metric], has_solvers(lines_of(experiment))))
        parts.append("Grey: what samplers of first and second order have.")
    floor = factorised_floor(experiment, summary) if (data["role"] == FLOOR_ROLE).any() else None
    if floor is not None:
        parts.append(floor_sentence(floor))
    oracles = data[data["role"] == "oracle"]
    if len(oracles):
        parts.append(f"Single markers: {', '.join(oracles['name'].unique())}, {EXACT_IN_LAW}.")
    own = of_lines(data)
    infinite = infinite_sentence(own, metric)
    parts.append(f"Left out: {infinite}" if infinite else "")
    zero = own[(own["mean"] <= NUMERICAL_ZERO)] if metric_info(metric).log_scale else own[:0]
    if len(zero):
        parts.append(f"Below the axis, zero or numerically zero: {places(zero, own)}.")
    return " ".join(part for part in parts if part)
