from __future__ import annotations

import math
import os
import pickle
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cdmrun.distill import BootstrapMatching, SampledMatching, StepSchedule
from cdmrun.errors import UserError
from cdmrun.models import EnumeratedTeacher, NetworkModel, NetworkShape
from cdmrun.models.trunk import Trunk
from cdmrun.processes import Absorbing
from cdmrun.training import Interrupted, Progress, TrainSettings, step_generator, train
from cdmrun.training.checkpoint import load_checkpoint, save_checkpoint
from cdmrun.training.denoising import EARLIEST, stratified_times
from cdmrun.training.sources import noised_pairs, table_source

SETTINGS = TrainSettings(steps=30, batch=8, lr=0.05, warmup=5, ema=0.8, checkpoint_every=0.0, log_every=7)


def make_model(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def regression(model: nn.Module) -> Callable[[torch.Generator], Tensor]:
    def objective(generator: torch.Generator) -> Tensor:
        x = torch.randn(8, 3, generator=generator)
        return (model(x)[:, 0] - x.sum(1)).square().mean()

    return objective


class StoppedError(Exception):
    pass


def stopping_at(objective: Callable[[torch.Generator], Tensor], step: int) -> Callable[[torch.Generator], Tensor]:
    """Raise before the given step is computed, as a kill would."""
    calls = iter(range(step))

    def stopped(generator: torch.Generator) -> Tensor:
        if next(calls, None) is None:
            raise StoppedError
        return objective(generator)

    return stopped


def parameters(model: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def same(first: nn.Module, second: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(parameters(first), parameters(second), strict=True))


@pytest.mark.parametrize("stop", [1, 7, 17, 29])
def test_a_resumed_training_ends_bit_identically(tmp_path: Path, stop: int) -> None:
    whole = make_model()
    result = train(whole, regression(whole), SETTINGS, seed=3)
    first, second = make_model(), make_model(seed=99)  # the second starts elsewhere: everything comes from the file
    with pytest.raises(StoppedError):
        train(first, stopping_at(regression(first), stop), SETTINGS, 3, tmp_path / "c.pt", "me")
    resumed = train(second, regression(second), SETTINGS, 3, tmp_path / "c.pt", "me")
    assert same(whole, second)
    assert resumed.history == result.history
    assert [line[0] for line in result.history] == [7, 14, 21, 28, 30]


@pytest.mark.parametrize("stop", [9, 14])
def test_a_batch_in_parts_is_the_mean_over_them(tmp_path: Path, stop: int) -> None:
    """Each part has the randomness of (seed, step, part), also in a training that was stopped, even within a step."""
    settings = replace(SETTINGS, steps=6, accumulate=3)
    whole, first, second, at_once = make_model(), make_model(), make_model(seed=99), make_model()
    result = train(whole, regression(whole), settings, 3)
    with pytest.raises(StoppedError):
        train(first, stopping_at(regression(first), stop), settings, 3, tmp_path / "c.pt", "me")
    train(second, regression(second), settings, 3, tmp_path / "c.pt", "me")
    assert same(whole, second)
    objective, steps = regression(at_once), iter(range(settings.steps))

    def mean(_: torch.Generator) -> Tensor:
        step = next(steps)
        return torch.stack([objective(step_generator(3, step, part=part)) for part in range(3)]).mean()

    expected = train(at_once, mean, replace(settings, accumulate=1), 3)
    for mine, theirs in zip(parameters(whole), parameters(at_once), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)
    assert [line[1] for line in result.history] == pytest.approx([line[1] for line in expected.history], rel=1e-5)


def test_a_student_resumes_bit_identically(tmp_path: Path) -> None:
    """The real thing: a network with a hidden Markov head and a sampled objective."""
    settings = replace(SETTINGS, steps=8, lr=1e-2)

    def start() -> tuple[NetworkModel, SampledMatching]:
        torch.manual_seed(0)
        shape = NetworkShape(2, {"kind": "hmm", "states": 4}, {"layers": 1, "width": 12, "heads": 2}, "step")
        model = NetworkModel(Absorbing(3), shape)
        pairs = noised_pairs(table_source(np.full((3, 3), 1 / 9)), model.process)
        return model, SampledMatching(model, pairs, StepSchedule([1, 2]), 16)

    whole, objective = start()
    train(whole, objective, settings, 1)
    first, objective = start()
    with pytest.raises(StoppedError):
        train(first, stopping_at(objective, 5), settings, 1, tmp_path / "c.pt")
    second, objective = start()
    train(second, objective, settings, 1, tmp_path / "c.pt")
    assert same(whole, second)


def test_a_bootstrapped_student_resumes_bit_identically(tmp_path: Path) -> None:
    """Its targets come from the moving average, which is the loop's own and so in the checkpoint."""
    settings = replace(SETTINGS, steps=8, lr=1e-2)

    class Stopping(BootstrapMatching):
        left = 8

        def __call__(self, generator: torch.Generator) -> Tensor:
            if not self.left:
                raise StoppedError
            self.left -= 1
            return super().__call__(generator)

    def start(left: int) -> tuple[NetworkModel, Stopping]:
        torch.manual_seed(0)
        shape = NetworkShape(2, {"kind": "mixture", "components": 2}, {"layers": 1, "width": 12, "heads": 2}, "step")
        model = NetworkModel(Absorbing(3), shape)
        table = torch.full((3, 3), 1 / 9)
        teacher = EnumeratedTeacher(model.process, table)
        objective = Stopping(model, teacher, table_source(table.double().numpy()), StepSchedule([1, 2]), 16, 3)
        objective.left = left
        return model, objective

    whole, objective = start(8)
    train(whole, objective, settings, 1)
    first, objective = start(5)
    with pytest.raises(StoppedError):
        train(first, objective, settings, 1, tmp_path / "c.pt")
    second, objective = start(8)
    train(second, objective, settings, 1, tmp_path / "c.pt")
    assert same(whole, second)
    assert objective.left == 5
    assert all(torch.equal(a, b) for a, b in zip(second.parameters(), objective.averaged.parameters(), strict=True))


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    model = make_model()
    train(model, regression(model), SETTINGS, 3, tmp_path / "c.pt")
    again = make_model(5)
    train(again, stopping_at(regression(again), 0), SETTINGS, 3, tmp_path / "c.pt")
    assert same(model, again)


def test_seeds_matter_and_steps_have_their_own_randomness() -> None:
    numbers = [(seed, step, part) for seed in range(8) for step in range(50) for part in range(3)]
    draws = {float(torch.rand((), generator=step_generator(s, step, part=part))) for s, step, part in numbers}
    assert len(draws) == 1200
    assert torch.equal(*(torch.rand(4, generator=step_generator(2, 7)) for _ in range(2)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_and_stops(tmp_path: Path, number: signal.Signals) -> None:
    settings = replace(SETTINGS, checkpoint_every=1e9)
    whole, model, second = make_model(), make_model(), make_model()
    train(whole, regression(whole), settings, 3)
    objective, calls = regression(model), iter(range(100))

    def kills(generator: torch.Generator) -> Tensor:
        if next(calls) == 11:
            os.kill(os.getpid(), number)
        return objective(generator)

    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match="stopped at step 12 of 30"):
        train(model, kills, settings, 3, tmp_path / "c.pt")
    assert signal.getsignal(number) == before
    saved = load_checkpoint(tmp_path / "c.pt", "")
    assert saved is not None
    assert saved["step"] == 12
    train(second, regression(second), settings, 3, tmp_path / "c.pt")
    assert same(whole, second)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_names_its_step(tmp_path: Path, loss: float) -> None:
    model = make_model()
    objective, calls = regression(model), iter(range(100))

    def broken(generator: torch.Generator) -> Tensor:
        return objective(generator) * (loss if next(calls) == 4 else 1.0)

    with pytest.raises(UserError, match="not finite at step 5 of 30") as caught:
        train(model, broken, SETTINGS, 0, tmp_path / "c.pt")
    assert "train.lr" in caught.value.remedy
    saved = load_checkpoint(tmp_path / "c.pt", "")
    assert saved is not None
    assert saved["step"] == 4, "the last checkpoint is from before the damage"
    assert all(torch.isfinite(value).all() for value in saved["model"].values())


def test_a_batch_that_does_not_fit_says_what_to_do() -> None:
    model = make_model()

    def too_large(generator: torch.Generator) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(UserError, match=r"no room for a batch of 8 sequences in 2 part\(s\)(.|\n)*accumulate to 4"):
        train(model, too_large, replace(SETTINGS, accumulate=2), 0)


def test_what_is_kept_is_the_moving_average() -> None:
    model, seen = make_model(), []
    objective = regression(model)

    def watched(generator: torch.Generator) -> Tensor:
        seen.append(parameters(model))
        return objective(generator)

    train(model, watched, SETTINGS, 3)
    average = seen[0]
    last = make_model()
    train(last, regression(last), replace(SETTINGS, ema=0.0), 3)  # without averaging: the weights of the last step
    for step, weights in enumerate([*seen[1:], parameters(last)], start=1):
        decay = min(0.8, step / (step + 10))
        average = [decay * a + (1 - decay) * w for a, w in zip(average, weights, strict=True)]
    for found, expected in zip(parameters(model), average, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    assert not model.training


def test_an_objective_may_ask_the_model_at_its_average() -> None:
    model, seen = make_model(), []

    class Watching:
        def use_average(self, averaged: nn.Module) -> None:
            self.averaged = averaged

        def __call__(self, generator: torch.Generator) -> Tensor:
            assert not self.averaged.training
            assert not any(p.requires_grad for p in self.averaged.parameters())
            seen.append((parameters(model), parameters(self.averaged)))
            return regression(model)(generator)

    objective = Watching()
    train(model, objective, SETTINGS, 3)
    average = seen[0][0]
    for step, (weights, found) in enumerate(seen):
        decay = min(0.8, step / (step + 10))
        average = [decay * a + (1 - decay) * w for a, w in zip(average, weights, strict=True)]
        for one, other in zip(average, found, strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
    assert same(model, objective.averaged)


def test_shards_of_one_process_are_nothing() -> None:
    """No trunk is replaced, and the bits are those of a training without."""

    def start() -> tuple[NetworkModel, SampledMatching]:
        torch.manual_seed(0)
        model = NetworkModel(Absorbing(3), NetworkShape(2, {"kind": "hmm", "states": 4}, {"width": 12, "heads": 2}))
        pairs = noised_pairs(table_source(np.full((3, 3), 1 / 9)), model.process)
        return model, SampledMatching(model, pairs, StepSchedule([1, 2]), 16)

    expected, objective = start()
    train(expected, objective, SETTINGS, 1)
    found, objective = start()
    trunk = found.trunk

    def watched(generator: torch.Generator) -> Tensor:
        assert found.trunk is trunk
        assert type(trunk) is Trunk
        return objective(generator)

    train(found, watched, replace(SETTINGS, shard=True), 1)
    assert same(found, expected)


def test_learning_rates() -> None:
    settings = TrainSettings(steps=110, lr=2.0, warmup=10)
    assert [settings.rate_at(step) for step in (0, 4, 9)] == pytest.approx([0.2, 1.0, 2.0])
    assert settings.rate_at(60) == pytest.approx(1.0)
    assert settings.rate_at(85) == pytest.approx(1.0 + math.cos(0.75 * math.pi))
    assert settings.rate_at(110) == pytest.approx(0.0, abs=1e-15)
    rates = [settings.rate_at(step) for step in range(10, 111)]
    assert rates == sorted(rates, reverse=True)
    constant = replace(settings, decay="constant")
    assert [constant.rate_at(step) for step in (0, 9, 50, 109)] == pytest.approx([0.2, 2.0, 2.0, 2.0])
    assert TrainSettings(steps=10, lr=1.0, warmup=0, decay="constant").rate_at(0) == 1.0


def test_progress_is_reported_each_line_of_history() -> None:
    model, reports = make_model(), list[Progress]()
    result = train(model, regression(model), SETTINGS, 3, report=reports.append)
    assert [(p.step, p.loss) for p in reports] == [line[:2] for line in result.history]
    assert all(p.steps == 30 and p.rate > 0 and p.seconds_left >= 0 for p in reports)


# -- checkpoints ------------------------------------------------------------------------------------------------------


def _checkpoint(folder: Path) -> Path:
    model = make_model()
    train(model, regression(model), replace(SETTINGS, steps=2), 0, folder / "c.pt", "me")
    return folder / "c.pt"


def test_no_checkpoint_is_no_error(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "c.pt", "me") is None


def test_a_truncated_checkpoint_names_the_file(tmp_path: Path) -> None:
    path = _checkpoint(tmp_path)
    whole = path.read_bytes()
    for keep in [0, 1, 2, 3, 10, *range(50, len(whole), 199), len(whole) - 1]:
        path.write_bytes(whole[:keep])
        with pytest.raises(UserError, match=r"c\.pt: this checkpoint cannot be read") as caught:
            load_checkpoint(path, "me")
        assert "delete the file" in caught.value.remedy


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"\x80\x02.", b"\x80\x04N.", b"garbage", b"\x80\x02}q\x00.", b"."])
def test_a_file_that_is_no_checkpoint_names_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(UserError, match=r"c\.pt: this checkpoint"):
        load_checkpoint(tmp_path / "c.pt", "me")


def test_flipped_bytes_never_end_in_a_traceback(tmp_path: Path) -> None:
    path = _checkpoint(tmp_path)
    whole = path.read_bytes()
    for position in range(0, len(whole), 97):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        try:
            state = load_checkpoint(path, "me")
        except UserError:
            continue
        assert state is not None


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    path = _checkpoint(tmp_path)
    with pytest.raises(UserError, match="is of another training"):
        load_checkpoint(path, "you")
    save_checkpoint(path, [1, 2])  # type: ignore[arg-type]
    with pytest.raises(UserError, match="is of another training"):
        load_checkpoint(path, "me")


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


def test_code_in_place_of_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "c.pt", tmp_path / "trace"
    for dump in (torch.save, lambda state, target: target.write_bytes(pickle.dumps(state))):
        dump({"identity": "me", "step": Payload(trace)}, path)
        with pytest.raises(UserError, match="cannot be read"):
            load_checkpoint(path, "me")
        assert not trace.exists()


def test_training_times_are_stratified() -> None:
    drawn = stratified_times(16, torch.Generator().manual_seed(0))
    slices = (drawn - EARLIEST) / (1 - EARLIEST) * 16
    assert slices.floor().tolist() == list(range(16))
    assert EARLIEST <= float(drawn.min()) <= float(drawn.max()) <= 1.0


def test_a_head_has_its_own_learning_rate() -> None:
    """With a factor of zero nothing but the trunk moves."""
    process = Absorbing(3)
    model = NetworkModel(process, NetworkShape(4, {"kind": "hmm", "states": 4}, {"layers": 1, "width": 8, "heads": 2}))
    before = {name: value.clone() for name, value in model.named_parameters()}
    x_0 = torch.randint(3, (8, 4), generator=torch.Generator().manual_seed(0))
    times = torch.full((8,), 0.5, dtype=torch.float64)

    def objective(generator: torch.Generator) -> Tensor:
        return -model(process.noise(x_0, 0.0, times, generator), times).log_prob(x_0).mean()

    train(model, objective, TrainSettings(steps=3, batch=8, warmup=0, head_factor=0.0), 0)
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert moved
    assert not any(name.startswith("head.") for name in moved)
