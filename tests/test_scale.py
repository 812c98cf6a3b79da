"""A thousand experiments: planned in seconds, by the library, the command line and Snakemake alike."""

from __future__ import annotations

import json
import time
from pathlib import Path

from workflow_cases import TINY, planned_jobs, run_command, seconds_of_programs

#: 100 × 10 points; what the axes do not touch is shared by all of them.
MATRIX = f"""\
matrix:
  students.whole.train.steps: {list(range(1, 101))}
  students.parts.train.lr: [1e-3, 2e-3, 3e-3, 4e-3, 5e-3, 6e-3, 7e-3, 8e-3, 9e-3, 1e-2]
"""
#: 100 and 10 students by the two axes, and `halved`; two baselines.
STUDENTS, ENTRIES = 111, 113
#: Of computing, which a busy machine does not stretch: far more than it takes (2 and 6), far less than an accidental
#: square of the number of experiments would.
SECONDS = 20


def test_a_thousand_experiments(tmp_path: Path) -> None:
    spec = tmp_path / "matrix.yaml"
    spec.write_text(TINY + MATRIX)
    began = seconds_of_programs()
    shown = run_command("cdmrun", "plan", spec, "--json", "--out", tmp_path / "results", cwd=tmp_path)
    assert seconds_of_programs() - began < SECONDS
    plan = json.loads(shown.stdout)
    assert len(plan["experiments"]) == 1000
    assert plan["totals"]["runs"] == 3 + STUDENTS + 2 * ENTRIES
    began = time.process_time()
    assert planned_jobs(tmp_path, spec) == {
        **{"fetch": 1, "anchors": 1, "teacher": 1, "student": STUDENTS, "samples": ENTRIES, "scores": ENTRIES},
        **{"table": 1000, "report": 1},
    }
    assert time.process_time() - began < SECONDS
