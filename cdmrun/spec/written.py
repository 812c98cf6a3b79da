"""Which files were written of each experiment, so that none with old numbers stays when it is no longer made.

``.plan/shown/NAME.files`` has the paths of an experiment's tables and figures below the results folder, one a line.
Lists are believed only of plain names in ``tables/`` and ``figures/``, and those folders only where they are not links
to elsewhere. Tables that earlier versions wrote have no list: their files are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from cdmrun.files import write_atomic
from cdmrun.spec.cards import CARDS

#: A name that is not made of dots alone, so that no path leads out of the two folders.
_PLACE = re.compile(r"(?:tables|figures)/[^/\0]*[^/.\0][^/\0]*")


def add_files(out: Path, name: str, files: Collection[str]) -> None:
    """List files of an experiment besides those listed; before they are written, since a job may be killed."""
    if files:
        _write(out, name, {*listed_files(out, name), *files})


def drop_others(out: Path, name: str, files: Collection[str]) -> None:
    """Remove what is listed of an experiment and not among ``files``, which are all that is listed from now on."""
    others = [other for other in listed_experiments(out) if other != name]
    for path in present(out, {*listed_files(out, name)} - {*files, *listed_files(out, *others)}):
        path.unlink(missing_ok=True)
    _write(out, name, files)


def listed_files(out: Path, *names: str) -> list[str]:
    """Paths below the results folder of what was written of some experiments, in order."""
    lines = [line for name in names for line in _read(list_path(out, name)).split("\n")]
    return sorted({line for line in lines if _PLACE.fullmatch(line)})


def listed_experiments(out: Path) -> list[str]:
    """Names of the experiments that have a list, in order."""
    return sorted(path.stem for path in (Path(out) / CARDS / "shown").glob("*.files"))


def present(out: Path, files: Iterable[str]) -> list[Path]:
    """Those of some listed files that are there, and in the results folder itself."""
    found = [Path(out, file) for file in sorted(files)]
    return [path for path in found if not path.parent.is_symlink() and (path.is_symlink() or path.is_file())]


def list_path(out: Path, name: str) -> Path:
    """Where the list of an experiment's files lies."""
    return Path(out) / CARDS / "shown" / f"{name}.files"


def _write(out: Path, name: str, files: Iterable[str]) -> None:
    write_atomic(list_path(out, name), "".join(f"{file}\n" for file in sorted(files)))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
