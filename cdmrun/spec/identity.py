"""Names by content: what a product is, and nothing else, decides its id.

A product's id is the start of sha256 over canonical JSON of the identity fields of its config and the ids of its
inputs. Keys that the schema marks ``x-identity: false`` are left out; so is a key marked ``x-added-default: v`` where
it equals ``v``, so that a key added in a later version orphans nothing that was trained before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cdmrun.spec.schema import Schema, child, leaf

ID_LENGTH = 8


def canonical(value: Any) -> str:
    """Return JSON that is the same for the same content: keys sorted, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def hash8(value: Any) -> str:
    """Return the first eight hex digits of sha256 over the canonical JSON of ``value``."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:ID_LENGTH]


def identity_fields(schema: Schema, value: Any) -> Any:
    """Return the part of a resolved value that decides what a product is.

    Parameters
    ----------
    schema
        The schema of the value.
    value
        Resolved, so that equal meanings are equal values (1 and 1.0 are told apart by the schema, not by spelling).
    """
    if isinstance(value, list):
        return [identity_fields(schema.get("items", {}), item) for item in value]
    if not isinstance(value, dict):
        return value
    chosen = leaf(schema, value) or {}
    kept = {}
    for key, item in value.items():
        below = child(chosen, key) or {}
        if below.get("x-identity") is False:
            continue
        if "x-added-default" in below and item == below["x-added-default"]:
            continue
        kept[key] = identity_fields(below, item)
    return kept


def run_id(kind: str, identity: Any, inputs: Mapping[str, str]) -> str:
    """Return the id of a run.

    Parameters
    ----------
    kind
        The kind of product.
    identity
        The identity fields of its config.
    inputs
        For each role the *id* of the run that fills it; ids chain, so a change upstream is a change here.
    """
    return hash8({"kind": kind, "config": identity, "inputs": dict(inputs)})
