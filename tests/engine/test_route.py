"""route and return_documents: every value takes its way, whatever it is."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

WRITE = "    - {id: write, database.upsert: {connection: erp, table: t, key: [Id]}}\n"


def routed(engine: Any, value: str, routes: str, rows: dict[str, pa.Array], default: str = "") -> dict[str, str | None]:
    """Id -> the way that its document took, by a field that each way sets."""
    ways = "".join(
        f"        {key}: [{{id: w{index}, map: {{fields: {{Id: Id, way: \"'{index}'\"}}}}}}]\n"
        for index, key in enumerate(routes.split())
    )
    engine.system.rows = pa.table(rows)
    execution = engine.run(
        f"  steps:\n    - id: sort\n      route: {value}\n      routes:\n{ways}{default}"
        "    - {id: all, map: {fields: {Id: Id, way: way}}}\n" + WRITE
    )
    assert execution.failure is None, execution.failure
    return {row["Id"]: row["way"] for row in engine.system.targets["write"].rows.values()}


@pytest.mark.parametrize(
    ("values", "routes", "expected"),
    [
        (pa.array(["x", "y", None, "X"]), "x y", ["0", "1", None, None]),
        (pa.array([1, 2, None, 10]), "10 2", [None, "1", None, "0"]),
        (pa.array([True, False, None, True]), "true false", ["0", "1", None, "0"]),
        (pa.array(["1.50", "2", None, "3"]).cast(pa.decimal128(9, 2)), "1.5 2", ["0", "1", None, None]),
    ],
)
def test_a_value_takes_its_way_and_null_takes_the_default(
    engine: Any, values: pa.Array, routes: str, expected: list[str | None]
) -> None:
    rows = {"Id": pa.array(["a", "b", "c", "d"]), "v": values}
    assert list(routed(engine, "v", routes, rows).values()) == expected


def test_documents_flow_on_in_the_order_of_their_numbers_whichever_way_they_took(engine: Any) -> None:
    rows = {"Id": pa.array([f"{row:03d}" for row in range(300)]), "v": pa.array([row % 7 for row in range(300)])}
    assert list(routed(engine, "v", "3 1 5", rows)) == [f"{row:03d}" for row in range(300)]


def test_a_route_whose_value_the_expression_can_not_have_is_refused_before_anything_is_read(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": ["a"], "v": [1]})
    execution = engine.run("  steps:\n    - {id: sort, route: v, routes: {x: []}}\n" + WRITE)
    assert execution.failure["code"] == "engine.compile_failed"
    assert execution.counts.read == 0


def test_two_spellings_of_one_value_are_refused(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": ["a"], "v": [1]})
    execution = engine.run('  steps:\n    - {id: sort, route: v, routes: {"1": [], "01": []}}\n' + WRITE)
    assert "same value" in execution.failure["message"]


def test_a_target_inside_a_route_writes_only_its_documents_and_what_was_written_before_a_return_counts_as_written(
    engine: Any,
) -> None:
    engine.system.rows = pa.table({"Id": ["a", "b", "c"], "v": ["x", "y", "y"]})
    execution = engine.run(
        "  steps:\n    - id: sort\n      route: v\n      routes:\n"
        "        x: [{id: left, database.upsert: {connection: erp, table: t, key: [Id]}}, {id: back, return_documents: {}}]\n"
        "      default: [{id: ret, return_documents: }]\n"
    )
    assert execution.failure is None
    assert (execution.counts.written, execution.counts.returned) == (1, 2)
    assert len(engine.system.targets["left"].rows) == 1
