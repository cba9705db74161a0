"""What leaves the atom about documents: keys that may be searched, counts, codes; never a classified value."""

from __future__ import annotations

import pyarrow as pa
from dative.secrets import MaskKeys
from dative.v1 import telemetry_pb2, types_pb2
from dative_atom.keys import environment_key, hashed_key, tracking_key

CANARY = "CANARY7781"
BODY = """
  classify: {phi: [Phone], pii: [Last]}
  track: [Id, Phone]
  steps:
    - id: leave
      decide: Id = 'A000000'
      then: [{id: halt, stop: {}}]
    - id: t
      try:
        - {id: shape, map: {fields: {Id: Id, phone: CAST(Phone AS INTEGER), since: "date(Last, '%m/%d/%Y')"}}}
        - {id: upsert, database.upsert: {connection: erp, table: customer, key: [Id]}}
      catch: [{id: park, dead_letter: {queue: q}}]
"""


def records(engine) -> list[telemetry_pb2.Record]:
    return [telemetry_pb2.Record.FromString(record.body) for record in engine.journal.outbox(0)]


def test_a_classified_value_is_in_no_record_that_leaves_the_atom(engine, accounts) -> None:
    table = accounts(4)
    table = table.set_column(table.schema.get_field_index("Phone"), "Phone", pa.array([CANARY, "5", CANARY, "7"]))
    table = table.set_column(
        table.schema.get_field_index("Last"), "Last", pa.array([CANARY, "01/31/2024", None, CANARY])
    )
    engine.system.rows = table
    execution = engine.run(BODY)
    assert (execution.counts.filtered, execution.counts.written, execution.counts.dead_lettered) == (1, 1, 2)
    assert all(CANARY.encode() not in record.body for record in engine.journal.outbox(0))
    assert all(CANARY not in letter.parked.reason for letter in engine.journal.dead_letters())
    assert CANARY.encode() not in (engine.directory / "journal.db").read_bytes()


def test_each_document_is_found_by_its_key_with_where_it_came_to_rest(engine, accounts) -> None:
    engine.system.rows = (
        accounts(3)
        .set_column(2, "Last", pa.array(["01/31/2024", "01/31/2024", "soon"]))
        .set_column(4, "Phone", pa.array(["1", "2", "3"]))
    )
    engine.run(BODY)
    tracked = [
        record.tracked_documents for record in records(engine) if record.WhichOneof("kind") == "tracked_documents"
    ]
    rows = pa.ipc.open_stream(tracked[0].arrow).read_all()
    assert rows.schema.names == ["document", "outcome", "step", "target", "effect", "code", "key.Id"]
    assert [tuple(row.values()) for row in rows.to_pylist()] == [
        (0, "filtered", "halt", None, None, None, "A000000"),
        (1, "written", "upsert", "A000001", "applied", None, "A000001"),
        (2, "dead_lettered", "shape", None, "parked", "expression.date_unreadable", "A000002"),
    ]


def test_all_documents_of_a_batch_larger_than_a_record_are_tracked_each_under_a_part_of_its_own(
    engine, accounts
) -> None:
    engine.system.rows = accounts(20_000)
    engine.run("""
  track: [Id]
  steps:
    - {id: upsert, database.upsert: {connection: erp, table: customer, key: [Id]}}
""")
    parts = [record.tracked_documents for record in records(engine) if record.HasField("tracked_documents")]
    assert [(part.batch, part.part, part.rows) for part in parts] == [(0, 0, 16_384), (0, 16_384, 3_616)]
    keys = [key for part in parts for key in pa.ipc.open_stream(part.arrow).read_all()["key.Id"].to_pylist()]
    assert keys == [f"A{row:06d}" for row in range(20_000)]
    assert {(part.process_version, part.attempt, part.settled_at_ms > 0) for part in parts} == {(1, 1, True)}


def test_a_classified_key_leaves_as_the_hash_that_a_search_makes_and_never_as_itself(engine, accounts) -> None:
    table = accounts(3)
    phones = [CANARY, None, "€" * 600]
    engine.system.rows = table.set_column(table.schema.get_field_index("Phone"), "Phone", pa.array(phones, pa.string()))
    engine.run("""
  classify: {phi: [Phone]}
  track: [Id, hash(Phone)]
  steps:
    - {id: upsert, database.upsert: {connection: erp, table: customer, key: [Id]}}
""")
    (part,) = [record.tracked_documents for record in records(engine) if record.HasField("tracked_documents")]
    hashes = pa.ipc.open_stream(part.arrow).read_all()["hash.Phone"]
    assert part.hashed
    assert hashes.type == pa.binary(16)
    key = tracking_key(environment_key(MaskKeys.from_hex(engine.keys.mask)))
    assert hashes.to_pylist() == [hashed_key(CANARY, key), None, hashed_key(phones[2], key)]
    assert all(CANARY.encode() not in record.body for record in engine.journal.outbox(0))


def test_a_key_is_compared_by_its_first_characters(engine, accounts) -> None:
    table = accounts(2)
    engine.system.rows = table.set_column(0, "Id", pa.array(["é" * 600, "short"]))
    engine.run("""
  track: [Id]
  steps:
    - {id: upsert, database.upsert: {connection: erp, table: customer, key: [Id]}}
""")
    (part,) = [record.tracked_documents for record in records(engine) if record.HasField("tracked_documents")]
    assert pa.ipc.open_stream(part.arrow).read_all()["key.Id"].to_pylist() == ["é" * 512, "short"]


def test_begin_and_end_are_reported_with_the_steps_counts_and_the_trace(engine, accounts) -> None:
    engine.system.rows = (
        accounts(3)
        .set_column(2, "Last", pa.array(["01/31/2024", "01/31/2024", "soon"]))
        .set_column(4, "Phone", pa.array(["1", "2", "3"]))
    )
    execution = engine.run(BODY)
    reports = [record.execution for record in records(engine) if record.WhichOneof("kind") == "execution"]
    assert [report.state for report in reports] == [
        types_pb2.EXECUTION_STATE_RUNNING,
        types_pb2.EXECUTION_STATE_PARTIAL,
    ]
    steps = {step.step: (step.documents_in, step.documents_out, step.documents_failed) for step in reports[-1].steps}
    assert steps["shape"] == (2, 1, 1)
    assert steps["upsert"] == (1, 1, 0)
    assert reports[-1].trace_id == execution.trace_id
    assert [record.spans.execution_id for record in records(engine) if record.WhichOneof("kind") == "spans"]
