"""Every member that a spec can name, built-in or of an installed plugin, through the same checks, from its defaults.

A member that the registry knows and the schema, the documentation or these toy problems do not, fails here.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
import yaml
from fetched import load_or_skip
from science_cases import chi_square_p, generator, times
from workflow_cases import plan_into, write_words

import cdmrun.members
from cdmrun.data import Dataset, load
from cdmrun.data.chain import MarkovChain
from cdmrun.errors import UserError
from cdmrun.metrics.exact_scores import ExactScores
from cdmrun.metrics.features import Features, make_features
from cdmrun.metrics.infill import IndependentCompleter, InfillSet
from cdmrun.metrics.ngram import NgramJudge
from cdmrun.metrics.scoring import KernelSet, SampleSet, Score
from cdmrun.models import ConditionalModel, EnumeratedTeacher, EvaluationCounter, MarkovTeacher
from cdmrun.processes import ForwardProcess, make_schedule
from cdmrun.processes.enumeration import enumerate_states, state_codes
from cdmrun.registry import (
    KINDS,
    DataMember,
    FamilyMember,
    Member,
    MetricMember,
    ProcessMember,
    SamplerMember,
    find,
    implementation,
    names,
    registry,
    sources,
)
from cdmrun.samplers import Sampler, analytic_sampler
from cdmrun.spec.fragments import DISPATCH
from cdmrun.spec.load import load_specs
from cdmrun.spec.metric_kinds import metric
from cdmrun.spec.resolve import Resolved
from cdmrun.spec.schema import Schema, branches, leaf, section, whole_schema
from cdmrun.stages.build import build_oracle, build_process, build_sampler, load_models
from cdmrun.stages.run import run_stage

REPOSITORY = Path(__file__).parents[1]

EVERY = [(kind.kind, name) for kind in KINDS for name in names(kind.kind)]
every_member = pytest.mark.parametrize(("kind", "name"), EVERY)

#: What a toy problem says where the schema has no default, or one that costs too much; by kind and name.
TOYS: dict[tuple[str, str], dict[str, Any]] = {
    ("data", "text"): {"file": "words.txt", "length": 16},
    ("data", "molecules"): {"limit": 500},
    ("data", "mnist"): {"limit": 500},
    ("data", "fashion_mnist"): {"limit": 500, "size": 14},
    ("data", "array"): {"file": "array.npy"},
    ("data", "idx"): {"file": "images.idx", "levels": 2},
    ("data", "table"): {"file": "table.npy"},
    ("data", "markov"): {"source": "random", "states": 3, "length": 8, "draws": 64},
    ("process", "matrix"): {"generator": [[-3, 1, 1, 1], [1, -2, 0, 1], [1, 1, -2, 0], [0, 1, 1, -2]]},
}
#: Data with as many tokens as `hky85` wants, and few sequences.
TOY_DATA = {"kind": "potts_ring", "states": 4, "length": 2}
TINY = {"model": {"layers": 1, "width": 8, "heads": 1}, "train": {"steps": 2, "batch": 4}}

Resolve = Callable[..., Resolved]


def each(kind: str) -> pytest.MarkDecorator:
    """The names of one kind as a parameter."""
    return pytest.mark.parametrize("name", names(kind))


def toy(kind: str, name: str) -> dict[str, Any]:
    return TOYS.get((kind, name), {})


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write a spec that differs from the toy problem in some sections, in a folder with the toys' files."""
    monkeypatch.chdir(tmp_path)
    write_words(Path("words.txt"), 300)
    table = np.random.default_rng(0).random((3, 3))
    np.save("table.npy", table / table.sum())
    np.save("array.npy", np.random.default_rng(0).integers(0, 4, (200, 6)))
    images = bytes(range(250)) * 24
    Path("images.idx").write_bytes(struct.pack(">4I", 0x0803, 500, 4, 3) + images)

    def spec(**sections: Any) -> Path:
        basis: dict[str, Any] = {
            "name": "toy",
            "data": TOY_DATA,
            "forward_process": {"kind": "uniform"},
            "teacher": {"kind": "enumerated"},
            "baselines": {"analytic": {"nfe": [1]}},
        }
        Path("toy.yaml").write_text(yaml.safe_dump(basis | sections))
        return Path("toy.yaml")

    return spec


@pytest.fixture
def resolve(write: Callable[..., Path]) -> Resolve:
    """Resolve a toy spec: every default filled."""

    def resolved(**sections: Any) -> Resolved:
        (only,) = load_specs([write(**sections)])
        return only

    return resolved


def dispatcher(kind: str) -> Schema:
    """The schema that chooses among the members of a kind."""
    if kind != "family":
        return section("students", "any") if kind == "objective" else section(DISPATCH[kind].definition)
    found = leaf(section("students", "any"), {"method": "cdm"})
    assert found is not None
    return cast(Schema, found["properties"]["family"])


def schema_of(member: Member) -> Schema | None:
    """What the schema has of a member's keys; of a metric, which has none, its declaration."""
    if isinstance(member, MetricMember):
        listed = member.name in section("evaluation")["properties"]["metrics"]["items"]["enum"]
        return {"description": member.description, "properties": {}} if listed else None
    if isinstance(member, SamplerMember):
        return cast(Schema | None, section("baselines")["properties"].get(member.name))
    return leaf(dispatcher(member.kind), {DISPATCH[member.kind].key: member.name})


@every_member
def test_the_schema_describes_it(kind: str, name: str) -> None:
    schema = schema_of(find(kind, name))
    assert schema is not None, f"{name} is registered, and cdmrun/spec/schema.json does not list it"
    assert len(schema["description"]) > 10
    for key, below in schema["properties"].items():
        assert below.get("description"), f"{name}.{key}"
        settled = key in schema.get("required", ()) or {"default", "x-default-when"} & set(below)
        assert settled, f"{name}.{key} has neither a default nor to be given"


def test_the_schema_lists_nothing_that_is_not_registered() -> None:
    assert set(section("baselines")["properties"]) == set(names("sampler"))
    assert set(section("evaluation")["properties"]["metrics"]["items"]["enum"]) == set(names("metric"))
    for kind in DISPATCH:
        assert {choice.value for choice in branches(dispatcher(kind))} == set(names(kind))


@every_member
def test_the_documentation_names_it(kind: str, name: str) -> None:
    if (kind, name) in registry().plugins:
        assert find(kind, name).description
        return
    documents = "".join((REPOSITORY / "docs" / document).read_text() for document in ("specs.md", "laboratory.md"))
    assert re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", documents), f"docs/specs.md does not mention `{name}`"


@every_member
def test_its_code_is_there(kind: str, name: str) -> None:
    assert callable(implementation(kind, name))


@each("data")
def test_data_are_what_was_promised(resolve: Resolve, name: str) -> None:
    member = cast(DataMember, find("data", name))
    teacher = {"kind": "enumerated" if member.enumerable else "markov"}
    spec = resolve(data={"kind": name, **toy("data", name)}, teacher=teacher).spec
    try:
        dataset = load(spec["data"])
    except UserError as error:
        if "could not be fetched" not in error.message:
            raise
        pytest.skip(error.message)
    shape = member.shape(spec["data"])
    assert all(told in (None, found) for told, found in zip(shape, (dataset.vocabulary, dataset.length), strict=True))
    assert dataset.enumerable == member.enumerable
    assert dataset.ordinal == member.ordinal
    assert (
        isinstance(dataset.alphabet, str) == (member.content == "text") or name == "markov"
    )  # a chain of text can be read, too
    assert dataset.source
    assert dataset.licence
    if dataset.table is not None:
        assert dataset.table.sum() == pytest.approx(1.0, abs=1e-12)
        assert (dataset.table >= 0).all()
    else:
        assert min(len(dataset.splits["train"]), len(dataset.splits["test"])) > 0


def process_of(resolve: Resolve, name: str) -> ForwardProcess:
    config = resolve(forward_process={"kind": name, **toy("process", name)}).spec["forward_process"]
    return build_process(config, 4)


@each("process")
def test_processes_satisfy_chapman_kolmogorov(resolve: Resolve, name: str) -> None:
    process = process_of(resolve, name)
    r, s, t = 0.2, 0.5, 0.9
    whole = process.kernel(r, t)
    assert (whole >= 0).all()
    torch.testing.assert_close(whole.sum(1), torch.ones(process.states, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(process.kernel(r, s) @ process.kernel(s, t), whole, atol=1e-12, rtol=0)
    prior = process.prior()
    assert float(prior.sum()) == pytest.approx(1.0, abs=1e-12)
    torch.testing.assert_close(prior @ process.kernel(s, t), prior, atol=1e-10, rtol=0)


@each("family")
def test_families_are_laws_that_can_be_drawn_from(resolve: Resolve, name: str) -> None:
    V, L, width, count = 3, 2, 6, 4000
    student = {"method": "cdm", "family": {"kind": name, **toy("family", name)}, "nfe": [1]}
    options = {
        key: value
        for key, value in resolve(students={"one": student}).spec["students"]["one"]["family"].items()
        if key != "kind"
    }
    with torch.random.fork_rng():
        torch.manual_seed(1)
        head = implementation("family", name)(V, L, width, **options).double().requires_grad_(False)
        features, unary = torch.randn(1, L, width).double(), torch.randn(1, L, V).double()
    masked, spoken = torch.full((1, L), V), torch.ones(1, L, dtype=torch.bool)
    law = head(features, unary, masked, spoken)
    sequences = enumerate_states(V, L)
    probabilities = law.log_probabilities(sequences)[0].exp()
    assert float(probabilities.sum()) == pytest.approx(1.0, abs=1e-9)
    drawn = law.select(torch.zeros(count, dtype=torch.long)).sample(generator(2))
    counts = np.bincount(state_codes(drawn, V).numpy(), minlength=len(sequences))
    assert chi_square_p(counts, probabilities.numpy()) > 1e-4


def teacher_for(member: SamplerMember) -> ConditionalModel:
    """An exact teacher of four sequences under a process that the sampler is for."""
    kind = "absorbing" if member.absorbing else "uniform"
    process = implementation("process", kind)(2, make_schedule("loglinear", 0.0 if member.absorbing else 1e-3))
    return EnumeratedTeacher(process, torch.tensor([[0.4, 0.1], [0.2, 0.3]], dtype=torch.float64))


@each("sampler")
@torch.inference_mode()
def test_samplers_are_kernels_that_cost_what_they_say(resolve: Resolve, name: str) -> None:
    member = cast(SamplerMember, find("sampler", name))
    process, nfe = "absorbing" if member.absorbing else "uniform", 2 * member.calls
    own = toy("sampler", name) if member.oracle else {"nfe": [nfe], **toy("sampler", name)}
    config = {
        "sampler": name,
        **resolve(forward_process={"kind": process}, baselines={name: own}).spec["baselines"][name],
    }
    model = teacher_for(member)
    if member.oracle:
        drawn = build_oracle(config, {None: model}).sample(32, generator())
    else:
        sampler = build_sampler(config, {None: model}, nfe)
        rows_sum_to_one(sampler)
        with EvaluationCounter(*sampler.models) as counter:
            drawn = sampler.sample(32, generator())
        assert counter.per_sample(32) == sampler.nfe == nfe
    assert drawn.shape == (32, 2)
    assert 0 <= int(drawn.min()) <= int(drawn.max()) < model.process.states


def rows_sum_to_one(sampler: Sampler) -> None:
    states = enumerate_states(sampler.process.states, sampler.length)
    for step in sampler.steps:
        rows = step.kernel.rows(states, *step.times(len(states)))
        assert (rows >= 0).all()
        torch.testing.assert_close(rows.sum(1), times(1.0, len(states)), atol=1e-6, rtol=0)


@each("objective")
def test_objectives_make_students_that_can_be_sampled(write: Callable[..., Path], name: str) -> None:
    student = {"method": name, "nfe": [2, 1], **TINY, **toy("objective", name)}
    required = schema_of(find("objective", name))
    assert required is not None
    if "family" in required["required"]:
        student["family"] = {"kind": "mixture", "components": 2}
    out = Path("results")
    plan = plan_into(out, write(students={"one": student}))
    for key, run in plan.runs.items():
        if run.kind in ("data", "teachers", "students"):
            run_stage(run.stage, key, out, "cpu", 1)
    (made,) = (run for run in plan.runs.values() if run.kind == "students")
    process = build_process(made.config["forward_process"], 4)
    models = load_models(process, out / made.key, "cpu")
    for nfe in (1, 2):
        rows_sum_to_one(build_sampler({"sampler": "student", "grid": "uniform"}, models, nfe))


def toy_chorales() -> Dataset:
    """Four voices at random."""
    alphabet = ("rest", *map(str, range(48, 72)))
    tokens = np.random.default_rng(0).integers(0, len(alphabet), (60, 4 * 64)).astype(np.uint8)
    splits = {"train": tokens[:40], "judge": tokens[:0], "test": tokens[40:]}
    return Dataset("chorales", len(alphabet), 4 * 64, splits, None, False, alphabet, None, "made up", "none")


def toy_features(data: Dataset, folder: Path) -> Features:
    """Features of little training and few held-out sequences."""
    content = cast(DataMember, find("data", data.name)).content
    make_features(data, {"kind": content, "held_out": 20, "steps": 2, "seed": 0}, folder)
    return Features.read(folder)


def toy_data(needs: str) -> Dataset:
    """Data that a metric can be computed on."""
    if needs == "law":
        return load(TOY_DATA)
    if needs == "text":
        return load({"kind": "text", "file": "words.txt", "length": 16})
    if needs == "molecules":
        return load_or_skip(kind="molecules", limit=500)
    if needs in ("images", "classes"):
        return load({"kind": "digits"})
    if needs == "chorales":
        return toy_chorales()
    return load({"kind": "markov", "source": "random", "states": 3, "length": 4, "draws": 64, "seed": 0, "order": 1})


@each("metric")
@pytest.mark.usefixtures("write")
def test_metrics_are_finite_and_say_what_they_are(name: str, tmp_path: Path) -> None:
    member = metric(name)
    assert member.label
    assert member.unit
    data = toy_data(member.needs)
    process = implementation("process", "uniform")(data.vocabulary, make_schedule("loglinear", 1e-3))
    code = implementation("metric", name)
    if member.package:
        pytest.importorskip(member.package)
    if member.reads == "samples":
        sequences = data.splits["test"][:50] if data.splits else np.random.default_rng(0).integers(4, size=(50, 2))
        judge = NgramJudge.fit(data.splits["judge"], data.vocabulary, 2) if member.needs == "text" else None
        features = toy_features(data, tmp_path) if member.featured else None
        found = code(SampleSet(sequences, data, judge, 0, features))
    elif member.reads == "fills":
        truth = torch.from_numpy(data.splits["test"][:16].astype(np.int64))
        found = code(InfillSet(data, truth, IndependentCompleter.of(data), generator))
    else:
        model = EnumeratedTeacher(process, torch.from_numpy(data.table)) if data.table is not None else None
        sampler = analytic_sampler(model or MarkovTeacher(process, cast(MarkovChain, data.chain), data.length), 2)
        laws = ExactScores(process, torch.from_numpy(data.table)).of(sampler) if data.table is not None else None
        held_out = None if laws is not None else torch.from_numpy(data.splits["test"][:16].astype(np.int64))
        found = code(laws if member.reads == "law" else KernelSet(sampler, data, held_out, 2, generator, laws))
    score = found if isinstance(found, Score) else Score(found)
    assert math.isfinite(score.value)
    assert score.stderr is None or score.stderr >= 0
    assert score.estimate in (None, "exact", "bound", "estimate")


def test_members_say_what_a_plan_needs() -> None:
    """The facts that checks rely on, where they are known by heart."""
    assert cast(FamilyMember, find("family", "joint")).enumerable
    assert cast(SamplerMember, find("sampler", "theta_rk2")).calls == 2
    assert isinstance(find("process", "absorbing"), ProcessMember)


RINGS = """
from cdmrun.registry import ProcessMember

def slow(vocabulary, schedule):
    from cdmrun.processes import Uniform
    return Uniform(vocabulary, schedule)

MEMBERS = (ProcessMember(name="slow", implementation="cdmrun.members.rings:slow", description="Uniform.", options={}),)
"""


def test_a_new_file_among_the_members_is_all_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rings.py").write_text(RINGS)
    monkeypatch.setattr(cdmrun.members, "__path__", [*cdmrun.members.__path__, str(tmp_path)])
    registry.cache_clear()
    try:
        assert whole_schema()["$defs"]["forward_process"]["properties"]["kind"]["enum"][-1] == "slow"
        assert implementation("process", "slow")(3, make_schedule("loglinear")).vocabulary == 3
        assert sources("train", {"forward_process": {"kind": "slow"}}) == (tmp_path / "rings.py",)
        assert sources("train", {"forward_process": {"kind": "uniform"}}) == ()
    finally:
        registry.cache_clear()


def test_a_name_that_nobody_has_gets_a_suggestion() -> None:
    with pytest.raises(UserError, match="'absorbin' is not a forward process") as caught:
        find("process", "absorbin")
    assert "did you mean 'absorbing'?" in caught.value.remedy


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"name": "Bars"}, "lower-case"),
        ({"implementation": "bars.load"}, "not module:attribute"),
        ({"description": ""}, "a description is missing"),
        ({"options": {"side": {"type": "integer"}}}, "option side has no description"),
        ({"options": {"side": {"description": "Pixels a side."}}}, "option side has no type"),
        ({"options": {"schedule": {"description": "Mine.", "type": "string"}}}, "schedule is a key that all have"),
    ],
)
def test_declarations_are_checked_as_they_are_made(wrong: dict[str, Any], complaint: str) -> None:
    right: dict[str, Any] = {"name": "bars", "implementation": "bars:load", "description": "Bars.", "options": {}}
    assert ProcessMember(**right).name == "bars"
    with pytest.raises(ValueError, match=complaint):
        ProcessMember(**right | wrong)
