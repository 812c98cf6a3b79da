"""The same checks on every family in the registry: a new one gets its tests by being registered."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from science_cases import chi_square_p, generator
from torch import Tensor

from cdmrun.errors import UserError
from cdmrun.models import NetworkModel, NetworkShape
from cdmrun.models.families import JointDistribution, families, make_head
from cdmrun.models.families.markov import FARTHEST
from cdmrun.processes import Absorbing, make_schedule

V, L, WIDTH, BATCH = 3, 3, 6, 4
MASK = V
OPTIONS: dict[str, dict[str, Any]] = {
    "mixture": {"components": 3, "rank": 4},
    "hmm": {"states": 3},
    "autoregressive": {"window": 2, "hidden": 5},
    "markov": {"order": 2, "hidden": 5},
}
SEQUENCES = list(itertools.product(range(V), repeat=L))

#: x_t and what is spoken of: everything masked; a token known; a masked position left out; nothing spoken.
FIXED = torch.tensor([[MASK, MASK, MASK], [MASK, 1, MASK], [MASK, MASK, 2], [0, MASK, MASK]])
SPOKEN = torch.tensor([[True, True, True], [True, False, True], [True, False, False], [False, False, False]])


def make_law(kind: str, dtype: torch.dtype = torch.float64, scale: float = 1.5) -> JointDistribution:
    """A law with random parameters everywhere, for four rows with different spoken positions."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        head = make_head(kind, V, L, WIDTH, **OPTIONS.get(kind, {})).to(dtype).requires_grad_(False)
        for parameter in head.parameters():
            torch.nn.init.normal_(parameter, std=0.7)
        features = torch.randn(BATCH, L, WIDTH, dtype=dtype)
        unary = scale * torch.randn(BATCH, L, V, dtype=dtype)
    return head(features, unary, FIXED, SPOKEN)


def spoken_sequences(row: int) -> list[tuple[int, ...]]:
    """Every sequence that agrees with `FIXED` where nothing is spoken."""
    choices = [range(V) if SPOKEN[row, i] else [int(FIXED[row, i])] for i in range(L)]
    return list(itertools.product(*choices))


def table(law: JointDistribution, row: int) -> dict[tuple[int, ...], float]:
    """Probability of each possible sequence of a row, by `log_prob` alone."""
    rows = spoken_sequences(row)
    log_probs = law.select(torch.full((len(rows),), row)).log_prob(torch.tensor(rows))
    return dict(zip(rows, log_probs.double().exp().tolist(), strict=True))


#: Families whose marginals are intractable.
NO_MARGINALS = {"autoregressive"}

every_family = pytest.mark.parametrize("kind", sorted(families()))


@every_family
def test_probabilities_sum_to_one(kind: str) -> None:
    law = make_law(kind)
    for row in range(BATCH):
        assert sum(table(law, row).values()) == pytest.approx(1.0, abs=1e-12)


@every_family
def test_all_sequences_at_once_agree_with_one_by_one(kind: str) -> None:
    law = make_law(kind)
    found = law.log_probabilities(torch.tensor(SEQUENCES))
    assert found.shape == (BATCH, len(SEQUENCES))
    assert found.dtype == torch.float64
    for n, sequence in enumerate(SEQUENCES):
        expected = law.log_prob(torch.tensor([sequence] * BATCH))
        torch.testing.assert_close(found[:, n], expected.double(), atol=1e-12, rtol=0)


@every_family
def test_blocks_do_not_change_probabilities(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    law = make_law(kind)
    whole = law.log_probabilities(torch.tensor(SEQUENCES))
    monkeypatch.setattr("cdmrun.models.families.base.PAIRS", 30)
    torch.testing.assert_close(law.log_probabilities(torch.tensor(SEQUENCES)), whole, atol=1e-13, rtol=0)


@every_family
def test_what_is_not_spoken_of_does_not_count(kind: str) -> None:
    law = make_law(kind)
    x = torch.tensor([[1, 2, 0], [2, 1, 0], [0, MASK, 2], [0, MASK, MASK]])
    other = torch.where(SPOKEN, x, (x + 1) % V)
    torch.testing.assert_close(law.log_prob(x), law.log_prob(other))
    assert float(law.log_prob(x)[3]) == pytest.approx(0.0, abs=1e-15)


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


@every_family
def test_marginals_match_enumeration(kind: str) -> None:
    law = make_law(kind)
    if kind in NO_MARGINALS:
        with pytest.raises(NotImplementedError, match=type(law).__name__):
            law.marginals()
        return
    marginals = law.marginals()
    assert marginals.dtype == torch.float64
    for row in range(BATCH):
        for i in range(L):
            if SPOKEN[row, i]:
                expected = [sum(p for x, p in table(law, row).items() if x[i] == a) for a in range(V)]
                np.testing.assert_allclose(marginals[row, i].numpy(), expected, atol=1e-12)
            elif FIXED[row, i] < V:
                assert marginals[row, i].tolist() == [float(a == FIXED[row, i]) for a in range(V)]


@every_family
def test_predictives_match_enumeration(kind: str) -> None:
    """q(x^i | spoken tokens before i) is a ratio of sums over sequences, and their product is the likelihood."""
    law = make_law(kind)
    for x in (torch.tensor([[1, 2, 0], [2, 1, 0], [0, MASK, 2], [0, MASK, MASK]]), torch.tensor([[2, 0, 1]] * BATCH)):
        found = law.predictives(x)
        assert found.shape == (BATCH, L, V)
        torch.testing.assert_close(found.logsumexp(-1), torch.zeros(BATCH, L, dtype=torch.float64), atol=1e-12, rtol=0)
        for row in range(BATCH):
            rows, tokens = table(law, row), x[row].tolist()
            for i in SPOKEN[row].nonzero()[:, 0].tolist():
                before = [j for j in range(i) if SPOKEN[row, j]]
                agree = {y: p for y, p in rows.items() if all(y[j] == tokens[j] for j in before)}
                expected = [sum(p for y, p in agree.items() if y[i] == a) / sum(agree.values()) for a in range(V)]
                np.testing.assert_allclose(found[row, i].exp().numpy(), expected, atol=1e-12)
        taken = found.gather(-1, x.clamp_max(V - 1).unsqueeze(-1)).squeeze(-1)
        torch.testing.assert_close(torch.where(SPOKEN, taken, 0.0).sum(-1), law.log_prob(x), atol=1e-12, rtol=0)


def _weights() -> Tensor:
    """Random log-weights [BATCH, L, V], one token all but forbidden."""
    log_w = torch.randn(BATCH, L, V, dtype=torch.float64, generator=generator(8))
    log_w[:, 0, 1] = -690.0
    return log_w


def _enumerated_expectation(law: JointDistribution, log_w: Tensor, row: int) -> float:
    """log Σ_x q(x) Π_{i spoken} w_i(x^i)."""
    total = 0.0
    for x, p in table(law, row).items():
        total += p * math.exp(sum(float(log_w[row, i, x[i]]) for i in range(L) if SPOKEN[row, i]))
    return math.log(total)


@every_family
def test_log_expectation(kind: str) -> None:
    """Exact families: equal to enumeration. Others: unbiased before the logarithm, a lower bound after it."""
    law, log_w = make_law(kind), _weights()
    expected = [_enumerated_expectation(law, log_w, row) for row in range(BATCH)]
    if law.exact_expectation:
        np.testing.assert_allclose(law.log_expectation(log_w).numpy(), expected, atol=1e-11)
        return
    count = 4000
    for row in range(BATCH):
        many = torch.full((count,), row)
        estimates = law.select(many).log_expectation(log_w[many], generator(row)).double().numpy()
        stderr = np.exp(estimates).std() / math.sqrt(count)
        assert np.exp(estimates).mean() == pytest.approx(math.exp(expected[row]), abs=4 * stderr + 1e-12)
        slack = 4 * estimates.std() / math.sqrt(count) + 1e-7
        assert estimates.mean() <= expected[row] + slack
        tighter = law.select(many).log_expectation(log_w[many], generator(row), draws=8).double().numpy()
        assert estimates.mean() - slack <= tighter.mean() <= expected[row] + slack


@every_family
def test_log_expectation_of_point_weights_is_the_likelihood(kind: str) -> None:
    law = make_law(kind)
    x = torch.tensor([[1, 2, 0], [2, 1, 0], [0, 1, 2], [0, 1, 1]])
    log_w = torch.full((BATCH, L, V), -690.0, dtype=torch.float64).scatter(-1, x.unsqueeze(-1), 0.0)
    found = law.log_expectation(log_w, generator())
    torch.testing.assert_close(found.double(), law.log_prob(x).double(), atol=1e-9, rtol=0)


def test_an_estimated_expectation_asks_for_randomness() -> None:
    with pytest.raises(ValueError, match="pass a generator"):
        make_law("autoregressive").log_expectation(_weights())


@every_family
def test_select_repeats_and_reorders_rows(kind: str) -> None:
    law = make_law(kind)
    index = torch.tensor([3, 0, 0, 2])
    x = torch.tensor(SEQUENCES[5:9])
    picked = law.select(index)
    for n, row in enumerate(index.tolist()):
        alone = law.select(torch.tensor([row])).log_prob(x[n : n + 1])
        torch.testing.assert_close(picked.log_prob(x)[n : n + 1], alone, atol=1e-13, rtol=0)


@every_family
@pytest.mark.parametrize("peak", [1.0, 50.0])
def test_gradients_are_finite_even_where_unaries_are_extreme(kind: str, peak: float) -> None:
    head = make_head(kind, V, L, WIDTH, **OPTIONS.get(kind, {}))
    features = torch.randn(BATCH, L, WIDTH, generator=generator(1), requires_grad=True)
    unary = (peak * torch.sign(torch.randn(BATCH, L, V, generator=generator(2)))).requires_grad_()
    law = head(features, unary, FIXED, SPOKEN)
    worst = unary.argmin(-1)
    values = [
        law.log_prob(worst),
        law.predictives(worst).sum((-1, -2)),
        law.log_probabilities(torch.tensor(SEQUENCES)).sum(-1),
    ]
    if law.exact_expectation:  # an estimate is for scoring only
        values.append(law.log_expectation(_weights().float()))
    loss = torch.stack([value.double().sum() for value in values]).sum()
    assert torch.isfinite(loss)
    loss.backward()
    for tensor in (features, unary, *head.parameters()):
        assert tensor.grad is None or torch.isfinite(tensor.grad).all()
    assert torch.isfinite(unary.grad).all()


@every_family
def test_float32_is_enough_for_a_sum_of_one(kind: str) -> None:
    total = make_law(kind, torch.float32).log_probabilities(torch.tensor(SEQUENCES)).exp()[0].sum()
    assert float(total) == pytest.approx(1.0, abs=1e-5)


@every_family
def test_float32_heads_agree_with_float64_where_logits_are_large(kind: str) -> None:
    """…and beside a trunk in bf16 they are float32 still."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        head = make_head(kind, V, L, WIDTH, **OPTIONS.get(kind, {})).requires_grad_(False)
        for parameter in head.parameters():
            torch.nn.init.normal_(parameter, std=2.0)
        features, unary = 10.0 * torch.randn(BATCH, L, WIDTH), 40.0 * torch.randn(BATCH, L, V)
        shape = NetworkShape(L, {"kind": kind, **OPTIONS.get(kind, {})}, {"layers": 1, "width": 12, "heads": 2})
        network = NetworkModel(Absorbing(V, make_schedule("loglinear", 0.0)), shape)
    x = torch.tensor([[1, 2, 0], [2, 1, 0], [0, 1, 2], [0, 1, 1]])
    low = head(features, unary, FIXED, SPOKEN)
    high = copy.deepcopy(head).double()(features.double(), unary.double(), FIXED, SPOKEN)
    pairs = [(law.log_prob(x), law.predictives(x)) for law in (low, high)]
    pairs[0] += (low.log_expectation(_weights().float(), generator()),)
    pairs[1] += (high.log_expectation(_weights(), generator()),)
    for single, double in zip(*pairs, strict=True):
        assert single.isfinite().all()
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=2e-3)
    network.precision = "bf16"
    law = network(FIXED, torch.ones(BATCH), spoken=SPOKEN)
    assert law.log_prob(x).dtype == law.predictives(x).dtype == torch.float32
    (-law.log_prob(x).sum()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


# -- each family against its formula, written as loops ----------------------------------------------------------------


def _softmax(x: np.ndarray) -> np.ndarray:
    weights = np.exp(x - x.max())
    return weights / weights.sum()


def _factorized(law: Any, row: int, x: tuple[int, ...]) -> float:
    return math.prod(float(law.log_probs[row, i, x[i]].exp()) for i in range(L) if SPOKEN[row, i])


def _mixture(law: Any, row: int, x: tuple[int, ...]) -> float:
    weights, log_probs = law.log_weights[row].exp().numpy(), law.log_probs(law.component)[row].numpy()
    return sum(
        weights[m] * math.prod(math.exp(log_probs[i, m, x[i]]) for i in range(L) if SPOKEN[row, i])
        for m in range(len(weights))
    )


def _hidden_markov(law: Any, row: int, x: tuple[int, ...]) -> float:
    b, u = law.start[row].numpy(), law.unary[row].numpy()
    log_transition, log_emission = law.transition.log().numpy(), law.emission.log().numpy()
    states, total = len(log_transition), 0.0
    for path in itertools.product(range(states), repeat=L):
        p = _softmax(b[0])[path[0]]
        for i in range(1, L):
            p *= _softmax(log_transition[path[i - 1]] + b[i])[path[i]]
        for i in range(L):
            if SPOKEN[row, i]:
                p *= _softmax(u[i] + log_emission[path[i]])[x[i]]
        total += p
    return total


def _autoregressive(law: Any, row: int, x: tuple[int, ...]) -> float:
    head, p = law.head, 1.0
    weight, bias = head.output.weight.numpy(), head.output.bias.numpy()
    for i in range(L):
        if not SPOKEN[row, i]:
            continue
        hidden = law.hidden[row, i].numpy().copy()
        for back in range(head.window):
            position = i - 1 - back
            if position < 0:
                token = V + 1
            else:
                token = x[position] if SPOKEN[row, position] else int(FIXED[row, position])
            hidden += head.previous[back, token].numpy()
        gelu = np.array([0.5 * h * (1 + math.erf(h / math.sqrt(2))) for h in hidden])
        p *= _softmax(law.unary[row, i].numpy() + weight @ gelu + bias)[x[i]]
    return p


def _markov(law: Any, row: int, x: tuple[int, ...]) -> float:
    head, p, before = law.head, 1.0, [-1]
    weight, bias = head.output.weight.numpy(), head.output.bias.numpy()
    for i in SPOKEN[row].nonzero()[:, 0].tolist():
        seen = [x[j] if j >= 0 else V for j in (before[::-1] + [-1] * head.order)[: head.order]]
        logits = law.unary[row, i].numpy().copy()
        for j in range(1, head.order + 1):
            starts = j >= len(before)  # nothing is that far back
            skipped = FARTHEST if starts else min(i - before[-j] - j, FARTHEST - 1)
            gate = law.gates[row, i, j - 1].item() * head.reach[j - 1, skipped].item()
            if j == 1:
                hidden = law.hidden[row, i] + head.previous[seen[0]] + head.near[skipped]
                gelu = np.array([0.5 * h * (1 + math.erf(h / math.sqrt(2))) for h in hidden.tolist()])
                logits += gate * (weight @ gelu + bias)
            else:
                code = sum(seen[m] * (V + 1) ** m for m in range(j))
                logits += gate * head.tables[j - 2][code].numpy()
        p *= _softmax(logits)[x[i]]
        before.append(i)
    return p


def _joint(law: Any, row: int, x: tuple[int, ...]) -> float:
    probabilities = law.log_probs[row].exp().tolist()
    return sum(
        p
        for y, p in zip(SEQUENCES, probabilities, strict=True)
        if all(y[i] == x[i] for i in range(L) if SPOKEN[row, i])
    )


FORMULAS: dict[str, Callable[[Any, int, tuple[int, ...]], float]] = {
    "factorized": _factorized,
    "mixture": _mixture,
    "hmm": _hidden_markov,
    "autoregressive": _autoregressive,
    "markov": _markov,
    "joint": _joint,
}


@pytest.mark.parametrize("kind", sorted(FORMULAS))
@torch.no_grad()
def test_likelihood_is_the_family_s_formula(kind: str) -> None:
    law = make_law(kind)
    for row in range(BATCH):
        for x, p in table(law, row).items():
            assert p == pytest.approx(FORMULAS[kind](law, row, x), rel=1e-10)


def test_blocks_of_components_change_neither_values_nor_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """…nor is anything of the size of all components at once kept for the backward pass."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = make_head("mixture", V, L, WIDTH, components=7, rank=4).double()
        features = torch.randn(BATCH, L, WIDTH, dtype=torch.float64)
        unary = torch.randn(BATCH, L, V, dtype=torch.float64, requires_grad=True)
        mix = [torch.randn(*shape, dtype=torch.float64) for shape in [(BATCH,), (BATCH, L, V), (BATCH,), (BATCH, 27)]]
    log_w, found, largest = _weights(), [], []
    for block in (1 << 24, BATCH * L * V * 2):
        monkeypatch.setattr("cdmrun.models.families.mixture.BLOCK", block)
        kept: list[int] = []

        def keep(tensor: Tensor, kept: list[int] = kept) -> Tensor:
            kept.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            law = head(features, unary, FIXED, SPOKEN)
            values = [law.log_prob(FIXED % V), law.predictives(FIXED % V), law.log_expectation(log_w)]
        values.append(law.log_probabilities(torch.tensor(SEQUENCES)))
        loss = torch.stack([(value * factor).sum() for value, factor in zip(values, mix, strict=True)]).sum()
        gradients = torch.autograd.grad(loss, [unary, *head.parameters()])
        found.append([*values, law.marginals(), *gradients])
        largest.append(max(kept))
    for whole, blocks in zip(*found, strict=True):
        torch.testing.assert_close(whole, blocks, atol=1e-12, rtol=1e-12)
    assert largest[1] < BATCH * L * V * 7 <= largest[0]


@pytest.mark.parametrize("order", [1, 3])
@torch.no_grad()
def test_markov_chains_of_other_orders(monkeypatch: pytest.MonkeyPatch, order: int) -> None:
    """Likelihood, expectation, marginals and predictives, a row at a time as well."""
    monkeypatch.setitem(OPTIONS, "markov", {"order": order, "hidden": 4})
    law, log_w = make_law("markov"), _weights()
    marginals = law.marginals()
    expected = [_enumerated_expectation(law, log_w, row) for row in range(BATCH)]
    np.testing.assert_allclose(law.log_expectation(log_w).numpy(), expected, atol=1e-11)
    monkeypatch.setattr("cdmrun.models.families.markov.BLOCK", 1)
    np.testing.assert_allclose(make_law("markov").log_expectation(log_w).numpy(), expected, atol=1e-11)
    for row in range(BATCH):
        for x, p in table(law, row).items():
            assert p == pytest.approx(_markov(law, row, x), rel=1e-10)
        for i in SPOKEN[row].nonzero()[:, 0].tolist():
            by_token = [sum(p for x, p in table(law, row).items() if x[i] == a) for a in range(V)]
            np.testing.assert_allclose(marginals[row, i].numpy(), by_token, atol=1e-12)


def test_markov_chains_skip_what_is_not_spoken_of() -> None:
    """A step's few positions are as long a chain as they are many, wherever they are."""
    head = make_head("markov", V, 9, WIDTH, order=3, hidden=4)
    torch.nn.init.normal_(head.output.weight)
    head.requires_grad_(False)
    features, unary = (torch.randn(1, 9, n, generator=generator(n)) for n in (WIDTH, V))
    spoken = torch.tensor([[0, 0, 1, 0, 0, 1, 0, 0, 0]], dtype=torch.bool)
    law: Any = head(features, unary, torch.full((1, 9), MASK), spoken)
    assert law.noise(generator()).shape == (1, 2, V)
    first, second = (
        law.log_prob(torch.full((1, 9), MASK).scatter(1, torch.tensor([[2, 5]]), torch.tensor([[a, 1]])))
        for a in (0, 2)
    )
    one = law.predictives(torch.zeros(1, 9, dtype=torch.long))[0, 2]
    assert abs(float(first - one[0]) - float(second - one[2])) > 1e-3  # what follows depends on the token three before


def test_markov_chains_of_too_many_contexts_are_refused() -> None:
    with pytest.raises(UserError, match="order 3 over 100 tokens has 103,030,100 log-odds, more than 20,000,000"):
        make_head("markov", 100, 4, WIDTH, order=3)


@pytest.mark.parametrize("kind", ["factorized", "autoregressive", "markov", "joint"])
def test_a_fresh_head_is_the_product_of_its_unaries(kind: str) -> None:
    """Heads with a neutral start: a student of a network teacher begins as its teacher."""
    head = make_head(kind, V, L, WIDTH, **OPTIONS.get(kind, {}))
    features, unary = (torch.randn(BATCH, L, n, generator=generator(n)) for n in (WIDTH, V))
    law = head(features, unary, FIXED, torch.ones_like(SPOKEN))
    product = make_head("factorized", V, L, WIDTH)(features, unary, FIXED, torch.ones_like(SPOKEN))
    sequences = torch.tensor(SEQUENCES)
    torch.testing.assert_close(
        law.log_probabilities(sequences), product.log_probabilities(sequences), atol=1e-5, rtol=0
    )


def test_a_long_hidden_markov_chain_keeps_its_precision() -> None:
    """64 states, 64 positions, peaked unaries: float32 within 1e-5 of float64, relatively."""
    length, vocabulary, width = 64, 32, 8
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = make_head("hmm", vocabulary, length, width, states=64)
        torch.nn.init.normal_(head.transition, std=3.0)
        torch.nn.init.normal_(head.emission, std=5.0)
        features = 3.0 * torch.randn(2, length, width)
        unary = 8.0 * torch.randn(2, length, vocabulary)
        x = torch.randint(vocabulary, (2, length))
    fixed, spoken = torch.full((2, length), vocabulary), torch.rand(2, length, generator=generator()) < 0.8
    log_w = torch.randn(2, length, vocabulary, generator=generator())
    low = head(features, unary, fixed, spoken)
    high = head.double()(features.double(), unary.double(), fixed, spoken)
    for single, double in [
        (low.log_prob(x), high.log_prob(x)),
        (low.log_expectation(log_w), high.log_expectation(log_w.double())),
    ]:
        torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(low.marginals(), high.marginals(), rtol=0, atol=1e-5)
    assert torch.equal(low.sample(generator())[~spoken], fixed[~spoken])
