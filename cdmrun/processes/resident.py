"""Tensors that stay on the device that asks for them: copied there once, not in each step."""

from __future__ import annotations

import torch
from torch import Tensor


class Resident:
    """A constant tensor, and its copies on other devices.

    A copy from main memory makes a GPU's queue run dry; one in each step is the slowest part of a small one.

    Parameters
    ----------
    tensor
        What is kept; it must not be changed afterwards.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._copies = {tensor.device: tensor}
        self._original = tensor

    def on(self, device: torch.device | str) -> Tensor:
        """The tensor on a device."""
        device = torch.device(device)
        if device not in self._copies:
            with torch.inference_mode(False):  # what is kept may later be used where gradients are taken
                self._copies[device] = self._original.to(device)
        return self._copies[device]

    def __len__(self) -> int:
        return len(self._original)
