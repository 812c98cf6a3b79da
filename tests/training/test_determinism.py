"""Deterministic mode: what it sets, and that it leaves nothing behind. No GPU is needed to set it."""

from __future__ import annotations

import os

import pytest
import torch

from cdmrun.training.determinism import deterministic


def state() -> tuple[bool, bool, bool]:
    cudnn = torch.backends.cudnn
    return torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark


@pytest.fixture(autouse=True)
def _workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # so that it is put back
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")


def test_on_a_gpu_within_and_not_after() -> None:
    before = state()

    def within() -> None:
        with deterministic(True, torch.device("cuda")):
            assert state() == (True, True, False)
            assert torch.is_deterministic_algorithms_warn_only_enabled()
            assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
            raise KeyError

    with pytest.raises(KeyError):
        within()
    assert state() == before
    assert not torch.is_deterministic_algorithms_warn_only_enabled()


@pytest.mark.parametrize(("wanted", "device"), [(False, "cuda"), (True, "cpu")])
def test_elsewhere_nothing_changes(wanted: bool, device: str) -> None:
    before = state()
    with deterministic(wanted, torch.device(device)):
        assert state() == before
        assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
