"""YAML 1.2 as it is meant, and damaged files that never raise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cdmrun.spec.yaml_loader import load_yaml


def value_of(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    node, errors = load_yaml(path)
    assert not errors, errors
    assert node is not None
    return node.plain()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("2E3", 2000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("+7", 7),
        ("012", 12),
        ("0o14", 12),
        ("0x1F", 31),
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2001-01-01", "2001-01-01"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("Null", None),
        ("'1e-3'", "1e-3"),
        ('"no"', "no"),
        ("!!str 12", "12"),
        ("!!float 12", 12.0),
        ("! 12", "12"),
        ("=", "="),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(tmp_path: Path, text: str, value: Any) -> None:
    found = value_of(tmp_path, f"a: {text}\n")["a"]
    assert found == value
    assert type(found) is type(value)


def test_marks_of_keys_and_values(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\nb:\n  - x\n  - {c: é, d: 2}\n")
    node, _ = load_yaml(path)
    assert node is not None
    assert (node.locate(("a",)).line, node.locate(("a",)).column) == (1, 4)
    assert (node.locate_key(("a",)).line, node.locate_key(("a",)).column) == (1, 1)
    assert (node.locate(("b",)).line, node.locate(("b",)).column) == (2, 1)
    assert (node.locate(("b", 1, "d")).line, node.locate(("b", 1, "d")).column) == (4, 15)
    assert node.locate(("b", 1, "nothing")).line == 4


def test_anchors_are_values(tmp_path: Path) -> None:
    assert value_of(tmp_path, "a: &x {b: [1]}\nc: *x\n") == {"a": {"b": [1]}, "c": {"b": [1]}}


def located(tmp_path: Path, content: bytes) -> list[str]:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    return [f"{e.line}:{e.column}: {e.path}: {e.message}" for e in load_yaml(path)[1]]


@pytest.mark.parametrize(
    ("content", "place", "word"),
    [
        (b"a: 1\nb: 2\na: 3\n", "3:1: a:", "given twice, first in line 1"),
        (b"a: {b: 1, b: 2}\n", "1:11: a.b:", "given twice"),
        (b"a: &x {b: 1}\nc:\n  <<: *x\n", "3:3: c.<<:", "use extends"),
        (b"", "1:1: (file):", "empty"),
        (b"# only a comment\n", "1:1: (file):", "empty"),
        (b"- 1\n", "1:1: (file):", "a list"),
        (b"text\n", "1:1: (file):", "single value"),
        (b"a: [1, 2\n", "2:1:", ""),
        (b"a:\n\tb: 1\n", "2:1:", "tab"),
        (b"a: 1\nb 2\nc: 3\n", "3:1:", "colon"),
        (b"a: *nothing\n", "1:4: a:", "not defined above"),
        (b"a: &x [*x]\n", "1:8: a[0]:", "contains itself"),
        (b"a: .inf\n", "1:4: a:", "finite"),
        (b"a: -1e999\n", "1:4: a:", "too large"),
        (b"a: " + b"9" * 5000 + b"\n", "1:4: a:", "too many digits"),
        (b"a: 1\n---\nb: 2\n", "2:1:", "second document"),
        (b"a: !!python/object:os.system x\n", "1:4: a:", "tag"),
        (b"a: !!int x\n", "1:4: a:", "tag"),
        (b"[a]: 1\n", "1:1:", "key"),
        (b"a: 1\nb: \x00\n", "2:4:", "U+0000"),
        (b"a: 1\nb: \xff\n", "2:4:", "UTF-8"),
        (b"a: " + b"[" * 2000 + b"]" * 2000, "1:", "deep"),
    ],
)
def test_damage_is_located(tmp_path: Path, content: bytes, place: str, word: str) -> None:
    found = located(tmp_path, content)
    assert found
    assert found[0].startswith(place)
    assert word in found[0]


def test_alias_bomb_is_refused_quickly(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 10) + "]" for i in range(1, 12)]
    found = located(tmp_path, "\n".join(lines).encode())
    assert "aliases" in found[0]


def test_several_duplicates_are_all_reported(tmp_path: Path) -> None:
    assert len(located(tmp_path, b"a: 1\na: 2\nb: 1\nb: 2\n")) == 2


def test_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "presents.yaml").touch()
    hints = {
        tmp_path: f"(name its files: {tmp_path}/*.yaml)",
        tmp_path / "present.yaml": "No such file or directory (did you mean 'presents.yaml'?)",
        tmp_path / "nowhere/present.yaml": "No such file or directory",
        Path("a\0b"): "null byte",
    }
    for path, hint in hints.items():
        node, errors = load_yaml(path)
        assert node is None
        assert errors[0].message.startswith("cannot be read: ")
        assert errors[0].message.endswith(hint)
