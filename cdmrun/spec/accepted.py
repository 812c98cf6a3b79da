"""Products that somebody vouches for: their code has changed since, but what it makes has not.

``accepted.json`` beside a manifest names the code that made the product and the code that would make it now. It counts
for that pair alone, so the next change of the code, or the product made anew, makes it void.
"""

from __future__ import annotations

from pathlib import Path

from cdmrun.files import peek_map, write_json

ACCEPTED = "accepted.json"


def accept(folder: Path, made_by: str, now: str, reason: str) -> None:
    """Record that code with fingerprint ``now`` would make the product in ``folder`` as code ``made_by`` did."""
    write_json(folder / ACCEPTED, {"reason": reason, "made_by": made_by, "equivalent_to": now})


def accepted_reason(folder: Path, made_by: str, now: str) -> str | None:
    """Return why the product counts as made by code with fingerprint ``now``, or None where nobody says so."""
    record = peek_map(folder / ACCEPTED) or {}
    if record.get("made_by") != made_by or record.get("equivalent_to") != now:
        return None
    return str(record.get("reason", ""))


def is_stale(folder: Path, made_by: str | None, now: str | None) -> bool:
    """Whether other code made the product than would now, with nobody vouching for it; False where that is unknown."""
    if not made_by or not now or made_by == now:
        return False
    return accepted_reason(folder, made_by, now) is None
