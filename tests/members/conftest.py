"""Toy specs: files that they name, and how they are resolved."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from member_cases import TOY_DATA, Resolve
from workflow_cases import write_words

from cdmrun.spec.load import load_specs
from cdmrun.spec.resolve import Resolved


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write a spec that differs from the toy problem in some sections, in a folder with the toys' files."""
    monkeypatch.chdir(tmp_path)
    write_words(Path("words.txt"), 300)
    table = np.random.default_rng(0).random((3, 3))
    np.save("table.npy", table / table.sum())
    np.save("array.npy", np.random.default_rng(0).integers(0, 4, (200, 6)))
    images = bytes(range(250)) * 24
    Path("images.idx").write_bytes(struct.pack(">4I", 0x0803, 500, 4, 3) + images)

    def spec(**sections: Any) -> Path:
        basis: dict[str, Any] = {
            "name": "toy",
            "data": TOY_DATA,
            "forward_process": {"kind": "uniform"},
            "teacher": {"kind": "enumerated"},
            "baselines": {"analytic": {"nfe": [1]}},
        }
        Path("toy.yaml").write_text(yaml.safe_dump(basis | sections))
        return Path("toy.yaml")

    return spec


@pytest.fixture
def resolve(write: Callable[..., Path]) -> Resolve:
    """Resolve a toy spec: every default filled."""

    def resolved(**sections: Any) -> Resolved:
        (only,) = load_specs([write(**sections)])
        return only

    return resolved
