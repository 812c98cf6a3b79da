"""Scores, summaries, Markdown, LaTeX and gains of a made-up results folder."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pandas as pd
import pytest
from made_up_results import LINES, Builder, nll, value_of

from cdmrun.errors import UserError
from cdmrun.report.build import write_tables
from cdmrun.report.checks import check
from cdmrun.report.collect import SCORE_COLUMNS, collect, collect_references
from cdmrun.report.gains import gains, gains_table
from cdmrun.report.markdown import table_markdown
from cdmrun.report.pairs import Pairs
from cdmrun.report.summary import SUMMARY_COLUMNS, summarise
from cdmrun.report.tables import build_tables
from cdmrun.spec.written import listed_files

METRICS = ("nll_bound", "entropy")
NO_FIGURES = {"tables": [{"rows": ["method", "family"], "columns": "nfe", "values": list(METRICS)}], "figures": []}


def cells_of(text: str, *labels: str) -> list[str]:
    """The cells of the first Markdown row that starts with ``labels``."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if cells[: len(labels)] == list(labels):
            return cells[len(labels) :]
    raise AssertionError(f"no row {labels}")


def test_csv_files_have_the_contract_columns_and_the_scores(builder: Builder) -> None:
    builder.experiment("text", METRICS, report=NO_FIGURES)
    write_tables(builder.plan(), builder.out)
    scores = pd.read_csv(builder.out / "tables/text.scores.csv")
    assert list(scores.columns) == SCORE_COLUMNS
    assert len(scores) == len(METRICS) * 3 * sum(len(line[4]) for line in LINES)
    row = scores[(scores.name == "cdm-hmm") & (scores.nfe == 2) & (scores.seed == 2) & (scores.metric == "nll_bound")]
    assert row["value"].item() == nll("cdm-hmm", 2, 2)
    assert row["run_id"].item().startswith("scores/cdm-hmm-text-")

    summary = pd.read_csv(builder.out / "tables/text.summary.csv")
    assert list(summary.columns) == SUMMARY_COLUMNS
    one = summary[(summary.name == "cdm-hmm") & (summary.nfe == 2) & (summary.metric == "nll_bound")]
    values = [nll("cdm-hmm", 2, seed) for seed in range(3)]
    assert one["mean"].item() == pytest.approx(sum(values) / 3)
    half = 4.302652729911275 * 0.004 / math.sqrt(3)  # seeds are 0.004 apart, so their sd is 0.004
    assert one["ci_high"].item() - one["mean"].item() == pytest.approx(half, rel=1e-6)
    assert one["n"].item() == 3
    assert one["seconds_per_sample"].item() == pytest.approx(0.0012 * 2**0.95 * 1.4 * 1.02, abs=1e-8)


def test_markdown_cells_agree_with_the_numbers(builder: Builder) -> None:
    builder.experiment("text", METRICS, report=NO_FIGURES)
    write_tables(builder.plan(), builder.out)
    text = (builder.out / "tables/text.md").read_text()
    cells = cells_of(text, "cdm", "hmm")
    assert cells[0] == "3"
    assert cells[1] == "3.2000 ± 0.0099"
    assert cells[5:] == ["–"] * 3  # not sampled at NFE 16, 32, 64
    assert cells_of(text, "cdm", "autoregressive")[1] == "**2.3000 ± 0.0099**"
    assert cells_of(text, "*independent positions (ceiling)*")[2] == "*4.080*"
    assert "**seconds per sample**" in text
    assert "final: denoise" in text
    assert "nll_bound: an upper bound" in text
    assert "Seeds: 0, 1, 2" in text


def test_best_is_bold_only_when_its_interval_is_apart(builder: Builder) -> None:
    spread = 0.5

    def value(metric: str, name: str, nfe: int, seed: int) -> float:
        return nll(name, nfe, 1) + spread * (seed - 1) * (name == "cdm-ar")

    builder.experiment("text", ("nll_bound",), report=NO_FIGURES, value=value)
    write_tables(builder.plan(), builder.out)
    text = (builder.out / "tables/text.md").read_text()
    assert not cells_of(text, "cdm", "autoregressive")[1].startswith("**")


def test_two_students_of_one_family_are_told_apart_by_name(builder: Builder) -> None:
    lines = (LINES[1], LINES[4], ("cdm", "hmm", "cdm-hmm-2", "student", (1, 2)))

    def value(metric: str, name: str, nfe: int, seed: int) -> float:
        return value_of(metric, name.removesuffix("-2"), nfe, seed)

    builder.experiment("text", ("nll_bound",), report=NO_FIGURES, lines=lines, value=value)
    write_tables(builder.plan(), builder.out)
    text = (builder.out / "tables/text.md").read_text()
    assert cells_of(text, "cdm", "hmm", "cdm-hmm")
    assert cells_of(text, "cdm", "hmm", "cdm-hmm-2")


def test_rows_may_be_named_by_values_of_the_spec(builder: Builder) -> None:
    students = {
        "cdm-hmm": {"family": {"kind": "hmm", "states": 64}, "target": {"kind": "rollout", "substeps": 8}},
        "cdm-ar": {
            "family": {"kind": "autoregressive", "window": 4},
            "target": {"kind": "data"},
            "train": {"lr": 2e-3},
        },
    }
    rows = ["method", "target.kind", "target.substeps", "family", "train.lr"]
    report = {"tables": [{"rows": rows, "values": ["nll_bound"]}, {"rows": ["target", "family.states"]}], "figures": []}
    lines = (LINES[1], *LINES[4:])
    builder.experiment("text", ("nll_bound",), report=report, lines=lines, settings={"students": students})
    write_tables(builder.plan(), builder.out)
    text = (builder.out / "tables/text.md").read_text()
    assert "| target.kind" in text
    assert cells_of(text, "cdm", "rollout", "8", "hmm", "–")[0] == "3"
    assert cells_of(text, "cdm", "data", "–", "autoregressive", "0.002")
    assert cells_of(text, "analytic", "–", "–", "factorized")
    assert cells_of(text, "rollout, substeps 8", "64")


def test_missing_products_are_named_or_left_open(builder: Builder) -> None:
    experiment = builder.experiment("text", METRICS, report=NO_FIGURES)
    gone = [entry for entry in experiment.entries if entry.name == "cdm-hmm"]
    for entry in gone[:2]:
        (builder.out / entry.scores / "manifest.json").unlink()
    with pytest.raises(UserError, match=gone[0].scores) as error:
        write_tables(builder.plan(), builder.out)
    assert "--partial" in error.value.remedy
    write_tables(builder.plan(), builder.out, partial=True)
    text = (builder.out / "tables/text.md").read_text()
    assert cells_of(text, "cdm", "hmm")[0] == "1"
    assert "cdm-hmm, seed 0: no scores yet" in text

    (builder.out / gone[2].scores / "manifest.json").unlink()
    write_tables(builder.plan(), builder.out, partial=True)
    assert cells_of((builder.out / "tables/text.md").read_text(), "cdm", "hmm") == ["0", *["–"] * 7]


def test_an_empty_results_folder_still_gives_a_partial_table(builder: Builder, tmp_path: Path) -> None:
    builder.experiment("text", METRICS)
    written = write_tables(builder.plan(), tmp_path / "nothing", partial=True)
    assert all(path.is_file() for path in written)
    assert "–" in (tmp_path / "nothing/tables/text.md").read_text()


def test_without_timing_nothing_depends_on_the_clock(builder: Builder) -> None:
    builder.experiment("text", ("nll_bound",), lines=LINES[1:5])
    plan = builder.plan()

    def made() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in write_tables(plan, builder.out, timing=False)}

    before = made()
    assert not any("seconds" in name for name in before)
    for path in builder.out.glob("scores/*/scores.json"):
        content = json.loads(path.read_text())
        for score in content["scores"]:
            score["seconds_per_sample"] *= 1.7
        path.write_text(json.dumps(content))
    assert made() == before


def test_text_from_a_spec_is_escaped(builder: Builder) -> None:
    title = "50% of A|B & <script>x_y</script> $1"
    builder.experiment("text", METRICS, report=NO_FIGURES, title=title)
    write_tables(builder.plan(), builder.out)
    markdown = (builder.out / "tables/text.md").read_text()
    assert "<script>" not in markdown
    assert r"A\|B" in markdown
    latex = (builder.out / "tables/text.tex").read_text()
    assert r"50\% of A|B \& \textless{}script\textgreater{}x\_y" in latex
    assert r"\$1" in latex


def test_latex_is_a_booktabs_table_with_panels(builder: Builder) -> None:
    builder.experiment("text", METRICS, report=NO_FIGURES)
    write_tables(builder.plan(), builder.out)
    latex = (builder.out / "tables/text.tex").read_text()
    assert "@@" not in latex
    labels = re.findall(r"\\label\{tab:(.*?)\}", latex)
    assert labels == ["text-1", "text-enough", "text-gains"]
    assert latex.count(r"\toprule") == latex.count(r"\bottomrule") == len(labels)
    assert r"\multicolumn{10}{l}{\textit{nll\_bound $\downarrow$ (bits/token)}}" in latex
    assert r"3.2000 $\pm$ 0.0099" in latex
    assert r"\multicolumn{7}{c}{3.950}" in latex
    assert latex.isascii()


def test_gains_are_paired_and_positive_when_the_student_is_better(builder: Builder) -> None:
    experiment = builder.experiment("text", METRICS, report=NO_FIGURES)
    plan = builder.plan()
    scores, references = collect(plan, builder.out, False), collect_references(plan, builder.out)
    gain = gains(experiment, Pairs("text", scores, references))
    assert set(gain.metric) == {"nll_bound", "entropy"}
    gain = gain[gain.metric == "nll_bound"]
    hmm = gain[(gain.name == "cdm-hmm") & (gain.nfe == 1)].set_index("versus")
    assert list(hmm.index) == ["tau_leaping", "analytic", "progressive", "best of these"]
    assert hmm.loc["analytic", "gain"] == pytest.approx(nll("analytic", 1, 1) - nll("cdm-hmm", 1, 1))
    assert hmm.loc["best of these", "gain"] == hmm.loc["progressive", "gain"]  # the best opponent here
    factorized = gain[(gain.name == "cdm-factorized") & (gain.nfe == 1)].set_index("versus")
    assert factorized.loc["progressive", "gain"] < 0
    table = gains_table(experiment, gain, summarise(scores))
    assert table is not None
    assert "−0.002500" in cells_of(table_markdown(table), "cdm-factorized", "progressive")


def test_gains_without_a_baseline_are_no_table(builder: Builder) -> None:
    experiment = builder.experiment("text", METRICS, report=NO_FIGURES, lines=LINES[4:])
    plan = builder.plan()
    scores = collect(plan, builder.out, False)
    gain = gains(experiment, Pairs("text", scores, collect_references(plan, builder.out)))
    assert gain.empty
    assert gains_table(experiment, gain, summarise(scores)) is None
    write_tables(plan, builder.out)


def test_figures_that_are_no_longer_asked_for_go(builder: Builder) -> None:
    """Else they would stay with the numbers of then; a file of the user's beside them stays."""
    tables = NO_FIGURES["tables"]

    def written(*metrics: str) -> set[str]:
        figures = [{"x": "nfe", "y": metric, "hue": "name"} for metric in metrics]
        builder.experiments.clear()
        builder.experiment("text", METRICS, report={"tables": tables, "figures": figures}, lines=LINES[:2], seeds=(0,))
        return {str(path.relative_to(builder.out)) for path in write_tables(builder.plan(), builder.out)}

    def there() -> set[str]:
        files = [*builder.out.glob("tables/*"), *builder.out.glob("figures/*")]
        return {str(path.relative_to(builder.out)) for path in files}

    first = written("nll_bound", "entropy")
    assert {"figures/text-nll_bound-vs-nfe.png", "figures/text-nll_bound-vs-nfe.csv"} <= first == there()
    (builder.out / "figures/text-mine.png").write_text("mine")
    second = written("entropy")
    assert second < first
    assert there() == {*second, "figures/text-mine.png"}
    assert listed_files(builder.out, "text") == sorted(second)


def test_stale_code_is_marked(builder: Builder) -> None:
    experiment = builder.experiment("text", METRICS, report=NO_FIGURES)
    plan = builder.plan()
    current = {"train": "train-1", "distill": "distill-2", "sample": "sample-1", "evaluate": "evaluate-1"}
    scores = collect(plan, builder.out, False, current.get)
    assert set(scores.loc[scores["role"] == "student", "status"]) == {"stale-code"}
    assert set(scores.loc[scores["role"] == "baseline", "status"]) == {"fresh"}
    table = build_tables(experiment, summarise(scores), collect_references(plan, builder.out))[0]
    assert cells_of(table_markdown(table), "cdm", "hmm")[1].endswith("†")


def test_rows_of_what_was_made_again_otherwise_are_marked(builder: Builder) -> None:
    experiment = builder.experiment("text", METRICS, report=NO_FIGURES)
    plan = builder.plan()
    (student,) = {entry.model for entry in experiment.entries if entry.name == "cdm-hmm" and entry.seed == 0}
    for entry in experiment.entries:
        if entry.model == student:
            path = builder.out / entry.samples / "manifest.json"
            manifest = json.loads(path.read_text())
            path.write_text(json.dumps({**manifest, "input_contents": {"model": "of another student"}}))
    scores = collect(plan, builder.out, True)
    marked = scores[scores["status"] == "stale-upstream"]
    assert set(marked["model"]) == {student}
    assert set(scores["status"]) == {"fresh", "stale-upstream"}
    table = build_tables(experiment, summarise(scores), collect_references(plan, builder.out))[0]
    assert cells_of(table_markdown(table), "cdm", "hmm")[1].endswith("†"), "one seed of three is enough"
    assert not cells_of(table_markdown(table), "cdm", "autoregressive")[1].endswith("†")
    (finding,) = check(scores)
    assert finding.kind == "stale-upstream"
    assert "cdm-hmm, seed 0: made from what is gone or was made anew since (scores/cdm-hmm-text-" in finding.message


def test_one_seed_uses_standard_errors(builder: Builder) -> None:
    builder.experiment("text", ("nll_bound",), report=NO_FIGURES, seeds=(0,))
    write_tables(builder.plan(), builder.out)
    assert cells_of((builder.out / "tables/text.md").read_text(), "cdm", "hmm")[:2] == ["1", "3.196 ± 0.020"]
