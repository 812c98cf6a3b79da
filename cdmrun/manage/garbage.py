"""``cdmrun gc``: what a results folder holds that no spec asks for, and its removal.

Nothing outside the results folder is ever touched: a symbolic link is taken away, never followed, and a kind's folder
that is itself a link to elsewhere is left alone. Nor is anything that this program did not make (no card and no
manifest of its own), or that a job holds at the moment.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cdmrun.errors import UserError
from cdmrun.files import LOCK, is_locked
from cdmrun.manage.records import manifest_of, record_of, recorded_keys
from cdmrun.spec.cards import card_path
from cdmrun.spec.shown import cards_of
from cdmrun.spec.written import list_path, listed_experiments, listed_files, present


@dataclass(frozen=True)
class Garbage:
    """Something to remove: a ``product``, an ``unfinished`` one, the ``card`` of a run that never began, the ``work``
    folder that a complete and wanted product no longer needs, or the ``tables`` and figures of an experiment.

    ``paths`` lie below the results folder; ``size`` is in bytes, what hides behind links not counted.
    """

    key: str
    what: str
    paths: tuple[Path, ...]
    size: int
    in_use: bool = False


def find_garbage(out: Path, wanted: Collection[str]) -> list[Garbage]:
    """Return what can go from a results folder, in order.

    Parameters
    ----------
    out
        The results folder.
    wanted
        Keys of all runs that specs ask for.
    """
    found = []
    for key in recorded_keys(out):
        folder = out / key
        if not _stays_inside(out, folder):
            continue
        if key in wanted:
            work = folder / "work"
            if not folder.is_symlink() and manifest_of(out, key) is not None and os.path.lexists(work):
                found.append(Garbage(key, "work", (work,), _size(work), _in_use(folder)))
        elif record_of(out, key) is not None:
            found.append(garbage_of(out, key, card_path(out, key)))
    return found


def find_old_tables(out: Path, wanted: Collection[str]) -> list[Garbage]:
    """Return tables and figures of experiments that are not among those ``wanted``, in order.

    Only what lists say was written of them (`cdmrun.spec.written`); record of what it shows, log and benchmark go too.
    """
    found = []
    kept = {*listed_files(out, *wanted)}
    for name in listed_experiments(out):
        if name not in wanted:
            files = present(out, {*listed_files(out, name)} - kept)
            beside = (out / f"logs/tables/{name}.log", out / f"benchmarks/tables/{name}.tsv")
            more = (*beside, *cards_of(out, name), list_path(out, name))
            paths = (*files, *(p for p in more if os.path.lexists(p) and _stays_inside(out, p)))
            found.append(Garbage(f"tables/{name}.*, figures/{name}-*", "tables", paths, sum(map(_size, paths))))
    return found


def garbage_of(out: Path, key: str, *more: Path) -> Garbage:
    """Return all there is of a run, its log and benchmark included, as something to remove; ``more`` goes with it."""
    folder = out / key
    beside = (out / "logs" / f"{key}.log", out / "benchmarks" / f"{key}.tsv", *more)
    paths = tuple(p for p in (folder, *beside) if os.path.lexists(p) and _stays_inside(out, p))
    return Garbage(key, _kind(out, key), paths, sum(map(_size, paths)), _in_use(folder))


def remove(out: Path, garbage: Garbage) -> int:
    """Remove one piece of garbage.

    Returns
    -------
    Bytes freed; 0 if a job has taken it since it was found.

    Raises
    ------
    UserError
        If a file cannot be removed.
    """
    try:
        with _held(out / garbage.key) as mine:
            if not mine:
                return 0
            for path in garbage.paths:
                if _stays_inside(out, path):
                    _unlink(path)
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be removed: {error.strerror}", "see who owns the folder") from error
    return garbage.size


def _kind(out: Path, key: str) -> str:
    if manifest_of(out, key) is not None:
        return "product"
    return "unfinished" if os.path.lexists(out / key) else "card"


def _in_use(folder: Path) -> bool:
    return not folder.is_symlink() and is_locked(folder)


def _stays_inside(out: Path, path: Path) -> bool:
    """Whether the folder in which ``path`` stands is really in the results folder, whatever links lead there."""
    return Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(out))


def _unlink(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path)


def _size(path: Path) -> int:
    """Bytes of a file or of all files of a folder; links count as themselves."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size if os.path.lexists(path) else 0
    return sum(os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(path) for name in names)


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Hold a product's folder against jobs; False if one has it. A link or an absent folder needs no holding."""
    if folder.is_symlink() or not folder.is_dir():
        yield True
        return
    lock = folder / LOCK
    if lock.is_symlink():  # a job holds a file, never what a link leads to
        lock.unlink()
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        yield _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
