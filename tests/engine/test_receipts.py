"""A receipt for every document that came to a target, one for each effect, whatever was refused, lost or done again."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pyarrow as pa
import pytest
from dative.errors.connector import Timeout, Unavailable, UnknownOutcome
from dative_atom.documents.batch import DOCUMENT, number_documents
from dative_atom.engine.books.receipt_export import main, receipts_of_execution
from dative_atom.engine.books.receipts import receipts_of
from dative_atom.engine.books.tracking import BODY_BYTES_MAX, Tracking, in_parts
from dative_atom.engine.making.derived import FIRST
from dative_atom.engine.memory import Faults
from dative_atom.engine.routing import Flow, Reached
from dative_atom.telemetry.recorder import Recorder

ONE = """
  classify: {{phi: [Phone]}}
  track: [Id, hash(Phone)]
  steps:
    - id: t
      try:
        - {{id: shape, map: {{fields: {{Id: Id, since: "date(Since, '%m/%d/%Y')"}}}}}}
        - id: upsert
          database.upsert: {{connection: erp, table: customer, key: [Id]}}
          {more}
      catch: [{{id: park, dead_letter: {{queue: q}}}}]
"""
TWO = """
  track: [Id]
  steps:
    - {id: first, database.upsert: {connection: erp, table: a, key: [Id]}}
    - {id: second, database.upsert: {connection: erp, table: b, key: [Id]}}
"""


def told(engine, execution) -> list[dict]:
    return list(receipts_of_execution(engine.journal, execution.execution_id))


@pytest.mark.parametrize("transactional", [True, False])
def test_each_outcome_has_its_receipt_with_key_code_and_target(engine, accounts, transactional: bool) -> None:
    engine.system.rows = accounts(5, bad={3: "soon"})
    reject = {"A000001": ("database.constraint", "too long")}
    engine.target(
        "upsert", key=("Id",), transactional=transactional, faults=Faults(reject=lambda row: reject.get(row["Id"]))
    )
    execution = engine.run(ONE.format(more=""))
    found = told(engine, execution)
    assert [(one["keys"]["Id"], one["step"], one["outcome"], one["code"], one["target"]) for one in found] == [
        ("A000000", "upsert", "applied", None, "A000000"),
        ("A000001", "upsert", "rejected", "database.constraint", None),
        ("A000002", "upsert", "applied", None, "A000002"),
        ("A000003", "shape", "parked", "expression.date_unreadable", None),
        ("A000004", "upsert", "applied", None, "A000004"),
    ]
    assert {(one["execution"], one["process"], one["version"], one["attempt"]) for one in found} == {
        (execution.execution_id, "sync", 1, 1)
    }
    assert {one["at"] for one in found} == {"2026-03-01T12:00:00.000+00:00"}


def test_a_lost_answer_leaves_unknown_receipts(engine, accounts) -> None:
    engine.system.rows = accounts(3)
    engine.target("upsert", key=("Id",), faults=Faults(write=[UnknownOutcome("gone")]))
    found = told(engine, engine.run(ONE.format(more="")))
    assert Counter(one["outcome"] for one in found) == {"unknown": 3}
    assert {one["code"] for one in found} == {UnknownOutcome("gone").code.name}


def test_a_batch_that_starts_over_leaves_one_receipt_for_each_effect(engine, accounts) -> None:
    engine.system.rows = accounts(40)
    engine.batch_rows = 7
    plain = engine.target("first", key=("Id",))
    lost = engine.target("second", key=("Id",), transactional=True, faults=Faults(write=[None, None]))
    lost.faults.commit[:] = [None, Unavailable("lost"), None]
    found = told(engine, engine.run(TWO))
    assert Counter((one["step"], one["keys"]["Id"]) for one in found) == {
        (step, f"A{row:06d}"): 1 for step in ("first", "second") for row in range(40)
    }
    assert plain.effects == lost.effects == 40


def test_receipts_of_a_classified_key_hold_its_hash_and_no_value(engine, accounts) -> None:
    engine.system.rows = accounts(3)
    engine.target("upsert", key=("Id",))
    execution = engine.run(ONE.format(more=""))
    found = told(engine, execution)
    assert len({one["hashed"]["Phone"] for one in found}) == 3
    records = engine.journal.receipts(execution.execution_id)
    assert all(b"+49 30" not in record.receipts.body for record in records)


def test_what_was_made_of_a_document_has_a_receipt_for_each_document_it_was_made_of() -> None:
    source = number_documents(pa.record_batch({"Id": ["a", "b", "c"]}), 10)
    flow = Flow(0, source, None, Recorder(), "queue")  # type: ignore[arg-type]  # nothing is evaluated here
    lines = flow.lineage.derive(pa.array([10, 10, 11], pa.uint64()))
    whole = flow.lineage.join(pa.array([0, 0, 0]), lines, 1)
    documents = pa.concat_arrays([lines, whole, pa.array([12], pa.uint64())])
    texts = pa.array(["applied"] * 5)
    flow.reached.append(Reached("upsert", documents, texts, pa.nulls(5, pa.string()), pa.nulls(5, pa.string())))  # type: ignore[arg-type]
    keys = Tracking(("Id",), (), b"").keys(source, None)  # type: ignore[arg-type]
    (record,) = receipts_of(flow, keys)
    rows = pa.ipc.open_stream(record.body).read_all().to_pylist()
    assert [(row["document"], row["made"], row["key.Id"]) for row in rows] == [
        (10, FIRST, "a"),
        (10, FIRST + 1, "a"),
        (11, FIRST + 2, "b"),
        (10, whole[0].as_py(), "a"),
        (11, whole[0].as_py(), "b"),
        (12, None, "c"),
    ]


def test_a_step_that_a_batch_comes_to_twice_has_records_with_places_of_their_own() -> None:
    source = number_documents(pa.record_batch({"Id": ["a", "b", "c"]}), 0)
    flow = Flow(0, source, None, Recorder(), "queue")  # type: ignore[arg-type]  # nothing is evaluated here
    for numbers in ([0, 2], [1]):
        nothing = pa.nulls(len(numbers), pa.string())
        texts = pa.array(["applied"] * len(numbers))
        flow.reached.append(Reached("upsert", pa.array(numbers, pa.uint64()), texts, nothing, nothing))  # type: ignore[arg-type]
    keys = Tracking(("Id",), (), b"").keys(source, None)  # type: ignore[arg-type]
    found = receipts_of(flow, keys)
    assert [(one.step, one.part, one.rows) for one in found] == [("upsert", 0, 2), ("upsert", 2, 1)]
    read = [row["key.Id"] for one in found for row in pa.ipc.open_stream(one.body).read_all().to_pylist()]
    assert read == ["a", "c", "b"]


def test_the_arms_of_a_branch_leave_receipts_each(engine, accounts) -> None:
    engine.system.rows = accounts(4)
    engine.target("one", key=("Id",))
    engine.target("two", key=("Id",))
    found = told(
        engine,
        engine.run("""
  track: [Id]
  steps:
    - id: both
      branch:
        - name: one
          steps: [{id: one, database.upsert: {connection: erp, table: a, key: [Id]}}]
        - name: two
          steps: [{id: two, database.upsert: {connection: erp, table: b, key: [Id]}}]
      parallel: true
"""),
    )
    assert Counter((one["step"], one["keys"]["Id"]) for one in found) == {
        (step, f"A{row:06d}"): 1 for step in ("one", "two") for row in range(4)
    }


def test_receipts_are_let_go_of_when_the_environment_has_kept_them_long_enough(engine, accounts, clock) -> None:
    engine.system.rows = accounts(2)
    engine.target("upsert", key=("Id",))
    engine.parameters = {"receipts_keep": "2d"}
    first = engine.run(ONE.format(more=""))
    clock.advance(timedelta(days=1).total_seconds())
    engine.run(ONE.format(more=""))
    assert told(engine, first)
    clock.advance(timedelta(days=1, seconds=1).total_seconds())
    engine.run(ONE.format(more=""))
    assert not told(engine, first)
    engine.parameters = {"receipts_keep": "for ever"}
    assert engine.run(ONE.format(more="")).failure["code"] == "engine.parameter_invalid"


def test_a_record_that_would_be_too_large_is_cut_and_loses_no_row() -> None:
    rows = pa.record_batch({"key.Id": [f"{row:0400d}{row * 7919 % 1_000_003}" for row in range(9000)]})
    parts = list(in_parts(rows, pa.ipc.IpcWriteOptions(compression=None)))
    assert len(parts) > 1
    assert all(len(body) <= BODY_BYTES_MAX for _, _, body in parts)
    assert [first for first, _, _ in parts] == [sum(part[1] for part in parts[:n]) for n in range(len(parts))]
    read = pa.concat_tables([pa.ipc.open_stream(body).read_all() for _, _, body in parts])
    assert read.column(0).to_pylist() == rows.column(0).to_pylist()


def test_the_atom_prints_them_as_csv_and_names_an_execution_it_does_not_know(engine, accounts, capsys) -> None:
    engine.system.rows = accounts(2)
    engine.target("upsert", key=("Id",))
    execution = engine.run(ONE.format(more=""))
    journal = str(engine.directory / "journal.db")
    assert main([journal, execution.execution_id, "--output", "csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(",fencing_token,key.Id,hash.Phone")
    assert len(lines) == 3
    assert main([journal, "01JX9", "--output", "csv"]) != 0
    assert "journal.unknown_execution" in capsys.readouterr().err


def test_retried_documents_have_one_receipt_though_they_were_sent_twice(engine, accounts) -> None:
    engine.system.rows = accounts(3)
    retry = "retry: {on: [timeout], max_attempts: 3, backoff: {first: 2s, factor: 2, max: 5m}}"
    engine.target("upsert", key=("Id",), faults=Faults(write=[Timeout("slow"), None]))
    found = told(engine, engine.run(ONE.format(more=retry)))
    assert Counter(one["outcome"] for one in found) == {"applied": 3}


def test_documents_are_known_by_number_in_receipts_without_any_tracked_key(engine, accounts) -> None:
    engine.system.rows = accounts(3)
    engine.target("first", key=("Id",))
    engine.target("second", key=("Id",))
    found = told(engine, engine.run(TWO.replace("track: [Id]", "track: []")))
    assert [one["document"] for one in found] == [0, 1, 2, 0, 1, 2]
    assert DOCUMENT.startswith("_")
