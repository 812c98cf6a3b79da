"""Contenders in processes of their own, which measure when they are asked.

So nobody's heap is shaped by another's tensors, and the peak of memory is each one's own.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch
from contenders import Contender
from families import timed
from measuring import SQUARE, MatrixProducts, Setting, flops, linear_shapes, operations

#: Makes a contender.
Make = Callable[[], Contender]


@dataclass(frozen=True)
class Worker:
    """The other end of such a process, and what is known of its contender.

    Attributes
    ----------
    flops
        Operations of a unit.
    megabytes
        By which its first measurement raised the peak of memory.
    """

    label: str
    name: str
    network: str
    variant: str
    parameters: int
    tokens: int
    flops: float
    megabytes: float
    connection: Connection

    def seconds(self) -> float:
        """Have it take a measurement: seconds a unit."""
        return self._answer("seconds")

    def operations(self) -> dict[str, float]:
        """Have it profile itself: shares of the time by operation."""
        return self._answer("operations")

    def matrix_rate(self, which: str) -> float:
        """Have it take products of matrices alone, ``square`` or of the ``shapes`` of its linear layers: FLOP/s."""
        return self._answer(which)

    def _answer(self, question: str) -> Any:
        self.connection.send(question)
        return self.connection.recv()


@contextmanager
def started(makers: Sequence[Make], eager: Sequence[Make], setting: Setting) -> Iterator[list[Worker]]:
    """Processes of some contenders, one at work at a time; ``eager`` are uncompiled ones, whose operations count."""
    flops(lambda: torch.zeros(1, 1).mm(torch.zeros(1, 1)))  # imports what all would import
    context = multiprocessing.get_context("fork")  # nothing here has run anything that a child could not go on with
    workers: list[Worker] = []
    processes = []
    try:
        for pair in zip(makers, eager, strict=True):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(theirs, *pair, setting), daemon=True)
            process.start()
            processes.append(process)
            theirs.close()
            workers.append(Worker(**ours.recv(), connection=ours))
        yield workers
    finally:
        for worker in workers:
            worker.connection.send(None)
        for process in processes:
            process.join(10.0)


def serve(connection: Connection, make: Make, eager: Make, setting: Setting) -> None:
    """Make a contender, say what it is, and answer until told to stop."""
    torch.set_num_threads(setting.threads)
    contender = make()
    megabytes = timed(contender.seconds, setting.device)[1]
    facts = {name: getattr(contender, name) for name in ("label", "name", "network", "variant", "parameters", "tokens")}
    connection.send({**facts, "flops": eager().flops(), "megabytes": megabytes})
    shapes = linear_shapes(contender.model, contender.tokens)
    square = MatrixProducts(setting, [(SQUARE[setting.device],) * 3], backward=False)
    answers: dict[str, Callable[[], Any]] = {
        "seconds": contender.seconds,
        "operations": lambda: operations(contender.once, setting),
        "square": square.rate,
        "shapes": MatrixProducts(setting, shapes, contender.trains).rate,
    }
    while question := connection.recv():
        connection.send(answers[question]())
