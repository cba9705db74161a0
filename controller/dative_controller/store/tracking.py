"""Tracked documents: parts as atoms send them, and the segments of the index that says which parts can hold a key.

Parts are immutable and numbered as they arrive; a part is fresh until a segment covers it. Rows and bytes only: what a
page means stands in `reporting/index.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dative.v1 import telemetry_pb2
from sqlalchemy import Connection, Row, and_, delete, func, select
from sqlalchemy import insert as plain_insert

from dative_controller.store.database import insert
from dative_controller.store.reports import Reporter
from dative_controller.store.schema import (
    execution,
    tracked_body,
    tracked_fresh,
    tracked_hashing,
    tracked_page,
    tracked_part,
    tracked_segment,
)

PAGES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Segment:
    """Hashes of the keys of the parts first_number..last_number, in pages by the hash's upper bits.

    stride: hashes a page; ordinal_bytes: of a part's distance from first_number; pages: (bucket, body).
    """

    segment_id: str
    level: int
    stride: int
    ordinal_bytes: int
    entries: int
    first_number: int
    last_number: int
    pages: Sequence[tuple[int, bytes]] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """The one page of a segment that can hold a hash."""

    first_number: int
    ordinal_bytes: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which parts are looked into. environments: ids, None is all. Times in ms of settling, 0 is no bound."""

    environments: Sequence[str] | None = None
    process: str = ""
    since_ms: int = 0
    until_ms: int = 0


def put(connection: Connection, reporter: Reporter, record: telemetry_pb2.TrackedDocuments, now_ms: int) -> None:
    """Keep a part, once: what a batch settled never changes, so the same part again is the same."""
    statement = (
        insert(connection, tracked_part)
        .values(
            execution_id=record.execution_id,
            batch=record.batch,
            part=record.part,
            atom_id=reporter.atom_id,
            environment_id=reporter.environment_id,
            process=record.process,
            process_version=record.process_version,
            attempt=record.attempt,
            rows=record.rows,
            settled_ms=record.settled_at_ms or now_ms,
            received_ms=now_ms,
        )
        .on_conflict_do_nothing()
        .returning(tracked_part.c.number)
    )
    number = connection.execute(statement).scalar_one_or_none()
    if number is None:
        return
    connection.execute(plain_insert(tracked_body).values(number=number, body=record.arrow))
    connection.execute(plain_insert(tracked_fresh).values(number=number, rows=record.rows))
    if record.hashed:
        hashing = insert(connection, tracked_hashing).values(environment_id=reporter.environment_id)
        connection.execute(hashing.on_conflict_do_nothing())


def hashing(connection: Connection, environments: Sequence[str] | None) -> list[str]:
    """Ids of those environments (None: of all) that have documents with hashed keys."""
    query = select(tracked_hashing.c.environment_id).order_by(tracked_hashing.c.environment_id)
    if environments is not None:
        query = query.where(tracked_hashing.c.environment_id.in_(environments))
    return list(connection.execute(query).scalars())


# ---- searching --------------------------------------------------------------------------------------------------


def pages_for(connection: Connection, hash_: int) -> list[Page]:
    """The pages, at most one a segment, that can hold the hash."""
    segment, page = tracked_segment.c, tracked_page.c
    query = select(segment.first_number, segment.ordinal_bytes, page.body).join(
        tracked_page, and_(page.segment_id == segment.segment_id, page.bucket == hash_ // segment.stride)
    )
    return [Page(row.first_number, row.ordinal_bytes, row.body) for row in connection.execute(query)]


def fresh_numbers(connection: Connection) -> list[int]:
    return list(connection.execute(select(tracked_fresh.c.number)).scalars())


def parts(connection: Connection, numbers: Sequence[int], wanted: Wanted) -> list[Row[Any]]:
    """Those of the parts that are wanted, newest first, with their body and their execution's trace id."""
    part = tracked_part.c
    query = (
        select(tracked_part, tracked_body.c.body, execution.c.trace_id)
        .join(tracked_body, tracked_body.c.number == part.number)
        .outerjoin(execution, execution.c.execution_id == part.execution_id)
        .where(part.number.in_(numbers))
        .order_by(part.number.desc())
    )
    if wanted.environments is not None:
        query = query.where(part.environment_id.in_(wanted.environments))
    if wanted.process:
        query = query.where(part.process == wanted.process)
    if wanted.since_ms:
        query = query.where(part.settled_ms >= wanted.since_ms)
    if wanted.until_ms:
        query = query.where(part.settled_ms < wanted.until_ms)
    return list(connection.execute(query))


# ---- indexing ---------------------------------------------------------------------------------------------------


def fresh(connection: Connection) -> tuple[int, int]:
    """(parts, documents) that no segment covers yet."""
    row = connection.execute(select(func.count(), func.coalesce(func.sum(tracked_fresh.c.rows), 0))).one()
    return int(row[0]), int(row[1])


def fresh_bodies(connection: Connection, after: int, rows_max: int) -> list[tuple[int, int, bytes]]:
    """(number, documents, body) of the oldest fresh parts beyond number `after`."""
    query = (
        select(tracked_fresh.c.number, tracked_fresh.c.rows, tracked_body.c.body)
        .join(tracked_body, tracked_body.c.number == tracked_fresh.c.number)
        .where(tracked_fresh.c.number > after)
        .order_by(tracked_fresh.c.number)
        .limit(rows_max)
    )
    return [(row.number, row.rows, row.body or b"") for row in connection.execute(query)]


class SegmentsChanged(Exception):
    """Another controller was here first: look again. Nothing was written."""


def cover(connection: Connection, segment: Segment, numbers: Sequence[int]) -> None:
    """Keep a segment over these fresh parts. Raises SegmentsChanged when another controller has covered one."""
    taken = 0
    for start in range(0, len(numbers), PAGES_AT_ONCE):
        some = numbers[start : start + PAGES_AT_ONCE]
        taken += connection.execute(delete(tracked_fresh).where(tracked_fresh.c.number.in_(some))).rowcount
    if taken != len(numbers):
        raise SegmentsChanged
    _add(connection, segment)


def mergeable(connection: Connection, fan: int, entries_max: int) -> list[Segment]:
    """The oldest `fan` segments of one level that together stay within the bound; none where there are fewer."""
    query = select(tracked_segment).order_by(tracked_segment.c.level, tracked_segment.c.first_number)
    levels: dict[int, list[Segment]] = {}
    for row in connection.execute(query):
        if row.entries * fan <= entries_max:
            levels.setdefault(row.level, []).append(Segment(**row._mapping))
    return next((segments[:fan] for segments in levels.values() if len(segments) >= fan), [])


def with_pages(connection: Connection, segment: Segment) -> Segment:
    query = select(tracked_page.c.bucket, tracked_page.c.body).where(tracked_page.c.segment_id == segment.segment_id)
    rows = connection.execute(query.order_by(tracked_page.c.bucket))
    return Segment(
        **{name: getattr(segment, name) for name in Segment.__dataclass_fields__ if name != "pages"},
        pages=[(row.bucket, row.body) for row in rows],
    )


def replace(connection: Connection, merged: Segment, former: Sequence[Segment]) -> None:
    """One segment in the place of several. Raises SegmentsChanged when one of them has gone meanwhile."""
    gone = [segment.segment_id for segment in former]
    if connection.execute(delete(tracked_segment).where(tracked_segment.c.segment_id.in_(gone))).rowcount != len(gone):
        raise SegmentsChanged
    connection.execute(delete(tracked_page).where(tracked_page.c.segment_id.in_(gone)))
    _add(connection, merged)


def _add(connection: Connection, segment: Segment) -> None:
    columns = {name: getattr(segment, name) for name in Segment.__dataclass_fields__ if name != "pages"}
    connection.execute(plain_insert(tracked_segment).values(**columns))
    rows = [{"segment_id": segment.segment_id, "bucket": bucket, "body": body} for bucket, body in segment.pages]
    for start in range(0, len(rows), PAGES_AT_ONCE):
        connection.execute(plain_insert(tracked_page), rows[start : start + PAGES_AT_ONCE])


# ---- retention --------------------------------------------------------------------------------------------------


def forget(connection: Connection, received_before_ms: int) -> None:
    """Parts that arrived earlier, and the segments that cover none any more; others go on naming parts that are gone."""
    old = select(tracked_part.c.number).where(tracked_part.c.received_ms < received_before_ms)
    for table in (tracked_body, tracked_fresh):
        connection.execute(delete(table).where(table.c.number.in_(old)))
    connection.execute(delete(tracked_part).where(tracked_part.c.received_ms < received_before_ms))
    oldest = connection.execute(select(func.min(tracked_part.c.number))).scalar_one_or_none()
    empty = select(tracked_segment.c.segment_id)
    if oldest is not None:
        empty = empty.where(tracked_segment.c.last_number < oldest)
    connection.execute(delete(tracked_page).where(tracked_page.c.segment_id.in_(empty)))
    connection.execute(delete(tracked_segment).where(tracked_segment.c.segment_id.in_(empty)))
