"""Combinations that make no sense, files that are wrong: each at its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from cdmrun.spec.load import find_errors

from .conftest import RING, TEXT, Errors, Write


def only(found: list[object]) -> str:
    assert len(found) == 1, [str(e) for e in found]
    return str(found[0])


def starts(found: list[object], expected: str) -> None:
    """Compare the one error found with the start of what it should say, so that a failure shows both."""
    assert only(found)[: len(expected)] == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "kind: network\n  train: {steps: 4000, lr: 2e-3}",
            "kind: enumerated",
            "a.yaml:6:9: teacher.kind: enumerated needs data that can be",
        ),
        ("{kind: hmm, states: 128}", "{kind: joint}", "a.yaml:11:20: students.cdm-hmm.family.kind: joint needs data"),
        (
            "nfe: [1, 2, 4, 8]",
            "nfe: [1]\n    target: {kind: exact}",
            "a.yaml:13:20: students.cdm-hmm.target.kind: exact",
        ),
        (
            "nfe: [1, 2, 4, 8]",
            "nfe: [1]\n    target: {kind: data, draws: 9}",
            "a.yaml:13:26: students.cdm-hmm.target.draws: has a meaning for target.kind rollout or soft with",
        ),
        (
            "nfe: [1, 2, 4, 8]",
            "nfe: [1]\n    model: {width: 32}",
            "a.yaml:13:5: students.cdm-hmm.model: with init: teacher",
        ),
        (
            "{kind: hmm, states: 128}",
            "{kind: mixture}\n    decoding: scan",
            "a.yaml:12:5: students.cdm-hmm.decoding: mixture draws all positions at once",
        ),
        (
            "{kind: hmm, states: 128}",
            "{kind: hmm}\n    decoding: fixed_point",
            "a.yaml:12:15: students.cdm-hmm.decoding: hmm has no fixed_point: choose from auto, sequential, scan",
        ),
        (
            "{kind: hmm, states: 128}",
            "{kind: autoregressive, window: 3}\n    decoding: scan",
            "a.yaml:12:15: students.cdm-hmm.decoding: scan goes through all contexts, for windows up to 2, here 3",
        ),
        (
            "analytic: {nfe: [1, 2, 4]}",
            "analytic: {nfe: [1, 128], grid: optimised}",
            "a.yaml:18:23: baselines.analytic.nfe[1]: a grid of 128 steps is not optimised (at most 64",
        ),
        (
            "nfe: [1, 2, 4, 8]",
            "nfe: [1]\n    grid: optimised\n    per_nfe: true",
            "a.yaml:13:11: students.cdm-hmm.grid: optimised needs one student for all step counts",
        ),
        (
            "{kind: absorbing}\nteacher:\n  kind: network",
            "{kind: gaussian, width: 1}\nteacher:\n  kind: network\n  prediction: ratio",
            "a.yaml:7:15: teacher.prediction: ratio is for the absorbing and the uniform process",
        ),
        (
            "{kind: absorbing}\nteacher:\n  kind: network",
            "{kind: uniform, alpha_min: 0}\nteacher:\n  kind: network\n  prediction: ratio",
            "a.yaml:4:45: forward_process.alpha_min: 0 leaves less than 1e-12 of the data at t = 1",
        ),
        (
            "{kind: absorbing}\nteacher:\n  kind: network",
            "{kind: uniform, schedule: constant, sigma_max: 30}\nteacher:\n  kind: network\n  prediction: ratio",
            "a.yaml:4:65: forward_process.sigma_max: 30 leaves less than 1e-12",
        ),
        ("train: {", "model: {width: 100}\n  train: {", "a.yaml:7:18: teacher.model.width: width 100 over 3 heads"),
        ("train: {", "model: {heads: 5}\n  train: {", "a.yaml:7:18: teacher.model.heads: width 96 over 5 heads"),
        ("train: {", "model: {conv: 4}\n  train: {", "a.yaml:7:17: teacher.model.conv: 4 taps have no middle"),
        (
            "lr: 2e-3",
            "accumulate: 3",
            "a.yaml:7:36: teacher.train.accumulate: 3 parts cannot share a batch of 64 evenly",
        ),
        (
            "nfe: [1, 2, 4, 8]",
            "nfe: [1, 2, 4, 8]\n    train: {batch: 12, accumulate: 4}",
            "a.yaml:13:36: students.cdm-hmm.train.accumulate: 4 parts of a batch of 12 have 3 sequences each, too few",
        ),
        (
            "samples: 200",
            "judge: {kind: network, train: {batch: 6, accumulate: 4}}",
            "a.yaml:19:67: evaluation.judge.train.accumulate: 4 parts cannot share a batch of 6 evenly",
        ),
        ("judge_nll]", "tv]", "a.yaml:19:49: evaluation.metrics[1]: tv needs data that can be enumerated"),
        (
            "{samples: 200, metrics: [nll_bound, judge_nll]}",
            "{judge: {kind: network, model: {heads: 5}}}",
            "a.yaml:19:52: evaluation.judge.model.heads: width 96 over 5 heads",
        ),
        ("samples: 200", "judge: {kind: network, order: 3}", "a.yaml:19:37: evaluation.judge.order: "),
        ("[8, 4, 2, 1]", "[8, 2, 1]", "a.yaml:15:14: students.halving.nfe[1]: 2 is not half of 8"),
        (
            "[8, 4, 2, 1]",
            "[4, 2, 1]\n    start: 12",
            "a.yaml:16:12: students.halving.start: 12 must be the largest nfe (4) times 2, 4, 8",
        ),
        ("[8, 4, 2, 1]", "[4]\n    start: 4", "a.yaml:16:12: students.halving.start: 4 must be"),
        (
            "{kind: absorbing}",
            "{kind: absorbing, sigma_max: 3}",
            "a.yaml:4:36: forward_process.sigma_max: has no meaning",
        ),
        (
            "{kind: absorbing}",
            "{kind: absorbing, schedule: geometric, alpha_min: 0.1}",
            "a.yaml:4:57: forward_process.alpha_min: has no meaning for schedule geometric",
        ),
        (
            "{kind: absorbing}",
            "{kind: absorbing, schedule: geometric, sigma_min: 30}",
            "a.yaml:4:68: forward_process.sigma_min: sigma_min (30) must be less than sigma_max (20)",
        ),
        (
            "tau_leaping: {nfe: [1, 2, 4]}",
            "tau_leaping: {nfe: [1], final: none}",
            "a.yaml:17:34: baselines.tau_leaping.final: none leaves masks",
        ),
    ],
)
def test_text_spec(errors: Errors, old: str, new: str, expected: str) -> None:
    starts(errors(TEXT.replace(old, new, 1)), expected)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("nfe: [1, 2]", "nfe: [1]\n    init: teacher", "a.yaml:10:11: students.joint.init: an exact teacher"),
        (
            "nfe: [1, 2]",
            "nfe: [1]\n  other:\n    nfe: [1]\n    family: {kind: joint}\n    method: cdm",
            "a.yaml:10:3: students.other: asks for the very training that 'joint' asks for",
        ),
        (
            "length: 3",
            "length: 13",
            "a.yaml:2:1: data: 3^13 = 1,594,323 states are too many to enumerate (at most 20,000)",
        ),
        (
            "{kind: uniform}",
            "{kind: uniform}\nevaluation: {metrics: [judge_nll]}",
            "a.yaml:4:24: evaluation.metrics[0]: judge_nll needs",
        ),
        (
            "{kind: uniform}",
            "{kind: uniform}\nevaluation: {metrics: [novelty]}",
            "a.yaml:4:24: evaluation.metrics[0]: novelty compares with training sequences, and potts_ring is a law",
        ),
    ],
)
def test_ring_spec(errors: Errors, old: str, new: str, expected: str) -> None:
    starts(errors(RING.replace(old, new, 1)), expected)


def test_infilling_needs_tokens_that_stay_as_they_are(errors: Errors) -> None:
    asking = TEXT.replace("judge_nll]", "infill_middle_bleu]")
    assert not errors(asking)
    found = errors(asking.replace("{kind: absorbing}", "{kind: uniform}"))
    starts(found, "a.yaml:19:49: evaluation.metrics[1]: infill_middle_bleu is offered under the absorbing process")


def test_a_package_that_is_not_there(errors: Errors, monkeypatch: pytest.MonkeyPatch) -> None:
    asking = TEXT.replace("judge_nll]", "word_nll]")
    monkeypatch.setattr("cdmrun.spec.checks_report.importlib.util.find_spec", lambda name: None)
    expected = "a.yaml:19:49: evaluation.metrics[1]: word_nll needs package pocketsphinx, which is not installed"
    starts(errors(asking), expected)


def test_the_mask_counts_as_a_state(errors: Errors) -> None:
    text = RING.replace("states: 3, length: 3", "states: 4, length: 7")
    assert not errors(text)
    found = only(errors(text.replace("uniform", "absorbing")))
    assert found.startswith("a.yaml:2:1: data: 5^7 = 78,125 states (4 values and the mask) are too many")


def test_tables_of_a_markov_chain_fit_in_memory(errors: Errors) -> None:
    text = RING.replace("states: 3, length: 3", "states: 100, length: 2")
    assert not errors(text.replace("{kind: joint}", "{kind: markov}"))
    starts(
        errors(text.replace("{kind: joint}", "{kind: markov, order: 3}")),
        "a.yaml:8:35: students.joint.family.order: order 3 over 100 tokens has tables of 103,030,100 numbers",
    )


def test_exact_target_needs_the_exact_teacher(errors: Errors) -> None:
    text = RING.replace("kind: enumerated", "kind: network").replace(
        "nfe: [1, 2]", "nfe: [1]\n    target: {kind: exact}"
    )
    assert "exact needs teacher.kind enumerated" in only(errors(text))


def test_nothing_to_compare(errors: Errors) -> None:
    text = RING.split("students")[0]
    starts(errors(text), "a.yaml:1:1: (file): nothing to compare")


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("{tables: [{values: [tv, entropy]}]}", "a.yaml:10:33: report.tables[0].values[1]: entropy is not among"),
        (
            "{figures: [{y: entropy}]}",
            "a.yaml:10:24: report.figures[0].y: entropy is not among evaluation.metrics (tv,",
        ),
        ("{figures: [{hue: seed}]}", "a.yaml:10:26: report.figures[0].hue: 'seed' is not one of method, family, name"),
        ("{tables: [{rows: [methods]}]}", "a.yaml:10:27: report.tables[0].rows[0]: methods is neither a label of"),
        (
            "{tables: [{rows: [method, family.kinds]}]}",
            "a.yaml:10:35: report.tables[0].rows[1]: family.kinds is neither",
        ),
        ("{tables: [{rows: [Method]}]}", "a.yaml:10:27: report.tables[0].rows[0]: Method is neither"),
    ],
)
def test_report(errors: Errors, report: str, expected: str) -> None:
    starts(errors(RING + f"report: {report}\n"), expected)


def test_seconds_that_are_not_measured_cannot_be_drawn(errors: Errors) -> None:
    report = "report: {figures: [{x: seconds_per_sample, y: tv}]}\n"
    assert not errors(RING + report)
    expected = "a.yaml:11:24: report.figures[0].x: evaluation.timing is false, so that there are no seconds to show"
    starts(errors(RING + "evaluation: {timing: false}\n" + report), expected)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("[[-1, 1, 0], [1, -2, 1], [0, 1, -2]]", "a.yaml:3:69: forward_process.generator[2]: row 2 sums to -1"),
        (
            "[[-1, 1, 0], [1, 0, -1], [0, 1, -1]]",
            "a.yaml:3:57: forward_process.generator[1]: row 1 has a negative rate",
        ),
        ("[[-1, 1, 0], [1, -1], [0, 1, -1]]", "a.yaml:3:57: forward_process.generator[1]: row 1 has 2 entries"),
        ("[[-1, 1], [1, -1]]", "a.yaml:3:33: forward_process.generator: 2 states, but data potts_ring has 3 values"),
        ("[[0, 0, 0], [0, -1, 1], [0, 1, -1]]", "a.yaml:3:33: forward_process.generator: falls into parts"),
        ("q.npy", "a.yaml:3:44: forward_process.generator: q.npy: no such file"),
        ("[[-1, x, 0], [1, -2, 1], [0, 1, -1]]", "a.yaml:3:50: forward_process.generator[0][1]: expected a number"),
    ],
)
def test_generators(errors: Errors, rows: str, expected: str) -> None:
    text = RING.replace("{kind: uniform}", f"{{kind: matrix, generator: {rows}}}")
    starts(errors(text), expected)


def test_a_generator_belongs_to_a_matrix(errors: Errors) -> None:
    text = RING.replace("{kind: uniform}", "{kind: uniform, generator: [[-1, 1], [1, -1]]}")
    assert "belongs to kind matrix, not uniform" in only(errors(text))
    assert "forward_process.generator: missing" in only(errors(RING.replace("{kind: uniform}", "{kind: matrix}")))


def test_generator_files(write: Write) -> None:
    text = RING.replace("{kind: uniform}", "{kind: matrix, generator: q.npy}")
    path = write(text)
    np.save("q.npy", np.array([[-1.0, 1, 0], [1, -2, 1], [0, 1, -1]]))
    assert not find_errors([path])
    np.save("q.npy", np.array([[-1.0, 1, 0], [1, -2, 1], [0, 1, -2]]))
    assert "q.npy: row 2 sums to -1, not to zero" in only(find_errors([path]))
    np.save("q.npy", np.zeros((2, 3)))
    assert "shape (2, 3) is not square" in only(find_errors([path]))


TABLE = RING.replace("{kind: potts_ring, states: 3, length: 3}", "{kind: table, file: p.npy}")


@pytest.mark.parametrize(
    ("table", "word"),
    [
        (np.full((2, 2), 0.3), "the entries sum to 1.2, not to 1"),
        (np.array([[1.5, -0.5], [0, 0]]), "entry (0, 1) is -0.5"),
        (np.array([[np.nan, 0.5], [0.5, 0]]), "entry (0, 0) is nan"),
        (np.full((2, 3), 1 / 6), "shape (2, 3) is not (V, …, V)"),
        (np.array(1.0), "shape () is not"),
        (np.full((2,) * 15, 2.0**-15), "2^15 = 32,768 states are too many"),
        (np.array([["a"]]), "not real numbers"),
        (np.array([None]), "not a readable .npy array"),
    ],
)
def test_tables(write: Write, table: npt.NDArray[np.float64], word: str) -> None:
    path = write(TABLE)
    np.save("p.npy", table)
    message = only(find_errors([path]))
    assert message.startswith("a.yaml:2:27: data.file: ")
    assert word in message


def test_table_files_that_are_none(write: Write) -> None:
    path = write(TABLE)
    assert "p.npy: no such file" in only(find_errors([path]))
    Path("p.npy").write_text("hello")
    assert "not a readable .npy array" in only(find_errors([path]))
    Path("p.npy").write_bytes(b"")
    assert "empty" in only(find_errors([path]))
    np.save("p.npy", np.full((2, 2), 0.25))
    assert not find_errors([path])
    assert "uniform" in RING


def test_text_files(write: Write) -> None:
    text = TEXT.replace("{kind: kjv, length: 64}", "{kind: text, file: words.txt, alphabet: abca}")
    path = write(text)
    found = [str(e) for e in find_errors([path])]
    assert found[0].startswith("a.yaml:3:26: data.file: words.txt: no such file")
    assert found[1].startswith("a.yaml:3:47: data.alphabet: characters listed more than once: 'a'")


def test_two_specs_with_one_name(write: Write) -> None:
    paths = [write(RING, "a.yaml"), write(RING + "title: x\n", "b.yaml")]
    starts(find_errors(paths), "b.yaml:1:7: name: 'ring' is also the name of the experiment in a.yaml:1")
    assert not find_errors([paths[0], paths[0].resolve()])


def test_a_broken_section_does_not_hide_the_others(errors: Errors) -> None:
    text = TEXT.replace("kind: kjv", "kind: kvj").replace("[8, 4, 2, 1]", "[8, 2, 1]")
    assert [e.path for e in errors(text)] == ["data.kind", "students.halving.nfe[1]"]


def test_reverse_kl_is_refused_where_it_is_biased(errors: Errors) -> None:
    student = "students:\n  halving: {method: progressive, nfe: [2, 1], divergence: reverse_kl}\n"
    text = RING.split("students")[0] + student
    assert "students.halving.divergence: reverse_kl is biased under the uniform process" in only(errors(text))
    assert not errors(text.replace("uniform", "absorbing"))


def test_the_released_grid_is_for_masks(errors: Errors) -> None:
    text = RING.split("students")[0] + "students:\n  halving: {method: progressive, nfe: [2, 1], grid: released}\n"
    assert "students.halving.grid: released is a grid of the absorbing process, not uniform" in only(errors(text))
    assert not errors(text.replace("uniform", "absorbing"))


def test_rounds_divide_by_substeps(errors: Errors) -> None:
    text = RING.split("students")[0] + "students:\n  a: {method: progressive, substeps: 4, nfe: [16, 4, 1]}\n"
    assert not errors(text)
    assert not errors(text.replace("substeps", "start: 256, substeps"))
    found = only(errors(text.replace("[16, 4, 1]", "[16, 8]")))
    assert "students.a.nfe[1]: 8 is not 1/4 of 16: a round divides by 4, so give a chain such as [4, 1]" in found
    found = only(errors(text.replace("substeps", "start: 32, substeps")))
    assert "students.a.start: 32 must be the largest nfe (16) times 4, 16, 64, …" in found
