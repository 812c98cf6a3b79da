"""Long-form scores of a plan, read from the products in a results folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cdmrun.errors import UserError
from cdmrun.files import read_map
from cdmrun.spec.accepted import is_stale
from cdmrun.spec.lineage import due_again
from cdmrun.spec.plan_types import Entry, Experiment, Plan, Run, workflow_command

SCORE_COLUMNS = [
    *("experiment", "process", "method", "family", "name", "nfe", "nfe_counted", "metric", "seed", "value"),
    *("stderr", "unit", "estimate", "seconds_per_sample", "run_id"),
]
#: Columns that live in memory only: what the checks and the tables' marks need.
MEMORY_COLUMNS = ["status", "role", "model"]
#: What references are called that scores of real data give.
HELD_OUT = "held-out data"
REFERENCE_COLUMNS = ["experiment", "metric", "what", "value", "unit"]

#: Fingerprint of a stage's source as it is now, given the stage's name; None where unknown.
Fingerprint = Callable[..., str | None]


def collect(plan: Plan, out: Path, partial: bool, fingerprint: Fingerprint | None = None) -> pd.DataFrame:
    """Scores of every entry of ``plan``, one row a score.

    Parameters
    ----------
    plan, out
        What was asked for, and the results folder.
    partial
        With True, an entry without a finished scores product gives rows with ``status`` "missing" and no value.
    fingerprint
        Current fingerprint of a stage's code. Where given, rows whose scores, or anything that these were made from,
        were made by other code have ``status`` "stale-code", unless somebody vouches for it (`cdmrun accept`). With or
        without, rows of what is to be made again (`cdmrun.spec.lineage`) have "stale-upstream".

    Returns
    -------
    DataFrame with columns `SCORE_COLUMNS` + `MEMORY_COLUMNS`, in the order of the plan.

    Raises
    ------
    UserError
        If a product is missing and ``partial`` is False; the message names the products.
    """
    missing = missing_scores(plan, out)
    if missing and not partial:
        raise incomplete(plan, out, missing, ", or ask for what there is with --partial")
    stale = _Stale(plan, out, fingerprint or (lambda stage, *sources: None))
    again = due_again(plan, out)
    rows: list[dict[str, Any]] = []
    for experiment in plan.experiments:
        for entry in experiment.entries:
            if entry.scores in missing:
                rows.extend(_missing_rows(experiment, entry))
            else:
                rows.extend(_score_rows(entry, out, _status(entry, stale, again)))
    frame = pd.DataFrame(rows, columns=SCORE_COLUMNS + MEMORY_COLUMNS)
    numbers = ["value", "stderr", "seconds_per_sample", "nfe_counted"]
    return frame.astype(dict.fromkeys(numbers, float))


def missing_scores(plan: Plan, out: Path) -> list[str]:
    """Keys of the products behind the tables that are not complete, each once, in the order of the plan."""
    keys = dict.fromkeys(key for experiment in plan.experiments for key in experiment.products)
    return [key for key in keys if not is_complete(out, key)]


def incomplete(plan: Plan, out: Path, missing: Sequence[str], or_else: str = "") -> UserError:
    """The complaint that `missing_scores` are missing; ``or_else`` is another remedy than to make them."""
    shown = "".join(f"\n    {key}" for key in missing[:12])
    more = f"\n    … and {len(missing) - 12} more" if len(missing) > 12 else ""
    what, are = ("1 product", "is") if len(missing) == 1 else (f"{len(missing)} products", "are")
    return UserError(
        f"{what} that tables are made of {are} missing in {out}:{shown}{more}",
        f"run `{workflow_command(plan, out)}`{or_else}",
    )


def is_complete(out: Path, key: str) -> bool:
    """Whether the product exists; its manifest is written last."""
    return (out / key / "manifest.json").is_file()


def collect_references(plan: Plan, out: Path) -> pd.DataFrame:
    """What the scores are read against: held-out data, independent positions, the entropy of the target.

    Returns
    -------
    DataFrame with columns `REFERENCE_COLUMNS`, one row for each experiment, metric and reference.
    """
    rows = [
        {"experiment": experiment.name, **{key: item.get(key, "") for key in REFERENCE_COLUMNS[1:]}}
        for experiment in plan.experiments
        if experiment.anchors and is_complete(out, experiment.anchors)
        for item in read_map(out / experiment.anchors / "anchors.json", "anchors")["anchors"]
    ]
    frame = pd.DataFrame(rows, columns=REFERENCE_COLUMNS).astype({"value": float})
    return frame.dropna(subset=["value"]).reset_index(drop=True)


def reference_value(references: pd.DataFrame, experiment: str, metric: str, what: str) -> float | None:
    """One reference value, or None where there is none."""
    found = references[
        (references["experiment"] == experiment) & (references["metric"] == metric) & (references["what"] == what)
    ]
    return float(found["value"].iloc[0]) if len(found) else None


def _status(entry: Entry, stale: Callable[[str], bool], again: Collection[str]) -> str:
    status = "stale-code" if any(map(stale, (entry.scores, entry.samples, entry.model))) else "fresh"
    return "stale-upstream" if entry.scores in again else status


def _score_rows(entry: Entry, out: Path, status: str) -> Iterator[dict[str, Any]]:
    for score in read_map(out / entry.scores / "scores.json", "scores")["scores"]:
        yield {**_labels(entry), **score, "status": status}


def _missing_rows(experiment: Experiment, entry: Entry) -> Iterator[dict[str, Any]]:
    for metric in experiment.metrics:
        for nfe in entry.nfe or (0,):  # an oracle's NFE is not known before it has run
            yield {**_labels(entry), "metric": metric, "nfe": nfe, "status": "missing"}


def _labels(entry: Entry) -> dict[str, Any]:
    names = ("experiment", "process", "method", "family", "name", "seed", "role", "model")
    return {name: getattr(entry, name) for name in names} | {"run_id": entry.scores}


class _Stale:
    """Tells which products were made by other code than the present, or from such; reads each manifest once."""

    def __init__(self, plan: Plan, out: Path, fingerprint: Fingerprint) -> None:
        self.plan, self.out, self.fingerprint = plan, out, fingerprint
        self.known: dict[str, bool] = {}

    def __call__(self, key: str) -> bool:
        if key not in self.known:
            run = self.plan.runs.get(key)
            self.known[key] = run is not None and (self._itself(run) or any(map(self, run.inputs.values())))
        return self.known[key]

    def _itself(self, run: Run) -> bool:
        manifest = self.out / run.key / "manifest.json"
        if not manifest.is_file():
            return False
        made_by = read_map(manifest).get("code", {}).get("fingerprint")
        return is_stale(self.out / run.key, made_by, self.fingerprint(run.stage, *run.sources))
