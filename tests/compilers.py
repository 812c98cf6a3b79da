"""Compilers for tests: the real one takes minutes for a network of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from cdmrun.models import compiling


class Compiler:
    """Takes graphs as they are, and keeps count."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: Any, inputs: list[Tensor]) -> Callable[..., Any]:
        self.graphs += 1
        run: Callable[..., Any] = graph.forward
        return run


def missing(graph: Any, inputs: list[Tensor]) -> Callable[..., Any]:
    """A compiler that is not there."""
    raise OSError("there is no C++ compiler")


@contextmanager
def compiling_with(backend: Any) -> Iterator[None]:
    """Nothing compiled so far, and all to come by ``backend``."""
    torch.compiler.reset()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compiling, "BACKEND", backend)
            patch.setattr(compiling.FixedRows, "working", True)
            yield
    finally:
        torch.compiler.set_stance("default")
        torch.compiler.reset()
