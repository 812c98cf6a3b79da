"""By how much the students beat the baselines at equal NFE, in pairs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cdmrun.report.lines import Line, lines_of
from cdmrun.report.metrics_info import metric_info
from cdmrun.report.numbers import number
from cdmrun.report.pairs import At, Pairs
from cdmrun.report.statistics import LEVEL, Difference, holm
from cdmrun.report.tables import Cell, Panel, Row, Table, is_timed, seconds_panel, seeds_behind
from cdmrun.spec.plan_types import Experiment

GAIN_COLUMNS = [
    *("experiment", "process", "method", "family", "name", "versus", "nfe", "metric"),
    *("gain", "ci_low", "ci_high", "p", "p_holm", "test", "n", "stderr_sequences"),
    *("unit", "seconds_per_sample", "seconds_per_sample_versus"),
]
BEST = "best of these"
CONTROL = " (control, fitted to data)"


def gains(experiment: Experiment, pairs: Pairs) -> pd.DataFrame:
    """Difference of every metric that has a better and a worse between each student and its opponents at equal NFE.

    Opponents are the baselines (`tau_leaping`, `analytic`, …), progressive students, the best of these by its mean at
    that NFE, and the controls: students with ``target: data``, those of the same family where there are such.
    Differences are signed so that positive means that the student is better; for a metric that should be close to
    held-out data it is the distance that is compared.

    Returns
    -------
    DataFrame with columns `GAIN_COLUMNS`: ``gain`` with its 95 % interval in units of the metric; ``p`` of the
    ``test`` that there is no difference, and ``p_holm`` corrected for all that the experiment compares in that metric;
    ``n`` seeds (see `cdmrun.report.statistics.Difference`).
    """
    lines = lines_of(experiment)
    students = [line for line in lines if line.role == "student"]
    rows: list[tuple[Any, ...]] = []
    for metric in experiment.metrics:
        found = [
            _Compared(student, opponent, versus, nfe, difference)
            for student in students
            for nfe in student.nfe
            for versus, opponent in _opponents(student, lines, metric, nfe, pairs)
            if (difference := pairs.difference(metric, At(student, nfe), At(opponent, nfe))) is not None
        ]
        unique = {one.key: one.difference.p for one in found}  # the best opponent is one of the others once more
        corrected = dict(zip(unique, holm(list(unique.values())), strict=True))
        rows += [_row(experiment, metric, one, corrected[one.key], pairs) for one in found]
    return pd.DataFrame(rows, columns=GAIN_COLUMNS)


@dataclass(frozen=True)
class _Compared:
    """A student, an opponent and what that is called, at one NFE."""

    student: Line
    opponent: Line
    versus: str
    nfe: int
    difference: Difference

    @property
    def key(self) -> tuple[Line, Line, int]:
        return self.student, self.opponent, self.nfe


def gains_table(experiment: Experiment, gain: pd.DataFrame, summary: pd.DataFrame) -> Table | None:
    """The gains as a small table, seconds a sample below; None where nothing can be compared."""
    gain = gain[gain["metric"] == gain["metric"].iloc[0]] if len(gain) else gain
    if gain.empty:
        return None
    columns = tuple(sorted(int(nfe) for nfe in gain["nfe"].unique()))
    rows = []
    controls = {line.name for line in lines_of(experiment) if _is_control(line)}
    opponents = sorted(gain["versus"].unique(), key=lambda versus: versus == BEST)  # the best of them comes last
    for name, versus in itertools.product(gain["name"].unique(), opponents):
        group = gain[(gain["name"] == name) & (gain["versus"] == versus)]
        if group.empty:
            continue
        by_nfe = {int(row["nfe"]): row for row in group.to_dict("records")}
        cells = tuple(_gain_cell(by_nfe.get(nfe)) for nfe in columns)
        called = f"{versus}{CONTROL if versus in controls else ''}"
        rows.append(Row((str(name), called), seeds_behind(group["n"]), cells))
    info = metric_info(str(gain["metric"].iloc[0]), str(gain["unit"].iloc[0]))
    heading = f"gain in {info.name}" + (f" ({info.unit})" if info.unit else "")
    own = summary[(summary["experiment"] == experiment.name) & (summary["metric"] == info.name)]
    panels = [Panel(heading, tuple(rows))]
    if is_timed(experiment):
        timed = seconds_panel(lines_of(experiment), ["name"], columns, own)
        panels.append(Panel(timed.heading, tuple(Row((*r.labels, ""), r.seeds, r.cells) for r in timed.rows)))
    return Table(
        f"Gain over the baselines at equal NFE, {info.name}",
        "Difference to each opponent at the same NFE: positive means that the student is better, negative that it is "
        f"worse. Mean ± half-width of the 95 % interval. “{BEST}” is the baseline or progressive student with the best "
        f"mean at that NFE. {_tests(gain)}",
        ("student", "versus"),
        columns,
        tuple(panels),
    )


def _opponents(student: Line, lines: Sequence[Line], metric: str, nfe: int, pairs: Pairs) -> Iterator[tuple[str, Line]]:
    """Whom a student is compared with at an NFE, each with what it is called."""
    rivals = [one for one in lines if _is_rival(one, student)]
    yield from ((one.name, one) for one in rivals)
    means = [(pairs.mean_loss(metric, At(one, nfe)), index) for index, one in enumerate(rivals)]
    finite = [pair for pair in means if math.isfinite(pair[0])]
    if finite:
        yield BEST, rivals[min(finite)[1]]
    if not _is_control(student):
        controls = [one for one in lines if _is_control(one)]
        of_family = [one for one in controls if one.settings.get("family") == student.settings.get("family")]
        yield from ((one.name, one) for one in of_family or controls)


def _is_rival(one: Line, student: Line) -> bool:
    return one.role == "baseline" or (one.method == "progressive" and student.method != "progressive")


def _is_control(line: Line) -> bool:
    """Whether a student was fitted to data instead of to its teacher."""
    return (line.settings.get("target") or {}).get("kind") == "data"


def _row(experiment: Experiment, metric: str, one: _Compared, p_holm: float, pairs: Pairs) -> tuple[Any, ...]:
    student, found = one.student, one.difference
    mine, theirs = (pairs.rows(metric, At(line, one.nfe)) for line in (student, one.opponent))
    common = mine.keys() & theirs.keys()
    return (
        *(experiment.name, student.process, student.method, student.family, student.name, one.versus, one.nfe, metric),
        *(found.mean, found.low, found.high, found.p, p_holm, found.test, found.n, found.stderr_sequences),
        mine[min(common)]["unit"],
        *(float(np.median([side[seed]["seconds_per_sample"] for seed in common])) for side in (mine, theirs)),
    )


_TESTS = {
    "t": "Student t over seeds",
    "t over sequences": "Student t over held-out sequences, which says nothing about another training",
    "z": "independent standard errors",
}


def _tests(gain: pd.DataFrame) -> str:
    """How differences were tested, for the caption."""
    used = [text for test, text in _TESTS.items() if (gain["test"] == test).any()]
    parts = []
    if used:
        parts.append(
            f"°: within noise, p ≥ {LEVEL} after Holm's correction over all of these; in pairs, {'; '.join(used)}."
        )
    if (gain["test"] == "").any():
        parts.append(
            "Gains without ± and without ° are of one training or one set of draws: nothing says how much is noise."
        )
    return " ".join(parts)


def _gain_cell(row: Mapping[Any, Any] | None) -> Cell:
    if row is None:
        return Cell()
    half = (row["ci_high"] - row["ci_low"]) / 2 if math.isfinite(row["gain"]) else math.nan
    noise = row["test"] not in ("exact", "") and not row["p_holm"] < LEVEL
    return Cell(number(row["gain"], half, signed=True), noise=noise)
