"""The long run of `make test-faults`: fifty SIGKILLs, and the same tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults.kills import FRAGILE, shown, survive, undisturbed

KILLS = 50


@pytest.mark.faults
def test_fifty_kills_leave_no_trace(tmp_path: Path) -> None:
    spec = tmp_path / "fragile.yaml"
    spec.write_text(FRAGILE)
    expected = undisturbed(tmp_path / "undisturbed", spec)
    assert {Path(name).suffix for name in expected} == {".csv", ".md", ".tex", ".png", ".svg"}
    laps = survive(tmp_path / "disturbed", spec, KILLS, seed=6, longest=7.0)
    for lap in range(laps):
        assert shown(tmp_path / f"disturbed/lap-{lap}/results") == expected, f"lap {lap} of {laps}"
