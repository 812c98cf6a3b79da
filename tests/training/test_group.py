"""Several processes for one training: real ones, started by the real torchrun, talking over gloo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from group_member import SETTINGS, loss_of, network
from torch import Tensor
from workflow_cases import run_command

from cdmrun.errors import UserError
from cdmrun.training import Group, averaging, joined, step_generator, train
from cdmrun.training.averaging import Averaging
from cdmrun.training.averaging import _buckets as buckets

MEMBER = Path(__file__).with_name("group_member.py")


def together(folder: Path, stop: int = 0, processes: int = 2) -> list[dict[str, Any]]:
    """Train with several processes; what each of them ends with, none if they were stopped."""
    folder.mkdir(exist_ok=True)
    done = run_command("torchrun", "--standalone", "--nproc-per-node", str(processes), MEMBER, folder, str(stop))
    assert done.returncode == 0, done.stderr
    return [torch.load(path, weights_only=True) for path in sorted(folder.glob("rank-*.pt"))]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two undisturbed processes end with."""
    return together(tmp_path_factory.mktemp("pair"))


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    pairs = zip(first["weights"].values(), second["weights"].values(), strict=True)
    return first["history"] == second["history"] and all(torch.equal(a, b) for a, b in pairs)


def test_both_hold_the_same_weights(pair: list[dict[str, Any]]) -> None:
    assert len(pair) == 2
    assert same(*pair)
    assert [line[0] for line in pair[0]["history"]] == [5, 10, 12]


def test_two_processes_are_one_on_both_shares(pair: list[dict[str, Any]]) -> None:
    """One process whose loss is the mean over both shares, each in two parts, drawn as they are: the same steps."""
    model, step = network(), iter(range(SETTINGS.steps))

    def objective(generator: torch.Generator) -> Tensor:
        number = next(step)
        shares = [step_generator(3, number, rank=rank, part=part) for rank in range(2) for part in range(2)]
        return torch.stack([loss_of(model, SETTINGS.batch // 4, share) for share in shares]).mean()

    result = train(model, objective, replace(SETTINGS, accumulate=1), 3)
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(pair[0]["weights"][name], weight, rtol=1e-5, atol=1e-6)
    assert [line[1] for line in result.history] == pytest.approx([line[1] for line in pair[0]["history"]], rel=1e-5)


def test_a_pair_stops_together_and_resumes_bit_identically(tmp_path: Path, pair: list[dict[str, Any]]) -> None:
    """SIGTERM reaches one of them, the one that writes nothing."""
    assert together(tmp_path / "pair", stop=7) == []
    for rank in range(2):
        assert (tmp_path / f"pair/stopped-{rank}").read_text() == "stopped at step 7 of 12"
    alone = network()
    with pytest.raises(UserError, match=r"on 2 processes; this is one on 1(.|\n)*torchrun --nproc-per-node 2"):
        train(alone, lambda draw: loss_of(alone, 8, draw), SETTINGS, 3, tmp_path / "pair/checkpoint.pt", "me")
    resumed = together(tmp_path / "pair")
    assert len(resumed) == 2
    assert all(same(one, pair[0]) for one in resumed)


def test_each_rank_draws_its_own() -> None:
    numbers = [(step, rank, part) for step in range(9) for rank in range(4) for part in range(3)]
    draws = {float(torch.rand((), generator=step_generator(0, s, rank=rank, part=part))) for s, rank, part in numbers}
    assert len(draws) == 108
    assert torch.equal(*(torch.rand(3, generator=step_generator(1, 2, rank=rank)) for rank in (0, 0)))


def test_a_batch_that_cannot_be_shared() -> None:
    assert Group(1, 4).share(64) == 16
    with pytest.raises(UserError, match="a batch of 10 sequences cannot be shared evenly among 4 processes"):
        Group(1, 4).share(10)
    assert Group(1, 4).share(64, 2) == 8
    with pytest.raises(
        UserError, match="a batch of 12 sequences cannot be shared evenly among 4 processes of 2 parts each"
    ):
        Group(1, 4).share(12, 2)
    with pytest.raises(UserError, match="evenly among 5 parts"):
        Group().share(12, 5)


def test_without_torchrun_there_is_one() -> None:
    for environment in ({}, {"WORLD_SIZE": "4"}, {"WORLD_SIZE": "1", "MASTER_ADDR": "localhost"}):
        with joined(environment) as group:
            assert group == Group(0, 1)
            assert group.leads


def test_buckets_take_the_last_parameters_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(averaging, "BUCKET_BYTES", 40)
    shapes = [(4, torch.float32), (9, torch.float32), (1, torch.float32), (3, torch.float64), (1, torch.float64)]
    parameters = [torch.nn.Parameter(torch.zeros(size, dtype=dtype)) for size, dtype in shapes]
    found = [[next(i for i, p in enumerate(parameters) if p is q) for q in bucket] for bucket in buckets(parameters)]
    assert found == [[4, 3], [2, 1], [0]]


def test_alone_nothing_is_hooked() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    alone = Averaging(Group(), [parameter])
    alone.begin()
    parameter.sum().backward()
    loss = torch.tensor(3.0)
    assert alone.finish(loss) is loss
    assert not parameter._post_accumulate_grad_hooks
