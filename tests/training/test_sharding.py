"""Trunks in shards: real processes started by the real torchrun, over gloo, with a teacher, a head and an average."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from sharding_member import SETTINGS
from torch import Tensor
from workflow_cases import environment, run_command

from cdmrun.training import TrainSettings

MEMBER = Path(__file__).with_name("sharding_member.py")
#: A step moves a weight by up to the learning rate, 0.02; sums in another order move it by some 1e-6 in six steps.
ROUNDING = {"rtol": 1e-5, "atol": 1e-5}

#: What each process ends with, by name of the training.
Found = dict[str, list[dict[str, Any]]]


def start(folder: Path, processes: int, *names: str) -> subprocess.CompletedProcess[str]:
    arguments = ("--standalone", "--nproc-per-node", str(processes), MEMBER, folder, *names)
    return run_command("torchrun", *arguments, env=environment(MEMBER.parents[1]))


def together(folder: Path, processes: int, *names: str) -> Found:
    """Several trainings, one after the other, of the same processes."""
    done = start(folder, processes, *names)
    assert done.returncode == 0, done.stderr
    ranks = range(processes)
    return {name: [torch.load(folder / f"{name}-{rank}.pt", weights_only=True) for rank in ranks] for name in names}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sharded")


@pytest.fixture(scope="module")
def pair(folder: Path) -> Found:
    """What two processes end with."""
    compared = [f"{name}{kind}" for kind in ("", "-twice", "-bf16") for name in ("whole", "sharded")]
    resumed = ("resumed", "resumed-whole", "resumed-sharded")
    return together(folder, 2, *compared, *resumed, "plain", "compiled")


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Bit by bit: weights, average, and what was seen of each step."""
    tensors = [
        torch.equal(first[what][name], second[what][name]) for what in ("weights", "average") for name in first[what]
    ]
    return all(tensors) and all(first[what] == second[what] for what in ("history", "norms"))


def close(first: dict[str, Any], second: dict[str, Any], **tolerance: float) -> None:
    for what in ("weights", "average"):
        assert first[what].keys() == second[what].keys()
        for name, weight in first[what].items():
            torch.testing.assert_close(weight, second[what][name], **(tolerance or ROUNDING))
    for mine, theirs in zip(first["history"], second["history"], strict=True):
        assert mine == pytest.approx(theirs, rel=(tolerance or ROUNDING)["rtol"])


@pytest.mark.parametrize("kind", ["", "-twice"])
def test_steps_are_those_of_whole_weights_but_for_rounding(pair: Found, kind: str) -> None:
    """In two parts a step (`accumulate`), and with a loss that calls all models twice before its gradient is taken.

    Gradients are clipped throughout, so that a wrong norm would show, and so would heads that are averaged twice.
    """
    whole, sharded = pair[f"whole{kind}"], pair[f"sharded{kind}"]
    assert min(whole[0]["norms"]) > SETTINGS.clip
    assert len(sharded[0]["norms"]) == SETTINGS.steps
    assert sharded[0]["norms"] == pytest.approx(whole[0]["norms"], rel=1e-5)
    close(sharded[0], whole[0])


def test_steps_under_autocast(pair: Found) -> None:
    """A number that is rounded to bfloat16 the other way is off by 2⁻⁹."""
    close(pair["sharded-bf16"][0], pair["whole-bf16"][0], rtol=1e-3, atol=1e-3)
    assert not same(pair["sharded-bf16"][0], pair["sharded"][0])


@pytest.mark.parametrize("name", ["sharded", "sharded-twice", "sharded-bf16", "resumed"])
def test_both_processes_end_with_the_same_bits(pair: Found, name: str) -> None:
    """Of whole weights, with the same loss and norm in every step; what is kept is the average."""
    assert same(*pair[name])
    for mine in pair[name]:
        assert all(torch.equal(mine["weights"][key], average) for key, average in mine["average"].items())


def test_a_teacher_is_as_it_was(pair: Found) -> None:
    for mine, theirs in zip(pair["sharded"], pair["whole"], strict=True):
        assert mine["teacher"].keys() == theirs["teacher"].keys()
        assert all(torch.equal(mine["teacher"][name], weight) for name, weight in theirs["teacher"].items())


def test_each_process_holds_its_part(pair: Found) -> None:
    """Half of a trunk's weights, moments and average, but for an odd row here and there.

    All tensors of the process are less by that, half the gradients, and half the teacher.
    """
    of_trunk = pair["whole"][0]["held"]["weights"]
    for mine, theirs in zip(pair["sharded"], pair["whole"], strict=True):
        held, whole = mine["held"], theirs["held"]
        assert all(0.49 < held[what] / whole[what] < 0.51 for what in ("weights", "moments", "average"))
        # weights, gradients, two moments, average and teacher
        assert whole["everything"] - held["everything"] == pytest.approx(6 * of_trunk / 2, rel=0.02)
        assert held["notes"] == 0


def test_a_resumed_training_ends_bit_identically(pair: Found) -> None:
    for mine, whole in zip(pair["resumed"], pair["sharded"], strict=True):
        assert mine["norms"] == whole["norms"]
        assert same(mine, whole)


@pytest.mark.parametrize("name", ["resumed-whole", "resumed-sharded"])
def test_a_resumed_training_may_be_sharded_or_not(pair: Found, name: str) -> None:
    assert same(*pair[name])
    close(pair[name][0], pair["whole"][0])


def test_a_checkpoint_is_the_same_file(pair: Found, folder: Path) -> None:
    """Written with shards or without: the same keys and shapes, and numbers but for rounding."""
    sharded = torch.load(folder / "checkpoint-False-True.pt", weights_only=True)
    whole = torch.load(folder / "checkpoint-True-False.pt", weights_only=True)
    assert sharded["step"] == SETTINGS.steps
    alike(sharded, whole)


def alike(first: Any, second: Any) -> None:
    if isinstance(second, dict):
        assert first.keys() == second.keys()
        for key in second:
            alike(first[key], second[key])
    elif isinstance(second, (list, tuple)):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            alike(one, other)
    elif isinstance(second, Tensor):
        assert type(first) is type(second)
        torch.testing.assert_close(first, second, **ROUNDING)
    elif isinstance(second, float):
        assert first == pytest.approx(second, rel=1e-5)
    else:
        assert first == second


def test_more_processes_than_rows(tmp_path: Path) -> None:
    """The convolution has three taps: of them the last of four processes has none."""
    found = together(tmp_path, 4, "whole", "sharded", "resumed")
    close(found["sharded"][0], found["whole"][0])
    assert all(same(mine, found["sharded"][0]) for name in ("sharded", "resumed") for mine in found[name])
    assert [mine["held"]["weights"] for mine in found["sharded"]] == [found["sharded"][0]["held"]["weights"]] * 4


def test_blocks_are_compiled_inside_their_shards(pair: Found) -> None:
    """All blocks share what they are compiled to, with gradients and without."""
    for mine in pair["compiled"]:
        assert 2 <= mine["graphs"] <= 4
        assert mine["warned"] == []
        close(mine, pair["plain"][0])


def test_one_process_without_a_compiler_ends_all(tmp_path: Path) -> None:
    """Going on without would leave the other waiting for an exchange that never comes."""
    done = start(tmp_path, 2, "compiled-by-one")
    assert done.returncode != 0
    assert "torch.compile does not work here: " in done.stderr
    assert "there is no C++ compiler" in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_default_is_whole() -> None:
    assert not TrainSettings().shard
