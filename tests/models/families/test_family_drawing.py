"""Samples of every family follow its law, whatever the way of decoding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from family_cases import BATCH, FIXED, MASK, SPOKEN, WIDTH, V, every_family, make_law, table
from science_cases import chi_square_p, generator

from cdmrun.models.families import make_head


@every_family
def test_samples_follow_the_law_and_leave_the_rest_alone(kind: str) -> None:
    law, count = make_law(kind), 6000
    for row in range(BATCH):
        drawn = law.select(torch.full((count,), row)).sample(generator(10 + row))
        unspoken = ~SPOKEN[row]
        assert torch.equal(drawn[:, unspoken], FIXED[row, unspoken].expand(count, -1))
        expected = table(law, row)
        counts = dict.fromkeys(expected, 0)
        for x in drawn.tolist():
            counts[tuple(x)] += 1
        assert chi_square_p(np.array(list(counts.values())), np.array(list(expected.values()))) > 1e-3


@every_family
def test_samples_depend_on_the_generator_alone(kind: str) -> None:
    law = make_law(kind)
    first = law.sample(generator(3))
    torch.manual_seed(123)
    assert torch.equal(first, law.sample(generator(3)))


#: Families whose decoding can be chosen, with options to which all ways of decoding apply.
DECODINGS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("hmm", {"states": 5}, ["scan"]),
    *[("autoregressive", {"window": window, "hidden": 7}, ["scan", "fixed_point"]) for window in (0, 1, 2)],
    ("autoregressive", {"window": 6, "hidden": 7}, ["fixed_point"]),
    *[("markov", {"order": order, "hidden": 7}, ["scan", "fixed_point"]) for order in (1, 2, 3)],
]


@pytest.mark.parametrize(("kind", "options", "decodings"), DECODINGS)
@pytest.mark.parametrize("length", [1, 2, 9])
def test_every_decoding_gives_the_same_sequence(
    monkeypatch: pytest.MonkeyPatch, kind: str, options: dict[str, Any], decodings: list[str], length: int
) -> None:
    """…for the same noise: positions known, hidden and spoken of in every order."""
    vocabulary, count = 4, 200
    with torch.random.fork_rng():
        torch.manual_seed(length)
        head = make_head(kind, vocabulary, length, WIDTH, **options).double().requires_grad_(False)
        for parameter in head.parameters():
            torch.nn.init.normal_(parameter, std=1.0)
        features = 2.0 * torch.randn(count, length, WIDTH, dtype=torch.float64)
        unary = torch.randn(count, length, vocabulary, dtype=torch.float64)
        fixed = torch.randint(vocabulary + 1, (count, length))
        spoken = (torch.rand(count, length) < 0.7) & (torch.arange(count) % 3 > 0).unsqueeze(-1)
    spoken[0] = True
    law = head(features, unary, torch.where(spoken, vocabulary, fixed), spoken)
    expected = law.sample(generator(4), "sequential")
    assert len(expected.unique(dim=0)) > min(vocabulary, length)
    for decoding in decodings:
        assert torch.equal(law.sample(generator(4), decoding), expected)
    for module in ("hmm", "autoregressive", "markov"):  # a few rows at a time
        monkeypatch.setattr(f"cdmrun.models.families.{module}.BLOCK", 5_000)
    if "scan" in decodings:
        assert torch.equal(law.sample(generator(4), "scan"), expected)


def test_wide_windows_are_not_scanned_and_sweeps_are_counted() -> None:
    head = make_head("autoregressive", V, 12, WIDTH, window=5, hidden=6)
    torch.nn.init.normal_(head.output.weight)
    features, unary = (torch.randn(50, 12, n, generator=generator(n)) for n in (WIDTH, V))
    law: Any = head(features, unary, torch.full((50, 12), MASK), torch.ones(50, 12, dtype=torch.bool))
    noise = law.noise(generator(2))
    with pytest.raises(ValueError, match="window is 5, at most 2"):
        law.decode(noise, "scan")
    _, one_by_one = law.decode(noise, "sequential")
    _, sweeps = law.decode(noise, "fixed_point")
    assert one_by_one == 12
    assert 2 < sweeps <= 13  # one more finds nothing to change
