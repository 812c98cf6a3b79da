"""The ids of everything that the shipped specs train, kept in frozen_ids.json.

Run as a program, it writes them anew: python tests/frozen_ids.py
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from cdmrun.spec.plan import build_plan

REPOSITORY = Path(__file__).parents[1]
FROZEN = Path(__file__).with_suffix(".json")
COMMAND = "python tests/frozen_ids.py"


def shipped_specs() -> list[Path]:
    """Every spec in specs/ that can be run, relative to the repository; specs/base is only to extend."""
    paths = (path.relative_to(REPOSITORY) for path in (REPOSITORY / "specs").rglob("*.yaml"))
    return sorted(path for path in paths if path.parent.name != "base")


def trained_ids() -> dict[str, list[str]]:
    """For each spec the keys of its teachers and students."""
    here = Path.cwd()
    os.chdir(REPOSITORY)
    try:
        plans = {path.as_posix(): build_plan([path]) for path in shipped_specs()}
    finally:
        os.chdir(here)
    return {
        path: sorted(key for key, run in plan.runs.items() if run.kind in ("teachers", "students"))
        for path, plan in plans.items()
    }


if __name__ == "__main__":
    FROZEN.write_text(json.dumps(trained_ids(), indent=1) + "\n")
    print(f"{FROZEN.relative_to(REPOSITORY)}: written")
