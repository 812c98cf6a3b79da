"""What student families cost, and how that grows: ``python benchmarks/families.py [--json FILE]``.

For each family, a likelihood with its gradient and a draw of a batch, as one of vocabulary, length, batch, or the
family's own size grows and the rest stay. Every case is a process of its own, whose peak of memory above what it began
with is measured; on a CPU seconds are those of the processor, so that a busy machine hardly matters.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from cdmrun.models.families import JointDistribution, make_head

#: Width of the trunk's features.
WIDTH = 96


@dataclass(frozen=True)
class Case:
    """A family of one size; ``factor`` is how much larger than the first case of its ``series``."""

    series: str
    factor: float
    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    vocabulary: int = 27
    length: int = 64
    batch: int = 32
    decodings: tuple[str, ...] = ("auto",)


@dataclass(frozen=True)
class Cost:
    """Seconds of a likelihood with its gradient and of a draw (by decoding), for the batch; sweeps; peaks in MB."""

    train_seconds: float
    train_megabytes: float
    draw_seconds: dict[str, float]
    sweeps: dict[str, int]


def main() -> None:
    """Measure all cases, print them as tables, and write them to a file if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all costs to FILE")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default 1)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    parser.add_argument("--only", default="", metavar="TEXT", help="series whose name has TEXT in it")
    options = parser.parse_args()
    measured: list[tuple[Case, Cost]] = []
    for case in cases():
        if options.only in case.series:
            measured.append((case, in_a_process(case, options.device, options.threads)))
            print(f"  {case.series}: ×{case.factor:g}", file=sys.stderr)
    print("\n\n".join(tables(measured)))
    if options.json:
        record = {
            "threads": options.threads,
            "torch": torch.__version__,
            "device": options.device,
            "costs": [{**asdict(case), **asdict(cost)} for case, cost in measured],
        }
        options.json.write_text(json.dumps(record, indent=1) + "\n")


def cases() -> Iterator[Case]:
    """Everything that is measured."""
    sizes = {
        "hmm": ("states", (64, 256, 1024)),
        "mixture": ("components", (64, 256, 1024)),
        "autoregressive": ("window", (2, 8, 32)),
        "markov": ("order", (1, 2, 3)),
    }
    for kind, (name, values) in sizes.items():
        middle = Case("", 1.0, kind, {name: values[1]})
        for value in values:
            yield replace(middle, series=f"{kind}, {name}", factor=value / values[0], options={name: value})
        for axis in ("vocabulary", "length", "batch"):
            for times in (1, 2, 4):
                grown = {axis: getattr(middle, axis) // 2 * times}
                if kind == "markov" and axis == "vocabulary":
                    grown = {axis: 13 * times}  # tables grow as its cube
                yield replace(middle, series=f"{kind}, {axis}", factor=times, **grown)
    for kind, options, decodings in [
        ("hmm", {"states": 64}, ("sequential", "scan")),
        ("autoregressive", {"window": 1, "hidden": 64}, ("sequential", "scan", "fixed_point")),
        ("autoregressive", {"window": 8}, ("sequential", "fixed_point")),
        ("markov", {"order": 1}, ("sequential", "scan", "fixed_point")),
        ("markov", {"order": 2}, ("sequential", "scan", "fixed_point")),
    ]:
        name = ", ".join(f"{key} {value}" for key, value in options.items())
        for times in (1, 4):
            yield Case(f"decoding: {kind}, {name}, length", times, kind, options, 27, 32 * times, 8, decodings)


def in_a_process(case: Case, device: str, threads: int) -> Cost:
    """The cost of a case, measured in a new process."""
    context = multiprocessing.get_context("fork")  # nothing here has run anything that a child could not go on with
    with context.Pool(1) as pool:
        return pool.apply(measure, (case, device, threads))


def measure(case: Case, device: str, threads: int) -> Cost:
    """Make a head and random features, and run everything twice; the second run counts."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    head = make_head(case.kind, case.vocabulary, case.length, WIDTH, **case.options).to(device)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    shape = (case.batch, case.length)
    features, unary = (torch.randn(*shape, n, device=device, requires_grad=True) for n in (WIDTH, case.vocabulary))
    fixed = torch.full(shape, case.vocabulary, device=device)
    x, spoken = torch.randint(case.vocabulary, shape, device=device), torch.ones(shape, dtype=torch.bool, device=device)

    def train() -> None:
        (-head(features, unary, fixed, spoken).log_prob(x).mean()).backward()

    train_seconds, megabytes = timed(train, device)
    draws: dict[str, float] = {}
    sweeps: dict[str, int] = {}
    with torch.inference_mode():
        law: JointDistribution = head(features, unary, fixed, spoken)
        for decoding in case.decodings:
            generator = torch.Generator(device).manual_seed(1)
            draws[decoding], _ = timed(lambda g=generator, d=decoding: law.sample(g, d), device)  # type: ignore[misc]
            if decoding == "fixed_point":
                sweeps[decoding] = law.decode(law.noise(generator), decoding)[1]  # type: ignore[attr-defined]
    return Cost(train_seconds, megabytes, draws, sweeps)


def timed(run: Callable[[], Any], device: str) -> tuple[float, float]:
    """Seconds of the second of two runs, and by how many MB the first raised the peak of memory."""
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    else:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    run()
    peak = torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    clock = time.perf_counter if cuda else time.process_time
    began = clock()
    run()
    if cuda:
        torch.cuda.synchronize()
    return clock() - began, (peak - before) / 1e6


def tables(measured: list[tuple[Case, Cost]]) -> Iterator[str]:
    """One block of text a series; ratios are to its first case."""
    for series, group in itertools.groupby(measured, lambda pair: pair[0].series):
        members = list(group)
        first = members[0][1]
        ways = list(first.draw_seconds)
        lines = [
            f"{series} (V {members[0][0].vocabulary}, L {members[0][0].length}, batch {members[0][0].batch}, "
            f"{members[0][0].options} at ×1)",
            f"  {'size':>6} {'train s':>9} {'ratio':>7} {'MB':>7} {'ratio':>7}  "
            + "".join(f"{way:>21}" for way in ways),
        ]
        for case, cost in members:
            memory = f"{cost.train_megabytes:7.0f} {cost.train_megabytes / max(first.train_megabytes, 1.0):6.1f}×"
            seconds = f"{cost.train_seconds:9.3f} {cost.train_seconds / first.train_seconds:6.1f}×"
            draws = "".join(_draw(cost, first, way) for way in ways)
            lines.append(f"  {case.factor:5.3g}× {seconds} {memory}  {draws}")
        yield "\n".join(lines)


def _draw(cost: Cost, first: Cost, way: str) -> str:
    ratio = f"{cost.draw_seconds[way]:8.4f} s {cost.draw_seconds[way] / first.draw_seconds[way]:4.1f}×"
    return f"{ratio} {cost.sweeps[way]:4d}" if way in cost.sweeps else f"{ratio:>21}"


if __name__ == "__main__":
    main()
