"""What a spec can name: data sets, processes, families, samplers, objectives and metrics, each declared once.

A *member* is a declaration: its name, its part of the schema, its documentation, what is known of it before anything
is computed, and where the code is. The code is imported when a job needs it, so that planning needs neither torch nor
numpy; this module imports neither. Members of cdmrun are declared in `cdmrun/members/`, those of other packages by
entry points (`cdmrun.plugins`, docs/extending.md). All look-ups by name go through here.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from cdmrun.errors import UserError
from cdmrun.plugins import Plugin, installed_plugins

#: What sequences of data can show.
CONTENTS = ("text", "images", "molecules", "chorales")

#: (V, L) of a resolved ``data`` section; None where only a file can tell.
Shape = tuple[int | None, int | None]


@dataclass(frozen=True, kw_only=True)
class Member:
    """What all declarations have.

    Attributes
    ----------
    name
        What specs write.
    implementation
        ``module:attribute`` of the code; what it is called with depends on the kind.
    description
        A sentence for the schema and the tables of the documentation.
    options
        JSON Schema of each key of the section, shared ones (`cdmrun.spec.fragments`) left out; one without a default
        is required. None for what `cdmrun/spec/schema.json` lists itself.
    """

    kind: ClassVar[str]
    noun: ClassVar[str]
    #: Keys of the section that all of the kind have.
    shared: ClassVar[tuple[str, ...]] = ("kind",)

    name: str
    implementation: str
    description: str = ""
    options: Mapping[str, Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise ValueError(f"{self.noun} {self.name!r}: a name is lower-case letters, digits and _")
        if not re.fullmatch(r"[\w.]+:\w+", self.implementation):
            raise ValueError(f"{self.noun} {self.name}: implementation {self.implementation!r} is not module:attribute")
        if self.options is not None and not self.description:
            raise ValueError(f"{self.noun} {self.name}: a description is missing")
        for key, schema in (self.options or {}).items():
            if not schema.get("description"):
                raise ValueError(f"{self.noun} {self.name}: option {key} has no description")
            if key in self.shared:
                raise ValueError(f"{self.noun} {self.name}: {key} is a key that all have; give the option another name")
            if not {"type", "enum", "$ref"} & set(schema):
                raise ValueError(f"{self.noun} {self.name}: option {key} has no type")


@dataclass(frozen=True, kw_only=True)
class DataMember(Member):
    """A data set; the code is called with the section's keys and returns a `cdmrun.data.Dataset`.

    Attributes
    ----------
    shape
        (V, L) as it follows from the options.
    enumerable, ordinal
        Whether its law is a table of all sequences; its tokens are levels.
    content
        What a sequence shows: one of `CONTENTS`, for which there are metrics of its own, or nothing such.
    labelled
        Whether each sequence has a class (`Dataset.labels`).
    """

    kind: ClassVar[str] = "data"
    noun: ClassVar[str] = "data set"

    shape: Callable[[Mapping[str, Any]], Shape]
    enumerable: bool = False
    ordinal: bool = False
    content: str = ""
    labelled: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.content not in ("", *CONTENTS):
            raise ValueError(f"data set {self.name}: content {self.content!r} is not one of {', '.join(CONTENTS)}")


@dataclass(frozen=True, kw_only=True)
class ProcessMember(Member):
    """A forward process; the code is called with (vocabulary, schedule, **options) and returns a `ForwardProcess`.

    Attributes
    ----------
    local
        Whether its jumps lead to levels near by, so that several of them add up to a longer one.
    """

    kind: ClassVar[str] = "process"
    noun: ClassVar[str] = "forward process"
    shared: ClassVar[tuple[str, ...]] = ("kind", "schedule", "alpha_min", "sigma_min", "sigma_max")

    local: bool = False


@dataclass(frozen=True, kw_only=True)
class FamilyMember(Member):
    """A family of joint laws; the code is its `Head`, called with (vocabulary, length, width, **options).

    Attributes
    ----------
    enumerable
        Whether it needs data whose sequences can all be written out.
    decodings
        The ways of drawing there are to choose from (`cdmrun.models.families.decoding`), if there are any.
    """

    kind: ClassVar[str] = "family"
    noun: ClassVar[str] = "family"

    enumerable: bool = False
    decodings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SamplerMember(Member):
    """A sampler of the teacher; the code is called with (model, nfe, **options) and returns a `Sampler`.

    Attributes
    ----------
    oracle
        Exact simulation: there is no step count, and the code is called with (model, **options).
    calls
        Network evaluations of one step, of which a step count must be a multiple.
    family
        How tables label the law of one step.
    absorbing
        Whether it is for the absorbing process only (True), for others only (False), or for all (None).
    """

    kind: ClassVar[str] = "sampler"
    noun: ClassVar[str] = "sampler"
    shared: ClassVar[tuple[str, ...]] = ("sampler", "nfe", "count", "seed")

    oracle: bool = False
    calls: int = 1
    family: str = "factorized"
    absorbing: bool | None = None


@dataclass(frozen=True, kw_only=True)
class ObjectiveMember(Member):
    """A way to distil a student; the code is called with a `cdmrun.stages.distill.Distillation`.

    It trains the students and returns their names: ``{"any": NAME}``, or one for each step count.
    """

    kind: ClassVar[str] = "objective"
    noun: ClassVar[str] = "objective"
    shared: ClassVar[tuple[str, ...]] = ("method", "nfe", "grid", "init", "model", "train", "seed", "forward_process")


@dataclass(frozen=True, kw_only=True)
class MetricMember(Member):
    """A metric; the code is called with what it reads, and returns a number or a `cdmrun.metrics.scoring.Score`.

    Attributes
    ----------
    label, unit
        What figures and scores say; ``bare`` headings leave the unit out.
    direction
        ``lower`` or ``higher`` is better, ``reference``: close to held-out data is, ``none``: neither end is.
    exactness
        What a value is, unless the code says otherwise: ``exact``, a ``bound`` or an ``estimate``.
    reads
        ``samples`` (a `SampleSet`), ``law`` (`ExactLaws`), ``kernels`` (a `KernelSet`) or ``fills`` (an `InfillSet`),
        which are made under the absorbing process only.
    needs
        Data that a spec must have for it: a ``law`` that can be written out, a ``chain``, ``classes``, ``records``
        (training sequences, which a law has none of), or one of `CONTENTS`; nothing if empty.
    featured
        Whether it compares samples with held-out data in frozen features (`cdmrun.metrics.features`).
    package
        A package that it cannot be computed without and that cdmrun does not bring along.
    floor, ceiling
        What it is read against, nothing if empty. The floor is the score of real data, which no sampler should hope to
        beat: of ``held-out data``, of ``training data`` (for what compares samples with held-out data), or the
        ``entropy of the target`` where that is known. The ceiling is that of ``independent positions``, which have the
        law of the data at each position and know nothing of one another. Left out, what reads samples has both unless
        it needs a law; all else has neither.
    judged
        Whether it asks the judge of ``evaluation.judge``.
    log_scale, unbounded
        Whether figures show it on a logarithmic scale; whether it may be infinite for a good reason.
    """

    kind: ClassVar[str] = "metric"
    noun: ClassVar[str] = "metric"

    label: str
    unit: str
    direction: str
    exactness: str
    reads: str
    needs: str = ""
    featured: bool = False
    floor: str | None = None
    ceiling: str | None = None
    judged: bool = False
    package: str = ""
    bare: bool = False
    log_scale: bool = False
    unbounded: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        by_samples = self.reads == "samples" and self.needs != "law"
        for key, usual in (("floor", "held-out data"), ("ceiling", "independent positions")):
            if getattr(self, key) is None:
                object.__setattr__(self, key, usual if by_samples else "")
        allowed = {
            "direction": ("lower", "higher", "reference", "none"),
            "exactness": ("exact", "bound", "estimate"),
            "reads": ("samples", "law", "kernels", "fills"),
            "needs": ("", "law", "chain", "classes", "records", *CONTENTS),
            "floor": ("", "held-out data", "training data", "entropy of the target"),
            "ceiling": ("", "independent positions"),
        }
        for key, values in allowed.items():
            if getattr(self, key) not in values:
                raise ValueError(f"metric {self.name}: {key} {getattr(self, key)!r} is not one of {', '.join(values)}")
        if self.options:
            raise ValueError(f"metric {self.name}: metrics have no options")
        if self.reads == "law" and self.needs != "law":
            raise ValueError(f"metric {self.name}: what reads laws needs one; say needs='law'")


#: Kinds of members, in the order in which a spec names them.
KINDS: tuple[type[Member], ...] = (
    DataMember,
    ProcessMember,
    FamilyMember,
    ObjectiveMember,
    SamplerMember,
    MetricMember,
)


#: All members by kind and name, and by both the plugin that brought a member, if one did.
Members = Mapping[str, Mapping[str, Member]]
Plugins = Mapping[tuple[str, str], Plugin]


@dataclass(frozen=True)
class Registry:
    """What can be named here."""

    members: Members
    plugins: Plugins


@cache
def registry() -> Registry:
    """Everything that can be named here; read once in the life of a process.

    Raises
    ------
    UserError
        If an installed plugin cannot be used.
    """
    members: dict[str, dict[str, Member]] = {kind.kind: {} for kind in KINDS}
    plugins: dict[tuple[str, str], Plugin] = {}
    for member in _built_in():
        members[member.kind][member.name] = member
    for plugin in installed_plugins():
        for member in plugin.load():
            _check(member, plugin, members, plugins)
            members[member.kind][member.name] = member
            plugins[member.kind, member.name] = plugin
    return Registry(members, plugins)


def names(kind: str) -> tuple[str, ...]:
    """The names of a kind, those of cdmrun first."""
    return tuple(registry().members[kind])


def find(kind: str, name: str) -> Member:
    """The member of that name.

    Raises
    ------
    UserError
        If there is none; it suggests the nearest.
    """
    known = registry().members[kind]
    if name not in known:
        noun = next(cls.noun for cls in KINDS if cls.kind == kind)
        raise UserError(f"{name!r} is not a {noun} known here", nearest(name, known))
    return known[name]


def implementation(kind: str, name: str) -> Any:
    """The code of a member, imported now.

    Raises
    ------
    UserError
        If there is no such member, or the plugin that declares it cannot be imported.
    """
    member = find(kind, name)
    plugin = registry().plugins.get((kind, name))
    module, attribute = member.implementation.split(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:
        if plugin is None:
            raise
        raise plugin.broken(f"{member.implementation} cannot be imported: {error!r}") from error


def sources(stage: str, config: Mapping[str, Any]) -> tuple[Path, ...]:
    """The source files of members that a run's config names and that lie outside the folders of cdmrun's science."""
    found: set[Path] = set()
    for kind, name in _named(stage, config):
        plugin, member = registry().plugins.get((kind, name)), registry().members[kind].get(name)
        if plugin is not None:
            found |= set(plugin.sources())
        elif member is not None and member.implementation.startswith("cdmrun.members."):
            spec = importlib.util.find_spec(member.implementation.split(":")[0])
            if spec is not None and spec.origin is not None:
                found.add(Path(spec.origin))
    return tuple(sorted(found))


def nearest(word: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    """What to write instead of ``word``: the name that it resembles, and all there are."""
    close = difflib.get_close_matches(word, list(known), n=1)
    choices = f"choose from {', '.join(sorted(known))}" if known else "leave it out"
    return f"did you mean {close[0]!r}? {choices}" if close else choices


def _built_in() -> Iterator[Member]:
    package = importlib.import_module("cdmrun.members")
    for module in pkgutil.iter_modules(package.__path__):
        yield from importlib.import_module(f"cdmrun.members.{module.name}").MEMBERS


def _check(member: object, plugin: Plugin, members: Members, plugins: Plugins) -> None:
    """A plugin's member must be one, bring its schema along, and take nobody's name."""
    if not isinstance(member, Member) or member.kind not in members:
        raise plugin.broken(f"{plugin.entry} lists {member!r}, which is no member declared by cdmrun.registry")
    if member.options is None:
        raise plugin.broken(f"{member.noun} {member.name} declares no options; say options={{}} if it has none")
    if member.name in members[member.kind]:
        other = plugins.get((member.kind, member.name))
        owner = other.package if other else "cdmrun"
        raise plugin.broken(f"{member.noun} {member.name!r} is already there, from {owner}")


def _named(stage: str, config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(kind, name) of what a run's config names; a student's own sampler is no member."""
    if stage == "fetch":
        yield "data", config["kind"]
    if "sampler" in config:
        yield "sampler", config["sampler"]
    if "method" in config:
        yield "objective", config["method"]
    for name in config.get("metrics", ()) if stage in ("evaluate", "anchor") else ():
        yield "metric", name
    for section, kind in (("forward_process", "process"), ("family", "family")):
        if section in config:
            yield kind, config[section]["kind"]
