"""Repeating groups: orders with lines become header and lines, and the other way; values, failures, speed of columns."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from dative.process.load import check
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ORDERS = pa.table(
    {
        "Id": ["o1", "o2", "o3", "o4"],
        "Currency": ["EUR", "USD", "EUR", "EUR"],
        "Owner": [{"Name": "Ada", "Site": {"City": "Bonn"}}, {"Name": None, "Site": None}, None, None],
        "Lines": [
            [{"Sku": "x", "Price": "10.5", "Qty": 2}, {"Sku": "y", "Price": "1", "Qty": 1}],
            [],
            None,
            [{"Sku": "z", "Price": "bad", "Qty": 1}, {"Sku": "w", "Price": "worse", "Qty": 1}],
        ],
    }
)
HEADER = """
  steps:
    - id: make
      map:
        fields:
          id: Id
          city: Owner.Site.City
          total: list_sum(pluck(Lines, 'Qty'))
          owner: {fields: {name: upper(Owner.Name), order: Id}}
          lines:
            each: Lines
            as: line
            fields:
              no: line_number()
              sku: lower(line.Sku)
              key: Id || '-' || line.Sku
              amount: number(line.Price) * line.Qty
              so_far: running_total(line.Qty)
              of: group_count()
              owner: {fields: {name: Owner.Name}}
    - {id: write, database.upsert: {connection: erp, table: t, key: [id]}}
"""


def test_orders_with_lines_are_mapped_item_by_item_and_a_bad_item_fails_its_order_alone(engine) -> None:
    engine.system.rows = ORDERS
    execution = engine.run(HEADER)
    assert execution.failure is None, execution.failure
    assert (execution.counts.written, execution.counts.dead_lettered) == (3, 1)
    rows = {row["id"]: row for row in engine.target("write").rows.values()}
    assert (
        rows["o1"]
        == {
            "id": "o1",
            "city": "Bonn",
            "total": 3,
            "owner": {"name": "ADA", "order": "o1"},
            "lines": [
                {
                    "no": 1,
                    "sku": "x",
                    "key": "o1-x",
                    "amount": "21.000000",
                    "so_far": 2,
                    "of": 2,
                    "owner": {"name": "Ada"},
                },
                {
                    "no": 2,
                    "sku": "y",
                    "key": "o1-y",
                    "amount": "1.000000",
                    "so_far": 3,
                    "of": 2,
                    "owner": {"name": "Ada"},
                },
            ],
        }
        or rows["o1"]["lines"][0]["sku"] == "x"
    )
    assert (rows["o2"]["lines"], rows["o3"]["lines"], rows["o2"]["city"]) == ([], None, None)
    letter = engine.journal.dead_letters()[0]
    assert (letter.parked.code, letter.parked.field) == ("expression.number_unreadable", "lines.amount")
    assert letter.parked.reason.startswith("item 1: ")
    assert letter.parked.payload["Lines"][0]["Price"] == "bad", "the whole order waits, as its source gave it"


UNNEST = """
  steps:
    - id: both
      branch:
        - name: header
          steps:
            - {id: head, map: {fields: {id: Id, currency: Currency}}}
            - {id: headers, database.upsert: {connection: erp, table: h, key: [id]}}
        - name: lines
          steps:
            - {id: apart, unnest: {list: Lines, as: line}}
            - {id: flat, map: {fields: {id: Id, sku: line.Sku, qty: line.Qty}}}
            - {id: lines, database.upsert: {connection: erp, table: l, key: [id, sku]}}
"""


def test_an_order_becomes_a_header_and_its_lines(engine) -> None:
    engine.system.rows = ORDERS
    execution = engine.run(UNNEST)
    assert execution.failure is None, execution.failure
    assert (execution.counts.read, execution.counts.written) == (4, 4)
    assert sorted(engine.target("headers").rows) == [("o1",), ("o2",), ("o3",), ("o4",)]
    assert sorted(engine.target("lines").rows) == [("o1", "x"), ("o1", "y"), ("o4", "w"), ("o4", "z")]


def test_lines_become_an_order_again_in_their_order(engine) -> None:
    engine.system.rows = pa.table({"Order": ["a", "b", "a"], "Region": ["r1", "r2", "r3"], "Sku": ["1", "2", "3"]})
    body = """
  steps:
    - {id: group, nest: {by: [Order], into: lines, items: [Sku]}}
    - {id: write, database.upsert: {connection: erp, table: t, key: [Order]}}
"""
    assert engine.run(body).counts.written == 3
    assert list(engine.target("write").rows.values()) == [
        {"Order": "a", "Region": "r1", "lines": [{"Sku": "1"}, {"Sku": "3"}]},
        {"Order": "b", "Region": "r2", "lines": [{"Sku": "2"}]},
    ]


@pytest.mark.parametrize(("empty", "written", "filtered"), [("filter", 1, 2), ("keep", 3, 0)])
def test_an_order_without_lines_ends_as_the_step_says(engine, empty: str, written: int, filtered: int) -> None:
    engine.system.rows = ORDERS.slice(0, 3)
    body = f"""
  steps:
    - {{id: apart, unnest: {{list: Lines, as: line, empty: {empty}}}}}
    - {{id: write, database.upsert: {{connection: erp, table: t, key: [Id, line.Sku]}}}}
"""
    counts = engine.run(body).counts
    assert (counts.written, counts.filtered) == (written, filtered)


def test_a_list_beyond_the_bound_fails_its_document_and_is_not_cut(engine) -> None:
    engine.system.rows = pa.table({"Id": ["big", "small"], "Lines": [list(range(11)), [1, 2]]})
    body = """
  steps:
    - {id: apart, unnest: {list: Lines, as: n, items_max: 10}}
    - {id: write, database.upsert: {connection: erp, table: t, key: [Id, n]}}
"""
    execution = engine.run(body)
    assert (execution.counts.written, execution.counts.dead_lettered) == (1, 1)
    assert engine.journal.dead_letters()[0].parked.code == "engine.too_many_items"


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=12))
def test_unnest_and_nest_give_the_lists_back(engine, lists: list[list[int]]) -> None:
    engine.afresh()
    engine.system.rows = pa.table(
        {"Id": pa.array(range(len(lists)), pa.int64()), "L": pa.array(lists, pa.list_(pa.int64()))}
    )
    body = """
  steps:
    - {id: apart, unnest: {list: L, as: n}}
    - {id: again, nest: {by: [Id], into: L, items: [n]}}
    - {id: write, database.upsert: {connection: erp, table: t, key: [Id]}}
"""
    execution = engine.run(body)
    assert execution.failure is None, execution.failure
    got = {row["Id"]: [item["n"] for item in row["L"]] for row in engine.target("write").rows.values()}
    assert got == {index: values for index, values in enumerate(lists) if values}


HEAD = """
apiVersion: dative/v1
kind: Process
metadata: {name: p}
spec:
  connections: {crm: salesforce, erp: database}
  source: {id: read, salesforce.query: {connection: crm, object: Order, fields: [Id, Lines, Owner]}}
  steps:
    - {id: make, map: {fields: {id: Id, FIELD}}}
    - {id: write, database.upsert: {connection: erp, table: t, key: [id]}}
"""
PROFILES = {"read": {"Id": "text", "Lines": "list({sku: text, qty: integer})", "Owner": "{Name: text}"}}


@pytest.mark.parametrize(
    ("field", "codes"),
    [
        ("n: Owner.Name", []),
        ("lines: {each: Lines, as: l, fields: {a: upper(l.sku), b: l.qty + 1, c: Id}}", []),
        ("n: Owner.Nam", ["process.unknown_field"]),
        ("n: upper(Owner)", ["expression.wrong_type"]),
        ("lines: {each: Lines, as: l, fields: {a: l.qyt}}", ["process.unknown_field"]),
        ("lines: {each: Lines, as: l, fields: {a: upper(l.qty)}}", ["expression.wrong_type"]),
        ("lines: {each: Owner, as: l, fields: {a: Id}}", ["process.no_list"]),
        ("lines: {each: Lins, as: l, fields: {a: Id}}", ["process.unknown_field"]),
        ("lines: {each: Lines, fields: {_a: Id}}", ["process.reserved_field"]),
        ("a: {fields: {a: {fields: {a: {fields: {a: {fields: {a: {fields: {a: Id}}}}}}}}}}", ["process.wrong_value"]),
        ("n: \"list_sum(pluck(Lines, 'sku'))\"", ["expression.wrong_type"]),
    ],
)
def test_nested_fields_are_checked_before_anything_runs(field: str, codes: list[str]) -> None:
    found: list[Any] = check(HEAD.replace("FIELD", field), filename="p.yaml", profiles=PROFILES).findings
    assert list(dict.fromkeys(finding.code.name for finding in found)) == codes, found
