"""Tables as LaTeX, through the pandas Styler, with booktabs rules."""

from __future__ import annotations

import re

import pandas as pd

from cdmrun.report.numbers import Number
from cdmrun.report.tables import Cell, Row, Table

PREAMBLE = "% \\usepackage{booktabs,graphicx} in the preamble; made by cdmrun, do not edit\n"

_ESCAPES = {
    "\\": r"\textbackslash{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
    "∞": r"$\infty$",
    "×": r"$\times$",
    "…": r"\ldots{}",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "→": r"$\rightarrow$",
    "τ": r"$\tau$",
    "θ": r"$\theta$",
    "χ": r"$\chi$",
    "²": r"$^2$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "µ": r"$\mu$",
    "†": r"$^\dagger$",
    "°": r"$^\circ$",
    "‖": r"$\|$",
    "“": "``",
    "”": "''",
    "\n": " ",
}


def escape(text: object) -> str:
    """Text from a spec, harmless in LaTeX and in its plain ASCII where we write other signs ourselves."""
    return "".join(_ESCAPES.get(char, char) for char in str(text))


def table_latex(table: Table, label: str) -> str:
    """A ``table`` environment: caption, label and a booktabs tabular that shrinks to the line where it must."""
    header = [*table.row_names, "seeds", *(str(nfe) for nfe in table.columns)]
    body: list[list[str]] = []
    for index, panel in enumerate(table.panels):
        body.append([f"@@panel{index}@@", *[""] * (len(header) - 1)])
        body.extend(_row(row) for row in panel.rows)
    names = [escape(name) for name in header]
    styler = pd.DataFrame(body, columns=pd.Index(names)).style.hide(axis="index")
    layout = "l" * len(table.row_names) + "r" * (1 + len(table.columns))
    tabular = _set_panels(styler.to_latex(hrules=True, column_format=layout), table, len(header))
    tabular = _set_spans(tabular, table)
    group = _group_header(table) if table.group else ""
    tabular = tabular.replace("\\toprule\n", f"\\toprule\n{group}", 1)
    return (
        "\\begin{table}[t]\n\\centering\n"
        f"\\caption{{\\textbf{{{escape(table.title)}.}} {escape(table.caption)}}}\n"
        f"\\label{{tab:{re.sub('[^A-Za-z0-9:-]', '-', label)}}}\n"
        "\\footnotesize\\setlength{\\tabcolsep}{4pt}\n"
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
        f"{tabular.rstrip()}%\n}}\n\\end{{table}}\n"
    )


def _group_header(table: Table) -> str:
    left, count = len(table.row_names) + 1, len(table.columns)
    group = f"\\multicolumn{{{count}}}{{c}}{{{escape(table.group)}}}"
    return f"{'& ' * left}{group} \\\\\n\\cmidrule(lr){{{left + 1}-{left + count}}}\n"


def _row(row: Row) -> list[str]:
    labels = [escape(label) for label in row.labels]
    seeds = row.seeds.replace("–", "--")
    if row.reference:
        labels = [f"\\emph{{{label}}}" if label else "" for label in labels]
    if not row.spans or not row.cells:
        return [*labels, seeds, *(_cell(cell) for cell in row.cells)]
    return [*labels, seeds, f"@@span@@{_cell(row.cells[0])}", *[""] * (len(row.cells) - 1)]


def _cell(cell: Cell) -> str:
    text = _number(cell.number) + (r"$^\circ$" if cell.noise else "") + (r"$^\dagger$" if cell.stale else "")
    return f"\\textbf{{{text}}}" if cell.best else text


def _number(value: Number) -> str:
    body = escape(value.mean) + (f" $\\pm$ {escape(value.half)}" if value.half else "")
    if not value.power:
        return body
    inner = f"({body})" if value.half else body
    return f"{inner}$\\times 10^{{{value.power}}}$"


def _set_panels(text: str, table: Table, width: int) -> str:
    """Turn each panel's marker row into a heading across the table."""
    for index, panel in enumerate(table.panels):
        rule = "" if index == 0 else "\\midrule\n"
        heading = f"{rule}\\multicolumn{{{width}}}{{l}}{{\\textit{{{escape(panel.heading)}}}}} \\\\\n"
        text = re.sub(rf"@@panel{index}@@[^\n]*\n", lambda _, heading=heading: heading, text)  # type: ignore[misc]
    return text


def _set_spans(text: str, table: Table) -> str:
    """A reference value is one cell across all NFE, and its label one cell across the label columns."""
    count, labels = len(table.columns), len(table.row_names)
    out = []
    for line in text.split("\n"):
        if "@@span@@" in line:
            left, right = line.split("@@span@@")
            fields = left.split(" & ")
            value = right.split(" & ")[0].removesuffix(" \\\\")
            line = (
                f"\\multicolumn{{{labels}}}{{l}}{{{fields[0].strip()}}} & {fields[labels].strip()} & "
                f"\\multicolumn{{{count}}}{{c}}{{{value.strip()}}} \\\\"
            )
        out.append(line)
    return "\n".join(out)
