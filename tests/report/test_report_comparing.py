"""Reference results, and fresh ones held against them."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_results import LINES, Builder, value_of
from scipy import stats

from cdmrun import cli
from cdmrun.errors import UserError
from cdmrun.manage.comparing import ROUNDING, _allowed, as_json, compare
from cdmrun.manage.reference import write_reference
from cdmrun.report.build import write_tables

FEW = tuple((method, family, name, role, (1, 2)) for method, family, name, role, _ in LINES[1:5])
REPORT = {"tables": [{}], "figures": [{"x": "nfe", "y": "nll_bound", "hue": "name"}]}
NO_FIGURES = {"tables": [{}], "figures": []}


def noisy(metric: str, name: str, nfe: int, seed: int) -> float:
    """As the others, but seeds differ by another amount for each method."""
    return value_of(metric, name, nfe, 1) + 0.01 * float(np.random.default_rng([*name.encode(), seed]).normal())


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with the tables of two experiments."""
    builder = Builder(tmp_path_factory.mktemp("original") / "results")
    builder.experiment("text", ("nll_bound", "entropy"), lines=FEW, value=noisy, report=NO_FIGURES)
    builder.experiment("other", ("nll_bound",), lines=FEW[:2], report=NO_FIGURES)
    write_tables(builder.plan(), builder.out)
    return builder.out


@pytest.fixture
def fresh(original: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    shutil.copytree(original / "tables", tmp_path / "fresh/tables")
    return tmp_path / "fresh"


def change(folder: Path, name: str = "text", **columns: object) -> None:
    """Change rows of the CDM student with a chain at NFE 2 in the summary: a factor for each column."""
    path = folder / f"tables/{name}.summary.csv"
    frame = pd.read_csv(path)
    rows = (frame["name"] == "cdm-hmm") & (frame["nfe"] == 2) & (frame["metric"] == "nll_bound")
    for column, factor in columns.items():
        frame.loc[rows, column] *= factor
    frame.to_csv(path, index=False)


def test_a_copy_is_the_same_to_the_last_byte(original: Path, fresh: Path) -> None:
    found = compare(fresh, original)
    assert found.passed
    assert all(experiment.identical for experiment in found.experiments)
    assert {experiment.name: experiment.counts["same"] for experiment in found.experiments} == {"text": 16, "other": 4}
    assert compare(fresh / "tables", original / "tables") == found
    assert json.loads(json.dumps(as_json(found)))["passed"] is True


def test_rounding_is_the_same_and_seconds_never_fail(original: Path, fresh: Path) -> None:
    change(fresh, mean=1 + ROUNDING / 10, seconds_per_sample=5.0)
    scores = pd.read_csv(fresh / "tables/text.scores.csv")
    scores.assign(seconds_per_sample=7.0).to_csv(fresh / "tables/text.scores.csv", index=False)
    text = next(one for one in compare(fresh, original).experiments if one.name == "text")
    assert text.counts["same"] == 16
    assert text.identical
    assert text.ratios == pytest.approx((1.0, 1.0, 5.0))


@pytest.mark.parametrize(("factor", "tolerance", "verdict"), [(1.002, 0.0, "within"), (1.015, 0.02, "within")])
def test_small_changes_are_within(original: Path, fresh: Path, factor: float, tolerance: float, verdict: str) -> None:
    change(fresh, mean=factor, ci_low=factor, ci_high=factor)
    found = compare(fresh, original, tolerance)
    assert [cell.verdict for one in found.experiments for cell in one.cells if cell.verdict != "same"] == [verdict]
    assert found.passed


def test_a_large_change_is_different(original: Path, fresh: Path) -> None:
    change(fresh, mean=1.5, ci_low=1.5, ci_high=1.5)
    found = compare(fresh, original)
    assert not found.passed
    (detail,) = next(one for one in as_json(found)["experiments"] if one["name"] == "text")["details"]
    assert (detail["name"], detail["nfe"], detail["metric"], detail["verdict"]) == (
        "cdm-hmm",
        2,
        "nll_bound",
        "different",
    )


def moved(builder: Builder, factor: float, method: str) -> Path:
    """A copy of the tables with the means of a method at NFE 1 multiplied."""
    write_tables(builder.plan(), builder.out)
    other = builder.out.parent / "other"
    shutil.copytree(builder.out / "tables", other / "tables")
    path = other / "tables/ring.summary.csv"
    frame = pd.read_csv(path)
    rows = (frame["method"] == method) & (frame["nfe"] == 1)
    assert rows.any()
    frame.loc[rows, ["mean", "ci_low", "ci_high"]] *= factor
    frame.to_csv(path, index=False)
    return other


@pytest.mark.parametrize(("metric", "passes"), [("tv", False), ("nll_bound", True)])
def test_numbers_that_all_seeds_agree_on_have_no_tolerance(builder: Builder, metric: str, passes: bool) -> None:
    """But where they have an error over data: then they are of a network, which another machine trains otherwise."""
    builder.experiment("ring", (metric,), lines=FEW, value=lambda m, n, k, s: value_of(m, n, k, 1), report=NO_FIGURES)
    found = compare(moved(builder, 1 + 1e-4, FEW[0][0]), builder.out, tolerance=0.02)
    assert found.passed == passes


@pytest.mark.parametrize(("metric", "verdict"), [("tv", "unjudged"), ("nll_bound", "different")])
def test_one_training_without_an_error_is_not_judged(builder: Builder, metric: str, verdict: str) -> None:
    builder.experiment("ring", (metric,), lines=FEW, seeds=(0,), report=NO_FIGURES)
    found = compare(moved(builder, 1.3, "cdm"), builder.out)
    (ring,) = found.experiments
    assert {cell.verdict for cell in ring.cells} == {"same", verdict}
    assert {cell.labels["method"] for cell in ring.cells if cell.verdict == verdict} == {"cdm"}
    assert found.passed == (verdict == "unjudged")


def test_what_is_computed_is_judged_on_one_seed_too(builder: Builder) -> None:
    builder.experiment("ring", ("tv",), lines=FEW, seeds=(0,), report=NO_FIGURES)
    sampler = next(method for method, *_ in FEW if method not in ("cdm", "progressive"))
    assert not compare(moved(builder, 1.3, sampler), builder.out).passed


def test_absent_cells_fail_and_new_ones_do_not(original: Path, fresh: Path) -> None:
    path = fresh / "tables/text.summary.csv"
    frame = pd.read_csv(path)
    frame[frame["metric"] != "entropy"].to_csv(path, index=False)
    found = compare(fresh, original)
    assert not found.passed
    assert next(one for one in found.experiments if one.name == "text").counts["absent"] == 8
    turned = compare(original, fresh)
    assert turned.passed
    assert next(one for one in turned.experiments if one.name == "text").counts["new"] == 8


def test_experiments_that_only_one_has_are_named(original: Path, fresh: Path) -> None:
    for path in fresh.glob("tables/other.*"):
        path.unlink()
    found = compare(fresh, original)
    assert (found.passed, found.only_one, found.only_other) == (True, (), ("other",))
    for path in fresh.glob("tables/text.*"):
        path.rename(path.with_name(path.name.replace("text", "third")))
    with pytest.raises(UserError, match="no experiment is in both"):
        compare(fresh, original)


def test_other_seeds_are_shown(original: Path, fresh: Path) -> None:
    path = fresh / "tables/text.scores.csv"
    frame = pd.read_csv(path)
    frame[frame["seed"] == 0].to_csv(path, index=False)
    text = next(one for one in compare(fresh, original).experiments if one.name == "text")
    assert text.seeds == ((0,), (0, 1, 2))
    assert not text.identical


def test_one_cell_is_allowed_what_welchs_test_allows() -> None:
    sides = []
    for spread, n in ((0.3, 3), (0.1, 5)):
        half = float(stats.t.ppf(0.975, n - 1)) * spread / n**0.5
        sides.append({"mean": 0.0, "ci_low": -half, "ci_high": half, "n": n})
    allowed = _allowed(sides[0], sides[1], 1)
    p = stats.ttest_ind_from_stats(allowed, 0.3, 3, 0.0, 0.1, 5, equal_var=False).pvalue
    assert p == pytest.approx(0.05)
    assert _allowed(sides[0], sides[1], 100) > allowed


def test_damaged_tables_are_messages(original: Path, fresh: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no tables there"):
        compare(tmp_path, original)
    (fresh / "tables/text.scores.csv").unlink()
    with pytest.raises(UserError, match=r"text\.scores\.csv: no such file"):
        compare(fresh, original)
    (fresh / "tables/other.summary.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"other\.summary\.csv: no column process"):
        compare(fresh, original)


def test_reference_results_are_complete_and_the_same_each_time(
    builder: Builder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    builder.experiment("text", ("nll_bound",), lines=FEW, report=REPORT, title="A | B")
    into = builder.out.parent / "reference"
    written = write_reference(builder.plan(), builder.out, into)
    names = {str(path.relative_to(into)) for path in written}
    assert names >= {"README.md", "manifests/text.json", "tables/text.md", "tables/text.scores.csv"}
    assert "figures/text-nll_bound-vs-nfe.png" in names
    assert not any(name.endswith((".svg", ".tex")) for name in names)
    manifest = json.loads((into / "manifests/text.json").read_text())
    assert {product["key"] for product in manifest["products"]} == set(builder.plan().runs)
    assert manifest["spec"]["name"] == "text"
    assert manifest["environments"] == [
        {"device": "cpu", "machine": None, "versions": {"python": "3.11.7", "torch": "2.13.0", "cdmrun": "0.1.0"}}
    ]
    gone = builder.out / builder.plan().experiments[0].entries[0].scores / "manifest.json"
    kept = gone.read_bytes()
    gone.unlink()
    with pytest.raises(UserError, match=r"^1 product that tables are made of is missing") as refused:
        write_reference(builder.plan(), builder.out, into)
    assert "--partial" not in refused.value.remedy  # there is no such option here
    gone.write_bytes(kept)
    before = {path: path.read_bytes() for path in written}
    (into / "notes.md").write_text("## Kept\n\nby hand\n")
    leftover = into / "tables/text.old.csv"
    leftover.write_text("")
    manifest["files"].append("tables/text.old.csv")
    (into / "manifests/text.json").write_text(json.dumps(manifest))
    write_reference(builder.plan(), builder.out, into)
    readme = (into / "README.md").read_text()
    assert r"[A \| B](tables/text.md) | 0, 1, 2 | cpu | 0123456" in readme
    assert readme.endswith("## Kept\n\nby hand\n")
    assert all(path.read_bytes() == content for path, content in before.items() if path.name != "README.md")
    assert not leftover.exists()

    write_tables(builder.plan(), builder.out)
    monkeypatch.setattr(sys, "argv", ["cdmrun", "compare", str(builder.out), str(into)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    assert "passed" in capsys.readouterr().out
