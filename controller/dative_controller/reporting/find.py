"""A document by the value of any tracked key, over the Arrow batches as atoms sent them.

No index: batches are compact and read newest first, and the search is bounded in batches read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from dative.v1 import control_pb2
from sqlalchemy import Row

from dative_controller.store import reports
from dative_controller.store.database import Database
from dative_controller.telemetry.log import log

PAGE_BATCHES = 64
BATCHES_MAX = 4_096
"""At 10,000 rows a batch that is 40 million documents; an older one is found by a narrower retention or environment."""


async def find(
    database: Database, key: str, *, environments: Sequence[str] | None, rows_max: int
) -> list[control_pb2.FoundDocument]:
    """Documents that have `key` in any tracked column, newest first. environments: None is all."""
    found: list[control_pb2.FoundDocument] = []
    before: tuple[int, str, int] | None = None
    for _ in range(BATCHES_MAX // PAGE_BATCHES):
        page_before = before
        page = await database.read(
            lambda sql, at=page_before: reports.tracked_page(  # type: ignore[misc]
                sql, environments=environments, before=at, rows_max=PAGE_BATCHES
            )
        )
        if not page:
            break
        for row in page:
            found.extend(await asyncio.to_thread(_search, row, key, rows_max - len(found)))
            if len(found) >= rows_max:
                break
        if len(found) >= rows_max:
            break
        last = page[-1]
        before = (last.received_ms, last.execution_id, last.batch)
    await _add_reasons(database, found)
    return found


def _search(row: Row[Any], key: str, rows_max: int) -> list[control_pb2.FoundDocument]:
    """In one batch. pyarrow is imported here, because a controller that nobody searches does without its memory."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        table = pa.ipc.open_stream(row.body).read_all()
        columns = [name for name in table.column_names if name.startswith("key.")]
        mask = None
        for name in columns:
            equal = pc.fill_null(pc.equal(table[name].cast(pa.string()), key), False)
            mask = equal if mask is None else pc.or_(mask, equal)
        matches = table.filter(mask).slice(0, rows_max).to_pylist() if mask is not None else []
    except pa.ArrowException as broken:
        log.warning("tracked.unreadable", execution_id=row.execution_id, batch=row.batch, error=str(broken))
        return []
    return [_shown(row, match, columns) for match in matches]


def _shown(row: Row[Any], match: dict[str, Any], columns: Sequence[str]) -> control_pb2.FoundDocument:
    shown = control_pb2.FoundDocument(
        execution_id=row.execution_id,
        environment_id=row.environment_id,
        process=row.process,
        atom_id=row.atom_id,
        document=match["document"],
        outcome=match.get("outcome") or "",
        step=match.get("step") or "",
        target=match.get("target") or "",
        trace_id=row.trace_id or "",
        keys={name.removeprefix("key."): str(match[name]) for name in columns if match[name] is not None},
    )
    shown.at.FromMilliseconds(row.received_ms)
    return shown


async def _add_reasons(database: Database, found: list[control_pb2.FoundDocument]) -> None:
    """Why a dead-lettered one could not go on, from its dead letter."""
    for document in found:
        if document.outcome != "dead_lettered":
            continue
        letters = await database.read(
            lambda sql, at=document: reports.dead_letter_of(sql, at.execution_id, at.document)  # type: ignore[misc]
        )
        if letters is not None:
            document.reason, document.dead_letter_id = letters.reason, letters.dead_letter_id
