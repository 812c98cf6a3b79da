"""Infilling against brute force: the law of the hidden tokens given the others, known where all can be written out."""

from __future__ import annotations

from functools import cache, partial

import numpy as np
import pytest
import torch
from science_cases import generator

from cdmrun.data.kjv import load_kjv
from cdmrun.data.markov import MarkovChain
from cdmrun.errors import UserError
from cdmrun.metrics.infill import (
    PATTERNS,
    IndependentCompleter,
    InfillSet,
    SamplerCompleter,
    Truth,
    hidden_positions,
)
from cdmrun.models import EnumeratedTeacher, MarkovTeacher
from cdmrun.processes import Absorbing, Cosine, Loglinear, Uniform
from cdmrun.registry import implementation, names
from cdmrun.samplers import Sampler, analytic_sampler, student_sampler, tau_leaping_sampler, theta_sampler
from cdmrun.spec.metric_kinds import metric

LAW = torch.from_numpy(np.random.default_rng(3).dirichlet(np.full(16, 0.3)).reshape(2, 2, 2, 2))
TEACHER = EnumeratedTeacher(Absorbing(2, Cosine()), LAW)


def conditional(x_0: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """Log-probability of the hidden tokens given the others, by summing over the table, nats."""
    given = tuple(slice(None) if masked else int(token) for token, masked in zip(x_0, hidden, strict=True))
    return (LAW[tuple(x_0)] / LAW[given].sum()).log()


def sequences(count: int = 64) -> torch.Tensor:
    index = torch.multinomial(LAW.flatten(), count, True, generator=generator(5))
    return torch.stack(torch.unravel_index(index, LAW.shape), -1)


def test_half_of_the_positions_is_hidden() -> None:
    middle, spread = (hidden_positions(pattern, 50, 7) for pattern in ("middle", "random"))
    assert middle.sum(1).tolist() == spread.sum(1).tolist() == [3] * 50
    assert middle[0].tolist() == [False, False, True, True, True, False, False]
    assert (spread.float().mean(0) > 0.2).all()
    assert torch.equal(spread, hidden_positions("random", 50, 7))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("nfe", [1, 3])
def test_an_exact_student_gives_the_exact_conditional(pattern: str, nfe: int) -> None:
    """The joint posterior as a student: exact in any number of steps, which are noisy only in between."""
    x_0 = sequences(2000)
    hidden = hidden_positions(pattern, *x_0.shape)
    completer = SamplerCompleter(student_sampler(TEACHER, nfe))
    bits, stderr, exact = completer.bound(x_0, hidden, generator())
    expected = -torch.stack([conditional(*pair) for pair in zip(x_0, hidden, strict=True)])
    assert exact == (nfe == 1)
    tolerance = 1e-9 if exact else 5 * stderr
    assert bits == pytest.approx(float(expected.mean()) / (2 * np.log(2)), abs=tolerance)


@pytest.mark.parametrize("nfe", [1, 2])
def test_what_an_exact_student_fills_in_has_the_conditional_law(nfe: int) -> None:
    x_0 = sequences(1).expand(4000, -1)
    hidden = hidden_positions("middle", *x_0.shape)
    made = SamplerCompleter(student_sampler(TEACHER, nfe)).fill(x_0, hidden, generator(1))
    law = LAW[x_0[0, 0], :, :, x_0[0, 3]].flatten()
    counts = torch.bincount(made[:, 1] * 2 + made[:, 2], minlength=4)
    torch.testing.assert_close(counts / 4000, (law / law.sum()).float(), atol=0.04, rtol=0, check_dtype=False)


def every_sampler(nfe: int) -> list[Sampler]:
    return [
        analytic_sampler(TEACHER, nfe),
        tau_leaping_sampler(TEACHER, nfe),
        theta_sampler(TEACHER, nfe, "trapezoidal"),
        theta_sampler(TEACHER, nfe, "rk2"),
        student_sampler(TEACHER, nfe),
    ]


@pytest.mark.parametrize("sampler", every_sampler(4), ids=lambda sampler: type(sampler.steps[0].kernel).__name__)
def test_given_tokens_stay_and_calls_are_counted(sampler: Sampler) -> None:
    x_0 = sequences(300)
    for pattern in PATTERNS:
        completer = SamplerCompleter(sampler)
        hidden = hidden_positions(pattern, *x_0.shape)
        made = completer.fill(x_0, hidden, generator())
        assert torch.equal(made[~hidden], x_0[~hidden])
        assert int(made.max()) < 2
        assert completer.evaluations / completer.sequences == sampler.nfe == 4


def test_the_analytic_bound_lies_above_the_truth_and_falls_with_steps() -> None:
    x_0 = sequences(4000)
    hidden = hidden_positions("random", *x_0.shape)
    expected = -float(torch.stack([conditional(*pair) for pair in zip(x_0, hidden, strict=True)]).mean()) / 2
    found = [SamplerCompleter(analytic_sampler(TEACHER, n)).bound(x_0, hidden, generator()) for n in (1, 2, 32)]
    bits, errors = [value for value, _, _ in found], [error for _, error, _ in found]
    assert bits[0] > bits[1] > bits[2] > expected / np.log(2) - 4 * errors[2]
    assert bits[2] < expected / np.log(2) + 4 * errors[2] + 0.05


def test_only_the_absorbing_process_is_offered() -> None:
    teacher = EnumeratedTeacher(Uniform(2, Loglinear(1e-3)), LAW)
    with pytest.raises(ValueError, match="absorbing"):
        SamplerCompleter(analytic_sampler(teacher, 2))


@cache
def completed() -> list[InfillSet]:
    """Windows of the King James Bible, completed by its trigrams in four steps and by independent positions."""
    dataset = load_kjv(64)
    truth = torch.from_numpy(dataset.splits["test"][:2400:100].astype(np.int64))
    chain = MarkovChain.fit(dataset.splits["train"], 27, 2)
    sampler = analytic_sampler(MarkovTeacher(Absorbing(27, Loglinear()), chain, 64), 4)
    completers = (SamplerCompleter(sampler), IndependentCompleter.of(dataset), Truth())
    return [InfillSet(dataset, truth, completer, partial(generator, 0)) for completer in completers]


@pytest.mark.parametrize("name", [name for name in names("metric") if metric(name).reads == "fills"])
def test_a_chain_of_english_completes_far_better_than_independent_positions(name: str) -> None:
    """The margin is printed (pytest -s)."""
    try:
        found = [implementation("metric", name)(one) for one in completed()]
    except UserError as error:
        pytest.skip(error.message)
    chained, independent, floor = (getattr(one, "value", one) for one in found)
    print(f"{name}: trigrams in 4 steps {chained:.3f}, independent positions {independent:.3f}")
    better = chained - independent if metric(name).direction == "higher" else independent - chained
    assert better > 0.15 * abs(independent)
    assert floor == pytest.approx({"bleu": 100, "chrf": 100, "match": 1, "nll": 0}[name.rpartition("_")[2]])
    assert metric(name).floor == ("" if name.endswith("nll") else "held-out data")
