"""Records: exactly once in the store however often they are sent, found again by key, execution and trace."""

from __future__ import annotations

import asyncio
import zlib
from datetime import UTC, datetime
from typing import Any

import grpc.aio
import pyarrow as pa
import pytest
from dative.ids import new_id
from dative.rpc import error_from
from dative.v1 import control_pb2 as c
from dative.v1 import telemetry_pb2 as t
from dative.v1 import types_pb2 as y
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

WITHIN_S = 15.0
TRACE = "ab" * 16
SUCCEEDED, RUNNING, PARTIAL = y.EXECUTION_STATE_SUCCEEDED, y.EXECUTION_STATE_RUNNING, y.EXECUTION_STATE_PARTIAL


async def ask(call: Any, request: t.IngestRecordsRequest) -> t.IngestRecordsResponse:
    await asyncio.wait_for(call.write(request), WITHIN_S)
    answer: t.IngestRecordsResponse = await asyncio.wait_for(call.read(), WITHIN_S)
    return answer


async def opened(call: Any) -> t.IngestRecordsResponse:
    answer: t.IngestRecordsResponse = await asyncio.wait_for(call.read(), WITHIN_S)
    return answer


def execution(identity: str, state: int = SUCCEEDED, read: int = 1, attempt: int = 1, **more: Any) -> t.Record:
    run = y.Execution(
        execution_id=identity, process="orders", state=state, attempt=attempt, counts=y.Counts(read=read), **more
    )
    run.started_at.FromDatetime(datetime.now(UTC))
    return t.Record(execution=run)


def batch(first: int, *records: t.Record, epoch: str = "e1") -> t.IngestRecordsRequest:
    return t.IngestRecordsRequest(spool_epoch=epoch, first_sequence=first, records=records)


def spans(name: str = "execute orders", identity: str = "somebody else") -> t.Record:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "atom"
    group.resource.attributes.add(key="service.instance.id").value.string_value = identity
    span = group.scope_spans.add().spans.add(
        trace_id=bytes.fromhex(TRACE), span_id=b"12345678", name=name, start_time_unix_nano=10**18
    )
    span.end_time_unix_nano = span.start_time_unix_nano + 5
    span.attributes.add(key="dative.documents.in").value.int_value = 7
    span.links.add(trace_id=b"l" * 16, span_id=b"k" * 8)
    return t.Record(spans=t.Spans(otlp=zlib.compress(request.SerializeToString()), items=1))


def tracked(execution_id: str, *keys: str, number: int = 1) -> t.Record:
    table = pa.table(
        {
            "document": pa.array(range(len(keys)), pa.uint64()),
            "outcome": pa.array(["written"] * len(keys)).dictionary_encode(),
            "step": pa.array(["upsert"] * len(keys)).dictionary_encode(),
            "target": pa.array([f"erp-{key}" for key in keys]),
            "key.Id": pa.array(keys),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return t.Record(
        tracked_documents=t.TrackedDocuments(
            execution_id=execution_id,
            process="orders",
            batch=number,
            rows=len(keys),
            arrow=sink.getvalue().to_pybytes(),
        )
    )


async def listed(world: Any, **request: Any) -> list[Any]:
    answer = await world.admin.call(world.admin.execution.ListExecutions, c.ListExecutionsRequest(**request))
    return list(answer.executions)


async def test_the_controller_speaks_first_and_repeats_are_stored_once(world: Any) -> None:
    atom, one, two = await world.new_atom(), new_id(datetime.now(UTC)), new_id(datetime.now(UTC))
    async with atom.telemetry() as call:
        assert (await opened(call)).committed_sequence == 0
        assert (await ask(call, batch(1, execution(one), execution(two)))).committed_sequence == 2
        assert (await ask(call, batch(1, execution(one), execution(two)))).committed_sequence == 2
    async with atom.telemetry() as call:
        answer = await opened(call)
        assert (answer.spool_epoch, answer.committed_sequence) == ("e1", 2)
        assert (await ask(call, batch(2, execution(two), execution(one, read=5)))).committed_sequence == 3
    assert {run.execution_id: run.counts.read for run in await listed(world)} == {one: 5, two: 1}
    metrics = world.controller.metrics
    assert (metrics.ingest_records_total, metrics.ingest_records_duplicate_total) == (3, 3)


async def test_a_gap_is_not_stored_and_the_answer_says_where_to_resume(world: Any) -> None:
    atom = await world.new_atom()
    async with atom.telemetry() as call:
        await opened(call)
        assert (await ask(call, batch(5, execution("A" * 26)))).committed_sequence == 0
        assert (await ask(call, t.IngestRecordsRequest(spool_epoch="e1"))).committed_sequence == 0
    assert await listed(world) == []


async def test_a_new_spool_starts_at_one_under_its_own_epoch(world: Any) -> None:
    atom = await world.new_atom()
    async with atom.telemetry() as call:
        await opened(call)
        await ask(call, batch(1, execution("A" * 26)))
        assert (await ask(call, batch(1, execution("B" * 26), epoch="e2"))).committed_sequence == 1
    assert len(await listed(world)) == 2


NEWER = {
    "a later state": ((RUNNING, 9, 1), (SUCCEEDED, 9, 1), (SUCCEEDED, 9, 1)),
    "an earlier state": ((SUCCEEDED, 9, 1), (RUNNING, 8, 1), (SUCCEEDED, 9, 1)),
    "more read": ((RUNNING, 5, 1), (RUNNING, 6, 1), (RUNNING, 6, 1)),
    "fewer read": ((RUNNING, 6, 1), (RUNNING, 5, 1), (RUNNING, 6, 1)),
    "a resumed attempt": ((RUNNING, 6, 1), (RUNNING, 0, 2), (RUNNING, 0, 2)),
    "a late report of the attempt before": ((RUNNING, 0, 2), (PARTIAL, 6, 1), (RUNNING, 0, 2)),
}


@pytest.mark.parametrize(("first", "second", "kept"), NEWER.values(), ids=NEWER.keys())
async def test_the_newest_version_of_an_execution_wins(world: Any, first: Any, second: Any, kept: Any) -> None:
    atom = await world.new_atom()
    async with atom.telemetry() as call:
        await opened(call)
        await ask(call, batch(1, execution("A" * 26, *first), execution("A" * 26, *second)))
    run = (await listed(world))[0]
    assert (run.state, run.counts.read, run.attempt) == kept


async def test_a_record_says_nothing_about_who_sent_it(world: Any) -> None:
    atom = await world.new_atom()
    claimed = execution("A" * 26, atom_id="another", environment_id="another", trace_id=TRACE)
    async with atom.telemetry() as call:
        await opened(call)
        await ask(call, batch(1, claimed, spans()))
    run = (await listed(world))[0]
    assert (run.atom_id, run.environment_id) == (atom.enrolled.atom_id, atom.enrolled.environment_id)
    trace = await world.admin.call(world.admin.execution.GetTrace, c.GetTraceRequest(execution_id=run.execution_id[:5]))
    span = trace.spans[0]
    assert (span.instance, span.service, span.name) == (atom.enrolled.atom_id, "atom", "execute orders")
    assert span.attributes["dative.documents.in"] == "7"
    assert span.links[0].trace_id == (b"l" * 16).hex()


async def test_one_atom_never_overwrites_another_environments_execution(world: Any) -> None:
    admin = world.admin
    await admin.call(admin.environment.CreateEnvironment, c.CreateEnvironmentRequest(name="other"))
    first, second = await world.new_atom("a-1"), await world.enrol(await admin.invite("other"), "b-1")
    for atom, read in ((first, 1), (second, 99)):
        async with atom.telemetry() as call:
            await opened(call)
            await ask(call, batch(1, execution("A" * 26, read=read)))
    assert [run.counts.read for run in await listed(world)] == [1]


UNREADABLE = {
    "no zlib": t.Record(spans=t.Spans(otlp=b"no zlib")),
    "a bomb": t.Record(spans=t.Spans(otlp=zlib.compress(bytes(64 << 20)))),
    "no OTLP": t.Record(spans=t.Spans(otlp=zlib.compress(b"\xff\xff\xff"))),
    "a kind of the future": t.Record(),
    "more letters than a record has": t.Record(dead_letters=t.DeadLetters(letters=[y.DeadLetter()] * 501)),
    "a number beyond any database": execution("B" * 26, read=2**64 - 1),
}


@pytest.mark.parametrize("record", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_an_unreadable_record_holds_up_nobody(world: Any, record: t.Record) -> None:
    atom = await world.new_atom()
    async with atom.telemetry() as call:
        await opened(call)
        answer = await ask(call, batch(1, record, execution("A" * 26)))
        assert answer.committed_sequence == 2
    assert len(await listed(world)) == 1


async def test_ingestion_goes_on_where_it_stood_after_the_controller_restarts(start: Any, tmp_path: Any) -> None:
    world = await start(tmp_path / "one")
    atom = await world.new_atom()
    async with atom.telemetry() as call:
        await opened(call)
        await ask(call, batch(1, execution("A" * 26)))
    await world.controller.stop()
    again = await start(tmp_path / "one", admin=world.admin)
    atom.address = again.controller.atom_address
    async with atom.telemetry() as call:
        assert (await opened(call)).committed_sequence == 1
        await ask(call, batch(1, execution("A" * 26), execution("B" * 26)))
    assert len(await listed(again)) == 2


async def test_a_document_is_found_by_its_key_and_a_dead_letter_says_why(world: Any) -> None:
    atom, run = await world.new_atom(), "A" * 26
    letter = y.DeadLetter(
        dead_letter_id="D" * 26, execution_id=run, process="orders", code="expression.cast_failed", state="waiting"
    )
    async with atom.telemetry() as call:
        await opened(call)
        await ask(
            call,
            batch(
                1,
                execution(run, state=PARTIAL, trace_id=TRACE),
                tracked(run, "001A", "001B"),
                tracked(run, "001C", number=2),
                t.Record(dead_letter=letter),
            ),
        )
    admin = world.admin
    found = (await admin.call(admin.execution.FindDocuments, c.FindDocumentsRequest(key="001B"))).documents
    assert [(one.document, one.target, one.outcome, one.trace_id) for one in found] == [
        (1, "erp-001B", "written", TRACE)
    ]
    assert not (await admin.call(admin.execution.FindDocuments, c.FindDocumentsRequest(key="001"))).documents
    shown = await admin.call(admin.execution.GetExecution, c.GetExecutionRequest(execution_id=run))
    assert [one.code for one in shown.dead_letters] == ["expression.cast_failed"]
    assert shown.atom_name == "hq-1"
    letters = await admin.call(admin.dead_letter.ListDeadLetters, c.ListDeadLettersRequest(process="orders"))
    assert [one.dead_letter_id for one in letters.dead_letters] == ["D" * 26]


async def test_a_resolved_dead_letter_waits_no_more_whatever_comes_late(world: Any) -> None:
    atom = await world.new_atom()
    states = [("waiting", 1), ("resolved", 2), ("waiting", 1)]
    records = [
        t.Record(dead_letter=y.DeadLetter(dead_letter_id="D" * 26, state=state, attempts=attempts))
        for state, attempts in states
    ]
    async with atom.telemetry() as call:
        await opened(call)
        await ask(call, batch(1, *records))
    admin = world.admin
    answer = await admin.call(admin.dead_letter.ListDeadLetters, c.ListDeadLettersRequest())
    assert not answer.dead_letters


async def test_executions_are_paged_newest_first_without_gap_or_repeat(world: Any) -> None:
    atom = await world.new_atom()
    identities = [f"{n:026d}" for n in range(7)]
    async with atom.telemetry() as call:
        await opened(call)
        await ask(call, batch(1, *(execution(identity) for identity in identities)))
    seen: list[str] = []
    before = ""
    while True:
        answer = await world.admin.call(
            world.admin.execution.ListExecutions,
            c.ListExecutionsRequest(page_size=3, before_execution_id=before),
        )
        seen += [run.execution_id for run in answer.executions]
        before = answer.next_before_execution_id
        if not before:
            break
    assert seen == identities[::-1]


async def test_an_execution_is_watched_to_its_end(world: Any) -> None:
    atom, run = await world.new_atom(), "A" * 26
    async with atom.telemetry() as call:
        await opened(call)
        watched = world.admin.call(world.admin.execution.WatchExecution, c.GetExecutionRequest(execution_id=run))
        await ask(call, batch(1, execution(run, state=RUNNING)))
        assert (await asyncio.wait_for(watched.read(), WITHIN_S)).execution.state == RUNNING
        await ask(call, batch(2, execution(run)))
        assert (await asyncio.wait_for(watched.read(), WITHIN_S)).execution.state == SUCCEEDED
        assert await asyncio.wait_for(watched.read(), WITHIN_S) is grpc.aio.EOF


async def test_an_ambiguous_prefix_is_refused_with_the_candidates(world: Any) -> None:
    atom = await world.new_atom()
    async with atom.telemetry() as call:
        await opened(call)
        await ask(call, batch(1, execution("AA" + "0" * 24), execution("AA" + "1" * 24)))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await world.admin.call(world.admin.execution.GetExecution, c.GetExecutionRequest(execution_id="aa"))
    error = error_from(refused.value)
    assert error.code.name == "control.ambiguous"
    assert "AA" + "0" * 24 in error.message


async def test_an_execution_shows_what_it_told_itself_and_nothing_else(world: Any) -> None:
    atom, run = await world.new_atom(), new_id(datetime.now(UTC))

    def told(title: str, execution_id: str, kind: str = "process.notified") -> t.Record:
        event = t.Event(kind=kind, occurred_at_ms=int(datetime.now(UTC).timestamp() * 1000) + 1_000)
        event.fields.update({"execution_id": execution_id, "level": "warning", "title": title, "step": "tell"})
        return t.Record(event=event)

    async with atom.telemetry() as call:
        await opened(call)
        records = [
            told("first", run),
            told("second", run),
            told("another's", "X" * 26),
            told("no notice", run, "other"),
        ]
        await ask(call, batch(1, execution(run), *records))
    admin = world.admin
    shown = await admin.call(admin.execution.GetExecution, c.GetExecutionRequest(execution_id=run))
    assert [(one.title, one.level, one.step) for one in shown.notices] == [
        ("first", "warning", "tell"),
        ("second", "warning", "tell"),
    ]
