"""How often Snakemake looks for jobs to start: for a whole run, tests/workflow/conftest.py counts it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from workflow_cases import TINY, run_workflow


@pytest.mark.parametrize(("limit", "kept"), [("100/1s", False), ("7/1s", True)])
def test_only_a_limit_of_the_users_own_is_kept(tmp_path: Path, limit: str, kept: bool) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    options = ["--verbose", "--max-jobs-per-timespan", limit, "--until", "teacher"]
    done = run_workflow(tmp_path, tmp_path / "tiny.yaml", options=options)
    assert done.returncode == 0, done.stderr
    allowed = re.findall(r"Resources before job selection: .*'_job_count': (\d+)", done.stdout + done.stderr)
    assert (int(allowed[-1]) <= 7) is kept
