"""The look of every figure, and its files with the same bytes each time."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.figure import Figure

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
    """One figure: file stem below ``figures/``, the bytes of each format, what it shows in words, and its caption.

    ``png`` is empty where only the SVG was asked for, ``csv`` where the numbers drawn are too many to write out.
    """

    stem: str
    png: bytes
    svg: bytes
    csv: str
    alt: str
    note: str = ""


def figure_style() -> Any:
    """A context in which figures look like those of the report and have the same bytes each time."""
    return mpl.rc_context(sns.axes_style("whitegrid") | _STYLE)


def save(figure: Figure, with_png: bool) -> tuple[bytes, bytes]:
    """The bytes of a figure as PNG, if that is wanted, and as SVG, without dates or versions."""
    png, svg = io.BytesIO(), io.BytesIO()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # all is in its place: laying out takes as long as drawing
    if with_png:
        figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return png.getvalue(), svg.getvalue()
