"""Random small problems: an object of the package beside its brute-force reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from science_reference import (
    Reference,
    alpha,
    interpolating_generator,
    interpolating_kernel,
    named_generator,
    positive_kernel,
    sigma_bar,
)

from cdmrun.processes import (
    Absorbing,
    ForwardProcess,
    Matrix,
    Uniform,
    birth_death,
    block,
    discretised_gaussian,
    hky85,
    make_schedule,
)

#: Kinds of process for any number of tokens.
KINDS = ("uniform", "absorbing", "matrix", "gaussian", "birth_death", "block")
#: All kinds: `hky85` has four tokens, whatever number is asked for.
ALL_KINDS = (*KINDS, "hky85")
SCHEDULES = ("loglinear", "cosine", "geometric", "constant")

#: Deterministic, no deadline: one core may be shared.
quick = settings(
    derandomize=True, deadline=None, max_examples=12, database=None, suppress_health_check=list(HealthCheck)
)

#: For properties that cost next to nothing to try.
thorough = settings(quick, max_examples=60)


@dataclass
class Case:
    """A process, a table, and their reference."""

    process: ForwardProcess
    table: np.ndarray
    reference: Reference
    kind: str

    @property
    def prior(self) -> np.ndarray:
        return self.process.prior().numpy()


def random_generator(size: int, random: np.random.Generator, ordinal: bool = False) -> np.ndarray:
    """A CTMC generator; ``ordinal`` moves between neighbours only."""
    rates = random.exponential(size=(size, size)) + 0.05
    if ordinal:
        rates *= np.abs(np.subtract.outer(np.arange(size), np.arange(size))) == 1
    np.fill_diagonal(rates, 0.0)
    return rates - np.diag(rates.sum(1))


def make_case(
    kind: str,
    V: int = 3,
    L: int = 2,
    schedule: str = "loglinear",
    seed: int = 0,
    alpha_min: float | None = None,
    zeros: bool = False,
    table: np.ndarray | None = None,
) -> Case:
    """A random problem of the given kind and size (four tokens for ``hky85``)."""
    V = 4 if kind == "hky85" else V
    random = np.random.default_rng([seed, V, L])
    if alpha_min is None:
        alpha_min = 0.0 if kind == "absorbing" else 1e-3
    sigma_max = 20.0 if kind == "absorbing" else 6.0
    built = make_schedule(schedule, alpha_min, sigma_max=sigma_max)

    def alpha_of(t: float) -> float:
        return alpha(schedule, t, alpha_min, sigma_max=sigma_max)

    process: ForwardProcess
    if kind not in ("uniform", "absorbing"):
        made, generator = _generators(kind, V, random)
        process = Matrix(made, built, kind)
        kernel = positive_kernel(generator, lambda t: sigma_bar(schedule, t, alpha_min, sigma_max=sigma_max))
    else:
        process = Uniform(V, built) if kind == "uniform" else Absorbing(V, built)
        pi = np.full(V, 1 / V) if kind == "uniform" else np.eye(V + 1)[V]
        generator = interpolating_generator(pi)
        kernel = interpolating_kernel(pi, alpha_of)
    if table is None:
        table = random.exponential(size=(V,) * L) ** 2
        if zeros:
            table *= random.random(table.shape) < 0.6
            table[(0,) * L] += 0.3
        table = table / table.sum()
    return Case(process, table, Reference(kernel, generator, table), kind)


def _generators(kind: str, V: int, random: np.random.Generator) -> tuple[torch.Tensor, np.ndarray]:
    """A generator with random parameters: the package's, and the same by its definition."""
    if kind == "matrix":
        rates = random_generator(V, random)
        return torch.from_numpy(rates), rates
    if kind == "birth_death":
        return birth_death(V), named_generator(kind, V)
    if kind == "gaussian":
        width = float(random.uniform(0.2, 2.0))
        return discretised_gaussian(V, width), named_generator(kind, V, width=width)
    if kind == "block":
        blocks, within = int(random.integers(2, V + 1)), float(random.uniform(0.0, 0.95))
        return block(V, blocks, within), named_generator(kind, V, blocks=blocks, within=within)
    assert kind == "hky85"
    kappa, pi = float(random.uniform(0.2, 5.0)), random.dirichlet(np.full(4, 5.0)).tolist()
    return hky85(kappa, pi), named_generator(kind, V, kappa=kappa, **dict(zip("ACGT", pi, strict=True)))


@st.composite
def cases(draw: st.DrawFn, kinds: tuple[str, ...] = ALL_KINDS, max_states: int = 64) -> Case:
    """Random kind, size, schedule and table, with up to ``max_states`` clean sequences."""
    kind = draw(st.sampled_from(kinds))
    V = 4 if kind == "hky85" else draw(st.integers(2, 4))
    L = draw(st.integers(1, 3).filter(lambda n: (V + (kind == "absorbing")) ** n <= max_states))
    return make_case(kind, V, L, draw(st.sampled_from(SCHEDULES)), draw(st.integers(0, 999)), zeros=draw(st.booleans()))


#: Three distinct times in (0, 1), in order, not too close.
ordered_times = st.lists(st.integers(1, 19), min_size=3, max_size=3, unique=True).map(
    lambda ticks: tuple(n / 20 for n in sorted(ticks))
)


def times(t: float, count: int) -> torch.Tensor:
    """The same time for a batch."""
    return torch.full((count,), t, dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    """A seeded source of randomness."""
    return torch.Generator().manual_seed(seed)


def chi_square_p(counts: np.ndarray, law: np.ndarray) -> float:
    """P-value of counts under a law; categories of probability zero must not occur."""
    from scipy.stats import chi2

    assert counts[law <= 0].sum() == 0, "a category of probability zero occurred"
    expected = law * counts.sum()
    rare = expected < 5  # pooled into one category
    observed, expected = (np.append(x[~rare], x[rare].sum()) for x in (counts, expected))
    kept = expected > 0
    statistic = ((observed[kept] - expected[kept]) ** 2 / expected[kept]).sum()
    return float(chi2.sf(statistic, kept.sum() - 1)) if kept.sum() > 1 else 1.0
