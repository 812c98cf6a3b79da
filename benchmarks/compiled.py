"""What a spec's `evaluation.compile` gives: ``python benchmarks/compiled.py [--json FILE]``.

Two copies of each network, as written and compiled as jobs compile it, draw the same block of sequences in turn: the
teacher of the text experiments in 64 calls, their autoregressive student in one and in eight, and the student's head
alone, a step a token. Weights are random, which changes no cost. Ratios are within a round, given as median
(quartiles); with one thread on a CPU seconds are of the processor. Seconds of compiling are of the wall clock, in a
process of its own for each case with nothing kept of earlier ones; jobs find in `TORCHINDUCTOR_CACHE_DIR` what others
compiled, and are then quicker.
"""

from __future__ import annotations

import argparse
import copy
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from contenders import Size
from measuring import SQUARE, Setting, Spread, in_turn, machine, ratios, table
from torch import Tensor

from cdmrun.files import write_json
from cdmrun.models import JointDistribution, NetworkModel, NetworkShape
from cdmrun.models.compiling import FixedRows, compile_for_rows
from cdmrun.processes import Absorbing
from cdmrun.samplers import analytic_sampler, student_sampler
from cdmrun.stages.heap import keep_freed_memory


class Draws(Protocol):
    """What draws sequences."""

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """So many, int64 [count, L]."""


class HeadAlone:
    """Draws of a law whose trunk was asked once before."""

    def __init__(self, model: NetworkModel) -> None:
        self.model = model
        self.laws: dict[int, JointDistribution] = {}

    @torch.inference_mode()
    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        if count not in self.laws:
            x = torch.full((count, self.model.length), Size().mask, device=generator.device)
            t = torch.ones(count, dtype=torch.float64, device=generator.device)
            self.laws[count] = self.model(x, t)
        return self.laws[count].sample(generator)


@dataclass(frozen=True)
class Case:
    """A family of networks, and what draws with one of them."""

    name: str
    family: dict[str, Any]
    draws: Callable[[NetworkModel], Draws]


@dataclass(frozen=True)
class Compiled:
    """Milliseconds a sequence as written and compiled, how much faster that is, and what compiling took."""

    name: str
    written: Spread
    compiled: Spread
    times_as_fast: Spread
    compile_seconds: float


def main() -> None:
    """Measure all cases, print them as a table, and write them to a file if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all measurements to FILE")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default 1)")
    parser.add_argument("--device", choices=list(SQUARE), default="cpu", help="default cpu; cuda was not tried")
    parser.add_argument("--rows", type=int, default=192, help="sequences in a block (default 192)")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each (default 9)")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name has TEXT in it")
    options = parser.parse_args()
    setting = Setting(options.device, options.threads, compiled=True)
    found = []
    for case in cases():
        if options.only in case.name:
            found.append(in_a_process(case, setting, options.rows, options.rounds))
            print(f"  {case.name}: done", file=sys.stderr)
    print(f"Blocks of {options.rows} sequences.\n\n{shown(found)}")
    if options.json:
        record = {"machine": machine(setting), "rows": options.rows, "cases": [asdict(each) for each in found]}
        write_json(options.json, record)


def cases() -> Iterator[Case]:
    """Everything that is measured."""
    autoregressive = {"kind": "autoregressive", "window": 8}
    yield Case("teacher, 64 calls", {"kind": "factorized"}, partial(analytic_sampler, nfe=64))
    yield Case("autoregressive student, 1 call", autoregressive, partial(student_sampler, nfe=1))
    yield Case("autoregressive student, 8 calls", autoregressive, partial(student_sampler, nfe=8))
    yield Case("its head alone, a step a token", autoregressive, HeadAlone)


def in_a_process(case: Case, setting: Setting, rows: int, rounds: int) -> Compiled:
    """A case measured in a new process, which finds nothing compiled."""
    context = multiprocessing.get_context("fork")  # nothing here has run anything that a child could not go on with
    with tempfile.TemporaryDirectory(prefix="cdmrun-bench-") as folder:
        empty = ("TORCHINDUCTOR_CACHE_DIR", folder)
        with context.Pool(1, os.environ.__setitem__, empty) as pool:
            return pool.apply(measure, (case, setting, rows, rounds))


def measure(case: Case, setting: Setting, rows: int, rounds: int) -> Compiled:
    """Both copies in turn; the first calls, which compile, are measured by themselves."""
    torch.set_num_threads(setting.threads)
    keep_freed_memory()
    torch.manual_seed(0)
    size = Size()
    shape = NetworkShape(size.length, case.family, size.trunk())
    written = NetworkModel(Absorbing(size.vocabulary), shape).to(setting.device).eval()
    for parameter in written.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    compiled = copy.deepcopy(written)
    compile_for_rows(rows, compiled)
    generator = torch.Generator(setting.device).manual_seed(0)
    draws = {
        name: partial(case.draws(model).sample, rows, generator)
        for name, model in (("written", written), ("compiled", compiled))
    }
    first = {name: wall(draw, setting) for name, draw in draws.items()}
    if not FixedRows.working:
        raise RuntimeError("torch.compile does not work here: is there a C++ compiler?")
    kept = in_turn({name: partial(setting.seconds, draw) for name, draw in draws.items()}, rounds)
    spreads = {name: Spread.of(kept[name]).times(1e3 / rows) for name in draws}
    faster = ratios(kept["written"], kept["compiled"])
    return Compiled(case.name, **spreads, times_as_fast=faster, compile_seconds=first["compiled"] - first["written"])


def wall(draw: Callable[[], Any], setting: Setting) -> float:
    """Seconds of a draw by the wall clock."""
    began = time.perf_counter()
    draw()
    setting.clock()  # waits for a GPU
    return time.perf_counter() - began


def shown(found: list[Compiled]) -> str:
    """A table."""
    rows = [
        [
            each.name,
            each.written.text(3),
            each.compiled.text(3),
            each.times_as_fast.text(2, "×"),
            f"{each.compile_seconds:.0f}",
        ]
        for each in found
    ]
    return table(["", "ms a sequence", "compiled", "faster by", "compiling, s"], rows)


if __name__ == "__main__":
    main()
