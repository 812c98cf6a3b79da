"""Named generators: their definitions, closed forms, and the spectral gap that they share."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from science_cases import thorough
from science_reference import named_generator

from cdmrun.errors import UserError
from cdmrun.processes import Constant, Matrix, birth_death, block, discretised_gaussian, hky85
from cdmrun.stages.build import build_process

frequencies = st.lists(st.floats(0.05, 1.0), min_size=4, max_size=4).map(lambda w: [x / sum(w) for x in w])


def hky85_transitions(kappa: float, pi: list[float], elapsed: float) -> np.ndarray:
    """The transition probabilities in closed form, generator scaled to spectral gap one.

    With β the rate of transversions (times π_b), a transversion to b has probability π_b (1 − e^{−βt}). Within a
    class of frequency Π (purines or pyrimidines), the state is drawn anew from the whole law at rate β, and from the
    class alone at a rate that makes up the rest, (κ − 1)Π β. Being hit by neither has probability
    e^{−β(1 + (κ − 1)Π)t}; by the second only, the state is π_b/Π; by the first, π_b. Modes decay at β and
    β(1 + (κ − 1)Π), the slowest of which sets β.
    """
    of_class = np.array([pi[0] + pi[2], pi[1] + pi[3]])
    beta = 1.0 / min(1.0, *(1.0 + (kappa - 1.0) * of_class))
    result = np.zeros((4, 4))
    for a in range(4):
        for b in range(4):
            redrawn = -math.expm1(-beta * elapsed)
            if a % 2 != b % 2:  # A and G are even, C and T odd
                result[a, b] = pi[b] * redrawn
                continue
            share = of_class[a % 2]
            untouched = math.exp(-beta * (1.0 + (kappa - 1.0) * share) * elapsed)
            within = math.exp(-beta * elapsed) - untouched  # redrawn within the class, and never beyond
            result[a, b] = pi[b] * redrawn + pi[b] / share * within + (a == b) * untouched
    return result


@thorough
@given(kappa=st.floats(0.05, 20.0), pi=frequencies, elapsed=st.sampled_from([1e-6, 0.01, 0.3, 1.0, 4.0, 30.0]))
def test_hky85_has_its_closed_form(kappa: float, pi: list[float], elapsed: float) -> None:
    process = Matrix(hky85(kappa, pi), Constant(40.0), "hky85")
    expected = hky85_transitions(kappa, pi, elapsed)
    np.testing.assert_allclose(expected.sum(1), 1.0, rtol=0, atol=1e-14)
    np.testing.assert_allclose(process.kernel(0.0, elapsed / 40.0).numpy(), expected, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(process.prior().numpy(), pi, rtol=0, atol=1e-13)


def test_hky85_without_preferences_is_uniform() -> None:
    torch.testing.assert_close(
        hky85(1.0), torch.full((4, 4), 0.25).double() - torch.eye(4).double(), atol=1e-15, rtol=0
    )


@pytest.mark.parametrize("levels", [2, 3, 10, 100])
def test_birth_death_has_its_closed_form(levels: int) -> None:
    """Modes of the reflected walk are cosines with decay rates 2r(1 − cos(πk/C))."""
    mode, level = np.arange(levels), np.arange(levels) + 0.5
    rate = 0.5 / (1.0 - math.cos(math.pi / levels))
    waves = np.sqrt(np.where(mode == 0, 1.0, 2.0) / levels) * np.cos(np.pi * np.outer(level, mode) / levels)
    decay = 2.0 * rate * (1.0 - np.cos(np.pi * mode / levels))
    process = Matrix(birth_death(levels), Constant(11.5), "birth_death")
    for t in (1e-9, 1e-4, 0.01, 0.2, 1.0):
        expected = (waves * np.exp(-decay * 11.5 * t)) @ waves.T
        np.testing.assert_allclose(process.kernel(0.0, t).numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("levels", [2, 5, 33])
@pytest.mark.parametrize("width", [0.001, 0.05, 0.2, 3.0])
def test_gaussian_rates_fall_with_distance_as_they_should(levels: int, width: float) -> None:
    generator = discretised_gaussian(levels, width).numpy()
    np.testing.assert_array_equal(generator, generator.T)
    deviation = width * (levels - 1)
    for distance in range(1, levels):
        rates = np.diagonal(generator, distance)
        expected = generator[0, 1] * math.exp((1 - distance**2) / (2 * deviation**2))
        np.testing.assert_allclose(rates, expected, rtol=1e-12, atol=0)


def test_a_narrow_gaussian_is_birth_and_death() -> None:
    torch.testing.assert_close(discretised_gaussian(12, 1e-4), birth_death(12), rtol=1e-12, atol=1e-14)


@thorough
@given(vocabulary=st.integers(2, 9), data=st.data(), within=st.sampled_from([0.0, 0.5, 0.9, 0.999]))
def test_blocks_keep_their_share_of_jumps(vocabulary: int, data: st.DataObject, within: float) -> None:
    blocks = data.draw(st.integers(2, vocabulary))
    rates = block(vocabulary, blocks, within).numpy().copy()
    leaving = -np.diag(rates).copy()
    np.fill_diagonal(rates, 0.0)
    member = np.arange(vocabulary) * blocks // vocabulary
    sizes = np.bincount(member)
    assert len(sizes) == blocks
    assert sizes.max() - sizes.min() <= 1
    for token in range(vocabulary):
        mates = (member == member[token]) & (np.arange(vocabulary) != token)
        share = rates[token, mates].sum() / leaving[token]
        assert share == pytest.approx(within if mates.any() else 0.0, abs=1e-12)
        for others in (mates, member != member[token]):  # all alike
            np.testing.assert_allclose(rates[token, others], rates[token, others].mean() if others.any() else 0.0)
    np.testing.assert_allclose(leaving, leaving[0], rtol=1e-12)


NAMED: list[tuple[str, dict[str, float], Callable[[int], torch.Tensor]]] = [
    ("gaussian", {"width": 0.3}, lambda size: discretised_gaussian(size, 0.3)),
    ("birth_death", {}, birth_death),
    ("block", {"blocks": 2, "within": 0.8}, lambda size: block(size, 2, 0.8)),
    ("hky85", {"kappa": 3.0, "A": 0.1, "C": 0.2, "G": 0.3, "T": 0.4}, lambda size: hky85(3.0, (0.1, 0.2, 0.3, 0.4))),
]


@pytest.mark.parametrize("size", [4, 7])
@pytest.mark.parametrize(("kind", "options", "make"), NAMED, ids=[kind for kind, _, _ in NAMED])
def test_the_slowest_mode_decays_at_rate_one(
    kind: str, options: dict[str, float], make: Callable[[int], torch.Tensor], size: int
) -> None:
    size = 4 if kind == "hky85" else size
    generator = make(size)
    assert generator.dtype == torch.float64
    np.testing.assert_allclose(generator.sum(1).numpy(), 0.0, atol=1e-13)
    modes = np.sort(-np.linalg.eigvals(generator.numpy()).real)
    assert modes[:2] == pytest.approx([0.0, 1.0], abs=1e-12)
    np.testing.assert_allclose(generator.numpy(), named_generator(kind, size, **options), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: hky85(0.0), "kappa: 0.0 is not a positive"),
        (lambda: hky85(math.nan), "kappa: nan"),
        (lambda: hky85(True), "kappa: True"),
        (lambda: hky85(2.0, (0.5, 0.5)), "frequencies: 2 numbers that sum to 1"),
        (lambda: hky85(2.0, (0.3, 0.3, 0.3, 0.3)), "frequencies: 4 numbers that sum to 1.2"),
        (lambda: hky85(2.0, (0.5, 0.5, 0.0, 0.0)), "frequencies: 0.0 is not a positive"),
        (lambda: discretised_gaussian(1), "levels: 1 is not a whole number of at least 2"),
        (lambda: discretised_gaussian(4, -0.1), "width: -0.1"),
        (lambda: birth_death(2.5), "levels: 2.5"),  # type: ignore[arg-type]
        (lambda: block(1), "vocabulary: 1"),
        (lambda: block(4, 1), "blocks: 1"),
        (lambda: block(4, 5), "blocks: 5 blocks of 4 tokens"),
        (lambda: block(4, 2, 1.0), "within: 1.0 is not a share"),
        (lambda: block(4, 2, math.nan), "within: nan"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(make: Callable[[], torch.Tensor], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as caught:
        make()
    assert caught.value.remedy


SCHEDULE = {"schedule": "constant", "alpha_min": 1e-5, "sigma_min": 1e-4, "sigma_max": 5.0}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"kind": "hky85", "kappa": 3.0, "frequencies": [0.1, 0.2, 0.3, 0.4]}, hky85(3.0, (0.1, 0.2, 0.3, 0.4))),
        ({"kind": "gaussian", "width": 0.4}, discretised_gaussian(4, 0.4)),
        ({"kind": "birth_death"}, birth_death(4)),
        ({"kind": "block", "blocks": 2, "within": 0.7}, block(4, 2, 0.7)),
        ({"kind": "matrix", "generator": birth_death(4).tolist()}, birth_death(4)),
    ],
)
def test_specs_build_processes_that_know_their_kind(config: dict[str, object], expected: torch.Tensor) -> None:
    process = build_process(config | SCHEDULE, 4)
    assert process.kind == config["kind"]
    assert torch.equal(process.rate(), expected)
    assert process.schedule == Constant(5.0)


def test_a_process_must_fit_the_data() -> None:
    with pytest.raises(UserError, match="hky85 has 4 states, the data 5 tokens"):
        build_process({"kind": "hky85", "kappa": 2.0, "frequencies": [0.25] * 4} | SCHEDULE, 5)
