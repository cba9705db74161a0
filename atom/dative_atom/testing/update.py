"""`--update`: writes the expected part of failed cases anew, and nothing else of the file.

The text is spliced, never printed again: comments, order and quotes of everything around stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from dative.process.case_model import Case, Documents, ExpectedDocuments
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from dative_atom.testing.stage import Played

_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def rewritten(text: str, index: int, case: Case, played: Played) -> str:
    """The text of the test file with the case's `expect` as it came out. index: of the case in the file."""
    mapping = _case_node(text, index)
    expect = _expect(case, played)
    for key, value in mapping.value:
        if key.value == "expect":
            return text[: key.start_mark.index] + _entry(mapping, expect) + text[_end(value) :]
    last = _end(mapping.value[-1][1])
    before = ", " if mapping.flow_style else "\n" + " " * mapping.start_mark.column
    return text[:last] + before + _entry(mapping, expect) + text[last:]


def _entry(mapping: MappingNode, expect: dict[str, Any]) -> str:
    """`expect` in the style of its case."""
    if mapping.flow_style:
        return f"expect: {_flow(expect)}"
    return "\n".join(_lines("expect:", expect, mapping.start_mark.column)).lstrip(" ")


def _case_node(text: str, index: int) -> MappingNode:
    root = YAML(typ="rt").compose(text)
    cases = next(value for key, value in root.value if key.value == "cases")
    found = cases.value[index]
    assert isinstance(found, MappingNode)  # noqa: S101 - the file was read as a test before
    return found


def _end(node: Node) -> int:
    """Where a value ends: a block's own mark stands at whatever follows, behind comments that belong to that."""
    if isinstance(node, SequenceNode) and node.value and not node.flow_style:
        return _end(node.value[-1])
    if isinstance(node, MappingNode) and node.value and not node.flow_style:
        return _end(node.value[-1][1])
    return int(node.end_mark.index)


def _expect(case: Case, played: Played) -> dict[str, Any]:
    """What the case compared, with the values that came; all targets where it compared none."""
    if played.failure is not None:
        return {"failure": played.failure["code"]}
    expect = case.expect
    targets = dict.fromkeys([*expect.written, *(() if expect.written else (one.step for one in played.effects))])
    found: dict[str, Any] = {}
    if targets:
        found["written"] = {step: _documents(expect.written.get(step), played.written(step)) for step in targets}
    if expect.steps:
        found["steps"] = {step: _documents(wanted, played.steps.get(step, ())) for step, wanted in expect.steps.items()}
    if expect.filtered is not None:
        found["filtered"] = played.counts.filtered
    if expect.dead_lettered is not None or played.dead_letters:
        found["dead_lettered"] = [_letter(letter.parked) for letter in played.dead_letters]
    if expect.counts is not None:
        found["counts"] = {name: getattr(played.counts, name) for name in expect.counts.model_dump(exclude_none=True)}
    return found


def _documents(wanted: Documents | None, given: Sequence[Mapping[str, Any]]) -> Any:
    """In the form in which they were expected: so many, exactly these, or these with the fields that were named."""
    if isinstance(wanted, ExpectedDocuments):
        if wanted.count is not None and wanted.exactly is None:
            return {"count": len(given)}
        return {"exactly": list(given)}
    named = dict.fromkeys(name for record in wanted or () for name in record)
    return [{name: value for name, value in row.items() if not named or name in named} for row in given]


def _letter(parked: Any) -> dict[str, Any]:
    return {"code": parked.code, **({"field": parked.field} if parked.field else {})}


def _lines(head: str, value: Any, indent: int) -> Iterable[str]:
    """Block style down to the documents, each of which is one line."""
    pad = " " * indent
    if isinstance(value, dict) and value and any(isinstance(item, dict | list) and item for item in value.values()):
        yield f"{pad}{head}"
        for name, item in value.items():
            yield from _lines(f"{_scalar(name)}:", item, indent + 2)
    elif isinstance(value, list) and value:
        yield f"{pad}{head}"
        yield from (f"{pad}  - {_flow(item)}" for item in value)
    else:
        yield f"{pad}{head} {_flow(value)}"


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(name)}: {_flow(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    """Texts that could be read as something else are quoted."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    text = str(value)
    if text and set(text) <= _PLAIN and not text[0].isdigit() and text[0] != "-" and text.lower() not in _WORDS:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in escaped) + '"'


_WORDS: Final = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
