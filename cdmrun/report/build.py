"""Writes tables, figures and the report of a plan into the results folder."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cdmrun.files import write_atomic
from cdmrun.report.checks import Finding, check
from cdmrun.report.collect import SCORE_COLUMNS, Fingerprint, collect, collect_references
from cdmrun.report.enough import enough
from cdmrun.report.figures import FigureFiles, draw_figures
from cdmrun.report.gains import gains, gains_table
from cdmrun.report.html import Section, render
from cdmrun.report.latex import PREAMBLE, table_latex
from cdmrun.report.markdown import escape, table_markdown
from cdmrun.report.metrics_info import metric_info
from cdmrun.report.provenance import absent_runs, origins
from cdmrun.report.samples import sample_grid
from cdmrun.report.summary import SUMMARY_COLUMNS, summarise
from cdmrun.report.tables import Table, build_tables
from cdmrun.spec.plan_types import Experiment, Plan


def write_tables(plan: Plan, out: Path, partial: bool = False, fingerprint: Fingerprint | None = None) -> list[Path]:
    """Write ``tables/NAME.{scores.csv,summary.csv,gains.csv,md,tex}`` and ``figures/NAME-*`` of each experiment.

    Parameters
    ----------
    plan, out
        What was asked for, and the results folder.
    partial
        With True, missing products become "–" instead of an error.
    fingerprint
        See `cdmrun.report.collect.collect`.

    Returns
    -------
    The files written.

    Raises
    ------
    UserError
        If products are missing and ``partial`` is False, or a file cannot be written.
    """
    out = Path(out)
    scores = collect(plan, out, partial, fingerprint)
    summary, references = summarise(scores), collect_references(plan, out)
    findings = check(scores)
    written: list[Path] = []
    for experiment in plan.experiments:
        name = experiment.name
        gain = gains(experiment, scores, references)
        tables = build_tables(experiment, summary, references)
        gain_table = gains_table(experiment, gain, summary)
        figures = draw_figures(experiment, summary, references)
        own = [finding for finding in findings if finding.experiment == name]
        there = scores[(scores["experiment"] == name) & (scores["status"] != "missing")]
        files: dict[str, str | bytes] = {
            f"tables/{name}.scores.csv": _csv(there, SCORE_COLUMNS),
            f"tables/{name}.summary.csv": _csv(summary[summary["experiment"] == name], SUMMARY_COLUMNS),
            f"tables/{name}.gains.csv": _csv(gain, list(gain.columns)),
            f"tables/{name}.md": _markdown(experiment, tables, gain_table, own, figures),
            f"tables/{name}.tex": _latex(experiment, tables, gain_table),
        }
        for figure in figures:
            stem = f"figures/{figure.stem}"
            files |= {f"{stem}.png": figure.png, f"{stem}.svg": figure.svg, f"{stem}.csv": figure.csv}
        for path, content in files.items():
            write_atomic(out / path, content)
            written.append(out / path)
    return written


def write_report(plan: Plan, out: Path, partial: bool = True, fingerprint: Fingerprint | None = None) -> Path:
    """Write ``report.html``, one self-contained page over all experiments of ``plan``; arguments as `write_tables`."""
    out = Path(out)
    scores = collect(plan, out, partial, fingerprint)
    summary, references = summarise(scores), collect_references(plan, out)
    findings = check(scores)
    sections = []
    for experiment in plan.experiments:
        gain = gains(experiment, scores, references)
        sections.append(
            Section(
                experiment,
                build_tables(experiment, summary, references),
                gains_table(experiment, gain, summary),
                enough(experiment, summary),
                draw_figures(experiment, summary, references),
                [finding for finding in findings if finding.experiment == experiment.name],
                sample_grid(plan, experiment, out),
                origins(plan, experiment, out),
            )
        )
    asked = dict.fromkeys(metric for experiment in plan.experiments for metric in experiment.metrics)
    path = out / "report.html"
    write_atomic(path, render(sections, absent_runs(plan, out), [metric_info(name) for name in asked]))
    return path


def _csv(frame: pd.DataFrame, columns: list[str]) -> str:
    """Full precision (the shortest digits that read back to the same number)."""
    numbers = [name for name in ("nfe", "nfe_counted", "seed", "n") if name in columns]
    whole = {name: "Int64" for name in numbers if (frame[name].dropna() % 1 == 0).all()}
    return frame[columns].astype(whole).to_csv(index=False, lineterminator="\n")


def _markdown(
    experiment: Experiment,
    tables: list[Table],
    gain_table: Table | None,
    findings: list[Finding],
    figures: list[FigureFiles],
) -> str:
    parts = [f"# {escape(experiment.title or experiment.name)}\n"]
    if experiment.description:
        parts.append(f"{escape(experiment.description)}\n")
    parts.extend(table_markdown(table) for table in [*tables, *([gain_table] if gain_table else [])])
    if figures:
        parts.append("### Figures\n")
        parts.extend(f"![{escape(figure.alt)}](../figures/{figure.stem}.png)\n" for figure in figures)
    parts.append("### Quality control\n")
    lines = [f"* **{finding.kind}**: {escape(finding.message)}" for finding in findings]
    parts.append("\n".join(lines) + "\n" if lines else "No findings.\n")
    return "\n".join(parts)


def _latex(experiment: Experiment, tables: list[Table], gain_table: Table | None) -> str:
    parts = [table_latex(table, f"{experiment.name}-{index}") for index, table in enumerate(tables, 1)]
    if gain_table is not None:
        parts.append(table_latex(gain_table, f"{experiment.name}-gains"))
    return PREAMBLE + "\n".join(parts)
