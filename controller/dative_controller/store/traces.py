"""Spans as rows, found by trace. (trace id, span id) removes duplicates, because spans come at least once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from dative.v1 import control_pb2
from sqlalchemy import Connection, delete, func, select

from dative_controller.store.database import insert
from dative_controller.store.schema import span

SPANS_MAX = 10_000
"""Of one trace, as it is read back; a longer one comes back `incomplete`."""
CHUNK = 500


@dataclass(frozen=True, slots=True)
class SpanRow:
    """A span as it is stored. Times in nanoseconds since 1970; links: (trace id, span id, attributes)."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: str
    start_ns: int
    end_ns: int
    service: str
    instance: str
    error: bool = False
    status_message: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    links: tuple[tuple[str, str, dict[str, str]], ...] = ()


def add(connection: Connection, spans: Iterable[SpanRow]) -> None:
    rows = [
        {
            **{name: getattr(item, name) for name in SpanRow.__dataclass_fields__},
            "attributes": json.dumps(item.attributes, sort_keys=True),
            "links": json.dumps(item.links),
        }
        for item in spans
    ]
    for start in range(0, len(rows), CHUNK):
        connection.execute(insert(connection, span).on_conflict_do_nothing(), rows[start : start + CHUNK])


def of_trace(connection: Connection, trace_id: str) -> tuple[list[control_pb2.Span], bool]:
    """(spans by start, whether there are more than SPANS_MAX)."""
    query = select(span).where(span.c.trace_id == trace_id).order_by(span.c.start_ns).limit(SPANS_MAX + 1)
    rows = list(connection.execute(query))
    shown = []
    for row in rows[:SPANS_MAX]:
        values = {name: value for name, value in row._mapping.items() if name not in ("attributes", "links")}
        message = control_pb2.Span(**values, attributes=json.loads(row.attributes))
        for trace, linked, attributes in json.loads(row.links):
            message.links.add(trace_id=trace, span_id=linked, attributes=attributes)
        shown.append(message)
    return shown, len(rows) > SPANS_MAX


def forget(connection: Connection, *, before_ns: int, rows_max: int) -> None:
    """Drop what is old, then the oldest beyond the bound."""
    connection.execute(delete(span).where(span.c.start_ns < before_ns))
    count = int(connection.execute(select(func.count()).select_from(span)).scalar_one())
    if count > rows_max:
        newest_to_go = (
            select(span.c.start_ns).order_by(span.c.start_ns).offset(count - rows_max).limit(1).scalar_subquery()
        )
        connection.execute(delete(span).where(span.c.start_ns < newest_to_go))
