"""What the language says of route, return_documents, documents and nothing before anything runs."""

from __future__ import annotations

import pytest
from dative.process.lineage import follow
from dative.process.load import canonical_process, check, load
from dative.process.model import Process

HEAD = """\
apiVersion: dative/v1
kind: Process
metadata: {name: demo}
spec:
  connections: {erp: database}
  source: %s
  steps:
"""
GIVEN = "{id: start, documents: {fields: {Id: text, n: integer, day: date, big: 'decimal(9,2)', yes: boolean}}}"
WRITE = "    - id: write\n      database.upsert: {connection: erp, table: t, key: [Id]}\n"


def codes(steps: str, source: str = GIVEN) -> list[str]:
    return [finding.code.name for finding in check(HEAD % source + steps, filename="p.yaml").findings]


@pytest.mark.parametrize(
    ("value", "key", "fits"),
    [
        ("n", "10", True),
        ("n", "x", False),
        ("n", "1.5", False),
        ("day", "2024-01-31", True),
        ("day", "01/31/2024", False),
        ("big", "1.5", True),
        ("big", "many", False),
        ("yes", "true", True),
        ("yes", "1", False),
        ("Id", "anything", True),
    ],
)
def test_a_route_is_a_value_that_its_expression_can_have(value: str, key: str, fits: bool) -> None:
    steps = f"    - id: sort\n      route: {value}\n      routes: {{'{key}': []}}\n"
    assert codes(steps + WRITE) == ([] if fits else ["process.wrong_value"])


def test_fields_of_all_routes_come_together_and_a_class_follows_through_each() -> None:
    steps = (
        "    - id: sort\n      route: Id\n      routes:\n        a: [{id: one, map: {fields: {Id: Id, x: n}}}]\n"
        "        b: [{id: two, stop: {}}]\n      default: [{id: three, map: {fields: {Id: Id, y: day}}}]\n"
    )
    loaded = load(HEAD % GIVEN + steps, filename="p.yaml")
    assert loaded.process is not None
    assert set(follow(loaded.process).sources["sort"]) == {"Id", "x", "y"}


def test_what_stands_after_a_return_is_unreachable() -> None:
    assert codes("    - {id: back, return_documents: {}}\n" + WRITE) == ["process.unreachable"]


@pytest.mark.parametrize(
    ("source", "steps", "code"),
    [
        ("{id: s, map: {fields: {Id: '1'}}}", WRITE, "process.wrong_direction"),
        (GIVEN, "    - {id: again, nothing: {}}\n", "process.wrong_direction"),
        ("{id: start, documents: {fields: {}}}", "", "process.wrong_value"),
        ("{id: start, documents: {}}", "", "process.missing_key"),
        ("{id: start, nothing: {}}", WRITE, "process.unknown_field"),
    ],
)
def test_a_start_stands_where_a_start_can_stand(source: str, steps: str, code: str) -> None:
    assert code in codes(steps, source)


def test_a_route_without_a_value_or_with_too_many_is_a_finding() -> None:
    many = ", ".join(f"v{index}: []" for index in range(101))
    assert codes(f"    - id: sort\n      route: Id\n      routes: {{{many}}}\n" + WRITE) == ["process.wrong_value"]
    assert "process.wrong_value" in codes("    - {id: sort, route: Id, routes: {}}\n" + WRITE)


def test_the_bundle_holds_what_the_file_says() -> None:
    steps = "    - {id: sort, route: n, routes: {10: [{id: end, stop: {}}]}, default: [{id: b, return_documents: }]}\n"
    process = load(HEAD % GIVEN + steps, filename="p.yaml").process
    assert process is not None
    assert Process.model_validate_json(canonical_process(process)) == process


def test_a_process_that_is_called_starts_by_no_trigger() -> None:
    text = (HEAD % GIVEN + WRITE).replace("  steps:", '  triggers: [{schedule: {cron: "* * * * *"}}]\n  steps:')
    assert [finding.code.name for finding in check(text, filename="p.yaml").findings] == ["process.misplaced"]
