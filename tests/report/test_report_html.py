"""Figures and the page: they exist, say what the CSV says, load nothing, and come out the same twice."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from made_up_results import LINES, Builder

from cdmrun.report.build import write_report, write_tables
from cdmrun.report.samples import MASK_SIGN, decode

FEW = tuple((method, family, name, role, (1, 2)) for method, family, name, role, _ in LINES[1:5])


class Loads(HTMLParser):
    """Collects what a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]


def test_figures_exist_with_their_data(builder: Builder) -> None:
    builder.experiment("text", ("nll_bound", "entropy"))
    write_tables(builder.plan(), builder.out)
    summary = pd.read_csv(builder.out / "tables/text.summary.csv")
    for x in ("nfe", "seconds_per_sample"):
        stem = builder.out / f"figures/text-nll_bound-vs-{x}"
        assert stem.with_name(stem.name + ".png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in stem.with_name(stem.name + ".svg").read_bytes()
        data = pd.read_csv(stem.with_name(stem.name + ".csv"))
        drawn = data[data["role"] != "reference"].reset_index(drop=True)
        asked = summary[summary["metric"] == "nll_bound"].reset_index(drop=True)
        pd.testing.assert_frame_equal(drawn[asked.columns], asked, check_dtype=False)
        longest = data[data["role"] == "reference"].iloc[0]
        assert longest["name"] == "teacher's longest run (analytic, NFE 64)"


def test_the_same_results_give_the_same_bytes(builder: Builder) -> None:
    report = {"tables": [{}], "figures": [{"x": "nfe", "y": "nll_bound", "hue": "name"}]}
    builder.experiment("text", ("nll_bound",), lines=FEW, report=report)
    builder.experiment("digits", ("nll_bound",), data="digits", lines=FEW, seeds=(0,), report=report)
    plan = builder.plan()

    def everything() -> dict[str, bytes]:
        written = [*write_tables(plan, builder.out), write_report(plan, builder.out)]
        return {path.name: path.read_bytes() for path in written}

    assert everything() == everything()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """Three experiments whose page has been written."""
    builder = Builder(tmp_path_factory.mktemp("page") / "results")
    title = "<script>alert(1)</script> & text"
    builder.experiment("text", ("nll_bound", "judge_nll"), lines=FEW, title=title)
    builder.experiment("digits", ("nll_bound",), data="digits", lines=FEW, seeds=(0,))
    builder.experiment("ring", ("tv", "kl"), data="potts_ring", lines=FEW)
    write_report(builder.plan(), builder.out)
    return builder


@pytest.fixture(scope="module")
def page(made: Builder) -> str:
    return (made.out / "report.html").read_text()


def test_the_page_loads_nothing(page: str) -> None:
    parser = Loads()
    parser.feed(page)
    assert parser.found
    # links to files beside the page load nothing until somebody follows them
    assert all(value.startswith(("data:", "#", "figures/")) for value in parser.found)
    assert 'src="figures/' not in page
    assert "script" not in parser.tags
    assert "@import" not in page
    assert not re.search(r"url\(\s*['\"]?https?:", page)


def test_the_page_escapes_what_comes_from_a_spec(page: str) -> None:
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; text" in page


def test_the_page_has_tables_samples_and_provenance(page: str, made: Builder) -> None:
    for entry in made.plan().experiments[0].entries:
        assert f"cdmrun explain {entry.scores}" in page
    assert page.count('class="samples text"') == 1
    assert page.count('class="samples image"') == 1  # none for the enumerable ring
    assert "moses" in page  # held-out text beside the samples
    assert "seconds per sample" in page
    assert "0123456789ab" in page
    assert "conditional total correlation" in page


def test_a_partial_page_lists_failed_runs_with_the_end_of_their_logs(builder: Builder) -> None:
    experiment = builder.experiment("text", ("nll_bound",), lines=FEW)
    gone = experiment.entries[0].scores
    (builder.out / gone / "manifest.json").unlink()
    log = builder.out / "logs" / f"{gone}.log"
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"line {i}\n" for i in range(40)) + "error: disk full\n")
    page = write_report(builder.plan(), builder.out).read_text()
    assert 'class="state failed"' in page
    assert "line 21\n" in page
    assert "line 20\n" not in page
    assert "error: disk full" in page
    assert "–" in page


def test_decode_marks_what_is_still_masked() -> None:
    import numpy as np

    assert decode(np.array([0, 1, 3]), "abc") == f"ab{MASK_SIGN}"
