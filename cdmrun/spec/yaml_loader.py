"""YAML as version 1.2 means it (core schema), with the place of every key and value, and nothing executable.

Where PyYAML by itself follows version 1.1: here ``1e-3`` is a number, ``no`` and ``on`` are text, ``012`` is twelve
and ``0o14`` is octal. A key written twice is an error; so are merge keys (``<<``, use ``extends:``), tags other than
the core ones, and numbers that are not finite. Anchors and aliases work; deep nesting and alias bombs are refused.

The tree is built from parser events with a stack of our own: no recursion, whatever the input.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cdmrun.spec.errors import SpecError, Step, did_you_mean_spec
from cdmrun.spec.nodes import Mark, Node

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 40
MAX_NODES = 500_000

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+\Z")
_OCTAL = re.compile(r"0o[0-7]+\Z")
_HEX = re.compile(r"0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")
_CORE = "tag:yaml.org,2002:"


class _StopError(Exception):
    """The file cannot be read further; carries the error."""

    def __init__(self, error: SpecError) -> None:
        super().__init__(str(error))
        self.error = error


def load_yaml(path: Path) -> tuple[Node | None, list[SpecError]]:
    """Read one YAML file into a tree of marked nodes.

    Parameters
    ----------
    path
        The file; marks carry this path as given.

    Returns
    -------
    node, errors
        The top-level map, or None if the file has none; and everything wrong with it. Never raises for bad input.
    """
    try:
        text = _read(path)
        builder = _Builder(path)
        builder.run(text)
    except _StopError as stop:
        return None, [stop.error]
    root = builder.root
    if root is None:
        return None, [
            Mark(path, 1, 1).error((), "the file is empty: a spec is a map of key: value lines"),
            *builder.errors,
        ]
    if not root.is_map:
        found = "a list" if isinstance(root.value, list) else "a single value"
        message = f"a spec is a map of key: value lines, this is {found}"
        return None, [root.mark.error((), message), *builder.errors]
    return root, builder.errors


def read_value(text: str) -> Any:
    """Return what a value means that stands by itself, on a command line say: the same as after a key of a spec.

    Raises
    ------
    ValueError
        If it cannot be read; says why.
    """
    builder = _Builder(Path())
    try:
        builder.run(text)
    except _StopError as stop:
        raise ValueError(stop.error.message) from None
    if builder.errors:
        raise ValueError(builder.errors[0].message)
    return None if builder.root is None else builder.root.plain()


def scalar(text: str) -> Any:
    """Return what a plain (unquoted) scalar means in the YAML 1.2 core schema.

    Raises
    ------
    ValueError
        For a number that is not finite or too long to be one.
    """
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.match(text):
        return int(text, 10)
    if _OCTAL.match(text):
        return int(text[2:], 8)
    if _HEX.match(text):
        return int(text[2:], 16)
    if _NOT_FINITE.match(text):
        raise ValueError(f"{text} is not a finite number")
    if _FLOAT.match(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise ValueError(f"{text} is too large for a floating-point number")
        return number
    return text


def _read(path: Path) -> str:
    start = Mark(path, 1, 1)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _StopError(start.error((), f"larger than {MAX_BYTES // 2**20} MiB: this is not a spec"))
        raw = path.read_bytes()
    except (OSError, ValueError) as error:
        hint = did_you_mean_spec(path) if isinstance(error, FileNotFoundError) else ""
        hint = f" (name its files: {path}/*.yaml)" if isinstance(error, IsADirectoryError) else hint
        raise _StopError(
            start.error((), f"cannot be read: {getattr(error, 'strerror', None) or error}{hint}")
        ) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", "replace")
        raise _StopError(_mark_at(path, before).error((), "not UTF-8 text: save the file as UTF-8")) from None
    bad = _UNPRINTABLE.search(text)
    if bad:
        message = f"the character U+{ord(bad.group()):04X} is not allowed in YAML: remove it"
        raise _StopError(_mark_at(path, text[: bad.start()]).error((), message))
    return text


def _mark_at(path: Path, before: str) -> Mark:
    lines = before.split("\n")
    return Mark(path, len(lines), len(lines[-1]) + 1)


@dataclass
class _Frame:
    """A list or map under construction; ``size`` counts its nodes with aliases written out."""

    mark: Mark
    anchor: str | None
    is_map: bool
    items: list[Node] = field(default_factory=list)
    fields: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, Mark] = field(default_factory=dict)
    key: tuple[str | None, Mark] | None = None
    size: int = 1


class _Builder:
    """Turns parser events into nodes, collecting what is wrong on the way."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root: Node | None = None
        self.errors: list[SpecError] = []
        self.frames: list[_Frame] = []
        self.anchors: dict[str, tuple[Node, int] | None] = {}
        self.documents = 0

    def run(self, text: str) -> None:
        try:
            for event in yaml.parse(text, Loader=_PARSER):
                self.handle(event)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = self.mark(mark) if mark is not None else Mark(self.path, 1, 1)
            raise _StopError(place.error(self.steps(), _syntax_message(error, text, mark))) from None
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise _StopError(Mark(self.path, 1, 1).error((), f"not readable as YAML: {error}")) from None

    def handle(self, event: Any) -> None:
        mark = self.mark(event.start_mark)
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise _StopError(mark.error((), "a second document ('---'): one file holds one spec"))
        elif isinstance(event, yaml.ScalarEvent):
            self.scalar(event, mark)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self.open(event, mark)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self.close()
        elif isinstance(event, yaml.AliasEvent):
            self.alias(str(event.anchor), mark)

    def scalar(self, event: Any, mark: Mark) -> None:
        if self.expects_key():
            self.begin_key(event.value, mark, plain=not event.style)
            return
        node = Node(self.meaning(event, mark), mark)
        if event.anchor:
            self.anchors[event.anchor] = (node, 1)
        self.add(node, 1)

    def meaning(self, event: Any, mark: Mark) -> Any:
        tag = event.tag
        try:
            if tag in (None, "!", ""):
                return scalar(event.value) if event.implicit[0] and not event.style and tag is None else event.value
            name = tag.removeprefix(_CORE)
            if name == "str":
                return event.value
            value = scalar(event.value)
            expected = {"int": int, "float": int | float, "bool": bool, "null": type(None)}.get(name)
            if expected is None or not isinstance(value, expected) or (name == "int" and isinstance(value, bool)):
                raise ValueError(f"the tag {tag.replace(_CORE, '!!')} cannot be used here: write the plain value")
            return float(value) if name == "float" and value is not None else value
        except ValueError as error:
            message = str(error) if "digits" not in str(error) else "this number has too many digits"
            self.errors.append(mark.error(self.steps(), message))
            return event.value

    def open(self, event: Any, mark: Mark) -> None:
        if self.expects_key():
            raise _StopError(mark.error(self.steps(), "a key must be a single word, not a list or a map"))
        if len(self.frames) >= MAX_DEPTH:
            raise _StopError(mark.error(self.steps(), f"nested more than {MAX_DEPTH} deep: this is not a spec"))
        if event.tag and event.tag not in ("!", f"{_CORE}map", f"{_CORE}seq"):
            self.errors.append(mark.error(self.steps(), f"the tag {event.tag} is not allowed: write plain values"))
        if event.anchor:
            self.anchors[event.anchor] = None
        self.frames.append(_Frame(mark, event.anchor, isinstance(event, yaml.MappingStartEvent)))

    def close(self) -> None:
        frame = self.frames.pop()
        node = Node(frame.fields, frame.mark, frame.keys) if frame.is_map else Node(frame.items, frame.mark)
        if frame.anchor:
            self.anchors[frame.anchor] = (node, frame.size)
        self.add(node, frame.size)

    def alias(self, name: str, mark: Mark) -> None:
        if self.expects_key():
            raise _StopError(mark.error(self.steps(), "an alias cannot be a key"))
        if name not in self.anchors:
            raise _StopError(mark.error(self.steps(), f"*{name} refers to an anchor that was not defined above"))
        known = self.anchors[name]
        if known is None:
            raise _StopError(mark.error(self.steps(), f"*{name} contains itself"))
        self.add(*known)

    def expects_key(self) -> bool:
        return bool(self.frames) and self.frames[-1].is_map and self.frames[-1].key is None

    def begin_key(self, key: str, mark: Mark, plain: bool) -> None:
        frame = self.frames[-1]
        name: str | None = key
        if plain and key == "<<":
            self.errors.append(mark.error((*self.steps(), key), "merge keys ('<<') are YAML 1.1: use extends"))
            name = None
        elif key in frame.keys:
            first = frame.keys[key]
            message = f"'{key}' is given twice, first in line {first.line}: remove one"
            self.errors.append(mark.error((*self.steps(), key), message))
            name = None
        else:
            frame.keys[key] = mark
        frame.key = (name, mark)

    def add(self, node: Node, size: int) -> None:
        if not self.frames:
            self.root = node
            return
        frame = self.frames[-1]
        frame.size += size
        if frame.size > MAX_NODES:
            raise _StopError(
                frame.mark.error(self.steps(), f"more than {MAX_NODES:,} values once aliases are written out")
            )
        if not frame.is_map:
            frame.items.append(node)
        elif frame.key is not None:
            name, _ = frame.key
            if name is not None:
                frame.fields[name] = node
            frame.key = None

    def steps(self) -> list[Step]:
        steps: list[Step] = []
        for frame in self.frames:
            if not frame.is_map:
                steps.append(len(frame.items))
            elif frame.key is not None and frame.key[0] is not None:
                steps.append(frame.key[0])
        return steps

    def mark(self, mark: Any) -> Mark:
        return Mark(self.path, mark.line + 1, mark.column + 1)


def _syntax_message(error: yaml.MarkedYAMLError, text: str, mark: Any) -> str:
    problem = error.problem or "not readable as YAML"
    context = f" ({error.context})" if error.context else ""
    lines = text.split("\n")
    line = lines[mark.line] if mark is not None and mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "a tab cannot indent YAML: use spaces"
    if "could not find expected ':'" in problem:
        return f"{problem}{context}: a key is followed by a colon and a space"
    return f"{problem}{context}"
