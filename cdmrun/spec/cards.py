"""Run cards: what one job needs to know, as a small JSON file that the job is given by key."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from cdmrun.errors import UserError
from cdmrun.files import read_json, write_atomic
from cdmrun.spec.plan_types import STAGE_OF_KIND, Plan, Run

CARDS = ".plan"
_KEY = re.compile(rf"(?:{'|'.join(STAGE_OF_KIND)})/[A-Za-z0-9_][A-Za-z0-9_.-]*-[0-9a-f]{{8}}")


def is_key(text: str) -> bool:
    """Whether a text has the form of a run's key, ``kind/slug-id``; no such text leads out of the results folder."""
    return _KEY.fullmatch(text) is not None


def card_path(out: Path, key: str) -> Path:
    """Return where the card of a run lies: ``out/.plan/<kind>/<slug>-<id>.json``."""
    return Path(out) / CARDS / f"{key}.json"


def write_cards(plan: Plan, out: Path) -> int:
    """Write the card of every run below ``out/.plan``, only where it is missing or different.

    Returns
    -------
    written
        How many cards were written.

    Raises
    ------
    UserError
        If the folder cannot be written.
    """
    users, sources = users_of(plan), {e.name: str(e.source) for e in plan.experiments}
    written = 0
    for key, run in plan.runs.items():
        names = users.get(key, [])
        text = (
            json.dumps(_card(run, names, sorted({sources[name] for name in names})), indent=1, ensure_ascii=False)
            + "\n"
        )
        path = card_path(out, key)
        if not _same(path, text):
            write_atomic(path, text)
            written += 1
    return written


def read_card(path: Path) -> Run:
    """Read a run card.

    Raises
    ------
    UserError
        If there is none, or it is damaged.
    """
    card = read_json(path)
    try:
        run = Run(card["kind"], card["slug"], card["id"], card["config"], card["inputs"])
        if run.kind not in STAGE_OF_KIND or not isinstance(run.config, dict) or not isinstance(run.inputs, dict):
            raise TypeError
        if not all(is_key(str(key)) for key in run.inputs.values()):
            raise TypeError
    except (KeyError, TypeError) as error:
        message = f"{path}: not a run card"
        raise UserError(message, "delete it and run the workflow again; cards are written anew") from error
    return run


def users_of(plan: Plan) -> dict[str, list[str]]:
    """Return for each run the experiments that need it, directly or through other runs, in order."""
    users: dict[str, dict[str, None]] = {}
    for experiment in plan.experiments:
        waiting = [*experiment.products]
        seen: set[str] = set()
        while waiting:
            key = waiting.pop()
            if key in seen:
                continue
            seen.add(key)
            users.setdefault(key, {})[experiment.name] = None
            waiting += plan.runs[key].inputs.values()
    return {key: list(names) for key, names in users.items()}


def _card(run: Run, experiments: list[str], specs: list[str]) -> dict[str, Any]:
    return {**run.described(), "experiments": experiments, "source": {"specs": specs}}


def _same(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False
