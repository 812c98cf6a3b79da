"""Holds the tables of one results folder against those of another, cell by cell."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from scipy import stats

from cdmrun.errors import UserError
from cdmrun.registry import SamplerMember, find, names

#: Equal but for rounding: numbers are written to twelve digits.
ROUNDING = 1e-9
#: What a teacher trained elsewhere may change, relative: its noise is in no interval, since all seeds share it.
TOLERANCE = 0.02
#: The chance that any cell of an experiment is called different when only chance differs.
LEVEL = 0.05
VERDICTS = ("same", "within", "unjudged", "different", "absent", "new")

_LABELS = ("process", "method", "family", "name", "nfe", "metric")
_TIMES = ("seconds_per_sample",)


@dataclass(frozen=True)
class Cell:
    """One cell of two tables.

    ``verdict`` is ``same`` (but for rounding), ``within`` (the interval of the difference, or the tolerance),
    ``unjudged`` (of one seed that was trained or drawn, without a standard error: nothing says how far chance takes
    it), ``different``, ``absent`` (only the second has it) or ``new`` (only the first). ``allowed`` is how far apart
    the means may be, ``outside`` says that they are farther apart than the 95 % interval of this cell alone.
    """

    labels: Mapping[str, Any]
    verdict: str
    one: float = math.nan
    other: float = math.nan
    allowed: float = math.nan
    outside: bool = False
    ratio: float = math.nan  # seconds of the first divided by those of the second


@dataclass(frozen=True)
class ExperimentComparison:
    """The cells of one experiment; ``identical`` where its scores are the same to the last byte, seconds left out."""

    name: str
    cells: tuple[Cell, ...]
    seeds: tuple[tuple[int, ...], tuple[int, ...]]
    identical: bool

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many cells have each verdict."""
        return {verdict: sum(cell.verdict == verdict for cell in self.cells) for verdict in VERDICTS}

    @property
    def passed(self) -> bool:
        """Whether everything that the second has is there and not different."""
        return not self.counts["different"] and not self.counts["absent"]

    @property
    def ratios(self) -> tuple[float, float, float] | None:
        """(median, smallest, largest) ratio of the seconds a sample; None where they were not measured."""
        found = pd.Series([cell.ratio for cell in self.cells]).dropna()
        return (float(found.median()), float(found.min()), float(found.max())) if len(found) else None


@dataclass(frozen=True)
class Comparison:
    """All experiments that both have, and the names of those that only one has."""

    experiments: tuple[ExperimentComparison, ...]
    only_one: tuple[str, ...]
    only_other: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether no experiment that both have differs."""
        return all(experiment.passed for experiment in self.experiments)


def compare(one: Path, other: Path, tolerance: float = TOLERANCE) -> Comparison:
    """Compare two results folders, or folders of tables.

    Parameters
    ----------
    one, other
        A fresh one, and the one that it is held against.
    tolerance
        How far apart means may be, relative to the larger, beyond the intervals. Not for numbers that all seeds agree
        on and that have no standard error over data either: nothing in them is random, so they have to be the same to
        a millionth.

    Raises
    ------
    UserError
        If a folder has no tables, or they have no experiment in common.
    """
    left, right = _tables(one), _tables(other)
    common = [name for name in left if name in right]
    if not common:
        raise UserError(
            f"no experiment is in both {one} ({', '.join(left)}) and {other} ({', '.join(right)})",
            "run one of the specs that the second folder has results of",
        )
    return Comparison(
        tuple(_compare(name, left[name], right[name], tolerance) for name in common),
        tuple(name for name in left if name not in right),
        tuple(name for name in right if name not in left),
    )


def _tables(folder: Path) -> dict[str, Path]:
    """Folders of tables by the experiments that have a summary in them."""
    folder = Path(folder)
    place = folder / "tables" if (folder / "tables").is_dir() else folder
    found = {path.name.removesuffix(".summary.csv"): place for path in sorted(place.glob("*.summary.csv"))}
    if not found:
        raise UserError(f"{folder}: no tables there", "name a results folder, or a folder with NAME.summary.csv files")
    return found


def _compare(name: str, one: Path, other: Path, tolerance: float) -> ExperimentComparison:
    scores = [_read(place / f"{name}.scores.csv") for place in (one, other)]
    summaries = (_summary(place / f"{name}.summary.csv") for place in (one, other))
    left, right = (_with_errors(rows, table) for rows, table in zip(summaries, scores, strict=True))
    count = len(left.keys() & right.keys())
    cells = [_cell(key, left.get(key), right.get(key), tolerance, count) for key in dict.fromkeys([*right, *left])]
    seeds = tuple(tuple(sorted({int(seed) for seed in frame["seed"]})) for frame in scores)
    bare = [frame.drop(columns=[column for column in _TIMES if column in frame]) for frame in scores]
    return ExperimentComparison(name, tuple(cells), (seeds[0], seeds[1]), bare[0].equals(bare[1]))


def _read(path: Path) -> pd.DataFrame:
    """A table as text, so that nothing is rounded."""
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file", "write the tables anew: cdmrun table SPEC") from error
    except (ValueError, pd.errors.ParserError) as error:
        raise UserError(
            f"{path}: not readable as a table: {error}", "write the tables anew: cdmrun table SPEC"
        ) from error


def _summary(path: Path) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows of a summary by their labels; exact simulation has no NFE to choose and so none among its labels."""
    frame = _read(path)
    wanted = (*_LABELS, "mean", "ci_low", "ci_high", "n", "estimate", *_TIMES)
    if absent := [column for column in wanted if column not in frame]:
        raise UserError(f"{path}: no column {', '.join(absent)}", "write the tables anew: cdmrun table SPEC")
    for column in ("mean", "ci_low", "ci_high", "n", *_TIMES):
        frame[column] = pd.to_numeric(frame[column], errors="coerce")
    return {tuple(row[label] for label in _LABELS): row for row in _labelled(frame)}


def _labelled(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows whose NFE are numbers."""
    oracles = [name for name in names("sampler") if _is_oracle(name)]
    nfe = pd.to_numeric(frame["nfe"], errors="coerce").mask(frame["method"].isin(oracles), 0)
    return [{str(name): value for name, value in row.items()} for row in frame.assign(nfe=nfe).to_dict("records")]


def _with_errors(rows: dict[tuple[Any, ...], dict[str, Any]], scores: pd.DataFrame) -> dict[tuple[Any, ...], Any]:
    """The rows, each with whether any of its scores has a standard error over data or samples."""
    with_error = {tuple(row[label] for label in _LABELS) for row in _labelled(scores[scores["stderr"] != ""])}
    return {key: {**row, "has_stderr": key in with_error} for key, row in rows.items()}


def _is_oracle(name: str) -> bool:
    member = find("sampler", name)
    return isinstance(member, SamplerMember) and member.oracle


def _cell(
    key: tuple[Any, ...], one: Mapping[str, Any] | None, other: Mapping[str, Any] | None, tolerance: float, count: int
) -> Cell:
    labels = dict(zip(_LABELS, key, strict=True))
    if one is None or other is None:
        mean = (one or other or {}).get("mean", math.nan)
        return Cell(labels, "absent", other=mean) if one is None else Cell(labels, "new", one=mean)
    seconds = one[_TIMES[0]], other[_TIMES[0]]
    ratio = seconds[0] / seconds[1] if all(value > 0 for value in seconds) else math.nan
    first, second = float(one["mean"]), float(other["mean"])
    gap = 0.0 if first == second or (math.isnan(first) and math.isnan(second)) else abs(first - second)
    size = max(abs(first), abs(second))
    if gap == 0.0 or gap <= ROUNDING * size + 1e-12:
        return Cell(labels, "same", first, second, 0.0, False, ratio)
    alone, allowed = _allowed(one, other, 1), _allowed(one, other, count)
    if _nothing_random(one) and _nothing_random(other):
        allowed = 1e-6 * size
    elif math.isfinite(size):
        allowed = max(allowed, tolerance * size)
    verdict = "within" if gap <= allowed else "unjudged" if _untold(one) or _untold(other) else "different"
    return Cell(labels, verdict, first, second, allowed, bool(alone > 0 and not gap <= alone), ratio)


def _allowed(one: Mapping[str, Any], other: Mapping[str, Any], count: int) -> float:
    """Half-width of the interval of the difference, so wide that none of ``count`` cells leaves it by chance.

    Welch's t with Bonferroni's correction; 0 where neither has an interval.
    """
    parts = [part for part in map(_error, (one, other)) if part is not None]
    variance = sum(error**2 for error, _ in parts)
    if not variance > 0:
        return 0.0
    weights = sum(error**4 / freedom for error, freedom in parts)
    freedom = variance**2 / weights if weights > 0 else math.inf
    quantile = stats.t.ppf if math.isfinite(freedom) else stats.norm.ppf
    level = 1.0 - LEVEL / (2 * count)
    return math.sqrt(variance) * float(quantile(level, freedom) if math.isfinite(freedom) else quantile(level))


def _error(row: Mapping[str, Any]) -> tuple[float, float] | None:
    """Standard error of a mean and its degrees of freedom, from its 95 % interval; None without one."""
    half, n = (row["ci_high"] - row["ci_low"]) / 2, row["n"]
    if not half > 0:
        return None
    return (half / float(stats.t.ppf(0.975, n - 1)), n - 1) if n > 1 else (half / 1.96, math.inf)


def _nothing_random(row: Mapping[str, Any]) -> bool:
    """Whether several seeds agree to the last digit, and do not just share a network and the data it is scored on."""
    agree = row["n"] > 1 and row["ci_high"] - row["ci_low"] <= 1e-9 * abs(row["mean"])
    return bool(agree and not row["has_stderr"])


def _untold(row: Mapping[str, Any]) -> bool:
    """Whether chance is in a number and nothing says how much: of one seed, trained or drawn, without an error."""
    computed = row["method"] in names("sampler") and row["estimate"] != "estimate"
    return row["n"] <= 1 and _error(row) is None and not computed


def as_json(found: Comparison) -> dict[str, Any]:
    """The comparison as plain data; cells that are the same are only counted."""
    return {
        "passed": found.passed,
        "only_in_first": list(found.only_one),
        "only_in_second": list(found.only_other),
        "experiments": [
            {
                "name": experiment.name,
                "passed": experiment.passed,
                "identical": experiment.identical,
                "seeds": [list(seeds) for seeds in experiment.seeds],
                "cells": experiment.counts,
                "outside_95": sum(cell.outside for cell in experiment.cells),
                "seconds_ratio": experiment.ratios,
                "details": list(_details(experiment)),
            }
            for experiment in found.experiments
        ],
    }


def _details(experiment: ExperimentComparison) -> Iterator[dict[str, Any]]:
    for cell in experiment.cells:
        if cell.verdict != "same":
            numbers = {"first": cell.one, "second": cell.other, "allowed": cell.allowed}
            finite = {name: value if math.isfinite(value) else str(value) for name, value in numbers.items()}
            yield {**cell.labels, "verdict": cell.verdict, **finite}
