"""What the schema cannot say: references, files, and combinations that make no sense.

Each check yields located errors and looks only at sections that are whole, so that all of a spec's mistakes are
reported together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cdmrun.spec.checks_baselines import check_baselines
from cdmrun.spec.checks_chains import check_chains
from cdmrun.spec.checks_data import check_data, check_process
from cdmrun.spec.checks_grids import check_grids
from cdmrun.spec.checks_models import check_entries, check_students, check_teacher
from cdmrun.spec.checks_ratios import check_ratios
from cdmrun.spec.checks_report import check_metrics, check_report
from cdmrun.spec.errors import SpecError
from cdmrun.spec.inputs import Files
from cdmrun.spec.resolve import Resolved

Check = Callable[[Resolved, Files], Iterator[SpecError]]

CHECKS: tuple[Check, ...] = (
    check_data,
    check_process,
    check_chains,
    check_teacher,
    check_ratios,
    check_students,
    check_baselines,
    check_grids,
    check_entries,
    check_metrics,
    check_report,
)


def check_semantics(experiment: Resolved, files: Files) -> Iterator[SpecError]:
    """Yield everything that is wrong with an experiment beyond its schema."""
    for check in CHECKS:
        yield from check(experiment, files)
