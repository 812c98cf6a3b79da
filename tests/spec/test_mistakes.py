"""Mistakes that people make: each has a message at its place, with the word that helps."""

from __future__ import annotations

import pytest

from cdmrun.spec.load import find_errors

from .checking import check
from .conftest import CHAIN, GENERATOR, RING, SPECS, TEXT, Write

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
