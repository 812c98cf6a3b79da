"""More than 500 mutated specs: always located errors, never an exception, and none passes that says something else.

Random damage, and a list of mistakes that people make, each with the place and the word that its message must have.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdmrun.spec.errors import SpecErrors
from cdmrun.spec.explain import leaves
from cdmrun.spec.load import find_errors, load_specs
from cdmrun.spec.plan import build_plan

from .conftest import RING, TEXT, Write

#: A known chain, with second-order samplers and an oracle among the baselines.
CHAIN = """\
name: chain
data: {kind: markov, source: random, states: 3, order: 2, length: 8, draws: 64}
forward_process: {kind: absorbing}
teacher: {kind: markov}
students:
  causal:
    method: cdm
    family: {kind: autoregressive, window: 2, hidden: 16}
    target: {kind: rollout, substeps: 2, draws: 16}
    nfe: [1, 2]
baselines:
  tau_leaping: {nfe: [1, 2], jumps: any_jump}
  theta_trapezoidal: {nfe: [2, 4], theta: 0.5}
  first_hitting: {}
evaluation: {samples: 16, held_out: 32, metrics: [nll_bound, excess_nll_bound]}
"""

#: A process that is given by its generator, on an ordinal target.
GENERATOR = """\
name: generator
data: {kind: checkerboard, size: 4}
forward_process: {kind: matrix, generator: [[-1, 1, 0, 0], [1, -2, 1, 0], [0, 1, -2, 1], [0, 0, 1, -1]]}
teacher: {kind: enumerated}
students:
  joint:
    method: cdm
    family: {kind: joint}
    nfe: [1, 2]
baselines:
  theta_rk2: {nfe: [2, 4]}
  uniformization: {}
evaluation: {samples: 16, metrics: [tv, kl, chi2_p]}
report: {orders: [tv], laws: [1]}
"""
SPECS = [TEXT, RING, CHAIN, GENERATOR]

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["kjv", "cdm", "~", "a.b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=4,
)
KEYS = [
    *("kind", "method", "nfe", "family", "extends", "matrix", "file", "students", "generator", "values"),
    *("source", "order", "theta", "jumps", "baselines", "orders", "laws", "schedule", "target", "metrics"),
]


def check(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.yaml")
        path.write_bytes(content)
        found = find_errors([path])
        for error in found:
            assert error.file
            assert error.line >= 1
            assert error.column >= 1
            assert error.path
            assert error.message
            assert error.line <= content.count(b"\n") + content.count(b"\r") + 2
            assert str(error).isprintable()
        if found:
            with pytest.raises(SpecErrors) as caught:
                build_plan([path])
            assert caught.value.errors == found
        else:
            legitimate(path)


def legitimate(path: Path) -> None:
    """A spec that passes has a plan, and means what it says: everything written in it is in what it resolves to."""
    plan = build_plan([path])
    assert plan.experiments
    assert all(name in plan.runs for run in plan.runs.values() for name in run.inputs.values())
    for experiment in load_specs([path]):
        written = {step for step, value in leaves(experiment.node.plain()) if value not in ({}, None)}
        resolved = {step for step, _ in leaves(experiment.spec)}
        assert written <= resolved
        for step in written & resolved:
            wrote, means = experiment.node.get(step), at(experiment.spec, step)
            assert wrote is not None
            assert (
                step[-1] in ("file", "generator") or wrote.plain() == means or not isinstance(means, int | float | str)
            )


def at(value: object, path: tuple[str, ...]) -> object:
    """What stands at a path of nested maps."""
    for step in path:
        value = value[step]  # type: ignore[index]
    return value


def mutate(tree: object, pick: random.Random, junk: object) -> None:
    """Change one random place of a tree: replace, delete, rename or add."""
    nodes = [tree]
    for node in nodes:
        nodes += [v for v in (node.values() if isinstance(node, dict) else node) if isinstance(v, dict | list)]  # type: ignore[attr-defined]
    node = pick.choice(nodes)
    if isinstance(node, dict) and node:
        key = pick.choice(sorted(map(str, node)))
        action = pick.randrange(4)
        if action == 0:
            node[key] = junk
        elif action == 1:
            node.pop(key, None)
        elif action == 2:
            node[pick.choice(KEYS)] = node.pop(key, None)
        else:
            node[pick.choice(KEYS)] = junk
    elif isinstance(node, list) and node:
        node[pick.randrange(len(node))] = junk


@settings(max_examples=350, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(SPECS), st.integers(0, 2**32), st.lists(JUNK, min_size=1, max_size=3))
def test_mutated_trees(text: str, seed: int, junk: list[object]) -> None:
    tree, pick = yaml.safe_load(text), random.Random(seed)
    for value in junk:
        mutate(tree, pick, value)
    check(yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(SPECS),
    st.lists(st.tuples(st.integers(0, 600), st.integers(0, 6), st.binary(max_size=4)), min_size=1, max_size=3),
)
def test_mutated_bytes(text: str, edits: list[tuple[int, int, bytes]]) -> None:
    content = text.encode()
    for place, length, new in edits:
        content = content[:place] + new + content[place + length :]
    check(content)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=64))
def test_random_bytes(content: bytes) -> None:
    check(content)


#: Spec, what is replaced by what, and line, path and words of the message.
MISTAKES: dict[str, tuple[str, str, str, int, str, str]] = {
    "misspelt key": (TEXT, "seeds:", "sedes:", 2, "sedes", "did you mean 'seeds'"),
    "misspelt kind": (TEXT, "kind: kjv", "kind: kvj", 3, "data.kind", "did you mean 'kjv'"),
    "misspelt metric": (TEXT, "judge_nll]", "judge_nl]", 19, "evaluation.metrics[1]", "did you mean 'judge_nll'"),
    "misspelt baseline": (TEXT, "analytic:", "analitic:", 18, "baselines.analitic", "did you mean 'analytic'"),
    "upper case": (TEXT, "name: text-absorbing", "name: Text-Absorbing", 1, "name", "such as text-absorbing"),
    "underscore in the name": (TEXT, "text-absorbing", "text_absorbing", 1, "name", "such as text-absorbing"),
    "a word for a number": (TEXT, "length: 64", "length: long", 3, "data.length", "expected a whole number"),
    "a quoted number": (TEXT, "length: 64", 'length: "64"', 3, "data.length", "remove the quotes"),
    "a fraction of a step": (TEXT, "steps: 4000", "steps: 4000.5", 7, "teacher.train.steps", "expected a whole number"),
    "zero steps": (TEXT, "steps: 4000", "steps: 0", 7, "teacher.train.steps", "at least 1"),
    "a negative rate": (TEXT, "lr: 2e-3", "lr: -2e-3", 7, "teacher.train.lr", "must be more than 0"),
    "one number for a list": (TEXT, "nfe: [8, 4, 2, 1]", "nfe: 8", 15, "students.halving.nfe", "list"),
    "an empty list": (TEXT, "nfe: [8, 4, 2, 1]", "nfe: []", 15, "students.halving.nfe", "must not be empty"),
    "twice in a list": (TEXT, "[8, 4, 2, 1]", "[8, 4, 4, 1]", 15, "students.halving.nfe[2]", ""),
    "not halved": (TEXT, "nfe: [8, 4, 2, 1]", "nfe: [8, 3, 1]", 15, "students.halving.nfe", ""),
    "a key twice": (TEXT, "seeds: [0, 1]", "seeds: [0, 1]\nseeds: [2]", 3, "seeds", ""),
    "a tab": (TEXT, "  kind: network", "\tkind: network", 6, "teacher", "tab"),
    "no space after the colon": (TEXT, "kind: network", "kind:network", 7, "(file)", "mapping values"),
    "a missing section": (TEXT, "forward_process: {kind: absorbing}\n", "", 1, "forward_process", "missing"),
    "a missing method": (
        TEXT,
        "    method: progressive\n",
        "",
        13,
        "students.halving.method",
        "one of cdm, progressive",
    ),
    "a family without its size": (
        TEXT,
        "{kind: hmm, states: 128}",
        "{kind: hmm, stats: 128}",
        11,
        "students.cdm-hmm.family.stats",
        "states",
    ),
    "a joint table of text": (TEXT, "{kind: hmm, states: 128}", "{kind: joint}", 11, "students.cdm-hmm.family", ""),
    "an exact teacher of text": (
        TEXT,
        "kind: network\n  train: {steps: 4000, lr: 2e-3}",
        "kind: enumerated",
        6,
        "teacher.kind",
        "",
    ),
    "an exact metric of text": (TEXT, "judge_nll]", "tv]", 19, "evaluation.metrics[1]", ""),
    "a file that is not there": (
        TEXT,
        "{kind: kjv, length: 64}",
        "{kind: text, file: no.txt, length: 64}",
        3,
        "data.file",
        "no such file",
    ),
    "too many states": (RING, "length: 3", "length: 300", 2, "data.length", "must be at most"),
    "a mask state in a uniform process": (
        RING,
        "{kind: uniform}",
        "{kind: uniform, mask: true}",
        3,
        "forward_process.mask",
        "",
    ),
    "extends nothing": (RING, "name: ring", "extends: absent.yaml\nname: ring", 1, "extends", "no such file"),
    "a sweep outside of matrix": (RING, "states: 3", "states: [3, 4]", 2, "data.states", "expected a whole number"),
    "a matrix of a student that is not there": (
        RING,
        "name: ring",
        "name: ring\nmatrix: {students.jiont.train.steps: [1, 2]}",
        2,
        "matrix.students.jiont.train.steps",
        "did you mean 'joint'",
    ),
    "an order of zero": (CHAIN, "order: 2", "order: 0", 2, "data.order", "at least 1"),
    "a source that is none": (CHAIN, "source: random", "source: randon", 2, "data.source", "did you mean 'random'"),
    "a chain longer than its sequences": (CHAIN, "order: 2", "order: 9", 2, "data", ""),
    "a chain's teacher of a ring": (RING, "{kind: enumerated}", "{kind: markov}", 4, "teacher.kind", "markov"),
    "theta beyond one": (
        CHAIN,
        "theta: 0.5",
        "theta: 1.5",
        13,
        "baselines.theta_trapezoidal.theta",
        "must be less than 1",
    ),
    "theta where there is none": (CHAIN, "jumps: any_jump", "theta: 0.5", 12, "baselines.tau_leaping.theta", "unknown"),
    "an odd number of evaluations of two stages": (
        CHAIN,
        "nfe: [2, 4]",
        "nfe: [2, 3]",
        13,
        "baselines.theta_trapezoidal.nfe",
        "",
    ),
    "steps of an exact simulation": (
        CHAIN,
        "first_hitting: {}",
        "first_hitting: {nfe: [1]}",
        14,
        "baselines.first_hitting.nfe",
        "",
    ),
    "an oracle of the other process": (CHAIN, "first_hitting:", "uniformization:", 14, "baselines.uniformization", ""),
    "a jump that is none": (
        CHAIN,
        "any_jump",
        "any_jmup",
        12,
        "baselines.tau_leaping.jumps",
        "did you mean 'any_jump'",
    ),
    "excess of what has no entropy": (
        RING,
        "name: ring",
        "name: ring\nevaluation: {metrics: [excess_nll_bound]}",
        2,
        "evaluation.metrics[0]",
        "",
    ),
    "rows that do not sum to zero": (
        GENERATOR,
        "[[-1, 1, 0, 0]",
        "[[-1, 2, 0, 0]",
        3,
        "forward_process.generator",
        "row",
    ),
    "a negative rate of jumping": (
        GENERATOR,
        "[[-1, 1, 0, 0]",
        "[[1, -1, 0, 0]",
        3,
        "forward_process.generator",
        "negative",
    ),
    "a generator that is not square": (GENERATOR, ", [0, 0, 1, -1]]", "]", 3, "forward_process.generator", ""),
    "a generator of another size": (GENERATOR, "size: 4", "size: 8", 3, "forward_process.generator", ""),
    "an order of a metric not asked for": (GENERATOR, "orders: [tv]", "orders: [js]", 14, "report.orders[0]", ""),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_typical_mistakes(write: Write, mistake: str) -> None:
    """The mistake is found, where it is, in words that help; nothing else is complained about elsewhere."""
    text, old, new, line, path, words = MISTAKES[mistake]
    assert text.count(old) >= 1
    spec = write(text.replace(old, new, 1))
    found = find_errors([spec])
    assert found, "passes"
    there = [error for error in found if error.line == line and error.path.startswith(path)]
    assert there, found
    assert any(words in error.message for error in there), there
    check(spec.read_bytes())


@pytest.mark.parametrize("text", SPECS)
def test_what_is_mutated_is_valid(write: Write, text: str) -> None:
    assert find_errors([write(text)]) == []
