"""Tables as GitHub Markdown."""

from __future__ import annotations

import re

import pandas as pd

from cdmrun.report.tables import Row, Table


def escape(text: object) -> str:
    """Text from a spec, harmless inside a Markdown table; underscores inside words stay as they are."""
    flat = re.sub(r"\s+", " ", str(text)).strip()
    return re.sub(r"([\\`*\[\]|])", r"\\\1", flat).replace("<", "&lt;").replace(">", "&gt;")


def table_markdown(table: Table) -> str:
    """A heading, the table and its caption. A panel starts with a row in bold; reference rows are in italics."""
    header = [*table.row_names, "seeds", *(f"{table.group} {name}".strip() for name in table.columns)]
    body: list[list[str]] = []
    for panel in table.panels:
        body.append([f"**{escape(panel.heading)}**", *[""] * (len(header) - 1)])
        body.extend(_row(row) for row in panel.rows)
    frame = pd.DataFrame(body, columns=[escape(name) for name in header])
    align = ["left"] * len(table.row_names) + ["right"] * (1 + len(table.columns))
    text = frame.to_markdown(index=False, disable_numparse=True, colalign=align)
    return f"### {escape(table.title)}\n\n{text}\n\n{escape(table.caption)}\n"


def _row(row: Row) -> list[str]:
    labels = [f"*{escape(label)}*" if row.reference and label else escape(label) for label in row.labels]
    cells = []
    for cell in row.cells:
        text = f"{cell.number}{' °' if cell.noise else ''}{' †' if cell.stale else ''}"
        cells.append(f"**{text}**" if cell.best else f"*{text}*" if row.reference else text)
    return [*labels, row.seeds, *cells]
