"""Having a GPU give the same bits each time. A CPU does anyway, and is left as it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

#: cuBLAS needs a workspace of fixed size to be deterministic; it is read before the first matrix product.
_WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@contextmanager
def deterministic(wanted: bool, device: torch.device) -> Iterator[None]:
    """Within, if it is ``wanted`` and the device is a GPU, operations take their deterministic algorithms.

    Of those that have none PyTorch warns, each once, and they run as usual. Among them it counts every cumulative sum,
    by which tokens are drawn here.
    """
    if not wanted or device.type != "cuda":
        yield
        return
    os.environ.setdefault(*_WORKSPACE)
    mode, cudnn = torch.get_deterministic_debug_mode(), torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    torch.use_deterministic_algorithms(True, warn_only=True)
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        cudnn.deterministic, cudnn.benchmark = before
