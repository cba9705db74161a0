"""Properties: batches split anywhere end the same; bad rows harm no neighbour; every document is accounted for."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from dative.clock import ManualClock
from dative.process.load import load
from dative_atom.documents.batch import DOCUMENT, number_documents
from dative_atom.engine.books.accounting import balance
from dative_atom.engine.compile import compile_process
from dative_atom.engine.effects.effects import Effects
from dative_atom.engine.effects.retry import Waits
from dative_atom.engine.evaluation.database import Database
from dative_atom.engine.routing import Flow, run_steps
from dative_atom.telemetry.recorder import Recorder
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.evaluator import Case, MemoryTables, run_case

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RATES = {"rates": "from,to,date,rate\nUSD,EUR,2024-01-01,0.9\n"}
HEAD = """
apiVersion: dative/v1
kind: Process
metadata: {name: sync}
spec:
  connections: {crm: disk, erp: database}
  tables: {rates: {kind: rates, file: rates.csv}}
  source: {id: read, disk.read: {connection: crm, path: in.csv, format: csv}}
  steps:
"""
SHAPES = {
    "map": """
    - {id: s, map: {fields: {id: id, since: "date(since, '%m/%d/%Y')", n: CAST(amount AS INTEGER)}}}
""",
    "map keep": """
    - {id: s, map: {keep: rest, fields: {full: "concat_ws(' ', id, kind)"}}}
""",
    "currency": """
    - {id: s, map: {fields: {id: id, eur: "currency(amount, kind, 'EUR')"}}}
""",
    "decide": """
    - id: s
      decide: kind = 'USD'
      then: [{id: m, map: {keep: rest, fields: {x: "1"}}}]
      else: [{id: e, stop: {}}]
""",
    "mask": """
    - {id: s, mask: {since: hash, kind: keep_last(1), amount: drop}}
""",
    "try": """
    - id: s
      try: [{id: m, map: {fields: {id: id, n: number(amount)}}}]
      catch: [{id: r, map: {fields: {id: id, n: "CAST(0 AS DECIMAL(38,6))"}}}]
""",
    "dead letter": """
    - {id: s, decide: "amount = '1'", then: [{id: p, dead_letter: {queue: q}}]}
""",
    "stop": """
    - {id: s, stop: {}}
""",
    "target": """
    - {id: s, database.upsert: {connection: erp, table: t, key: [id]}}
""",
    "everything": """
    - id: t
      try:
        - id: m
          map:
            fields:
              id: id
              kind: kind
              since: date(since, '%m/%d/%Y')
              eur: currency(amount, kind, 'EUR')
        - {id: d, decide: "kind = 'USD'", then: [{id: k, mask: {kind: redact}}]}
        - {id: w, database.upsert: {connection: erp, table: t, key: [id]}}
      catch: [{id: p, dead_letter: {queue: q}}]
""",
}
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["USD", "EUR", "XTS", None]),
        st.sampled_from(["1", "1.5", "x", "", None, "1e3"]),
        st.sampled_from(["01/31/2024", "02/30/2024", "1/2/2024", "soon", "", None]),
    ),
    max_size=30,
)
SCHEMA = pa.schema([("id", pa.string()), ("kind", pa.string()), ("amount", pa.string()), ("since", pa.string())])


def process(shape: str):
    loaded = load(HEAD + SHAPES[shape], filename="p.yaml")
    assert loaded.process is not None, loaded.findings
    return loaded.process


def table(rows) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [[], [], []]
    return pa.table([[f"d{i}" for i in range(len(rows))], *(list(column) for column in columns)], schema=SCHEMA)


def ended(shape: str, rows, sizes: int):
    """(counts, what flowed out by id, parked (id, code)) when the rows come in batches of that size."""
    database = Database(256 << 20)
    try:
        case = Case(process(shape), database, ManualClock(NOW))
        context = case._context(RATES, MemoryTables(), {}, NOW)
        plan = compile_process(case.process.spec.steps, SCHEMA, context)
        whole, session = table(rows), database.session()
        counts, flowed, parked, schemas = [], [], [], set()
        for first in range(0, max(len(rows), 1), sizes):
            piece = whole.slice(first, sizes).combine_chunks()
            batch = piece.to_batches()[0] if piece.num_rows else pa.RecordBatch.from_pylist([], schema=SCHEMA)
            source = number_documents(batch, first)
            effects = Effects("t", "x", 0, {}, 0, Waits(ManualClock(NOW), lambda _: True))
            flow = Flow(0, source, session, Recorder(), "q", effects)
            out = run_steps([*plan.transform, *plan.deliver], source, flow)
            counts.append(balance(flow, out, "s").counts)
            if out is not None:
                schemas.add(tuple((field.name, str(field.type)) for field in out.schema))
                flowed.extend(out.to_pylist())
            parked.extend(
                (row[DOCUMENT], row["_error_code"], row["_error_field"])
                for item in flow.parked
                for row in item.errors.to_pylist()
            )
        total = counts[0]
        for more in counts[1:]:
            total = total + more
        return total, flowed, sorted(parked), schemas
    finally:
        database.close()


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=12, deadline=None)
@given(rows=ROWS, size=st.integers(1, 8))
def test_every_shape_ends_the_same_whole_or_split_and_accounts_for_every_document(shape: str, rows, size: int) -> None:
    whole = ended(shape, rows, 1000)
    assert ended(shape, rows, size) == whole
    counts, flowed, _, schemas = whole
    assert counts.unexplained == 0
    assert counts.read == len(rows)
    assert len(schemas) <= 1
    numbers = [row[DOCUMENT] for row in flowed]
    assert numbers == sorted(set(numbers)), "lineage is kept and rises"


@settings(max_examples=25, deadline=None)
@given(bad=st.sets(st.integers(0, 39)), shape=st.sampled_from(["map", "currency", "everything"]))
def test_bad_rows_leave_their_neighbours_as_they_are_without_them(bad, shape: str) -> None:
    good = [("USD", "1", "01/31/2024")] * 40
    mixed = [("USD", "x", "02/30/2024") if row in bad else values for row, values in enumerate(good)]
    _, clean, _, _ = ended(shape, good, 1000)
    counts, flowed, parked, _ = ended(shape, mixed, 1000)
    assert flowed == [row for row in clean if row[DOCUMENT] not in bad]
    assert {document for document, _, _ in parked} == bad
    assert counts.unexplained == 0


def test_only_suspect_rows_are_evaluated_strictly() -> None:
    database = Database(256 << 20)
    case = Case(process("map"), database, ManualClock(NOW))
    plan = compile_process(case.process.spec.steps, SCHEMA, case._context(RATES, MemoryTables(), {}, NOW))
    rows = [("USD", "1", "02/30/2024" if row % 100 == 0 else "01/31/2024") for row in range(5000)]
    source = number_documents(table(rows).combine_chunks().to_batches()[0], 0)
    run_steps(plan.transform, source, Flow(0, source, database.session(), Recorder(), "q"))
    assert plan.strict_rows == 50
    database.close()


def test_a_case_shows_the_documents_after_every_step_and_what_targets_were_given() -> None:
    rows = [
        {"id": "a", "kind": "USD", "amount": "1", "since": "01/31/2024"},
        {"id": "b", "kind": "EUR", "amount": "2", "since": "soon"},
    ]
    result = run_case(process("everything"), RATES, rows, clock=ManualClock(NOW))
    assert result.failure is None
    assert (result.counts.written, result.counts.dead_lettered) == (1, 1)
    assert result.steps["m"] == [{"id": "a", "kind": "USD", "since": "2024-01-31", "eur": "0.90"}]
    assert result.steps["d"][0]["kind"] == "***"
    assert [row["id"] for row in result.targets["w"]] == ["a"]
    assert result.dead_letters[0].code == "expression.date_unreadable"


def test_a_case_of_a_process_that_does_not_fit_is_a_coded_failure() -> None:
    result = run_case(process("map"), RATES, [{"other": "x"}], clock=ManualClock(NOW))
    assert result.failure["code"] == "engine.compile_failed"
