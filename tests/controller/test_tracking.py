"""A record is found again by its keys: whatever is indexed, merged or fresh, each document once, newest first."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import grpc.aio
import pyarrow as pa
import pytest
from dative.clock import ManualClock
from dative.receipts import About, receipts, whole
from dative.rpc import error_from
from dative.secrets import open_sealed, seal, seal_info
from dative.v1 import agent_pb2 as a
from dative.v1 import control_pb2 as c
from dative.v1 import telemetry_pb2 as t
from dative.v1 import types_pb2 as y
from dative_controller.reporting import index
from dative_controller.reporting.find import Search, find
from dative_controller.reporting.indexer import Bounds, Indexer
from dative_controller.store import dead_letters, tracking
from dative_controller.store.database import Database
from dative_controller.store.reports import Reporter
from dative_controller.store.tracking import Wanted
from dative_controller.telemetry.signal import Signal

WITHIN_S = 15.0
NOW_MS = 1_772_366_400_000
REPORTER = Reporter("A1", "E1", "default")
OTHER = Reporter("A2", "E2", "default")


def body(first: int, keys: Sequence[str | None], hashes: Sequence[bytes] | None = None, name: str = "Id") -> bytes:
    rows = len(keys)
    columns = {
        "document": pa.array(range(first, first + rows), pa.uint64()),
        "outcome": pa.array(["written"] * rows).dictionary_encode(),
        "step": pa.array(["upsert"] * rows).dictionary_encode(),
        "target": pa.array([None if key is None else f"erp-{key}" for key in keys], pa.string()),
        f"key.{name}": pa.array(keys, pa.string()),
    }
    if hashes is not None:
        columns["hash.Phone"] = pa.array(hashes, pa.binary(16))
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def part(execution_id: str, batch: int, keys: Sequence[str | None], *, first: int = 0, **more: Any) -> Any:
    arrow = more.pop("arrow", None) or body(first, keys)
    values = {"process": "orders", "process_version": 7, "attempt": 1, "part": first, "settled_at_ms": NOW_MS}
    return t.TrackedDocuments(execution_id=execution_id, batch=batch, rows=len(keys), arrow=arrow, **(values | more))


def put(database: Database, *records: t.TrackedDocuments, reporter: Reporter = REPORTER) -> None:
    database.transact(lambda sql: [tracking.put(sql, reporter, record, NOW_MS) for record in records])


async def found(database: Database, key: str | bytes, **more: Any) -> list[tuple[str, int, int]]:
    """(execution, batch, document) of all pages together."""
    before, seen = "", []
    while True:
        raw = key.encode() if isinstance(key, str) else key
        page = await find(database, Search(raw, before=before, **more))
        seen += [(one.execution_id, one.batch, one.document) for one in page.documents]
        before = page.next_before
        if not before:
            return seen


async def indexed(database: Database, bounds: Bounds = Bounds(fresh_parts=1)) -> None:  # noqa: B008
    """Everything that can be is indexed, by a controller of its own."""
    indexing = Indexer(database, ManualClock(datetime(2026, 3, 1, tzinfo=UTC)), Signal(), bounds)
    while await indexing.step():
        pass


async def test_all_parts_of_a_batch_are_kept_and_the_same_part_once(database: Database) -> None:
    for _ in range(2):
        put(database, part("X1", 0, ["a", "b"]), part("X1", 0, ["c", "a"], first=2))
    assert await found(database, "a") == [("X1", 0, 3), ("X1", 0, 0)]


async def test_pages_of_any_size_hold_every_document_once_newest_first(database: Database) -> None:
    drawn = random.Random(7)
    keys = [[f"k{drawn.randrange(6)}" for _ in range(9)] for _ in range(40)]
    bounds = Bounds(fresh_parts=3, segment_parts_max=3, read_at_once=3, merged_at_once=2)
    for number, some in enumerate(keys):
        put(database, part(f"X{number:02d}", number, some))
        if number % 4 == 3:
            await indexed(database, bounds)
    segments = database.transact(lambda sql: tracking.pages_for(sql, index.hash_of(b"k0")))
    fresh = database.transact(tracking.fresh)[0]
    assert 0 < len(segments) < 10, "some are indexed, and segments were merged"
    assert fresh, "some are not indexed yet"
    for key in (f"k{number}" for number in range(6)):
        truth = [
            (f"X{number:02d}", number, document)
            for number, some in reversed(list(enumerate(keys)))
            for document in range(8, -1, -1)
            if some[document] == key
        ]
        for rows_max in (1, 4, 500):
            assert await found(database, key, rows_max=rows_max) == truth
    assert await found(database, "k6") == []


@pytest.mark.parametrize(
    ("wanted", "executions"),
    [
        ({}, ["X4", "X3", "X2", "X1"]),
        ({"wanted": Wanted(environments=["E2"])}, ["X4"]),
        ({"wanted": Wanted(environments=[])}, []),
        ({"wanted": Wanted(process="invoices")}, ["X2"]),
        ({"wanted": Wanted(since_ms=NOW_MS + 5)}, ["X3"]),
        ({"wanted": Wanted(until_ms=NOW_MS + 5)}, ["X4", "X2", "X1"]),
        ({"name": "Name"}, ["X3"]),
        ({"name": "Id"}, ["X4", "X2", "X1"]),
        ({"name": "Phone"}, []),
        ({"hashed": True}, []),
    ],
)
async def test_a_search_is_narrowed_by_field_process_environment_and_time(
    database: Database, wanted: dict[str, Any], executions: list[str]
) -> None:
    put(database, part("X1", 0, ["a"]), part("X2", 0, ["a"], process="invoices"))
    put(database, part("X3", 0, ["a"], settled_at_ms=NOW_MS + 5, arrow=body(0, ["a"], name="Name")))
    put(database, part("X4", 0, ["a"]), reporter=OTHER)
    assert [execution for execution, _, _ in await found(database, "a", **wanted)] == executions


async def test_a_hash_is_compared_with_hashes_only_and_a_value_with_values_only(database: Database) -> None:
    token = b"0123456789abcdef"
    put(database, part("X1", 0, ["a"], arrow=body(0, ["a"], [token]), hashed=True))
    put(database, part("X2", 0, [token.decode()]))
    assert database.transact(lambda sql: tracking.hashing(sql, None)) == ["E1"]
    for _ in range(2):
        assert await found(database, token, hashed=True) == [("X1", 0, 0)]
        assert await found(database, token) == [("X2", 0, 0)]
        await indexed(database)


async def test_keys_that_share_a_hash_are_told_apart(database: Database) -> None:
    one, other = "plumless", "buckeroo"
    assert zlib.crc32(one.encode()) == zlib.crc32(other.encode())
    put(database, part("X1", 0, [one]), part("X2", 0, [other]))
    await indexed(database)
    assert await found(database, one) == [("X1", 0, 0)]


async def test_a_part_that_can_not_be_read_hides_no_other(database: Database) -> None:
    put(database, part("X1", 0, ["a"]), part("X2", 0, ["a"], arrow=b"nonsense"), part("X3", 0, ["a"]))
    for _ in range(2):
        assert [execution for execution, _, _ in await found(database, "a")] == ["X3", "X1"]
        await indexed(database)


async def test_what_another_controller_has_indexed_is_not_indexed_twice(database: Database) -> None:
    put(database, *(part("X1", number, ["a"]) for number in range(4)))
    bodies = database.transact(lambda sql: tracking.fresh_bodies(sql, 0, 10))
    segments = [index.build(name, [(number, data) for number, _, data in bodies])[0] for name in ("S1", "S2")]
    numbers = [number for number, _, _ in bodies]
    database.transact(lambda sql: tracking.cover(sql, segments[0], numbers))
    with pytest.raises(tracking.SegmentsChanged):
        database.transact(lambda sql: tracking.cover(sql, segments[1], numbers))
    assert len(database.transact(lambda sql: tracking.pages_for(sql, index.hash_of(b"a")))) == 1


def test_pages_hold_every_entry_once_wherever_they_are_cut() -> None:
    parts = [
        (number, body(0, [f"{number % 3}-{row % 50}" for row in range(90)])) for number in range(5, 70_000, 20_000)
    ]
    segment, unreadable = index.build("S", parts, 8)
    assert not unreadable
    assert segment.ordinal_bytes == 2
    assert len(segment.pages) > 8
    assert segment.entries == 50 * len(parts), "a key that a part holds twice is one entry"
    merged = index.merge("M", [segment, index.build("T", [(200_000, body(0, ["0-1"]))])[0]], 8)
    assert (merged.level, merged.ordinal_bytes, merged.entries) == (1, 4, segment.entries + 1)
    for some, extra in ((segment, []), (merged, [200_000])):
        pages = dict(some.pages)
        hash_ = index.hash_of(b"0-1")
        page = tracking.Page(some.first_number, some.ordinal_bytes, pages[hash_ // some.stride])
        assert list(index.numbers(page, hash_)) == [n for n, _ in parts if n % 3 == 0] + extra


async def test_retention_takes_parts_and_the_segments_that_cover_nothing(database: Database) -> None:
    for number in range(2):
        put(database, part(f"X{number}", 0, ["a"]))
        database.transact(
            lambda sql, n=number: tracking.put(sql, REPORTER, part(f"Y{n}", 0, ["a"]), NOW_MS + 1000)  # type: ignore[misc]
        )
        await indexed(database)
    database.transact(lambda sql: tracking.forget(sql, NOW_MS + 1))
    assert [one for one, _, _ in await found(database, "a")] == ["Y1", "Y0"]
    database.transact(lambda sql: tracking.forget(sql, NOW_MS + 2000))
    assert await found(database, "a") == []
    assert database.transact(lambda sql: tracking.pages_for(sql, index.hash_of(b"a"))) == []


async def test_a_dead_lettered_document_says_why_with_its_code(database: Database) -> None:
    rows = pa.table(
        {
            "document": pa.array([4], pa.uint64()),
            "outcome": ["dead_lettered"],
            "step": ["shape"],
            "target": pa.array([None], pa.string()),
            "effect": ["rejected"],
            "code": ["database.constraint"],
            "key.Id": ["z"],
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    put(database, part("X1", 1, ["z"], arrow=bytes(sink.getvalue().to_pybytes())))
    letter = y.DeadLetter(
        dead_letter_id="D1", execution_id="X1", document=4, code="expression.cast_failed", reason="since: no date"
    )
    database.transact(lambda sql: dead_letters.put(sql, REPORTER, [letter]))
    page = await find(database, Search(b"z"))
    one = page.documents[0]
    assert (one.reason, one.code, one.dead_letter_id) == ("since: no date", "expression.cast_failed", "D1")
    assert (one.process_version, one.attempt, one.step, one.batch, one.effect) == (7, 1, "shape", 1, "rejected")


# ---- through the controller ---------------------------------------------------------------------------------------


async def report(atom: Any, *records: t.Record) -> None:
    async with atom.telemetry() as call:
        await asyncio.wait_for(call.read(), WITHIN_S)
        await asyncio.wait_for(
            call.write(t.IngestRecordsRequest(spool_epoch="e1", first_sequence=1, records=records)), WITHIN_S
        )
        await asyncio.wait_for(call.read(), WITHIN_S)


async def test_a_classified_key_is_found_by_its_sealed_value_and_only_by_who_may(world: Any) -> None:
    atom, token = await world.new_atom(), b"0123456789abcdef"
    environment = atom.enrolled.environment_id
    await report(atom, t.Record(tracked_documents=part("X" * 26, 0, ["a"], arrow=body(0, ["a"], [token]), hashed=True)))
    admin, viewer = world.admin, await world.person("vic", viewer="")
    ask = c.FindDocumentsRequest(key="+49 30 1234")
    assert not (await viewer.call(viewer.execution.FindDocuments, ask)).hashers
    async with atom.connect() as link:
        answer = await admin.call(admin.execution.FindDocuments, ask)
        assert not answer.documents
        (hasher,) = answer.hashers
        assert (hasher.environment, hasher.seal_public_key) == ("test", atom.seal.public_raw)
        info = seal_info("dative/find/v1", environment)
        sealed = c.FindDocumentsRequest(
            sealed_key=seal(b"+49 30 1234", hasher.seal_public_key, info), environment="test", atom=hasher.atom
        )
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await viewer.call(viewer.execution.FindDocuments, sealed)
        assert error_from(refused.value).code.name == "rpc.permission_denied"
        asked = asyncio.ensure_future(admin.call(admin.execution.FindDocuments, sealed))
        command = await link.next("command")
        assert open_sealed(command.hash_key.sealed_value, atom.seal, info) == b"+49 30 1234"
        await link.send(
            command_result=a.CommandResult(command_id=command.command_id, hash_key=a.HashKeyResult(hash=token))
        )
        documents = (await asyncio.wait_for(asked, WITHIN_S)).documents
    assert [(one.execution_id, list(one.hashed_keys)) for one in documents] == [("X" * 26, ["Phone"])]
    audited = (await admin.call(admin.access.ListAudit, c.ListAuditRequest())).entries
    assert next(entry.action for entry in audited) == "SearchClassifiedKey"


async def test_receipts_come_from_the_atom_piece_by_piece_to_operators_only(world: Any) -> None:
    atom, run_ = await world.new_atom(), "A" * 26
    await report(
        atom, t.Record(execution=y.Execution(execution_id=run_, process="orders", process_version=3, attempt=1))
    )
    rows = pa.table(
        {
            "document": pa.array([0, 1], pa.uint64()),
            "outcome": ["applied", "unchanged"],
            "code": pa.array([None, None], pa.string()),
            "target": ["C1", "C2"],
            "key.Id": ["a", "b"],
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    data = bytes(sink.getvalue().to_pybytes())
    pieces = [(0, data[:100], "7.100"), (100, data[100:], "7.0"), None]
    request = c.ControlReadReceiptsRequest(execution_id=run_[:5])
    viewer, operator = await world.person("vic", viewer=""), await world.person("olga", operator="")
    with pytest.raises(grpc.aio.AioRpcError):
        async for _ in viewer.call(viewer.execution.ReadReceipts, request):
            pass
    async with atom.connect() as link:
        read = asyncio.ensure_future(_all(operator.call(operator.execution.ReadReceipts, request)))
        afters = []
        for piece in pieces:
            command = await link.next("command")
            afters.append(command.read_receipts.after)
            result = a.ReadReceiptsResult()
            if piece is not None:
                result.parts.add(sequence=7, step="upsert", rows=2, size=len(data), offset=piece[0], data=piece[1])
                result.next = piece[2]
            await link.send(command_result=a.CommandResult(command_id=command.command_id, read_receipts=result))
        answers = await asyncio.wait_for(read, WITHIN_S)
    assert afters == ["", "7.100", "7.0"]
    about = About(answers[0].execution.execution_id, "orders", answers[0].execution.process_version)
    parts = [piece for answer in answers for piece in answer.parts]
    told = [one for record in whole(parts) for one in receipts(about, record)]
    assert [(one["target"], one["outcome"], one["version"], one["keys"]) for one in told] == [
        ("C1", "applied", 3, {"Id": "a"}),
        ("C2", "unchanged", 3, {"Id": "b"}),
    ]
    kept = await world.controller.core.database.read(
        lambda sql: sql.exec_driver_sql("SELECT count(*) FROM command WHERE result IS NOT NULL").scalar_one()
    )
    assert kept == 0, "no copy of the receipts stays here"


async def _all(call: Any) -> list[Any]:
    return [answer async for answer in call]
