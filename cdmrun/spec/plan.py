"""Specs → the plan: every run that is needed, once, and the entries that tables are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from cdmrun.registry import SamplerMember, find
from cdmrun.spec.cards import read_card, write_cards
from cdmrun.spec.errors import Step
from cdmrun.spec.identity import identity_fields, run_id
from cdmrun.spec.inputs import Files
from cdmrun.spec.kinds import data_kind
from cdmrun.spec.load import load_specs
from cdmrun.spec.metric_kinds import metric, metric_names
from cdmrun.spec.plan_types import STAGE_OF_KIND, Entry, Experiment, Plan, Run
from cdmrun.spec.resolve import Resolved
from cdmrun.spec.schema import section

__all__ = ["Built", "Origin", "build", "build_plan", "read_card", "write_cards"]

#: The grid that is a product.
OPTIMISED = "optimised"

#: What was always so before there was a key for it is no part of the id of samples.
_AS_BEFORE = (("decoding", "auto"), ("compile", False))

_TEACHER_KEYS = ("kind", "prediction", "model", "train", "order", "smoothing")


@dataclass(frozen=True)
class Origin:
    """Where a run's config comes from: an experiment, and for parts of the config the place in its spec."""

    experiment: Resolved
    parts: Mapping[str, tuple[Step, ...]]


@dataclass
class Built:
    """A plan with the origin of each run's config; for `explain`."""

    plan: Plan
    origins: dict[str, Origin]


def build_plan(paths: Sequence[Path]) -> Plan:
    """Plan some specs.

    Parameters
    ----------
    paths
        Spec files.

    Returns
    -------
    plan
        Runs unique by key, inputs before what needs them; one experiment for each point of each spec's matrix.

    Raises
    ------
    SpecErrors
        With everything that is wrong in any of the specs.
    """
    return build(paths).plan


def build(paths: Sequence[Path]) -> Built:
    """Plan some specs and remember where every config came from; see `build_plan`."""
    files = Files()
    builder = _Builder(files)
    experiments = tuple(_Linker(builder, experiment).link() for experiment in load_specs(paths, files))
    runs = {key: run for kind in STAGE_OF_KIND for key, run in builder.runs[kind].items()}
    return Built(Plan(runs, experiments), builder.origins)


@dataclass
class _Builder:
    """All runs so far, by kind: kinds are in the order in which data flow, so inputs come first."""

    files: Files
    runs: dict[str, dict[str, Run]] = field(default_factory=lambda: {kind: {} for kind in STAGE_OF_KIND})
    origins: dict[str, Origin] = field(default_factory=dict)

    def add(
        self, kind: str, slug: str, config: Mapping[str, Any], identity: Any, inputs: Mapping[str, str], origin: Origin
    ) -> str:
        """Add a run unless one with its identity is there; return its key."""
        ids = {role: key.rsplit("-", 1)[1] for role, key in inputs.items()}
        run = Run(kind, slug, run_id(kind, identity, ids), config, inputs)
        if run.key not in self.runs[kind]:
            self.runs[kind][run.key] = run
            self.origins[run.key] = origin
        return run.key


class _Linker:
    """Turns one experiment into runs and entries."""

    def __init__(self, builder: _Builder, experiment: Resolved) -> None:
        self.builder = builder
        self.experiment = experiment
        self.spec = self._with_arrays(experiment.spec)
        self.process = self.spec["forward_process"]
        self.process_identity = identity_fields(section("forward_process"), self.process)
        self.data = self._data()
        self.data_slug = self.spec["data"]["kind"]
        wanted = self.spec["evaluation"]["metrics"]
        self.metrics = [name for name in metric_names() if name in wanted]
        self.judge = self._judge() if any(metric(name).judged for name in self.metrics) else None
        self.features = self._features() if any(metric(name).featured for name in self.metrics) else None
        self.teachers: dict[int, str] = {}

    def link(self) -> Experiment:
        entries = tuple(
            entry for number, seed in enumerate(self.spec["seeds"]) for entry in self._entries(number, seed)
        )
        spec, source = self.spec, self.experiment.source
        anchors = self._anchors()
        return Experiment(spec["name"], spec["title"], spec["description"], source, spec, entries, anchors)

    def _entries(self, number: int, seed: int) -> list[Entry]:
        teacher = self._teacher(seed)
        entries = []
        for name, baseline in self.spec["baselines"].items():
            place: tuple[Step, ...] = ("baselines", name)
            config = {"sampler": name, **_sorted_nfe(baseline)}
            sampler = cast(SamplerMember, find("sampler", name))
            role, family = ("oracle", "exact") if sampler.oracle else ("baseline", sampler.family)
            entries.append(self._entry(role, name, name, family, place, (number, seed), teacher, config, teacher))
        for name, student in self.spec["students"].items():
            place = ("students", name)
            model = self._student(place, student, (number, seed), teacher)
            wanted = {key: student[key] for key in ("nfe", "grid", "decoding") if key in student}
            if wanted.get("grid") == "released":  # which is how a teacher steps in training
                wanted["grid"] = "uniform"
            config = {"sampler": "student", **_sorted_nfe(wanted)}
            family = student.get("family", {}).get("kind", "factorized")
            method = student["method"]
            entries.append(self._entry("student", name, method, family, place, (number, seed), model, config, teacher))
        return entries

    def _entry(
        self,
        role: str,
        name: str,
        method: str,
        family: str,
        place: tuple[Step, ...],
        seed: tuple[int, int],
        model: str,
        config: dict[str, Any],
        teacher: str,
    ) -> Entry:
        """Sample a model and score the samples; ``seed`` is (its place in ``seeds``, its value)."""
        evaluation = self.spec["evaluation"]
        label = self._slug(method, family if role == "student" and method != "progressive" else "")
        config = {**config, "count": evaluation["samples"], "compile": evaluation["compile"], "seed": seed[1]}
        parts: dict[str, tuple[Step, ...]] = {
            "count": ("evaluation", "samples"),
            "compile": ("evaluation", "compile"),
            "seed": ("seeds", seed[0]),
        }
        origin = self._origin({"": place, **parts})
        identity = {key: value for key, value in config.items() if (key, value) not in _AS_BEFORE}
        grids = {"grids": self._grids(label, config, place, model, teacher)} if config.get("grid") == OPTIMISED else {}
        upstream = {"model": model, "teacher": teacher, **grids}
        samples = self.builder.add("samples", label, config, identity, upstream, origin)
        inputs = {"samples": samples, **upstream, "data": self.data}
        if self.judge is not None:
            inputs["judge"] = self.judge
        if self.features is not None:
            inputs["features"] = self.features
        scoring = {
            "metrics": self.metrics,
            "held_out": evaluation["held_out"],
            "held_out_split": evaluation["held_out_split"],
            "draws": evaluation["draws"],
            "timing": evaluation["timing"],
            "infills": evaluation["infills"],
            "compile": evaluation["compile"],
            "seed": seed[1],
        }
        identity = identity_fields(section("evaluation"), scoring)
        origin = self._origin({"": ("evaluation",), "seed": ("seeds", seed[0])})
        scores = self.builder.add("scores", label, scoring, identity, inputs, origin)
        nfe = tuple(config.get("nfe", ()))
        return Entry(
            self.spec["name"], self.process["kind"], method, family, name, role, seed[1], nfe, model, samples, scores
        )

    def _grids(self, label: str, sampling: Mapping[str, Any], place: tuple[Step, ...], model: str, teacher: str) -> str:
        """The time grids of a sampler of a model; all seeds of a sampler of one teacher share them."""
        how = {key: value for key, value in sampling.items() if key not in ("count", "compile", "seed", "decoding")}
        seed = self.builder.runs[model.split("/")[0]][model].config["seed"]
        config = {**how, **self.spec["time_grids"], "seed": seed}
        parts = {key: ("time_grids", key) for key in self.spec["time_grids"]}
        origin = self._origin({"": place, **parts, "seed": ("teacher", "seed")})
        inputs = {"data": self.data, "model": model, "teacher": teacher}
        return self.builder.add("grids", label, config, config, inputs, origin)

    def _slug(self, *words: str) -> str:
        return "-".join(word for word in (*words, self.data_slug) if word)

    def _data(self) -> str:
        data = self.spec["data"]
        identity = identity_fields(section("data"), data)
        if "file" in data:
            identity = {**identity, "sha256": self.builder.files.sha256(data["file"])}
        return self.builder.add("data", data["kind"], data, identity, {}, self._origin({"": ("data",)}))

    def _judge(self) -> str:
        judge = self.spec["evaluation"]["judge"]
        slug = f"{judge['kind']}{judge.get('order', '')}-{self.data_slug}"
        identity = identity_fields(section("evaluation", "judge"), judge)
        origin = self._origin({"": ("evaluation", "judge")})
        return self.builder.add("judges", slug, judge, identity, {"data": self.data}, origin)

    def _features(self) -> str:
        content = data_kind(self.data_slug).content
        section_ = self.spec["evaluation"]["features"]
        wanted = {
            key: section_[key] for key in (("held_out", "steps", "seed") if content == "images" else ("held_out",))
        }
        config = {"kind": content, **wanted}
        origin = self._origin({"": ("evaluation", "features"), "kind": ("data", "kind")})
        return self.builder.add("features", self.data_slug, config, config, {"data": self.data}, origin)

    def _anchors(self) -> str:
        """What the scores are read against; nothing where no metric has a floor or a ceiling."""
        metrics = [name for name in self.metrics if metric(name).floor or metric(name).ceiling]
        if not metrics:
            return ""
        config: dict[str, Any] = {"metrics": metrics}
        if any(metric(name).reads == "samples" for name in metrics):
            config["count"] = self.spec["evaluation"]["samples"]
        if any(metric(name).reads == "fills" for name in metrics):
            config["infills"] = self.spec["evaluation"]["infills"]
        inputs = {"data": self.data}
        if self.judge is not None and any(metric(name).judged for name in metrics):
            inputs["judge"] = self.judge
        if self.features is not None and any(metric(name).featured for name in metrics):
            inputs["features"] = self.features
        origin = self._origin({"": ("evaluation",), "count": ("evaluation", "samples")})
        return self.builder.add("anchors", self.data_slug, config, config, inputs, origin)

    def _teacher(self, run_seed: int) -> str:
        teacher = self.spec["teacher"]
        seed = run_seed if teacher.get("per_seed") else teacher.get("seed", 0)
        if seed not in self.teachers:
            wanted = {key: teacher[key] for key in _TEACHER_KEYS if key in teacher}
            config = {"forward_process": self.process, "teacher": wanted, "seed": seed}
            identity = {
                "forward_process": self.process_identity,
                "teacher": identity_fields(section("teacher"), wanted),
                "seed": seed,
            }
            slug = f"{teacher['kind']}-{self.process['kind']}-{self.data_slug}"
            seeds: tuple[Step, ...] = ("seeds",) if teacher.get("per_seed") else ("teacher", "seed")
            origin = self._origin({"forward_process": ("forward_process",), "teacher": ("teacher",), "seed": seeds})
            self.teachers[seed] = self.builder.add("teachers", slug, config, identity, {"data": self.data}, origin)
        return self.teachers[seed]

    def _student(self, place: tuple[Step, ...], student: dict[str, Any], seed: tuple[int, int], teacher: str) -> str:
        own = _sorted_nfe({key: value for key, value in student.items() if key != "decoding"})  # the samples' alone
        if own["grid"] == OPTIMISED:  # found when the student is there: it is trained on the uniform one
            own["grid"] = "uniform"
        config = {**own, "forward_process": self.process, "seed": seed[1]}
        identity = {
            **identity_fields(section("students", "any"), own),
            "forward_process": self.process_identity,
            "seed": seed[1],
        }
        inputs = {"data": self.data, "teacher": teacher}
        target = student.get("target", {})
        if target.get("kind") == "rollout" or target.get("contexts") == "draws":
            inputs["draws"] = self._draws(place, target, teacher)
        if target.get("labelled"):
            inputs["labels"] = self._labels(place, own, teacher)
        origin = self._origin({"": place, "forward_process": ("forward_process",), "seed": ("seeds", seed[0])})
        slug = self._slug(student["method"], student.get("family", {}).get("kind", ""))
        return self.builder.add("students", slug, config, identity, inputs, origin)

    def _draws(self, place: tuple[Step, ...], target: dict[str, Any], teacher: str) -> str:
        seed = self.builder.runs["teachers"][teacher].config["seed"]
        config = {**{key: target[key] for key in ("substeps", "draws", "levels")}, "seed": seed}
        slug = f"{self.data_slug}-{self.process['kind']}-{target['substeps']}x{target['draws']}"
        origin = self._origin({"": (*place, "target"), "seed": ("teacher", "seed")})
        return self.builder.add("draws", slug, config, config, {"data": self.data, "teacher": teacher}, origin)

    def _labels(self, place: tuple[Step, ...], student: dict[str, Any], teacher: str) -> str:
        seed = self.builder.runs["teachers"][teacher].config["seed"]
        target = student["target"]
        kept = {key: target[key] for key in ("labelled", "positions")}
        config = {**kept, **{key: student[key] for key in ("nfe", "grid", "match")}, "seed": seed}
        slug = f"{self.data_slug}-{self.process['kind']}-{target['labelled']}x{target['positions']}"
        origin = self._origin(
            {"": place, **{key: (*place, "target", key) for key in kept}, "seed": ("teacher", "seed")}
        )
        return self.builder.add("labels", slug, config, config, {"data": self.data, "teacher": teacher}, origin)

    def _origin(self, parts: Mapping[str, tuple[Step, ...]]) -> Origin:
        return Origin(self.experiment, parts)

    def _with_arrays(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Put the rates of a generator file into the spec, so that identity is by value."""
        generator = spec["forward_process"].get("generator")
        if not isinstance(generator, str):
            return spec
        rates = self.builder.files.array(generator)
        assert not isinstance(rates, str), "checked before"
        return {**spec, "forward_process": {**spec["forward_process"], "generator": rates.tolist()}}


def _sorted_nfe(section_: Mapping[str, Any]) -> dict[str, Any]:
    """The section with its step counts in order; exact simulation has none."""
    return {**section_, "nfe": sorted(section_["nfe"])} if "nfe" in section_ else dict(section_)
