"""What tables and the report were made from, so that they are made anew when that changes.

Snakemake notices a changed set of inputs only by its own notes in ``.snakemake``. Those are not there after a copy to
another machine, nor for tables that `cdmrun table --partial` wrote. So whoever writes tables leaves a record of what is
in them, ``.plan/shown/NAME.made``, and the workflow compares that with what is asked for, ``.plan/shown/NAME.json``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from cdmrun.files import write_atomic
from cdmrun.spec.cards import CARDS
from cdmrun.spec.plan_types import Experiment

#: Of the report; no experiment can be called this.
REPORT = "REPORT"


def describe(*experiments: Experiment) -> str:
    """Name, title, description, report section and labels of experiments as canonical JSON."""
    shown = []
    for experiment in experiments:
        labels = sorted((e.name, e.method, e.family, e.seed, e.scores) for e in experiment.entries)
        report = experiment.spec["report"]
        labels_of_all = [experiment.name, experiment.title, experiment.description, report, labels]
        shown.append([*labels_of_all, experiment.anchors])
    return json.dumps(shown, sort_keys=True, ensure_ascii=False) + "\n"


def forget(out: Path, name: str) -> None:
    """Take back the record of what tables show, before they are written."""
    _record(out, name).unlink(missing_ok=True)


def record(out: Path, name: str, experiments: Sequence[Experiment]) -> None:
    """Record that complete tables of an experiment, or the report of several, have been written."""
    write_atomic(_record(out, name), describe(*experiments))


def wanted(out: Path, name: str, experiments: Sequence[Experiment], products: Sequence[Path]) -> tuple[Path, bool]:
    """Say what tables, or the report, are to show.

    Parameters
    ----------
    out, name
        The results folder, and the experiment's name or `REPORT`.
    experiments
        What is asked for.
    products
        The files that show it.

    Returns
    -------
    card, shown
        A file with what is asked for, and whether the products show just that. If not, the card is newer than they are.
    """
    text, card = describe(*experiments), _card(out, name)
    shown = _read(_record(out, name)) == text
    if _read(card) != text or not (shown or _is_newer(card, products)):
        write_atomic(card, text)
    return card, shown


def cards_of(out: Path, name: str) -> tuple[Path, Path]:
    """Where it is written what tables are to show, and what they show."""
    return _card(out, name), _record(out, name)


def _card(out: Path, name: str) -> Path:
    return Path(out) / CARDS / "shown" / f"{name}.json"


def _record(out: Path, name: str) -> Path:
    return Path(out) / CARDS / "shown" / f"{name}.made"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _is_newer(card: Path, products: Sequence[Path]) -> bool:
    there = [path.stat().st_mtime_ns for path in products if path.exists()]
    return card.stat().st_mtime_ns > max(there, default=0)
