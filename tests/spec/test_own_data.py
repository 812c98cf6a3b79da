"""Arrays and images of the user's own in specs: what the plan knows of them, and what it refuses where."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from cdmrun.data import load
from cdmrun.spec.facts import facts_of
from cdmrun.spec.inputs import Files
from cdmrun.spec.load import load_specs
from cdmrun.spec.plan import build_plan

from .conftest import TEXT, Errors, Write


@pytest.fixture
def files(write: Write) -> Write:
    """The working folder with one array, one stack of images and one idx file in it; writes specs about them."""
    random = np.random.default_rng(0)
    np.save("rows.npy", random.integers(0, 5, (200, 6)))
    np.save("images.npy", random.integers(0, 3, (200, 4, 6)))
    np.save("reals.npy", random.random((9, 4)))
    pixels = random.integers(0, 256, (200, 4, 6)).astype(np.uint8).tobytes()
    Path("images.idx").write_bytes(struct.pack(">4I", 0x0803, 200, 4, 6) + pixels)
    Path("images.idx.gz").write_bytes(gzip.compress(Path("images.idx").read_bytes()))
    return write


def spec(data: str) -> str:
    return TEXT.replace("{kind: kjv, length: 64}", data).replace("[nll_bound, judge_nll]", "[nll_bound, entropy]")


@pytest.mark.parametrize(
    "data",
    [
        "{kind: array, file: rows.npy}",
        "{kind: array, file: rows.npy, vocabulary: 9, ordinal: true}",
        "{kind: array, file: images.npy, test: 0.3}",
        "{kind: idx, file: images.idx, levels: 3}",
        "{kind: idx, file: images.idx.gz, size: 2}",
    ],
)
def test_facts_are_those_of_the_loader(files: Write, data: str) -> None:
    (resolved,) = load_specs([files(spec(data))])
    facts, loaded = facts_of(resolved, Files()), load(resolved.spec["data"])
    assert facts is not None
    assert (facts.vocabulary, facts.length) == (loaded.vocabulary, loaded.length)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("{kind: array, file: nowhere.npy}", "3:27: data.file: nowhere.npy: no such file"),
        ("{kind: array, file: reals.npy}", "3:27: data.file: reals.npy: float64, not whole numbers"),
        ("{kind: array, file: rows.npy, vocabulary: 4}", "3:49: data.vocabulary: rows.npy has the number 4: write"),
        ("{kind: array, file: rows.npy, test: 0.9}", "3:43: data.test: test (0.9) and judge (0.15) leave nothing"),
        ("{kind: idx, file: rows.npy}", "3:25: data.file: rows.npy: no idx file of images"),
        ("{kind: idx, file: images.idx, size: 3}", "3:43: data.size: 3 does not divide images of 4 × 6"),
        ("{kind: idx, file: images.idx, level: 3}", "3:37: data.level: unknown key 'level' (did you mean 'levels'?)"),
        ("{kind: mnist, size: 10}", "3:27: data.size"),
        ("{kind: mnist, levels: 17}", "3:29: data.levels: must be at most 16, got 17"),
        ("{kind: chorales, steps: 3}", "3:31: data.steps: must be at least 4, got 3"),
    ],
)
def test_mistakes_are_found_where_they_are(files: Write, errors: Errors, data: str, expected: str) -> None:
    found = [str(error) for error in errors(spec(data))]
    assert len(found) == 1, found
    assert found[0].removeprefix("a.yaml:").startswith(expected), found[0]


@pytest.mark.parametrize(
    ("process", "ordinal", "jumps"),
    [
        ("gaussian", "true", "poisson"),
        ("birth_death", "true", "poisson"),
        ("uniform", "true", "any_jump"),  # its jumps go anywhere: they do not add up
        ("uniform", "false", "any_jump"),
    ],
)
def test_levels_of_ones_own_take_poisson_jumps_where_they_add_up(
    files: Write, process: str, ordinal: str, jumps: str
) -> None:
    text = spec(f"{{kind: array, file: rows.npy, ordinal: {ordinal}}}").replace("absorbing}", f"{process}}}")
    (resolved,) = load_specs([files(text)])
    assert resolved.spec["baselines"]["tau_leaping"]["jumps"] == jumps


def test_identity_is_by_content(files: Write) -> None:
    keys = set(build_plan([files(spec("{kind: array, file: rows.npy}"))]).runs)
    Path("rows.npy").rename("others.npy")
    assert set(build_plan([files(spec("{kind: array, file: others.npy}"))]).runs) == keys
    np.save("others.npy", np.load("others.npy")[::-1])
    assert not set(build_plan([files(spec("{kind: array, file: others.npy}"))]).runs) & keys
