"""What a results folder says of itself: products with their manifests, and the cards of runs that were ever planned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cdmrun.errors import UserError
from cdmrun.files import peek_map
from cdmrun.spec.cards import CARDS, card_path, is_key
from cdmrun.spec.errors import did_you_mean
from cdmrun.spec.explain import ambiguous, matching
from cdmrun.spec.plan_types import STAGE_OF_KIND, Run


def manifest_of(out: Path, key: str) -> Mapping[str, Any] | None:
    """Return the manifest of a complete product; None if it has none, or one that is not its own."""
    manifest = peek_map(out / key / "manifest.json")
    return manifest if manifest is not None and manifest.get("key") == key else None


def record_of(out: Path, key: str) -> Run | None:
    """Return the run that a manifest or a card describes, or None if nothing of the results folder does."""
    kind, slug, identity = _parts(key)
    for said in (manifest_of(out, key), peek_map(card_path(out, key))):
        if said is None or said.get("key") != key:
            continue
        config, inputs = said.get("config"), said.get("inputs")
        if isinstance(config, dict) and isinstance(inputs, dict):
            return Run(kind, slug, identity, config, {str(role): str(name) for role, name in inputs.items()})
    return None


def recorded_keys(out: Path) -> list[str]:
    """Return the keys of all folders and cards in a results folder that have the form of one, in order."""
    names = {f"{path.parent.name}/{path.name}" for kind in STAGE_OF_KIND for path in _entries(out / kind)}
    cards = {f"{kind}/{path.stem}" for kind in STAGE_OF_KIND for path in _entries(out / CARDS / kind)}
    return sorted(key for key in names | cards if is_key(key))


def find_record(out: Path, wanted: str) -> Run:
    """Return the run on record that a key, the start of a key, or an id names.

    Raises
    ------
    UserError
        If none or several match, or its manifest and card are both damaged.
    """
    word = wanted.strip().strip("/")
    keys = recorded_keys(out)
    matches = [word] if word in keys else matching(keys, word)
    if not matches:
        near = did_you_mean(word, keys)
        raise UserError(f"no run is called '{wanted}'{near}, in these specs or in {out}", "`cdmrun plan` lists them")
    if len(matches) > 1:
        raise ambiguous(wanted, matches)
    found = record_of(out, matches[0])
    if found is None:
        raise UserError(
            f"{out / matches[0]}: has neither a manifest nor a card that can be read",
            "name the spec that asks for it, or delete the folder",
        )
    return found


def _parts(key: str) -> tuple[str, str, str]:
    """Kind, slug and id of a key."""
    if not is_key(key):
        raise UserError(f"{key!r} is not the key of a run", "keys read kind/slug-id; `cdmrun plan` lists them")
    kind, _, name = key.partition("/")
    slug, _, identity = name.rpartition("-")
    return kind, slug, identity


def _entries(folder: Path) -> Iterator[Path]:
    try:
        yield from folder.iterdir()
    except OSError:
        return
