"""YAML text to plain values and their positions, under limits.

Built from the parser's events with a stack of our own, so that depth is a number and never a RecursionError, and an
alias is refused before anything could expand. Scalars follow the core schema of YAML 1.2: `no`, `on` and `1:30` are
texts. A fraction stays the text that was written: the language knows decimals, never binary floats, and a signed bundle
holds none. This file knows nothing of processes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dative.errors import process as codes
from dative.process.findings import Path, Position, Report

BYTES_MAX = 1 << 20
DEPTH_MAX = 40
NODES_MAX = 100_000
KEY_LENGTH_MAX = 256
INTEGER_DIGITS_MAX = 18

_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_NOT_TEXT = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAB_INDENT = re.compile(r"^ *\t", re.MULTILINE)
_INTEGER = re.compile(r"[-+]?[0-9]+")
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))


def read_yaml(source: str | bytes, report: Report) -> Any:
    """The one document in `source` as dict, list, str, int, bool and None; its positions go to `report.source_map`.

    Returns None when there is none; why is in the report. Never raises for bad input. A duplicate key is reported and
    the first one kept, so that the rest can still be checked.
    """
    text = _decoded(source, report)
    if text is None:
        return None
    return _Builder(report).build(text)


def _decoded(source: str | bytes, report: Report) -> str | None:
    start = Position(1, 1)
    data = source if isinstance(source, bytes) else source.encode("utf-8", "surrogatepass")
    if len(data) > BYTES_MAX:
        report.at(codes.TOO_LARGE, f"{len(data):,} bytes; a process has at most {BYTES_MAX:,}", start)
        return None
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            report.at(codes.ENCODING, f"the file begins with a byte order mark of {encoding}", start)
            return None
    try:
        text = data.decode()
    except UnicodeDecodeError as broken:
        line = data.count(b"\n", 0, broken.start) + 1
        report.at(codes.ENCODING, f"byte 0x{data[broken.start]:02x} is not UTF-8", Position(line, 1))
        return None
    if control := _NOT_TEXT.search(text):
        where = _position_in(text, control.start())
        report.at(codes.ENCODING, f"character U+{ord(control[0]):04X} can not stand in a text file", where)
        return None
    return text


def _position_in(text: str, offset: int) -> Position:
    return Position(text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1)


@dataclass
class _Open:
    """A mapping or list whose end has not come. `key` is the mapping's key that waits for its value."""

    value: dict[str, Any] | list[Any]
    path: Path
    key: str | None = None
    ignored: bool = False  # the value of a duplicate or impossible key: read over


class _Stop(Exception):
    """The document can not be read further; the report says why."""


class _Builder:
    def __init__(self, report: Report) -> None:
        self._report = report
        self._stack: list[_Open] = []
        self._nodes = 0
        self._root: Any = None
        self._complete = False

    def build(self, text: str) -> Any:
        # Late: the agent imports the model to read schedules, and never parses YAML.
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError

        try:
            events: Iterator[Any] = YAML(typ="safe", pure=True).parse(text)
            for event in events:
                self._take(event)
        except _Stop:
            return None
        except MarkedYAMLError as broken:
            self._syntax(text, broken.problem or "unreadable", broken.problem_mark or broken.context_mark)
            return None
        except (YAMLError, ValueError, IndexError, AttributeError, TypeError, AssertionError, RecursionError) as broken:
            # The scanner has places where hostile text trips it in other ways than its own error.
            self._syntax(text, str(broken).split("\n")[0], None)
            return None
        if not self._complete:
            self._report.at(codes.EMPTY, "the file is empty", Position(1, 1))
        return self._root

    def _syntax(self, text: str, problem: str, mark: Any) -> None:
        at = Position(mark.line + 1, mark.column + 1) if mark is not None else Position(1, 1)
        tab = _TAB_INDENT.search(text)
        if "\\t" in problem or (tab and _position_in(text, tab.start()).line == at.line):
            self._report.at(codes.TAB, "a tab can not indent", at)
        else:
            self._report.at(codes.SYNTAX, f"not YAML: {problem}", at)

    def _take(self, event: Any) -> None:
        kind = type(event).__name__
        at = Position(event.start_mark.line + 1, event.start_mark.column + 1)
        if kind == "AliasEvent" or getattr(event, "anchor", None) is not None:
            self._stop(codes.ALIAS, "anchors and aliases are not part of the language", at)
        if kind == "DocumentStartEvent" and self._complete:
            self._stop(codes.SEVERAL_DOCUMENTS, "a second document begins here", at)
        if kind == "ScalarEvent":
            self._scalar(event, at)
        elif kind in ("MappingStartEvent", "SequenceStartEvent"):
            self._check_tag(event, at)
            self._open({} if kind == "MappingStartEvent" else [], at)
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            self._stack.pop()
            self._complete = not self._stack

    def _stop(self, code: Any, message: str, at: Position) -> None:
        self._report.at(code, message, at)
        raise _Stop

    def _check_tag(self, event: Any, at: Position) -> None:
        if getattr(event, "tag", None) not in (None, "!"):
            self._stop(codes.TAG, f"the tag {str(event.tag)[:60]} is not part of the language", at)

    def _count(self, at: Position) -> None:
        self._nodes += 1
        if self._nodes > NODES_MAX:
            self._stop(codes.TOO_MANY_NODES, f"more than {NODES_MAX:,} values", at)

    def _open(self, value: dict[str, Any] | list[Any], at: Position) -> None:
        self._count(at)
        if len(self._stack) >= DEPTH_MAX:
            self._stop(codes.TOO_DEEP, f"nested deeper than {DEPTH_MAX}", at)
        parent = self._stack[-1] if self._stack else None
        if parent is not None and isinstance(parent.value, dict) and parent.key is None:
            self._stop(codes.WRONG_VALUE, "a key is a mapping or a list; only a text can be a key", at)
        path, ignored = self._place(value, at)
        self._stack.append(_Open(value, path, ignored=ignored))

    def _scalar(self, event: Any, at: Position) -> None:
        self._count(at)
        self._check_tag(event, at)
        parent = self._stack[-1] if self._stack else None
        if parent is not None and isinstance(parent.value, dict) and parent.key is None:
            self._key(parent, event, at)
            return
        inside = None
        if event.start_mark.line == event.end_mark.line and event.style not in ("|", ">"):
            inside = 1 if event.style in ("'", '"') else 0
        value = event.value if event.style else _resolved(event.value)
        self._place(value, Position(at.line, at.column, inside))
        self._complete = not self._stack

    def _key(self, parent: _Open, event: Any, at: Position) -> None:
        key = event.value
        if len(key) > KEY_LENGTH_MAX:
            self._stop(codes.WRONG_VALUE, f"a key is longer than {KEY_LENGTH_MAX} characters", at)
        if key == "<<" and not event.style:
            self._stop(codes.ALIAS, "merge keys are not part of the language", at)
        assert isinstance(parent.value, dict)  # noqa: S101 - narrows the type for the checker
        parent.key = key
        if key in parent.value:
            first = self._report.source_map.keys.get((*parent.path, key))
            note = f"; it stands already on line {first.line}" if first else ""
            self._report.at(codes.DUPLICATE_KEY, f'key "{key}" stands twice{note}', at)
        elif not parent.ignored:
            self._report.source_map.keys[(*parent.path, key)] = at

    def _place(self, value: Any, at: Position) -> tuple[Path, bool]:
        """Put a value where it belongs; its path, and whether it stands under a key that is read over."""
        if not self._stack:
            self._root = value
            self._report.source_map.values[()] = at
            return (), False
        parent = self._stack[-1]
        step: str | int
        ignored = parent.ignored
        if isinstance(parent.value, dict):
            step, parent.key = parent.key or "", None
            ignored = ignored or step in parent.value
            if not ignored:
                parent.value[step] = value
        else:
            step = len(parent.value)
            parent.value.append(value)
        path = (*parent.path, step)
        if not ignored:
            self._report.source_map.values[path] = at
        return path, ignored


def _resolved(text: str) -> Any:
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text) and len(text) <= INTEGER_DIGITS_MAX:
        # 007 and +5 stay texts: turned into numbers they could not be written back.
        return int(text) if str(int(text)) == text else text
    return text
