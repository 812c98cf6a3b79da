from __future__ import annotations

import copy

import torch

from cdmrun.processes.resident import Resident


def test_one_copy_a_device() -> None:
    tensor = torch.arange(3.0)
    kept = Resident(tensor)
    assert kept.on("cpu") is tensor
    there = kept.on("meta")
    assert there.device.type == "meta"
    assert kept.on(torch.device("meta")) is there
    assert len(kept) == 3
    assert torch.equal(copy.deepcopy(kept).on("cpu"), tensor)


def test_what_was_copied_while_sampling_serves_a_training() -> None:
    kept = Resident(torch.arange(3.0))
    with torch.inference_mode():
        there = kept.on("meta")
    assert not there.is_inference()
