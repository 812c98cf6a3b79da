"""Modes that watch every operation of torch: one that forbids NaN, one that remembers the largest tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

#: Operations that leave what lay in memory; the trap clears it, since views of it may be seen before it is set.
UNSET = ("aten.empty", "aten.new_empty")


class NanTrap(TorchDispatchMode):
    """Raise `AssertionError` at the first operation with a NaN in its result, even one that is thrown away later."""

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            if str(func).startswith(UNSET):
                tensor.zero_()
            elif (tensor.is_floating_point() or tensor.is_complex()) and tensor.isnan().any():
                raise AssertionError(f"{func} gave NaN in a result of shape {tuple(tensor.shape)}")
        return result


class LargestTensor(TorchDispatchMode):
    """Remember the most entries that any result had."""

    entries = 0

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.entries = max([self.entries, *(tensor.untyped_storage().nbytes() // 8 for tensor in _tensors(result))])
        return result


def _tensors(result: Any) -> Iterator[Tensor]:
    for value in result if isinstance(result, tuple | list) else [result]:
        if isinstance(value, Tensor):
            yield value
