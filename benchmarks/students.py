"""Samples a second of students against their teacher at equal quality: ``python benchmarks/students.py [--json FILE]``.

Nothing is trained or sampled: the numbers are those of ``tables/*.enough.csv`` below a results folder, or, for
experiments that it lacks, of ``results/reference``. The teacher's longest run sets the quality; a student counts with
the fewest network calls at which its mean is no worse. Times faster is over seeds, geometric mean (95 % interval).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from measuring import table

from cdmrun.files import write_json
from cdmrun.report.lines import lines_of
from cdmrun.spec.plan import build_plan

REPOSITORY = Path(__file__).resolve().parents[1]
REFERENCE = REPOSITORY / "results/reference"


@dataclass(frozen=True)
class Student:
    """One student; ``calls`` is nothing where the quality is not reached, and the numbers are then of its best.

    ``control``: fitted to data instead of to the teacher.
    """

    experiment: str
    name: str
    metric: str
    control: bool
    calls: int | None
    teacher_calls: int
    samples_per_second: float
    teacher_samples_per_second: float
    times_faster: float
    low: float | None
    high: float | None
    seeds: int
    source: str


def main() -> None:
    """Read, print as a table, and write to a file if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers to FILE")
    parser.add_argument("--results", type=Path, metavar="DIR", help="a results folder to look into first")
    options = parser.parse_args()
    found = list(students(options.results))
    print(students_table(found))
    if options.json:
        write_json(options.json, [asdict(each) for each in found])


def students(results: Path | None) -> Iterator[Student]:
    """Those of every experiment that has such a table."""
    paths: dict[str, Path] = {}
    for folder in (REFERENCE, *([results] if results else [])):
        paths |= {path.name.removesuffix(".enough.csv"): path for path in sorted(folder.glob("tables/*.enough.csv"))}
    for experiment, path in paths.items():
        source = "results/reference" if path.is_relative_to(REFERENCE) else str(results)
        yield from read(experiment, pd.read_csv(path), source)


def read(experiment: str, rows: pd.DataFrame, source: str) -> Iterator[Student]:
    """The students of one table."""
    controls = controls_of(experiment)
    timed = rows[rows["method"].isin(["cdm", "progressive"]) & rows["times_faster"].notna()]
    for _, row in timed.iterrows():
        rate, times = 1.0 / float(row["seconds_per_sample"]), float(row["times_faster"])
        yield Student(
            experiment,
            str(row["name"]),
            str(row["metric"]),
            str(row["name"]) in controls,
            None if math.isnan(row["nfe"]) else int(row["nfe"]),
            int(row["goal_nfe"]),
            rate,
            rate / times,
            times,
            *(None if math.isnan(value) else float(value) for value in row[["times_faster_low", "times_faster_high"]]),
            int(row["n"]),
            source,
        )


def controls_of(experiment: str) -> set[str]:
    """Names of an experiment's students that are fitted to data, as its shipped spec has it."""
    path = REPOSITORY / f"specs/{experiment}.yaml"
    if not path.exists():
        return set()
    lines = [line for found in build_plan([path]).experiments for line in lines_of(found)]
    return {line.name for line in lines if line.label("target.kind") == "data"}


def times_text(student: Mapping[str, Any]) -> str:
    """``12.1 (11.0–13.3)×``; with one seed there is no interval."""
    ends = "" if student["low"] is None else f" ({student['low']:.1f}–{student['high']:.1f})"
    return f"{student['times_faster']:.1f}{ends}×"


def students_table(found: list[Student]) -> str:
    """Markdown."""
    rows = [
        [
            f"{each.experiment}, {each.name}{' (control)' if each.control else ''}",
            str(each.calls or "not reached"),
            str(each.teacher_calls),
            f"{each.samples_per_second:,.0f}",
            f"{each.teacher_samples_per_second:,.0f}",
            times_text(asdict(each)),
            str(each.seeds),
            each.source,
        ]
        for each in found
    ]
    heads = ["student", "calls", "teacher's calls", "samples/s", "teacher's", "times faster", "seeds", "from"]
    return table(heads, rows)


if __name__ == "__main__":
    main()
