"""`flow_control: {spread: …}`: what does not go with it is told, each with its place."""

from __future__ import annotations

import pytest
from dative.process.load import check

PROCESS = """\
apiVersion: dative/v1
kind: Process
metadata: {name: demo}
spec:
  connections: {erp: database, old: database}
  flow_control: {spread: {parts: 8}}
  source:
    id: read
    database.query: {connection: old, table: customer, columns: [id, name]}
  steps:
    - id: shape
      map: {fields: {id: id, name: upper(name)}}
    - id: write
      database.upsert: {connection: erp, table: customer, key: [id]}
"""
MAP = "map: {fields: {id: id, name: upper(name)}}"
CONTROL = "{spread: {parts: 8}}"
QUERY = "database.query: {connection: old, table: customer, columns: [id, name]}"

CASES = [
    ("nothing in its way", MAP, MAP, []),
    ("units of so many", CONTROL, "{spread: {parts: 8}, rows: 50}", []),
    ("document properties", MAP, "set_properties: {document.region: name}", []),
    ("the arm's stop", MAP, "stop:", [("process.unreachable", 13)]),
    ("everything as one unit", CONTROL, "{spread: {parts: 8}, unit: all}", [("process.not_spread", 6)]),
    ("one by one", CONTROL, "{spread: {parts: 8}, unit: one_by_one}", [("process.not_spread", 6)]),
    ("units by a field", CONTROL, "{spread: {parts: 8}, by: [name]}", [("process.not_spread", 6)]),
    ("lanes", CONTROL, "{spread: {parts: 8}, partitions: {count: 2, by: [id]}}", [("process.not_spread", 6)]),
    ("persisted properties", MAP, "set_properties: {persisted.last: name}", [("process.not_spread", 12)]),
    ("a cache", MAP, "cache_add: {cache: c, key: [id]}", [("process.not_spread", 12)]),
    ("a comparison with before", MAP, "find_changes: {key: [id]}", [("process.not_spread", 12)]),
    (
        "a stop of the execution",
        MAP,
        "stop: {scope: execution}",
        [("process.not_spread", 12), ("process.unreachable", 13)],
    ),
    ("a source of nothing", QUERY, "nothing:", [("process.not_divisible", 6)]),
    ("one part", CONTROL, "{spread: {parts: 1}}", [("process.wrong_value", 6)]),
    ("too many parts", CONTROL, "{spread: {parts: 1001}}", [("process.wrong_value", 6)]),
]


@pytest.mark.parametrize(("old", "new", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_parts_can_not_do_is_a_finding_with_its_place(old: str, new: str, expected: list[tuple[str, int]]) -> None:
    found = check(PROCESS.replace(old, new), filename="p.yaml").findings
    spread = [(one.code.name, one.line) for one in found if one.severity == "error"]
    assert [one for one in spread if one[0] not in ("process.unknown_field", "process.unused_connection")] == expected


def test_who_asks_for_parts_is_warned_that_they_are_read_undivided() -> None:
    warnings = [one for one in check(PROCESS, filename="p.yaml").findings if one.severity == "warning"]
    assert ("process.spread_undivided", 6) in [(one.code.name, one.line) for one in warnings]
    plain = check(PROCESS.replace(f"  flow_control: {CONTROL}\n", ""), filename="p.yaml").findings
    assert "process.spread_undivided" not in [one.code.name for one in plain]
