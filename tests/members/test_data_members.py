"""Every data set, from its defaults: what is loaded is what was declared."""

from __future__ import annotations

from typing import cast

import pytest
from member_cases import Resolve, each, toy

from cdmrun.data import load
from cdmrun.errors import UserError
from cdmrun.registry import DataMember, find


@each("data")
def test_data_are_what_was_promised(resolve: Resolve, name: str) -> None:
    member = cast(DataMember, find("data", name))
    teacher = {"kind": "enumerated" if member.enumerable else "markov"}
    spec = resolve(data={"kind": name, **toy("data", name)}, teacher=teacher).spec
    try:
        dataset = load(spec["data"])
    except UserError as error:
        if "could not be fetched" not in error.message:
            raise
        pytest.skip(error.message)
    shape = member.shape(spec["data"])
    assert all(told in (None, found) for told, found in zip(shape, (dataset.vocabulary, dataset.length), strict=True))
    assert dataset.enumerable == member.enumerable
    assert dataset.ordinal == member.ordinal
    assert (
        isinstance(dataset.alphabet, str) == (member.content == "text") or name == "markov"
    )  # a chain of text can be read, too
    assert dataset.source
    assert dataset.licence
    if dataset.table is not None:
        assert dataset.table.sum() == pytest.approx(1.0, abs=1e-12)
        assert (dataset.table >= 0).all()
    else:
        assert min(len(dataset.splits["train"]), len(dataset.splits["test"])) > 0
