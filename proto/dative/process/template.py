"""A template: text with holes, each known to stand between quotes or not, so that its value is escaped for that place.

Knows no SQL and no process: text in, parts out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

Format = Literal["text", "json", "xml", "csv"]
HOLES_MAX = 200
_HOLE = re.compile(r"\{\{([A-Za-z_][\w.]*)\}\}|\{([A-Za-z_][\w.]*)\}")


class TemplateError(ValueError):
    """What a template can not be; the message says which hole."""


@dataclass(frozen=True, slots=True)
class Hole:
    """A place for a value. quoted: it stands between quotes that the template itself has written."""

    name: str
    quoted: bool


@dataclass(frozen=True)
class Syntax:
    """How a format is read. after: the state behind a text, from the state before it. refuses: states without holes."""

    start: str
    after: Callable[[str, str], str]
    quoted: frozenset[str]
    refuses: frozenset[str]
    bare_example: str

    def example(self, *, quoted: bool) -> str:
        """A value that is right in that place."""
        return "x" if quoted else self.bare_example


def read_template(text: str, format_: str) -> list[str | Hole]:
    """The parts of a template, texts and holes, in order. Raises TemplateError."""
    syntax = FORMATS[format_]
    state, parts = syntax.start, list[str | Hole]()
    for part in _parts(text):
        if isinstance(part, str):
            state = syntax.after(part, state)
            parts.append(part)
        elif state in syntax.refuses:
            raise TemplateError(f"{{{part.name}}} stands in a {state}, where no value can be escaped")
        else:
            parts.append(Hole(part.name, state in syntax.quoted))
    if sum(isinstance(part, Hole) for part in parts) > HOLES_MAX:
        raise TemplateError(f"a template has at most {HOLES_MAX} holes")
    return parts


def _parts(text: str) -> Iterator[str | Hole]:
    end = 0
    for found in _HOLE.finditer(text):
        if found.start() > end:
            yield text[end : found.start()]
        yield f"{{{found[1]}}}" if found[1] else Hole(found[2], quoted=False)
        end = found.end()
    if end < len(text):
        yield text[end:]


def _json(text: str, state: str) -> str:
    for found in re.finditer(r'\\.|"', text):
        if found[0] == '"':
            state = "value" if state == "text" else "text"
    return state


def _csv(text: str, state: str) -> str:
    # A doubled quote inside quotes closes and opens: the state behind it is the same.
    return {"bare": "quoted", "quoted": "bare"}[state] if text.count('"') % 2 else state


_XML = {
    "content": (("<!--", "comment"), ("<![CDATA[", "CDATA section"), ("<?", "declaration"), ("<", "tag")),
    "comment": (("-->", "content"),),
    "CDATA section": (("]]>", "content"),),
    "declaration": (("?>", "content"),),
    "tag": (('"', "attribute"), ("'", "attribute '"), (">", "content")),
    "attribute": (('"', "tag"),),
    "attribute '": (("'", "tag"),),
}


def _xml(text: str, state: str) -> str:
    place = 0
    while True:
        steps = [(text.find(sign, place), sign, after) for sign, after in _XML[state]]
        met = [step for step in steps if step[0] >= 0]
        if not met:
            return state
        # Of signs that begin at the same place the longer one is meant; they stand in that order.
        at, sign, state = min(met, key=lambda step: step[0])
        place = at + len(sign)


_NONE: frozenset[str] = frozenset()
FORMATS: dict[str, Syntax] = {
    "text": Syntax("text", lambda _, state: state, _NONE, _NONE, "x"),
    "json": Syntax("value", _json, frozenset(("text",)), _NONE, "0"),
    "csv": Syntax("bare", _csv, frozenset(("quoted",)), _NONE, "x"),
    "xml": Syntax(
        "content",
        _xml,
        frozenset(("attribute", "attribute '")),
        frozenset(("comment", "CDATA section", "declaration", "tag")),
        "x",
    ),
}
