"""Why a run is what it is: every value of its config with the line that wrote it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cdmrun.errors import UserError
from cdmrun.spec.errors import Step, did_you_mean
from cdmrun.spec.nodes import Node
from cdmrun.spec.plan import Built, Origin
from cdmrun.spec.plan_types import Plan, Run


@dataclass(frozen=True)
class Value:
    """One value of a config: its dotted path, itself, and ``file:line`` or ``default``."""

    path: str
    value: Any
    origin: str


def find_run(plan: Plan, wanted: str) -> Run:
    """Return the run that a key, the start of a key, a slug or an id names.

    Raises
    ------
    UserError
        If none or several match.
    """
    word = wanted.strip().strip("/")
    if word in plan.runs:
        return plan.runs[word]
    matches = matching(plan.runs, word)
    if len(matches) == 1:
        return plan.runs[matches[0]]
    if matches:
        raise ambiguous(wanted, matches)
    near = did_you_mean(word, plan.runs)
    raise UserError(f"no run of these specs is called '{wanted}'{near}", "`cdmrun plan` lists them")


def matching(keys: Iterable[str], word: str) -> list[str]:
    """Return the keys that a word means: the key itself, the start of one, of its slug and id, or of its id."""
    return [
        key
        for key in keys
        if key.startswith(word)
        or key.partition("/")[2].startswith(word)
        or (len(word) >= 4 and key.rsplit("-", 1)[-1].startswith(word))
    ]


def ambiguous(wanted: str, matches: Sequence[str]) -> UserError:
    """The complaint that a word means several runs."""
    shown = "\n    ".join(matches[:20]) + (f"\n    … and {len(matches) - 20} more" if len(matches) > 20 else "")
    return UserError(f"'{wanted}' could be any of {len(matches)} runs:\n    {shown}", "give more of the key")


def values_of(built: Built, run: Run) -> list[Value]:
    """Return every value of a run's config with the place that wrote it."""
    origin = built.origins[run.key]
    return [Value(_dotted(path), value, _written(origin, path)) for path, value in leaves(run.config)]


def recorded_values(run: Run) -> list[Value]:
    """Return every value of a run that no present spec asks for: its record says what, no file says where."""
    return [Value(_dotted(path), value, "record") for path, value in leaves(run.config)]


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the path and value of everything in a config that is not a map with something in it."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, str(key)))
    else:
        yield path, value


def _written(origin: Origin, path: tuple[str, ...]) -> str:
    """Return ``file:line`` of the value in the spec that ``path`` in the config comes from."""
    head = path[0] if path and path[0] in origin.parts else ""
    if head not in origin.parts:
        return "default"
    below: tuple[Step, ...] = path[1:] if head else path
    steps: tuple[Step, ...] = (*origin.parts[head], *below)
    node: Node | None = origin.experiment.node.get(steps)
    if node is None and head == "seed":  # a seed's place is in the list of seeds, or that list's own
        node = origin.experiment.node.get(steps[:-1]) if isinstance(steps[-1], int) else None
    if node is None and path == ("sampler",):
        return str(origin.experiment.node.locate_key(origin.parts[""]))
    return "default" if node is None or node.value is None else str(node.mark)


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(path)
