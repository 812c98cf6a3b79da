"""``cdmrun diff``: which values of two specs or two runs differ, where each was written, and what that changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cdmrun.errors import UserError
from cdmrun.spec.explain import Value, leaves
from cdmrun.spec.load import load_specs
from cdmrun.spec.plan import build_plan
from cdmrun.spec.plan_types import STAGE_OF_KIND, Plan, Run
from cdmrun.spec.resolve import Resolved

#: What is called differently but makes no difference to any number.
_LABELS = ("name", "title", "description")


@dataclass(frozen=True)
class Difference:
    """One path at which two things differ; a side that has nothing there is None.

    ``times`` is the number of pairs of experiments in which this very difference occurs.
    """

    path: str
    left: Value | None
    right: Value | None
    times: int = 1


@dataclass(frozen=True)
class Shared:
    """The runs of one kind that two plans share, and those that only one of them has."""

    kind: str
    both: tuple[str, ...]
    left: tuple[str, ...]
    right: tuple[str, ...]


@dataclass(frozen=True)
class SpecsDiff:
    """How two specs differ: values, runs as a consequence, and experiments of a matrix that have no counterpart."""

    values: tuple[Difference, ...]
    runs: tuple[Shared, ...]
    experiments_left: tuple[str, ...]
    experiments_right: tuple[str, ...]


def diff_specs(left: Path, right: Path) -> SpecsDiff:
    """Compare two specs, experiment by experiment in the order of their matrices.

    Raises
    ------
    SpecErrors
        If one of them cannot be planned.
    """
    ours, theirs = load_specs([left]), load_specs([right])
    found: dict[str, list[Difference]] = {}
    for one, other in zip(ours, theirs, strict=False):
        for difference in _differences(_values(one), _values(other)):
            found.setdefault(f"{difference}", []).append(difference)
    values = tuple(_times(same) for same in found.values())
    runs = tuple(_shared(build_plan([left]), build_plan([right])))
    return SpecsDiff(values, runs, _names(ours[len(theirs) :]), _names(theirs[len(ours) :]))


def diff_runs(
    left: Run, right: Run, find: Callable[[str], Run | None], values: Callable[[Run], Iterable[Value]]
) -> list[Difference]:
    """Compare two runs of one kind: their configs, and upstream of them whatever makes their inputs differ.

    Parameters
    ----------
    left, right
        The runs.
    find
        The run of a key, None if nothing is known of it.
    values
        Every value of a run with the place that wrote it.

    Returns
    -------
    Differences; the path of one in an input starts with its role, as in ``teacher › train.steps``.

    Raises
    ------
    UserError
        If the runs are of different kinds.
    """
    if left.kind != right.kind:
        raise UserError(
            f"{left.key} is one of the {left.kind}, {right.key} one of the {right.kind}: they have nothing to compare",
            "name two runs of one kind",
        )
    return list(_runs_differ(left, right, find, values, (), set()))


def _runs_differ(
    left: Run,
    right: Run,
    find: Callable[[str], Run | None],
    values: Callable[[Run], Iterable[Value]],
    roles: tuple[str, ...],
    seen: set[tuple[str, str]],
) -> Iterator[Difference]:
    prefix = "".join(f"{role} › " for role in roles)
    seen.add((left.key, right.key))
    for found in _differences({v.path: v for v in values(left)}, {v.path: v for v in values(right)}):
        yield Difference(prefix + found.path, found.left, found.right)
    for role in dict.fromkeys([*left.inputs, *right.inputs]):
        one, other = left.inputs.get(role), right.inputs.get(role)
        if one == other or (str(one), str(other)) in seen:
            continue
        above = find(one) if one else None, find(other) if other else None
        if above[0] is not None and above[1] is not None and above[0].kind == above[1].kind:
            yield from _runs_differ(*above, find, values, (*roles, role), seen)  # type: ignore[arg-type]
        else:
            yield Difference(f"{prefix}{role}", _input(role, one), _input(role, other))


def _input(role: str, key: str | None) -> Value | None:
    return None if key is None else Value(role, key, "input")


def _differences(left: Mapping[str, Value], right: Mapping[str, Value]) -> Iterator[Difference]:
    """Paths whose values differ, in the order of the left side, then what only the right side has.

    Defaults of what only one side has are left out: they follow from what was written there.
    """
    for path in dict.fromkeys([*left, *right]):
        one, other = left.get(path), right.get(path)
        if one is not None and other is not None:
            differ = one.value != other.value
        else:
            differ = any(side is not None and side.origin != "default" for side in (one, other))
        if differ:
            yield Difference(path, one, other)


def _names(experiments: Iterable[Resolved]) -> tuple[str, ...]:
    return tuple(str(experiment.spec["name"]) for experiment in experiments)


def _times(same: list[Difference]) -> Difference:
    return Difference(same[0].path, same[0].left, same[0].right, len(same))


def _values(experiment: Resolved) -> dict[str, Value]:
    """Every value of a resolved spec, with ``file:line`` or ``default``."""
    found = {}
    for path, value in leaves(experiment.spec):
        node = experiment.node.get(path)
        if path[0] in _LABELS or (value == {} and node is None):
            continue
        name = ".".join(path)
        found[name] = Value(name, value, "default" if node is None else str(node.mark))
    return found


def _shared(left: Plan, right: Plan) -> Iterator[Shared]:
    for kind in STAGE_OF_KIND:
        ours = [key for key, run in left.runs.items() if run.kind == kind]
        theirs = [key for key, run in right.runs.items() if run.kind == kind]
        if ours or theirs:
            yield Shared(
                kind,
                tuple(key for key in ours if key in right.runs),
                tuple(key for key in ours if key not in right.runs),
                tuple(key for key in theirs if key not in left.runs),
            )
