"""How long exact teachers take, and how that grows: ``python benchmarks/exact_teachers.py [--json FILE]``.

Times the clean conditionals of a batch (one NFE) of the Markov teacher as the sequence and as the number of contexts
grow, and of the enumerated teacher as the number of states grows. In theory the first costs L · V^(k+1) a sequence.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from cdmrun.data.chain import MarkovChain
from cdmrun.models import ConditionalModel, EnumeratedTeacher, MarkovTeacher
from cdmrun.processes import Uniform, make_schedule

#: Share of the uniform law in every random context's, so that chains are as smooth as fitted ones.
SMOOTH = 0.01

#: Runs of one case end after this many seconds, but there are two at least.
PATIENCE = 3.0


@dataclass(frozen=True)
class Timing:
    """One case: ``size`` is what grows within its ``series``; seconds for the whole batch."""

    series: str
    case: str
    size: int
    batch: int
    runs: int
    min_seconds: float
    median_seconds: float


@dataclass(frozen=True)
class Case:
    """A teacher to be timed on a batch of its noised data."""

    series: str
    name: str
    size: int
    batch: int
    build: Callable[[], ConditionalModel]


def main() -> None:
    """Time all cases, print them, and write them to a file if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all timings to FILE")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default 1)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each case, if they are quick (default 5)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    timings = []
    for case in cases():
        timings.append(measure(case, options.runs))
        print(f"  {case.series}: {case.name}", file=sys.stderr)
    print("\n\n".join(table(timings)))
    if options.json:
        record = {
            "threads": options.threads,
            "torch": torch.__version__,
            "timings": [asdict(timing) for timing in timings],
            "exponents": {series: exponent(members) for series, members in by_series(timings).items()},
        }
        options.json.write_text(json.dumps(record, indent=1) + "\n")


def cases() -> Iterator[Case]:
    """Everything that is timed."""
    for length in (64, 128, 256, 512, 1024):
        yield markov("length, markov V 27, order 2", f"L {length}", length, 64, 27, 2, length)
    for order in (1, 2, 3):
        yield markov("contexts, markov V 27, L 64", f"order {order}", 27**order, 16, 27, order, 64)
    for vocabulary in (4, 8, 16, 27):
        yield markov("contexts, markov order 2, L 64", f"V {vocabulary}", vocabulary**2, 64, vocabulary, 2, 64)
    yield markov("the largest, markov V 27, order 3", "L 1024", 1024, 8, 27, 3, 1024)
    yield markov("as shipped, markov V 27, order 2", "L 128", 256, 256, 27, 2, 128)
    for side in (10, 18, 32, 56, 100):
        yield enumerated(side)


def markov(series: str, name: str, size: int, batch: int, vocabulary: int, order: int, length: int) -> Case:
    """The teacher of a random chain."""

    def build() -> ConditionalModel:
        random = MarkovChain.random(vocabulary, order, concentration=0.5, seed=0)
        chain = MarkovChain.stationary((1 - SMOOTH) * random.transition + SMOOTH / vocabulary)
        return MarkovTeacher(Uniform(vocabulary, make_schedule("loglinear", 1e-5)), chain, length)

    return Case(series, name, size, batch, build)


def enumerated(side: int) -> Case:
    """The teacher of a random table of side × side states."""

    def build() -> ConditionalModel:
        table = np.random.default_rng(side).exponential(size=(side, side))
        return EnumeratedTeacher(Uniform(side, make_schedule("loglinear", 1e-5)), torch.from_numpy(table / table.sum()))

    return Case("states, enumerated V × V", f"{side} × {side}", side**2, 256, build)


@torch.inference_mode()
def measure(case: Case, runs: int) -> Timing:
    """Seconds for the marginals of a batch, each row at its own time; the first run, of set-up, is not counted."""
    model = case.build()
    generator = torch.Generator().manual_seed(0)
    x_t = torch.randint(model.process.states, (case.batch, model.length), generator=generator)
    t = torch.rand(case.batch, dtype=torch.float64, generator=generator)
    seconds: list[float] = []
    while len(seconds) < 3 or (len(seconds) <= runs and sum(seconds) < PATIENCE):
        began = time.perf_counter()
        marginals = model(x_t, t).marginals()
        seconds.append(time.perf_counter() - began)
    if not bool(marginals.isfinite().all()):
        raise ArithmeticError(f"{case.series}, {case.name}: marginals that are not finite")
    counted = seconds[1:]
    return Timing(case.series, case.name, case.size, case.batch, len(counted), min(counted), statistics.median(counted))


def by_series(timings: list[Timing]) -> dict[str, list[Timing]]:
    """Timings grouped, in order."""
    groups: dict[str, list[Timing]] = {}
    for timing in timings:
        groups.setdefault(timing.series, []).append(timing)
    return groups


def exponent(members: list[Timing]) -> float | None:
    """The slope of log seconds over log size, by least squares; None for a single case."""
    if len(members) < 2:
        return None
    sizes, seconds = (np.log([getattr(m, name) for m in members]) for name in ("size", "min_seconds"))
    return float(np.polyfit(sizes, seconds, 1)[0])


def table(timings: list[Timing]) -> Iterator[str]:
    """One block of text a series; ratios are to its smallest case."""
    for series, members in by_series(timings).items():
        lines = [
            f"{series} (batch {members[0].batch})",
            f"  {'':>12} {'min s':>9} {'median s':>9} {'ratio':>8} {'size':>8}",
        ]
        for member in members:
            ratio, growth = member.min_seconds / members[0].min_seconds, member.size / members[0].size
            seconds = f"{member.min_seconds:9.4f} {member.median_seconds:9.4f}"
            lines.append(f"  {member.case:>12} {seconds} {ratio:7.1f}× {growth:7.1f}×")
        slope = exponent(members)
        if slope is not None:
            lines.append(f"  seconds grow as size^{slope:.2f}")
        yield "\n".join(lines)


if __name__ == "__main__":
    main()
