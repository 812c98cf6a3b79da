"""Writes tables, figures and the report of a plan into the results folder."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial as bind
from pathlib import Path

import pandas as pd

from cdmrun.files import write_atomic
from cdmrun.report.canvas import FigureFiles
from cdmrun.report.checks import Finding, check
from cdmrun.report.collect import SCORE_COLUMNS, Fingerprint, collect, collect_references, missing_scores
from cdmrun.report.enough import ENOUGH_COLUMNS, enough, enough_table
from cdmrun.report.failures import absent_runs
from cdmrun.report.figures import draw_figures
from cdmrun.report.gains import gains, gains_table
from cdmrun.report.html import Section, render
from cdmrun.report.latex import PREAMBLE, table_latex
from cdmrun.report.laws import draw_laws
from cdmrun.report.markdown import escape, table_markdown
from cdmrun.report.metrics_info import metric_info
from cdmrun.report.oracles import oracles_table
from cdmrun.report.orders import ORDER_COLUMNS, fitted_orders, order_metrics, orders_table
from cdmrun.report.pairs import Pairs
from cdmrun.report.provenance import origins
from cdmrun.report.sample_files import SampleFile, sample_files
from cdmrun.report.samples import SampleGrid, sample_grid
from cdmrun.report.steps import STEP_COLUMNS, collect_steps, worse_table
from cdmrun.report.steps_figure import draw_steps
from cdmrun.report.summary import SUMMARY_COLUMNS, summarise
from cdmrun.report.tables import Table, build_tables
from cdmrun.spec import shown, written
from cdmrun.spec.plan_types import Experiment, Plan


def write_tables(
    plan: Plan, out: Path, partial: bool = False, fingerprint: Fingerprint | None = None, timing: bool = True
) -> list[Path]:
    """Write ``tables/NAME.{scores.csv,summary.csv,gains.csv,enough.csv,md,tex}`` and ``figures/NAME-*``.

    Where the spec asks for orders also ``tables/NAME.orders.csv``, where scores have steps ``tables/NAME.steps.csv``.
    Files that an earlier call wrote of an experiment and this one does not are removed.

    Parameters
    ----------
    plan, out
        What was asked for, and the results folder.
    partial
        With True, missing products become "–" instead of an error.
    fingerprint
        See `cdmrun.report.collect.collect`.
    timing
        With False, measured seconds are left out: two runs then have the same tables to the last byte. The workflow
        writes such tables anew, with the seconds, when it is run again.

    Returns
    -------
    The files written.

    Raises
    ------
    UserError
        If products are missing and ``partial`` is False, or a file cannot be written.
    """
    out = Path(out)
    paths: list[Path] = []
    for experiment, files in made_files(plan, out, partial, fingerprint, timing):
        shown.forget(out, experiment.name)
        written.add_files(out, experiment.name, files)
        for path, content in files.items():
            write_atomic(out / path, content)
            paths.append(out / path)
        written.drop_others(out, experiment.name, files)
        if timing and not missing_scores(replace(plan, experiments=(experiment,)), out):
            shown.record(out, experiment.name, [experiment])
    return paths


def made_files(
    plan: Plan, out: Path, partial: bool = False, fingerprint: Fingerprint | None = None, timing: bool = True
) -> Iterator[tuple[Experiment, dict[str, str | bytes]]]:
    """Each experiment with its files, path below the results folder to content; arguments as `write_tables`."""
    for made in _make(plan, Path(out), partial, fingerprint, timing):
        yield made.experiment, _files(made)


def write_report(
    plan: Plan, out: Path, partial: bool = True, fingerprint: Fingerprint | None = None, jobs: int = 1
) -> Path:
    """Write ``report.html``, one self-contained page over all experiments of ``plan``; arguments as `write_tables`.

    ``jobs`` experiments at a time are worked out, each in a process of its own; the page is the same.
    """
    out = Path(out)
    sections = []
    for made in _make(plan, out, partial, fingerprint, with_png=False, jobs=jobs):  # the page shows the SVG
        written.add_files(out, made.experiment.name, [f"figures/{file.name}" for file in made.sample_files])
        for file in made.sample_files:
            write_atomic(out / "figures" / file.name, file.content)  # the page leads to them
        section = Section(
            made.experiment,
            made.tables,
            made.enough_table,
            made.worse_table,
            made.gains_table,
            made.figures,
            made.findings,
            made.samples,
            made.sample_files,
            origins(plan, made.experiment, out),
        )
        sections.append(section)
    asked = dict.fromkeys(metric for experiment in plan.experiments for metric in experiment.metrics)
    path = out / "report.html"
    shown.forget(out, shown.REPORT)
    write_atomic(path, render(sections, absent_runs(plan, out), [metric_info(name) for name in asked]))
    if not missing_scores(plan, out):
        shown.record(out, shown.REPORT, plan.experiments)
    return path


@dataclass(frozen=True)
class _Made:
    """Everything that tables and report show of one experiment; frames hold the rows of this experiment."""

    experiment: Experiment
    scores: pd.DataFrame
    summary: pd.DataFrame
    orders: pd.DataFrame
    gains: pd.DataFrame
    enough: pd.DataFrame
    steps: pd.DataFrame
    tables: list[Table]
    enough_table: Table | None
    worse_table: Table | None
    gains_table: Table | None
    figures: list[FigureFiles]
    findings: list[Finding]
    samples: SampleGrid | None
    sample_files: list[SampleFile]


def _make(
    plan: Plan,
    out: Path,
    partial: bool,
    fingerprint: Fingerprint | None,
    timing: bool = True,
    with_png: bool = True,
    jobs: int = 1,
) -> Iterator[_Made]:
    scores = collect(plan, out, partial, fingerprint)
    if not timing:
        scores["seconds_per_sample"] = math.nan
        plan = replace(plan, experiments=tuple(map(_untimed, plan.experiments)))
    references, findings = collect_references(plan, out), check(scores)
    make = bind(_make_one, plan, out, with_png, references)
    experiments = plan.experiments
    own_scores = [scores[scores["experiment"] == experiment.name] for experiment in experiments]
    own_findings = [[f for f in findings if f.experiment == experiment.name] for experiment in experiments]
    jobs = min(jobs, len(experiments))
    if jobs <= 1:
        yield from map(make, experiments, own_scores, own_findings)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(make, experiments, own_scores, own_findings)


def _make_one(
    plan: Plan,
    out: Path,
    with_png: bool,
    references: pd.DataFrame,
    experiment: Experiment,
    own: pd.DataFrame,
    findings: list[Finding],
) -> _Made:
    summary = summarise(own)
    pairs = Pairs(experiment.name, own, references, out)
    orders, gain = fitted_orders(experiment, summary), gains(experiment, pairs)
    more = orders_table(experiment, orders, summary), oracles_table(experiment, summary)
    answers, steps = enough(experiment, summary, pairs), collect_steps(experiment, out)
    samples = sample_grid(plan, experiment, out)
    figures = draw_figures(experiment, summary, references, orders, with_png)
    pictures = draw_steps(experiment, steps, references, with_png), draw_laws(plan, experiment, out, with_png)
    return _Made(
        experiment,
        own,
        summary,
        orders,
        gain,
        answers,
        steps,
        [*build_tables(experiment, summary, references, pairs), *(table for table in more if table)],
        enough_table(experiment, answers),
        worse_table(experiment, steps, references, pairs),
        gains_table(experiment, gain, summary),
        [*figures, *(picture for picture in pictures if picture)],
        findings,
        samples,
        sample_files(samples, experiment.name) if samples else [],
    )


def _untimed(experiment: Experiment) -> Experiment:
    """The experiment as if its spec had asked for no seconds."""
    spec = {**experiment.spec, "evaluation": {**experiment.spec["evaluation"], "timing": False}}
    report = spec.get("report", {})
    figures = [figure for figure in report.get("figures", []) if figure["x"] != "seconds_per_sample"]
    return replace(experiment, spec={**spec, "report": {**report, "figures": figures}})


def _files(made: _Made) -> dict[str, str | bytes]:
    """Paths below the results folder, and what stands in them."""
    name = made.experiment.name
    files: dict[str, str | bytes] = {
        f"tables/{name}.summary.csv": _csv(made.summary, SUMMARY_COLUMNS),
        f"tables/{name}.gains.csv": _csv(made.gains, list(made.gains.columns)),
        f"tables/{name}.enough.csv": _csv(made.enough, ENOUGH_COLUMNS),
        f"tables/{name}.md": _markdown(made),
        f"tables/{name}.tex": _latex(made),
    }
    if order_metrics(made.experiment):
        files[f"tables/{name}.orders.csv"] = _csv(made.orders, ORDER_COLUMNS)
    if len(made.steps):
        files[f"tables/{name}.steps.csv"] = _csv(made.steps, STEP_COLUMNS)
    for figure in made.figures:
        stem = f"figures/{figure.stem}"
        files |= {f"{stem}.png": figure.png, f"{stem}.svg": figure.svg}
        if figure.csv:
            files[f"{stem}.csv"] = figure.csv
    files |= {f"figures/{file.name}": file.content for file in made.sample_files}
    # last, because it is what the workflow looks for: once it is there, so is the rest
    files[f"tables/{name}.scores.csv"] = _csv(made.scores[made.scores["status"] != "missing"], SCORE_COLUMNS)
    return files


def _csv(frame: pd.DataFrame, columns: list[str]) -> str:
    """Full precision (the shortest digits that read back to the same number)."""
    names = ("nfe", "nfe_counted", "nfe_within_noise", "nfe_shown", "goal_nfe", "step", "seed", "n")
    numbers = [name for name in names if name in columns and name in frame]
    whole = {name: "Int64" for name in numbers if (frame[name].dropna().astype(float) % 1 == 0).all()}
    return frame[columns].astype(whole).to_csv(index=False, lineterminator="\n")


def _markdown(made: _Made) -> str:
    experiment = made.experiment
    parts = [f"# {escape(experiment.title or experiment.name)}\n"]
    if experiment.description:
        parts.append(f"{escape(experiment.description)}\n")
    parts.extend(table_markdown(table) for table in _all_tables(made))
    if made.figures:
        parts.append("### Figures\n")
    for figure in made.figures:
        parts.append(f"![{escape(figure.alt)}](../figures/{figure.stem}.png)\n\n{escape(figure.note)}\n")
    if made.sample_files:
        parts.append("### Samples\n")
    for file in made.sample_files:
        shown_here = "!" if file.name.endswith(".png") else ""
        parts.append(f"{shown_here}[{escape(file.alt)}](../figures/{file.name})\n")
    parts.append("### Quality control\n")
    lines = [f"* **{finding.kind}**: {escape(finding.message)}" for finding in made.findings]
    parts.append("\n".join(lines) + "\n" if lines else "No findings.\n")
    return "\n".join(parts)


def _latex(made: _Made) -> str:
    name = made.experiment.name
    parts = [table_latex(table, f"{name}-{index}") for index, table in enumerate(made.tables, 1)]
    more = {"enough": made.enough_table, "worse": made.worse_table, "gains": made.gains_table}
    parts += [table_latex(table, f"{name}-{label}") for label, table in more.items() if table is not None]
    return PREAMBLE + "\n".join(parts)


def _all_tables(made: _Made) -> list[Table]:
    more = (made.enough_table, made.worse_table, made.gains_table)
    return [*made.tables, *(table for table in more if table is not None)]
