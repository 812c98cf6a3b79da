"""What the benchmarks share: a clock, repetitions in turn, spreads, the machine and its rate of matrix products."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

#: Rows and columns of the square matrix product whose rate shares are of: large enough for the device.
SQUARE = {"cpu": 1024, "cuda": 8192}


@dataclass(frozen=True)
class Setting:
    """Where and how everything is computed.

    Attributes
    ----------
    device
        ``cpu`` or ``cuda``.
    threads
        Of torch.
    precision
        ``float32``, or ``bf16``: networks under autocast, the rest in float32.
    compiled
        Whether networks go through torch.compile, all contenders' alike.
    """

    device: str = "cpu"
    threads: int = 1
    precision: str = "float32"
    compiled: bool = False

    def clock(self) -> float:
        """Seconds, of the processor for one thread on a CPU (a busy machine does not stretch it), else of the wall."""
        if self.device != "cpu":
            torch.cuda.synchronize()
        return time.process_time() if self.device == "cpu" and self.threads == 1 else time.perf_counter()

    def seconds(self, run: Callable[[], Any]) -> float:
        """How long one call takes."""
        began = self.clock()
        run()
        return self.clock() - began


@dataclass(frozen=True)
class Spread:
    """Repetitions in five numbers."""

    median: float
    lower_quartile: float
    upper_quartile: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        quarters = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
        return cls(quarters[1], quarters[0], quarters[2], min(values), max(values))

    def times(self, factor: float) -> Spread:
        """In another unit."""
        return Spread(*(factor * value for value in astuple(self)))

    def text(self, digits: int = 2, unit: str = "") -> str:
        """Median and quartiles: ``1.62 (1.60–1.65)×``."""
        low, high = (f"{value:.{digits}f}" for value in (self.lower_quartile, self.upper_quartile))
        return f"{self.median:.{digits}f} ({low}–{high}){unit}"


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> Spread:
    """The spread of ratios within repetitions: what slows down both alike cancels."""
    return Spread.of([a / b for a, b in zip(numerators, denominators, strict=True)])


def in_turn(timers: Mapping[str, Callable[[], float]], repetitions: int) -> dict[str, list[float]]:
    """What each timer says, in the order A, B, C, A, B, C, …, so that drifts cancel; first calls are not kept."""
    for timer in timers.values():
        timer()
    kept: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(repetitions):
        for name, timer in timers.items():
            kept[name].append(timer())
    return kept


def machine(setting: Setting) -> dict[str, Any]:
    """What the numbers are from."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": processor_name(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": usable,
        "accelerator": torch.cuda.get_device_name() if setting.device != "cpu" else None,
        "torch": torch.__version__.split("+")[0],
        "python": platform.python_version(),
        **asdict(setting),
    }


def processor_name() -> str:
    """As Linux calls it; elsewhere as Python does."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


class MatrixProducts:
    """Matrix products alone: one large square one, or those of a network's linear layers, backwards if asked.

    Parameters
    ----------
    shapes
        (rows, inputs, outputs) of each layer.
    backward
        Whether the two products of each layer's gradients are among them.
    """

    def __init__(self, setting: Setting, shapes: Sequence[tuple[int, int, int]], backward: bool) -> None:
        dtype = torch.bfloat16 if setting.precision == "bf16" else torch.float32
        self.setting = setting
        self.pairs: list[tuple[Tensor, Tensor]] = []
        for rows, inputs, outputs in shapes:
            x, w, y = (
                torch.randn(size, dtype=dtype, device=setting.device)
                for size in ((rows, inputs), (outputs, inputs), (rows, outputs))
            )
            self.pairs += [(x, w.t()), (y, w), (y.t(), x)] if backward else [(x, w.t())]

    def flops(self) -> float:
        """Floating-point operations of one round."""
        return sum(2.0 * a.shape[0] * a.shape[1] * b.shape[1] for a, b in self.pairs)

    def rate(self) -> float:
        """Operations a second over one round."""

        def run() -> None:
            for a, b in self.pairs:
                torch.mm(a, b)

        return self.flops() / self.setting.seconds(run)


def linear_shapes(model: nn.Module, tokens: int) -> list[tuple[int, int, int]]:
    """(rows, inputs, outputs) of every linear layer that sees each token."""
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    return [(tokens, layer.in_features, layer.out_features) for layer in layers]


def flops(run: Callable[[], Any]) -> int:
    """Floating-point operations of the matrix products and the attention of one call."""
    aten = torch.ops.aten
    # torch knows attention's formulas for a GPU's kernels only
    on_cpu = {
        aten._scaled_dot_product_flash_attention_for_cpu: lambda *shapes, **_: sdpa_flop_count(*shapes[:3]),
        aten._scaled_dot_product_flash_attention_for_cpu_backward: (
            lambda *shapes, **_: sdpa_backward_flop_count(*shapes[:4])
        ),
    }
    with FlopCounterMode(display=False, custom_mapping=on_cpu) as counter:
        run()
    return counter.get_total_flops()


#: What some of torch's operations are called together, by how their names begin.
KINDS = {
    "matrix products": ("mm", "addmm", "bmm"),
    "attention": ("_scaled_dot_product",),
    "layer norm": ("native_layer_norm",),
    "copies": ("copy_", "_to_copy", "cat", "clone"),
    "zeros": ("fill_", "zero_"),
    "activation": ("pow", "threshold_backward", "clamp_min", "relu", "gelu"),
}


def operations(run: Callable[[], Any], setting: Setting, calls: int = 3, most: int = 8) -> dict[str, float]:
    """Shares of the time that torch's operations take by themselves, the largest first, and all others."""
    on_cpu = setting.device == "cpu"
    run()
    with profile(activities=[ProfilerActivity.CPU if on_cpu else ProfilerActivity.CUDA]) as profiled:
        for _ in range(calls):
            run()
    seconds: dict[str, float] = {}
    for event in profiled.key_averages():
        name = event.key.removeprefix("aten::")
        kind = next((kind for kind, begins in KINDS.items() if name.startswith(begins)), name)
        spent = event.self_cpu_time_total if on_cpu else event.self_device_time_total
        seconds[kind] = seconds.get(kind, 0.0) + float(spent)
    whole = sum(seconds.values())
    shares = {name: seconds[name] / whole for name in sorted(seconds, key=lambda name: -seconds[name])[:most]}
    return shares | {"others": 1.0 - sum(shares.values())}


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown; the first column to the left, numbers to the right."""
    align = ["left", *["right" if len(heads) > 2 else "left"] * (len(heads) - 1)]
    return tabulate(rows, headers=list(heads), tablefmt="github", colalign=align, disable_numparse=True)
