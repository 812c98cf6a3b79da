"""Guide lines in a figure against NFE: the orders that a metric has with samplers of first and second order."""

from __future__ import annotations

from typing import Any

import pandas as pd

from cdmrun.report.orders import QUADRATIC

_COLOUR = "#8c8c8c"
#: A guide reaches over at most this many doublings of the NFE.
_DOUBLINGS = 3.0
#: How far above the data the guides end.
_GAP = 1.7


def draw_guides(axes: Any, drawn: pd.DataFrame, metric: str) -> None:
    """Two thin lines above the data, from one point at the highest NFE upwards to the left.

    ``drawn`` has the points of the figure (columns nfe and mean, all positive). The axes' upper limit is raised where
    the guides would leave the picture.
    """
    if drawn.empty:
        return
    right = float(drawn["nfe"].max())
    near = drawn[drawn["nfe"] * 2**_DOUBLINGS >= right]
    slopes = (2.0, 4.0) if metric in QUADRATIC else (1.0, 2.0)
    end = _GAP * float((near["mean"] * (near["nfe"] / right) ** slopes[0]).max())  # the flatter guide clears the data
    bottom, top = axes.get_ylim()
    top = max(top, end * 4.0)
    axes.set_ylim(bottom, top)
    for slope in slopes:
        reach = min(2.0**_DOUBLINGS, (top / end / 1.3) ** (1.0 / slope))
        axes.plot(
            [right / reach, right], [end * reach**slope, end], color=_COLOUR, linewidth=0.8, zorder=1.2, scalex=False
        )
        axes.annotate(
            f"order {slope:g}",
            (right / reach, end * reach**slope),
            xytext=(4, 0),
            textcoords="offset points",
            ha="left",
            va="bottom",
            color="#6e6e6e",
            fontsize=7.5,
        )
