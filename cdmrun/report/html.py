"""One self-contained page over all experiments of a plan: no request leaves it, nothing in it is markup from a spec."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2
import yaml
from markupsafe import Markup

from cdmrun.report.canvas import FigureFiles
from cdmrun.report.checks import Finding
from cdmrun.report.failures import Absent, failed
from cdmrun.report.metrics_info import MetricInfo
from cdmrun.report.provenance import Origin
from cdmrun.report.sample_files import SampleFile
from cdmrun.report.samples import SampleGrid, data_uri
from cdmrun.report.tables import Table
from cdmrun.spec.plan_types import Experiment


@dataclass(frozen=True)
class Section:
    """Everything that the page shows of one experiment."""

    experiment: Experiment
    tables: Sequence[Table]
    enough: Table | None
    worse: Table | None
    gains: Table | None
    figures: Sequence[FigureFiles]
    findings: Sequence[Finding]
    samples: SampleGrid | None
    sample_files: Sequence[SampleFile]
    origins: Sequence[Origin]


def render(sections: Sequence[Section], absent: Sequence[Absent], metrics: Sequence[MetricInfo]) -> str:
    """The page as text; the same input gives the same text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cdmrun.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"anchor": anchor, "yaml": _yaml, "image": _figure_uri}
    style = resources.files("cdmrun.report").joinpath("report.css").read_text(encoding="utf-8")
    return environment.get_template("report.html.j2").render(
        sections=sections,
        absent=absent,
        failures=failed(absent),
        metrics=metrics,
        style=Markup(style),
    )


def anchor(name: str) -> str:
    """An id for a name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)


def _yaml(value: Mapping[str, Any]) -> str:
    return yaml.safe_dump(plain(value), sort_keys=False, allow_unicode=True, width=100, default_flow_style=None)


def plain(value: Any) -> Any:
    """Mappings and tuples as the dicts and lists that YAML knows."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _figure_uri(figure: FigureFiles) -> str:
    return data_uri(figure.svg, "image/svg+xml")
