"""Typical mistakes: each reported at its place, in words that help."""

from __future__ import annotations

import pytest

from cdmrun.spec.errors import closest, dotted

from .conftest import TEXT, Errors


@pytest.mark.parametrize(
    ("old", "new", "place", "word"),
    [
        ("name: text-absorbing", "name: Text Absorbing", "1:7 name", "such as text-absorbing"),
        ("name: text-absorbing", "title: x", "1:1 name", "missing"),
        ("seeds: [0, 1]", "seeds: 3", "2:8 seeds", "a list, got 3: write [3]"),
        ("seeds: [0, 1]", "seeds: [0, 0]", "2:12 seeds[1]", "0 is listed twice"),
        ("seeds: [0, 1]", "seeds: []", "2:1 seeds", "must not be empty"),
        ("seeds: [0, 1]", "seeds: [-1]", "2:9 seeds[0]", "at least 0"),
        ("seeds: [0, 1]", "seed: [0, 1]", "2:1 seed", "did you mean 'seeds'?"),
        ("kind: kjv", "kind: kvj", "3:14 data.kind", "did you mean 'kjv'?"),
        ("kind: kjv", "kind: 3", "3:14 data.kind", "expected text, got 3"),
        ("data: {kind: kjv, length: 64}", "data: kjv", "3:7 data", "write {kind: kjv}"),
        ("data: {kind: kjv, length: 64}", "data: {length: 64}", "3:1 data.kind", "one of kjv, text"),
        ("length: 64", "length: '64'", "3:27 data.length", "remove the quotes"),
        ("length: 64", "states: 4", "3:19 data.states", "belongs to kind potts_ring or sentences"),
        ("length: 64", "lenght: 64", "3:19 data.lenght", "did you mean 'length'?"),
        ("kind: absorbing", "kind: masked", "4:25 forward_process.kind", "uniform, absorbing, matrix"),
        ("lr: 2e-3", "lr: 0", "7:28 teacher.train.lr", "more than 0"),
        ("lr: 2e-3", "lr: fast", "7:28 teacher.train.lr", "expected a number, got 'fast'"),
        ("lr: 2e-3", "learning_rate: 2e-3", "7:24 teacher.train.learning_rate", "known here: steps, batch, lr"),
        ("steps: 4000", "steps: 4e3.5", "7:18 teacher.train.steps", "a whole number"),
        ("steps: 4000", "steps: 10.5", "7:18 teacher.train.steps", "a whole number"),
        ("method: cdm", "method: CDM", "10:13 students.cdm-hmm.method", "did you mean 'cdm'?"),
        ("method: cdm", "metod: cdm", "10:5 students.cdm-hmm.metod", "did you mean 'method'?"),
        ("kind: hmm,", "kind: hm,", "11:20 students.cdm-hmm.family.kind", "did you mean 'hmm'?"),
        ("nfe: [1, 2, 4, 8]", "nef: [1, 2, 4, 8]", "12:5 students.cdm-hmm.nef", "did you mean 'nfe'?"),
        ("nfe: [1, 2, 4, 8]", "nfe: [0, 1]", "12:11 students.cdm-hmm.nfe[0]", "at least 1, got 0"),
        ("nfe: [1, 2, 4, 8]", "nfe: [1, 2, 2]", "12:17 students.cdm-hmm.nfe[2]", "2 is listed twice"),
        ("nfe: [1, 2, 4, 8]", "nfe: 4", "12:10 students.cdm-hmm.nfe", "write [4]"),
        ("nfe: [1, 2, 4, 8]", "nfe: [one]", "12:11 students.cdm-hmm.nfe[0]", "a whole number, got 'one'"),
        (
            "nfe: [8, 4, 2, 1]",
            "nfe: [8, 4, 2, 1]\n    states: 3",
            "16:5 students.halving.states",
            "did you mean 'start'?",
        ),
        ("nfe: [8, 4, 2, 1]", "nfe: [4, 2]\n    steps: 3", "16:5 students.halving.steps", "'train.steps'"),
        ("nfe: [8, 4, 2, 1]", "nfe: [4, 2]\n    match: step", "16:5 students.halving.match", "to method cdm"),
        ("{kind: hmm, states: 128}", "hmm", "11:13 students.cdm-hmm.family", "got 'hmm': write {kind: hmm}"),
        (
            "family: {kind: hmm, states: 128}",
            "family: {kind: hmm}\n    states: 9",
            "12:5 students.cdm-hmm.states",
            "'family.s",
        ),
        ("samples: 200", "samples: 99999999", "19:23 evaluation.samples", "at most 10,000,000"),
        ("  halving:", "  half wit!:", "13:3 students.half wit!", "is not a name"),
        ("kind: network", "kind: network\n  per_seed: yes", "7:13 teacher.per_seed", "yes, no, on and off are text"),
        ("samples: 200", "samples: ~", "19:23 evaluation.samples", "got nothing"),
        ("judge_nll]", "judge_ppl]", "19:49 evaluation.metrics[1]", "did you mean 'judge_nll'?"),
        ("tau_leaping:", "tau-leaping:", "17:3 baselines.tau-leaping", "did you mean 'tau_leaping'?"),
        ("teacher:", "techer:", "5:1 techer", "did you mean 'teacher'?"),
    ],
)
def test_corpus(errors: Errors, old: str, new: str, place: str, word: str) -> None:
    assert TEXT.count(old) == 1 or old.startswith("nfe")
    found = errors(TEXT.replace(old, new, 1))
    assert any(f"{e.line}:{e.column} {e.path}" == place and word in e.message and e.file == "a.yaml" for e in found), [
        str(e) for e in found
    ]
    assert len(found) <= 2, [str(e) for e in found]


def test_the_specs_that_tests_break_are_valid(errors: Errors) -> None:
    assert errors(TEXT) == []


def test_all_errors_at_once_sorted_by_place(errors: Errors) -> None:
    text = TEXT.replace("kind: kjv", "kind: kvj").replace("lr: 2e-3", "lr: -1").replace("hmm,", "hm,")
    text = text.replace("[8, 4, 2, 1]", "[8, 2]").replace("samples: 200", "samples: 1.5")
    found = errors(text)
    assert [e.path for e in found] == [
        "data.kind",
        "teacher.train.lr",
        "students.cdm-hmm.family.kind",
        "students.halving.nfe[1]",
        "evaluation.samples",
    ]
    assert found == sorted(found)


def test_a_missing_section_is_reported_once_each(errors: Errors) -> None:
    found = errors("name: a\n")
    assert [e.path for e in found] == ["data", "forward_process", "teacher"]
    assert all(e.message == "missing" for e in found)


def test_paths_and_suggestions() -> None:
    assert dotted(("a", "b", 2, "c")) == "a.b[2].c"
    assert closest("tau-leaping", ["tau_leaping", "analytic"]) == "tau_leaping"
    assert closest("zzz", ["tau_leaping"]) is None
