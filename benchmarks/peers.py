"""Training steps and network calls against peers: ``python benchmarks/peers.py [--json FILE]``.

A training step: draw a batch from memory, noise it, forward, loss, backward, clip the gradients, AdamW, moving average,
read the loss. cdmrun's is its real loop; peers' losses run in a plain one with a fused optimiser, one call for the
average, and the allocator told to keep what is freed, as cdmrun's jobs tell it ("as usual": torch's defaults, a loop
over parameters, the allocator left alone). A network call of a sampler: one of its steps, all other work included. Each
contender is measured with its own network and with cdmrun's.

Each has a process of its own. Measurements go round: A, B, C, A, B, C, …; ratios are taken within a round, and given as
median (quartiles). With one thread on a CPU seconds are of the processor, so that a busy machine matters less.
`pip install 'cdmrun[bench]'` for flow_matching (CC BY-NC; only called, and never needed).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import flow
import torch
from contenders import Size, drawers, trainees
from measuring import (
    SQUARE,
    Setting,
    Spread,
    in_turn,
    machine,
    ratios,
    table,
)
from workers import Make, Worker, started

from cdmrun.files import write_json


@dataclass(frozen=True)
class Plan:
    """How much is measured: rounds, training steps and network calls a round, and of what."""

    rounds: int
    steps: int
    calls: int
    trained: tuple[int, ...]
    drawn: tuple[int, ...]
    size: Size


FULL = Plan(rounds=9, steps=6, calls=8, trained=(32, 64), drawn=(64,), size=Size())
QUICK = Plan(rounds=1, steps=2, calls=2, trained=(2,), drawn=(2,), size=Size(5, 8, 1, 16, 2))


def main() -> None:
    """Measure everything, print it as tables, and write it to a file if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all measurements to FILE")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default 1)")
    parser.add_argument("--device", choices=list(SQUARE), default="cpu", help="default cpu; cuda was not tried")
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32", help="of networks")
    parser.add_argument("--compile", action="store_true", help="all networks through torch.compile (takes minutes)")
    parser.add_argument("--rounds", type=int, default=FULL.rounds, help=f"measurements of each (default {FULL.rounds})")
    parser.add_argument("--batch", type=int, nargs="+", default=FULL.trained, help="of training steps (default 32 64)")
    for each in fields(Size):
        parser.add_argument(f"--{each.name}", type=int, default=each.default, help=f"(default {each.default})")
    parser.add_argument("--quick", action="store_true", help="tiny networks, one round: whether it runs at all")
    options = parser.parse_args()
    setting = Setting(options.device, options.threads, options.precision, options.compile)
    torch.set_num_threads(setting.threads)
    if not flow.installed():
        print("  flow_matching is not installed and left out: pip install 'cdmrun[bench]'", file=sys.stderr)
    size = Size(**{each.name: getattr(options, each.name) for each in fields(Size)})
    full = replace(FULL, rounds=options.rounds, trained=tuple(options.batch), size=size)
    record = measure(QUICK if options.quick else full, setting)
    print("\n\n".join(tables(record)))
    if options.json:
        write_json(options.json, record)


def measure(plan: Plan, setting: Setting) -> dict[str, Any]:
    """All measurements."""
    eager = replace(setting, compiled=False)
    training, sampling = [], []
    for batch in plan.trained:
        kinds = [trainees(plan.size, each, batch, plan.steps) for each in (setting, eager)]
        training.append({"batch": batch, **compared(*kinds, setting, plan.rounds)})
        print(f"  training steps, batch {batch}: done", file=sys.stderr)
    for batch in plan.drawn:
        kinds = [drawers(plan.size, each, batch, plan.calls) for each in (setting, eager)]
        sampling.append({"batch": batch, **compared(*kinds, setting, plan.rounds)})
        print(f"  network calls, batch {batch}: done", file=sys.stderr)
    return {"machine": machine(setting), "network": asdict(plan.size), "training": training, "sampling": sampling}


def compared(makers: Sequence[Make], eager: Sequence[Make], setting: Setting, rounds: int) -> dict[str, Any]:
    """Contenders in turn, cdmrun first, and matrix products beside them."""
    with started(makers, eager, setting) as workers:
        own = workers[0]
        rates = {which: partial(own.matrix_rate, which) for which in ("square", "shapes")}
        kept = in_turn({**{worker.label: worker.seconds for worker in workers}, **rates}, rounds)
        peer, same = (fastest(workers, kept, network) for network in ("own", "cdmrun's"))
        shares = {worker.label: worker.operations() for worker in (own, peer, same)}
    reached = [own.flops / seconds for seconds in kept[own.label]]
    return {
        "contenders": [row(worker, kept[worker.label], kept[own.label]) for worker in workers],
        "fastest_peer": peer.label,
        "times_as_fast": asdict(ratios(kept[peer.label], kept[own.label])),
        "fastest_peer_same_network": same.label,
        "times_as_fast_same_network": asdict(ratios(kept[same.label], kept[own.label])),
        "square": SQUARE[setting.device],
        "matrix_rate": {name: asdict(Spread.of(kept[name])) for name in rates},
        "share_of_matrix_rate": {name: asdict(ratios(reached, kept[name])) for name in rates},
        "operations": shares,
    }


def fastest(workers: Sequence[Worker], kept: Mapping[str, Sequence[float]], network: str) -> Worker:
    """The peer with the given network that takes least, by its median."""
    others = [worker for worker in workers[1:] if worker.network == network]
    return min(others, key=lambda worker: Spread.of(kept[worker.label]).median)


def row(worker: Worker, seconds: Sequence[float], own: Sequence[float]) -> dict[str, Any]:
    """What is told of one contender."""
    return {
        "label": worker.label,
        "name": worker.name,
        "network": worker.network,
        "variant": worker.variant,
        "parameters": worker.parameters,
        "flops_per_token": worker.flops / worker.tokens,
        "megabytes": worker.megabytes,
        "seconds": asdict(Spread.of(seconds)),
        "tokens_per_second": asdict(Spread.of([worker.tokens / each for each in seconds])),
        "cdmrun_times_as_fast": asdict(ratios(seconds, own)),
    }


# -- tables -----------------------------------------------------------------------------------------------------


def tables(record: Mapping[str, Any]) -> Iterator[str]:
    """One table for each batch of training, and one for sampling; what cdmrun reaches of the matrix rate below each."""
    for unit, kind in (("training step", "training"), ("network call of a sampler", "sampling")):
        for found in record[kind]:
            yield f"### One {unit}, {found['batch']} sequences of {record['network']['length']} tokens"
            yield contenders_table(found)
            yield reached_text(found)
            yield operations_table(found)


def contenders_table(found: Mapping[str, Any]) -> str:
    """All contenders."""
    rows = [
        [
            each["label"],
            f"{each['parameters']:,}",
            f"{each['flops_per_token'] / 1e6:.2f}",
            Spread(**each["seconds"]).times(1e3).text(1),
            f"{each['tokens_per_second']['median']:,.0f}",
            Spread(**each["cdmrun_times_as_fast"]).text(2, "×"),
            f"{each['megabytes']:.0f}",
        ]
        for each in found["contenders"]
    ]
    heads = ["contender", "parameters", "MFLOP a token", "ms", "tokens/s", "cdmrun faster by", "peak MB"]
    return table(heads, rows)


def reached_text(found: Mapping[str, Any]) -> str:
    """Shares of the rate of matrix products."""
    rate = {name: f"{spread['median'] / 1e9:.0f} GFLOP/s" for name, spread in found["matrix_rate"].items()}
    share = {name: Spread(**each).times(100).text(0, " %") for name, each in found["share_of_matrix_rate"].items()}
    return (
        f"cdmrun reaches {share['square']} of the rate of a square matrix product of side {found['square']} "
        f"({rate['square']}), and {share['shapes']} of that of its own linear layers' products by themselves "
        f"({rate['shapes']})."
    )


def operations_table(found: Mapping[str, Any]) -> str:
    """Where the time goes."""
    rows = [
        [label, ", ".join(f"{name} {share:.0%}" for name, share in shares.items())]
        for label, shares in found["operations"].items()
    ]
    return table(["contender", "operations by share of time"], rows)


if __name__ == "__main__":
    main()
