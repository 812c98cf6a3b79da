"""The results folder that the tests of the report fill."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up_results import Builder


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    """An empty results folder to fill."""
    return Builder(tmp_path / "results")
