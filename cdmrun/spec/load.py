"""From files to resolved experiments, with everything that is wrong in all of them at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from cdmrun.spec.errors import SpecError, SpecErrors
from cdmrun.spec.extends import Loader
from cdmrun.spec.inputs import Files
from cdmrun.spec.matrix import expand
from cdmrun.spec.nodes import Node
from cdmrun.spec.resolve import Resolved, resolve
from cdmrun.spec.semantics import check_semantics
from cdmrun.spec.validate import check_schema


def load_specs(paths: Sequence[Path], files: Files | None = None) -> list[Resolved]:
    """Load, extend, expand, validate and resolve specs.

    Parameters
    ----------
    paths
        Spec files; a file given twice counts once.
    files
        Where files that specs refer to are read from; for one cache over several calls.

    Returns
    -------
    experiments
        One for each spec, or for each point of its matrix, in the order given.

    Raises
    ------
    SpecErrors
        With every error of every file.
    """
    experiments, errors = examine(paths, files or Files())
    if errors:
        raise SpecErrors(errors)
    return experiments


def find_errors(paths: Sequence[Path]) -> list[SpecError]:
    """Return everything wrong with some specs, sorted by place; empty if they can be run."""
    return SpecErrors(examine(paths, Files())[1]).errors


def examine(paths: Sequence[Path], files: Files) -> tuple[list[Resolved], list[SpecError]]:
    """Return what could be resolved and what is wrong. Never raises for anything a spec can say."""
    loader = Loader()
    experiments: list[Resolved] = []
    errors: list[SpecError] = []
    for path in _once(paths):
        tree, problems = loader.load(path)
        errors += problems
        if tree is None:
            continue
        points, problems_of_matrix = expand(tree)
        errors += problems_of_matrix
        for node in points:
            experiment, found = _one(path, node, files, complete=not problems)
            errors += found
            experiments.append(experiment)
    errors += _same_names(experiments)
    return experiments, errors


def _one(path: Path, node: Node, files: Files, complete: bool) -> tuple[Resolved, list[SpecError]]:
    """Check and resolve one experiment; one that could not be read whole is not asked for what it lacks."""
    errors, broken = check_schema(node)
    if not complete:
        return Resolved(path, node, {}), [error for error in errors if not error.message.startswith("missing")]
    experiment = resolve(path, node, broken)
    return experiment, errors + list(check_semantics(experiment, files))


def _once(paths: Sequence[Path]) -> Iterator[Path]:
    seen: set[str] = set()
    for path in paths:
        identity = os.path.realpath(path)
        if identity not in seen:
            seen.add(identity)
            yield Path(path)


def _same_names(experiments: list[Resolved]) -> Iterator[SpecError]:
    first: dict[str, Resolved] = {}
    for experiment in experiments:
        name = experiment.spec.get("name")
        if name is None:
            continue
        other = first.setdefault(name, experiment)
        if other is not experiment:
            where = other.node.locate(("name",))
            yield experiment.error(
                ("name",), f"'{name}' is also the name of the experiment in {where}: their tables collide"
            )
