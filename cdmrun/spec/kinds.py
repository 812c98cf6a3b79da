"""The kinds of data, by what is known of them before any are read (`cdmrun.registry` has the declarations)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from cdmrun.registry import DataMember, ProcessMember, find, names


def data_kind(name: str) -> DataMember:
    """The declaration of a kind of data."""
    return cast(DataMember, find("data", name))


def process_kind(name: str) -> ProcessMember:
    """The declaration of a kind of forward process."""
    return cast(ProcessMember, find("process", name))


def enumerable_kinds() -> tuple[str, ...]:
    """The kinds whose law can be written out."""
    return tuple(name for name in names("data") if data_kind(name).enumerable)


def is_ordinal(data: Mapping[str, Any]) -> bool:
    """Whether tokens are levels: by the kind, or, of a file of the user's, as the section says."""
    return data_kind(data["kind"]).ordinal or data.get("ordinal") is True


def kinds_showing(content: str) -> tuple[str, ...]:
    """The kinds whose sequences show text, images, …"""
    return tuple(name for name in names("data") if data_kind(name).content == content)


def labelled_kinds() -> tuple[str, ...]:
    """The kinds whose sequences have classes."""
    return tuple(name for name in names("data") if data_kind(name).labelled)
