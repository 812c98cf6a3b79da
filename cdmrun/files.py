"""Writing files so that a reader, or a crash, never meets half of one."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from cdmrun.errors import UserError

#: In a product's folder; whoever makes or removes the product holds it with ``flock``.
LOCK = ".lock"


def write_with(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, flush it to disk, then rename it into place.

    Raises
    ------
    UserError
        If the disk is full or the folder cannot be written; whatever stood at ``path`` is untouched.
    """
    path = Path(path)
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except Exception as error:
        reason = _reason_to_fail(error)
        if reason is None:
            raise
        raise UserError(
            f"{path}: cannot be written: {reason.strerror or reason}",
            "free some disk space or choose another results folder; nothing computed so far is lost",
        ) from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def _reason_to_fail(error: BaseException | None) -> OSError | None:
    """The operating system's error behind an exception: torch hides a full disk behind a RuntimeError."""
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    return error


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write ``content`` to ``path`` atomically; text as UTF-8."""
    data = content.encode() if isinstance(content, str) else content

    def write(stream: BinaryIO) -> None:
        stream.write(data)

    write_with(path, write)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, keys in the given order, atomically."""
    write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=True) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; a missing or damaged file is a `UserError` that names it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file", "run the workflow that makes it: snakemake --cores all") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not readable as JSON: {error}", "delete it and run again") from error


def read_map(path: Path, *keys: str) -> dict[str, Any]:
    """Read JSON that has to be a map with some keys; anything else is a `UserError` that names the file."""
    value = read_json(path)
    absent = [key for key in keys if not isinstance(value, dict) or key not in value]
    if absent or not isinstance(value, dict):
        raise UserError(f"{path}: not what stands in such a file: no {', '.join(absent)}", "delete it and run again")
    return value


def peek_map(path: Path) -> dict[str, Any] | None:
    """Read JSON that may be a map; None where there is no such file, or something else in it."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def as_map(value: Any) -> dict[str, Any]:
    """What was read, if it is a map; else an empty one."""
    return value if isinstance(value, dict) else {}


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_locked(folder: Path) -> bool:
    """Whether a process holds the product in ``folder`` right now; told by asking for a shared lock for an instant."""
    try:
        with open(Path(folder) / LOCK, "rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
