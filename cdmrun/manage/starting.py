"""``cdmrun new spec``: a commented spec to start from."""

from __future__ import annotations

import os
import re
from importlib import resources
from pathlib import Path

from cdmrun.errors import UserError
from cdmrun.spec.schema import SCHEMA_PATH, spec_schema

#: Where specs lie, and so where new ones go.
FOLDER = Path("specs")


#: What a new spec may start from.
TEMPLATES = ("text", "digits", "exact", "chain")


def new_spec(name: str, like: str) -> Path:
    """Write ``specs/NAME.yaml``.

    Parameters
    ----------
    name
        Of the file and of the experiment.
    like
        What is modelled; one of `TEMPLATES`.

    Returns
    -------
    The file written.

    Raises
    ------
    UserError
        If the name is none that an experiment may have, or the file exists.
    """
    rule = spec_schema()["properties"]["name"]
    if not re.search(rule["pattern"], name) or len(name) > rule["maxLength"]:
        raise UserError(f"{name!r} cannot be the name of an experiment", "use a-z, 0-9 and -, such as my-first")
    path = FOLDER / f"{name}.yaml"
    text = (
        f"# yaml-language-server: $schema={_schema_from(path.parent)}\n"
        f"# Check it: cdmrun validate {path}   see what it trains: cdmrun plan {path}\n"
        f"# run it: snakemake --cores all --config specs={path}\n"
        f"name: {name}\n"
        "title: What stands above its tables\n"
        "seeds: [0]                              # students and samplers run once for each\n\n"
        + resources.files("cdmrun.manage").joinpath(f"templates/{like}.yaml").read_text(encoding="utf-8")
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(path, "x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise UserError(f"{path}: exists already", "choose another name, or edit that file") from error
    return path


def _schema_from(folder: Path) -> str:
    """The schema as an editor finds it from ``folder``: relative in a checkout, which may move, absolute elsewhere."""
    here = Path.cwd()
    if SCHEMA_PATH.is_relative_to(here):
        return Path(os.path.relpath(SCHEMA_PATH, here / folder)).as_posix()
    return str(SCHEMA_PATH)
