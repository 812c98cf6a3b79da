"""What a word on the command line means: a run of the given specs, or one that the results folder has on record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdmrun.manage.differences import Difference, diff_runs
from cdmrun.manage.records import find_record, manifest_of, record_of, recorded_keys
from cdmrun.spec.cards import is_key
from cdmrun.spec.explain import Value, find_run, matching, recorded_values, values_of
from cdmrun.spec.plan import Built, build
from cdmrun.spec.plan_types import Plan, Run
from cdmrun.spec.state import RunState, state_of_record, states


@dataclass(frozen=True)
class Answer:
    """A run, its state, its manifest if it is complete, and the plan that asks for it if one does."""

    run: Run
    built: Built | None
    state: RunState
    manifest: Mapping[str, Any] | None


def ask(word: str, specs: list[Path] | None, out: Path) -> Answer:
    """Find a run by its key, the start of it, or its id: in the specs, else on record in the results folder.

    Parameters
    ----------
    specs
        Spec files; those of ``specs/*.yaml`` if none is given.

    Raises
    ------
    UserError
        If nothing, or more than one thing, is called that; or a spec is wrong.
    """
    built = _built(specs)
    run = _find(word, built, out)
    if run.key not in built.plan.runs:
        return Answer(run, None, state_of_record(run, out), manifest_of(out, run.key))
    return Answer(run, built, states(built.plan, out)[run.key], manifest_of(out, run.key))


def diff_words(left: str, right: str, specs: list[Path] | None, out: Path) -> tuple[Run, Run, list[Difference]]:
    """Compare two runs that are named as for `ask`; see `cdmrun.manage.differences.diff_runs`."""
    built = _built(specs)

    def values(run: Run) -> Iterable[Value]:
        return values_of(built, run) if run.key in built.plan.runs else recorded_values(run)

    def find(key: str) -> Run | None:
        return built.plan.runs.get(key) or (record_of(out, key) if is_key(key) else None)

    one, other = _find(left, built, out), _find(right, built, out)
    return one, other, diff_runs(one, other, find, values)


def planned_runs(specs: list[Path] | None) -> Mapping[str, Run]:
    """All runs of the specs, those of ``specs/*.yaml`` if none is given, by key."""
    return _built(specs).plan.runs


def _built(specs: list[Path] | None) -> Built:
    paths = specs or sorted(Path("specs").glob("*.yaml"))
    return build(paths) if paths else Built(Plan({}, ()), {})


def _find(word: str, built: Built, out: Path) -> Run:
    """A run of the plan if the word means one or several, else one on record."""
    plain = word.strip().strip("/")
    if not matching(built.plan.runs, plain) and (matching(recorded_keys(out), plain) or not built.plan.runs):
        return find_record(out, word)
    return find_run(built.plan, word)
