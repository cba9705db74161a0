"""business_rules and cleanse: everything that is wrong with a document in one reason, repairs by rule, both counted."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from dative.v1 import telemetry_pb2

WRITE = "- {id: write, database.upsert: {connection: erp, table: t, key: [Id]}}"


def steps(*lines: str) -> str:
    return "  steps:\n" + "".join(f"    {line}\n" for text in lines for line in text.splitlines())


def written(engine: Any) -> list[dict[str, Any]]:
    target = engine.system.targets.get("write")
    return list(target.rows.values()) if target else []


def reasons(engine: Any) -> dict[Any, tuple[str, str]]:
    return {
        letter.parked.payload["Id"]: (letter.parked.code, letter.parked.reason)
        for letter in engine.journal.dead_letters()
    }


def counted(engine: Any, step: str) -> dict[str, int]:
    """What the execution's report at the controller says of a step's rules."""
    records = [telemetry_pb2.Record.FromString(item.body) for item in engine.journal.outbox(0)]
    executions = [record.execution for record in records if record.WhichOneof("kind") == "execution"]
    return {name: times for item in executions[-1].steps if item.step == step for name, times in item.rules.items()}


ROWS = pa.table({"Id": [0, 1, 2, 3], "Name": ["Ada", None, "Bo", None], "Amount": ["5", "5", "-5", "x"]})
RULES = """- id: r
  business_rules:
    %s
    rules:
      - {name: named, check: Name IS NOT NULL, message: a name is missing}
      - {name: long, check: length(Name) > 2, message: the name is short, severity: warning}
      - {name: paid, check: number(Amount) > 0, message: nothing was paid}"""


def test_a_document_fails_with_all_its_errors_in_one_reason(engine: Any) -> None:
    engine.system.rows = ROWS.slice(0, 3).append_column("More", pa.array([1, 2, 3]))
    both = RULES % "into: notes" + "\n      - {name: even, check: Id % 2 = 0, message: odd}"
    ended = engine.run(steps(both, WRITE))
    assert ended.failure is None, ended.failure
    assert reasons(engine) == {
        1: ("shape.rules_broken", "named: a name is missing; even: odd"),
        2: ("shape.rules_broken", "paid: nothing was paid"),
    }
    assert [row["notes"] for row in written(engine)] == [None]
    # A NULL does not hold: the document without a name has no long one either.
    assert counted(engine, "r") == {"named": 1, "long": 2, "paid": 1, "even": 1}


def test_errors_that_are_kept_stand_in_the_field_with_the_warnings(engine: Any) -> None:
    engine.system.rows = ROWS.slice(0, 3)
    ended = engine.run(steps(RULES % "{into: notes, errors: keep}".strip("{}").replace(", ", "\n    "), WRITE))
    assert ended.failure is None, ended.failure
    assert [row["notes"] for row in written(engine)] == [
        None,
        "named: a name is missing; long: the name is short",
        "long: the name is short; paid: nothing was paid",
    ]


def test_a_rule_that_can_not_be_computed_fails_its_document_in_its_own_words(engine: Any) -> None:
    engine.system.rows = ROWS.slice(3, 1)
    engine.run(steps(RULES % "into: notes", WRITE))
    code, reason = reasons(engine)[3]
    assert code == "expression.number_unreadable"
    assert reason.startswith("paid: ")


# (group, documents of 0..3 that break it)
GROUPS = [
    ("any: [{name: a, check: Id = 0}, {name: b, check: Id = 1}]", {2: "g: no", 3: "g: no"}),
    ("all: [{name: a, check: Id < 3}, {name: b, check: Id > 0}]", {0: "b: does not hold", 3: "a: does not hold"}),
    ("any: [{name: a, check: Id = 0}, {name: n, all: [{name: b, check: Id > 1}, {name: c, check: Id < 3}]}]",
        {1: "g: no", 3: "g: no"}),
    ("all: [{name: a, check: Id < 3}, {name: n, any: [{name: b, check: Id = 0}, {name: c, check: Id > 1}], message: m}]",
        {1: "n: m", 3: "a: does not hold"}),
    ("any: [{name: a, check: \"NULL\"}, {name: b, check: Id <> 1}]", {1: "g: no"}),
]  # fmt: skip


@pytest.mark.parametrize(("group", "expected"), GROUPS)
def test_groups_hold_as_their_rules_do(engine: Any, group: str, expected: dict[int, str]) -> None:
    engine.system.rows = pa.table({"Id": [0, 1, 2, 3]})
    engine.run(steps(f"- {{id: r, business_rules: {{rules: [{{name: g, {group}, message: no}}]}}}}", WRITE))
    assert {row: reason for row, (_, reason) in reasons(engine).items()} == expected


def test_many_broken_rules_are_told_up_to_a_bound(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": [0]})
    message = "m" * 290
    rules = "".join(f"\n      - {{name: r{number}, check: Id > 0, message: {message}}}" for number in range(20))
    engine.run(steps(f"- id: r\n  business_rules:\n    rules:{rules}", WRITE))
    assert len(reasons(engine)[0][1]) == 1_000
    assert reasons(engine)[0][1].endswith(" …")


# cleanse: (rules, values before, values after; None where the document is rejected)
REPAIRS: list[tuple[str, list[Any], list[Any]]] = [
    ("trim: true", [" a ", "  ", None], ["a", None, None]),
    ("trim: true, default: x", [" a ", "  ", None], ["a", "x", "x"]),
    ('pad: {length: 3, fill: "0"}', ["7", "1234", None], ["007", "1234", None]),
    ('pad: {length: 3, side: right, fill: "\'"}', ["7", "", None], ["7''", "'''", None]),
    ("truncate: 2", ["äöü", "a", None], ["äö", "a", None]),
    ("values: [a, b], otherwise: b", ["a", "z", None], ["a", "b", None]),
    ("type: integer", ["7", "-1", None], [7, -1, None]),
    ('type: "decimal(6,2)", clamp_min: "0", clamp_max: "9.5"', ["-1", "10", "3"],
        [Decimal("0.00"), Decimal("9.50"), Decimal("3.00")]),
    ("type: date", ["2024-02-29", None, "2024-01-01"], [date(2024, 2, 29), None, date(2024, 1, 1)]),
    ("pattern: '[A-Z]{2}', default: XX", ["AB", None, "CD"], ["AB", "XX", "CD"]),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "before", "after"), REPAIRS)
def test_a_field_is_repaired_by_its_rules_in_their_order(
    engine: Any, rules: str, before: list[Any], after: list[Any]
) -> None:
    engine.system.rows = pa.table({"Id": [0, 1, 2], "F": pa.array(before, pa.string()), "Other": [7, 8, 9]})
    ended = engine.run(steps(f"- {{id: c, cleanse: {{F: {{{rules}}}}}}}", WRITE))
    assert (ended.failure, ended.counts.written) == (None, 3)
    target = engine.system.targets["write"]
    plain = [str(value) if isinstance(value, Decimal | date) else value for value in after]
    assert [(row["F"], row["Other"]) for row in target.rows.values()] == list(zip(plain, [7, 8, 9], strict=True))


# (rules, value, the reason)
REJECTS = [
    ("required: true", None, "F: required"),
    ("trim: true, required: true", "  ", "F: required"),
    ("values: [a, b]", "z", "F: values"),
    ("length_max: 2", "abc", "F: length_max"),
    ("length_min: 2, pattern: '[0-9]+'", "a", "F: length_min; F: pattern"),
    ("type: integer, required: true", "1.x", "F: type; F: required"),
    ("type: 'decimal(4,2)'", "1000", "F: type"),
    ("type: date", "2024-02-30", "F: type"),
    ("type: integer, max: '9'", "10", "F: max"),
    ("pattern: 'a'", "a' OR 'a'='a", "F: pattern"),
]


@pytest.mark.parametrize(("rules", "value", "reason"), REJECTS)
def test_what_can_not_be_repaired_is_rejected_without_its_value(
    engine: Any, rules: str, value: str | None, reason: str
) -> None:
    engine.system.rows = pa.table({"Id": [0], "F": pa.array([value], pa.string())})
    engine.run(steps(f"- {{id: c, cleanse: {{F: {{{rules}}}}}}}", WRITE))
    assert reasons(engine) == {0: ("shape.cleanse_rejected", reason)}


def test_every_rule_is_counted_per_field_and_neighbours_go_on(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": [0, 1, 2], "F": [" a", "b", None], "G": ["1", "x", "y"]})
    engine.batch_rows = 2
    ended = engine.run(steps("- {id: c, cleanse: {F: {trim: true, default: z}, G: {type: integer}}}", WRITE))
    assert (ended.counts.written, ended.counts.dead_lettered) == (1, 2)
    assert counted(engine, "c") == {"F: trim": 1, "F: default": 1, "G: type": 2}


def test_a_field_that_is_no_text_is_cleansed_as_its_text(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": [0, 1], "F": [5, 5000]})
    engine.run(steps("- {id: c, cleanse: {F: {type: integer, clamp_max: '10'}}}", WRITE))
    assert [row["F"] for row in written(engine)] == [5, 10]


def test_a_hostile_rule_is_a_text_in_the_query(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": [0], "F": ["a"]})
    ended = engine.run(steps("- {id: c, cleanse: {F: {values: [\"x') OR ('1'='1\"], otherwise: \"o'x\"}}}", WRITE))
    assert ended.failure is None
    assert [row["F"] for row in written(engine)] == ["o'x"]
