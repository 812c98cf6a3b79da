"""Named processes and enumerable targets in specs: what the plan knows of them, and what it refuses where."""

from __future__ import annotations

import numpy as np
import pytest

from cdmrun.data import load
from cdmrun.spec.identity import identity_fields
from cdmrun.spec.kinds import data_kind
from cdmrun.spec.load import load_specs
from cdmrun.spec.schema import leaf, section

from .conftest import RING, Errors, Write

RING_DATA, RING_PROCESS = "{kind: potts_ring, states: 3, length: 3}", "{kind: uniform}"
FORMULAS = ("potts_ring", "ising_grid", "checkerboard", "two_moons", "sentences")


def spec(data: str = RING_DATA, process: str = RING_PROCESS) -> str:
    return RING.replace(RING_DATA, data).replace(RING_PROCESS, process)


@pytest.mark.parametrize("kind", FORMULAS)
def test_facts_and_defaults_are_those_of_the_loader(kind: str) -> None:
    chosen = leaf(section("data"), {"kind": kind})
    assert chosen is not None
    options = {name: below["default"] for name, below in chosen["properties"].items() if name != "kind"}
    from_spec, by_default = load({"kind": kind} | options), load({"kind": kind})
    assert from_spec.describe() == by_default.describe()
    assert np.array_equal(from_spec.table, by_default.table)  # type: ignore[arg-type]
    assert data_kind(kind).shape(options) == (by_default.vocabulary, by_default.length)
    assert data_kind(kind).enumerable
    assert data_kind(kind).ordinal == by_default.ordinal


@pytest.mark.parametrize("kind", ["uniform", "gaussian", "birth_death", "block"])
@pytest.mark.parametrize("data", FORMULAS)
def test_processes_and_targets_combine(errors: Errors, data: str, kind: str) -> None:
    assert errors(spec(f"{{kind: {data}}}", f"{{kind: {kind}}}")) == []


def test_absorbing_fits_the_default_targets(errors: Errors) -> None:
    for data in FORMULAS:
        assert errors(spec(f"{{kind: {data}}}", "{kind: absorbing}")) == []


def test_processes_get_their_defaults(write: Write) -> None:
    (resolved,) = load_specs([write(spec("{kind: potts_ring, states: 4}", "{kind: hky85, schedule: constant}"))])
    assert resolved.spec["forward_process"] == {
        "kind": "hky85",
        "schedule": "constant",
        "alpha_min": 1e-5,
        "sigma_min": 1e-4,
        "sigma_max": 20.0,
        "kappa": 2.0,
        "frequencies": [0.25] * 4,
    }


def test_leaving_a_default_out_changes_no_identity(write: Write) -> None:
    schema = section("forward_process")
    written = "{kind: block, blocks: 2, within: 0.9}"
    short, long = (
        load_specs([write(spec(process=process))])[0].spec["forward_process"] for process in ("{kind: block}", written)
    )
    assert identity_fields(schema, short) == identity_fields(schema, long)


FOUR = "{kind: potts_ring, states: 4, length: 2}"


@pytest.mark.parametrize(
    ("data", "process", "expected"),
    [
        (
            RING_DATA,
            "{kind: hky85}",
            "3:25: forward_process.kind: hky85 is about 4 nucleotides, but data potts_ring has 3",
        ),
        (
            FOUR,
            "{kind: hky85, frequencies: [0.25, 0.25, 0.25, 0.3]}",
            "3:32: forward_process.frequencies: the frequencies sum to 1.05, not to 1",
        ),
        (FOUR, "{kind: hky85, frequencies: [0.5, 0.5]}", "3:32: forward_process.frequencies: needs at least 4 entries"),
        (
            FOUR,
            "{kind: hky85, frequencies: [0.5, 0.4, 0.1, 0]}",
            "3:61: forward_process.frequencies[3]: must be more than 0",
        ),
        (FOUR, "{kind: hky85, kappa: 0}", "3:39: forward_process.kappa: must be more than 0, got 0"),
        (
            FOUR,
            "{kind: hky85, width: 1}",
            "3:32: forward_process.width: unknown key 'width': it belongs to kind gaussian",
        ),
        (RING_DATA, "{kind: gaussian, width: 0}", "3:42: forward_process.width: must be at least 0.001, got 0"),
        (RING_DATA, "{kind: block, blocks: 1}", "3:40: forward_process.blocks: must be at least 2, got 1"),
        (RING_DATA, "{kind: block, blocks: 4}", "3:40: forward_process.blocks: 4 blocks, but data potts_ring has 3"),
        (RING_DATA, "{kind: block, within: 1}", "3:40: forward_process.within: must be less than 1, got 1"),
        (
            RING_DATA,
            "{kind: uniform, schedule: constant, sigma_min: 1}",
            "3:54: forward_process.sigma_min: has no meaning for schedule constant, only for geometric",
        ),
        (
            RING_DATA,
            "{kind: uniform, sigma_max: 1}",
            "3:34: forward_process.sigma_max: has no meaning for schedule loglinear, only for geometric and constant",
        ),
        (
            "{kind: checkerboard, size: 30}",
            RING_PROCESS,
            "2:34: data.size: 4 squares do not divide 30 cells",
        ),
        (
            "{kind: checkerboard, squares: 3}",
            RING_PROCESS,
            "2:37: data.squares: 3 squares do not divide 32 cells",
        ),
        ("{kind: checkerboard, size: 101}", RING_PROCESS, "2:34: data.size: must be at most 100, got 101"),
        ("{kind: two_moons, noise: 0}", RING_PROCESS, "2:32: data.noise: must be at least 0.01, got 0"),
        ("{kind: ising_grid, rows: 5}", RING_PROCESS, "2:1: data: 2^15 = 32,768 states are too many"),
        (
            "{kind: ising_grid, rows: 4}",
            "{kind: absorbing}",
            "2:1: data: 3^12 = 531,441 states (2 values and the mask)",
        ),
        (
            "{kind: sentences, states: 2, length: 3}",
            RING_PROCESS,
            "2:1: data.sentences: 12 sequences of the 2^3 = 8 there are",
        ),
    ],
)
def test_mistakes_are_found_where_they_are(errors: Errors, data: str, process: str, expected: str) -> None:
    found = [str(error) for error in errors(spec(data, process))]
    assert len(found) == 1, found
    assert found[0].removeprefix("a.yaml:")[: len(expected)] == expected
