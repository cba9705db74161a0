"""Executions, traces, found documents and dead letters."""

from __future__ import annotations

import csv
import json
import zlib
from typing import Any

import pyarrow as pa
import pytest
from dative.secrets import SealKey
from dative.v1 import agent_pb2, control_pb2, types_pb2

TRACE = "4f" * 16
PERSONAL = "Grace Hopper"


@pytest.fixture
def runs(fake: Any) -> Any:
    """Four executions, one of each end; the partial one with a dead letter and a trace."""
    state = fake.state
    ends = ("SUCCEEDED", "PARTIAL", "FAILED", "CANCELLED")
    for number, end in enumerate(ends):
        failure = (
            types_pb2.Status(code="connector.timeout", message="no answer", next="try again")
            if end == "FAILED"
            else None
        )
        state.executions[end] = types_pb2.Execution(
            execution_id=f"01JRUN{number}", process="account-to-erp", process_version=2, trigger="manual",
            state=types_pb2.ExecutionState.Value(f"EXECUTION_STATE_{end}"), failure=failure, trace_id=TRACE,
            counts=types_pb2.Counts(read=25, written=23, filtered=1, dead_lettered=1, masked=2),
            steps=[types_pb2.StepCounts(step="to-customer", verb="map", documents_in=25, documents_out=24, seconds=0.1)],
        )  # fmt: skip
    state.dead_letters["01JDEAD"] = types_pb2.DeadLetter(
        dead_letter_id="01JDEAD", execution_id="01JRUN1", process="account-to-erp", step="to-customer", field="since",
        code="expression.cast_failed", reason="since: not a date", keys={"Id": "001A"}, state="waiting", trace_id=TRACE,
    )  # fmt: skip
    state.payloads["01JDEAD"] = json.dumps({"Id": "001A", "Name": PERSONAL}).encode()
    state.documents.append(
        control_pb2.FoundDocument(
            execution_id="01JRUN1",
            process="account-to-erp",
            keys={"Id": "001A"},
            outcome="dead_lettered",
            step="to-customer",
            reason="since: not a date",
            dead_letter_id="01JDEAD",
            trace_id=TRACE,
        )
    )
    state.spans = [
        control_pb2.Span(trace_id=TRACE, span_id="b", parent_span_id="a", name="shape upsert", service="dative-atom",
                         start_ns=40_000_000, end_ns=100_000_000, error=True, status_message="HTTP 429",
                         attributes={"error.type": "connector.rate_limited"}),
        control_pb2.Span(trace_id=TRACE, span_id="a", name="dative deploy", service="dative-cli", start_ns=0, end_ns=100_000_000,
                         links=[control_pb2.SpanLink(trace_id="77" * 16, attributes={"reason": "resumed"})]),
    ]  # fmt: skip
    state.add_atom("hq-1", state.environments["dev"].name) if "dev" in state.environments else None
    return state


def test_a_list_is_newest_first_and_pages_to_its_limit(admin: Any, runs: Any) -> None:
    names = admin("execution", "list", "--env", "dev", "-o", "name", "--limit", "3").stdout.split()
    assert names == ["01JRUN3", "01JRUN2", "01JRUN1"]
    failed = admin("execution", "list", "--env", "dev", "--status", "failed", "-o", "json", "--since", "24h").stdout
    assert [item["failure"]["code"] for item in json.loads(failed)["items"]] == ["connector.timeout"]


def test_a_run_shows_its_counts_as_the_sum_they_are(admin: Any, runs: Any) -> None:
    told = admin("execution", "show", "01JRUN1")
    assert "read 25 = written 23 + filtered 1 + returned 0 + dead-lettered 1, masked 2" in told.stdout
    assert "step to-customer (map)  in 25  out 24" in told.stdout
    assert "warning  3 orders wait  (step tell)  since noon" in told.stdout
    assert "dead letter 01JDEAD  Id=001A  expression.cast_failed: since: not a date" in told.stdout
    assert "next   dative trace show 01JRUN1" in told.stderr


@pytest.mark.parametrize(("end", "code"), [("SUCCEEDED", 0), ("PARTIAL", 8), ("FAILED", 1), ("CANCELLED", 130)])
def test_watching_ends_with_the_exit_code_of_the_end(admin: Any, runs: Any, end: str, code: int) -> None:
    told = admin("execution", "watch", runs.executions[end].execution_id, code=code)
    assert told.stderr.index("running") < told.stderr.index(end.lower())


def test_running_a_process_and_watching_it_is_one_command(admin: Any, runs: Any) -> None:
    admin("process", "run", "account-to-erp", "--env", "dev", "--param", "region=US", "--trace", "--watch")
    assert runs.commands[0].trace
    assert dict(runs.commands[0].parameters) == {"region": "US"}


def test_cancelling_names_the_whole_id(admin: Any, runs: Any) -> None:
    admin("execution", "cancel", "01JRUN2")
    assert runs.commands[0].execution_id == "01JRUN2"


def test_find_says_where_a_record_went_and_each_row_ends_with_what_to_type_next(admin: Any, runs: Any) -> None:
    runs.documents.append(
        control_pb2.FoundDocument(execution_id="01JRUN9", outcome="written", keys={"Id": "001A"}, trace_id=TRACE)
    )
    lines = admin("find", "001A").stdout.splitlines()
    assert "dead_lettered" in lines[1]
    assert lines[1].endswith("dative dlq show 01JDEAD")
    assert lines[2].endswith(f"dative trace show {TRACE}")
    shown = json.loads(admin("find", "001A", "-o", "json").stdout)
    assert [one["next"].split()[1] for one in shown["items"]] == ["dlq", "trace"]


@pytest.mark.parametrize("arguments", [["+49 30 1"], ["--classified", "+49 30 1"], ["--classified", "-"]])
def test_a_classified_key_is_sealed_to_an_atom_and_then_found(admin: Any, runs: Any, arguments: list[str]) -> None:
    key = SealKey.generate()
    runs.atom_keys["A1"] = key
    runs.hasher = control_pb2.Hasher(environment="dev", environment_id="E1", atom="A1", seal_public_key=key.public_raw)
    runs.classified["+49 30 1"] = [control_pb2.FoundDocument(execution_id="01JRUN9", hashed_keys=["Phone"])]
    told = admin("find", *arguments, stdin="+49 30 1\n")
    assert "Phone=(hashed)" in told.stdout
    assert told.stdout.splitlines()[1].endswith("dative trace show 01JRUN9")
    in_the_clear = any("+49 30 1" in str(search) for search in runs.searches)
    assert in_the_clear is (arguments[0] != "--classified")


def test_receipts_are_csv_and_json_lines_with_the_keys_as_columns(admin: Any, runs: Any) -> None:
    table = pa.table(
        {
            "document": pa.array([0, 1], pa.uint64()),
            "outcome": ["applied", "rejected"],
            "code": [None, "database.constraint"],
            "target": ["C1", None],
            "key.Id": ["001A", 'a "b", c'],
            "hash.Phone": pa.array([bytes(16), None], pa.binary(16)),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data = bytes(sink.getvalue().to_pybytes())
    run = types_pb2.Execution(execution_id="01JRUN1", process="account-to-erp", process_version=2)
    part = agent_pb2.ReceiptPart(
        sequence=1, batch=3, step="upsert", attempt=2, fencing_token=9, rows=2, size=len(data), data=data
    )
    runs.receipts = [
        control_pb2.ControlReadReceiptsResponse(execution=run),
        control_pb2.ControlReadReceiptsResponse(parts=[part]),
    ]
    rows = list(csv.DictReader(admin("execution", "receipts", "01JRUN1", "--csv").stdout.splitlines()))
    assert [row["key.Id"] for row in rows] == ["001A", 'a "b", c']
    assert [(row["outcome"], row["target"], row["batch"], row["attempt"]) for row in rows] == [
        ("applied", "C1", "3", "2"),
        ("rejected", "", "3", "2"),
    ]
    assert rows[0]["hash.Phone"] == "00" * 16
    first = json.loads(admin("execution", "receipts", "01JRUN1", "-o", "jsonl").stdout.splitlines()[0])
    assert (first["keys"], first["fencing_token"], first["version"]) == ({"Id": "001A"}, 9, 2)
    assert "applied" in admin("execution", "receipts", "01JRUN1").stdout


def test_receipts_that_come_incomplete_are_refused(admin: Any, runs: Any) -> None:
    part = agent_pb2.ReceiptPart(sequence=1, size=10, data=b"half")
    run = types_pb2.Execution(execution_id="01JRUN1")
    runs.receipts = [control_pb2.ControlReadReceiptsResponse(execution=run, parts=[part])]
    told = admin("execution", "receipts", "01JRUN1", "-o", "jsonl", code=None)
    assert "journal.receipts_broken" in told.stderr


def test_a_trace_is_drawn_by_cause_with_errors_and_links(admin: Any, runs: Any) -> None:
    told = admin("trace", "show", "01JRUN1")
    lines = told.stdout.splitlines()
    assert lines[0].startswith("dative deploy")
    assert "linked trace " + "77" * 16 + " (reason=resumed)" in lines[1]
    assert lines[2].startswith("  ✖ shape upsert")
    assert "60 ms" in lines[2]
    assert "HTTP 429 error.type=connector.rate_limited" in lines[3]
    assert "2 spans, 1 with errors" in told.stderr
    assert "not whole" in told.stderr


def test_status_is_one_page_and_calls_only_when_somebody_is_needed(admin: Any, runs: Any) -> None:
    told = admin("status").stdout
    assert "▲ 1 documents of dev wait for a person: dative dlq list --env dev" in told
    runs.dead_letters.clear()
    runs.executions.clear()
    assert "▲" not in admin("status").stdout


def test_an_execution_that_moved_shows_both_attempts_and_whose_they_were(admin: Any, runs: Any) -> None:
    second = 1_000_000_000
    runs.spans[:] = [
        control_pb2.Span(
            trace_id=TRACE, span_id="a", name="execute sync", service="dative-atom", start_ns=0, end_ns=3 * second, error=True,
            attributes={"dative.attempt": "1", "dative.atom.id": "hq-2", "error.type": "lost"},
        ),
        control_pb2.Span(
            trace_id=TRACE, span_id="b", name="execute sync", service="dative-atom", start_ns=3 * second, end_ns=5 * second,
            attributes={"dative.attempt": "2", "dative.atom.id": "hq-3"},
            links=[
                control_pb2.SpanLink(
                    trace_id=TRACE, span_id="a",
                    attributes={"dative.attempt": "1", "dative.atom.id": "hq-2", "dative.ended": "lost"},
                )
            ],
        ),
    ]  # fmt: skip
    told = admin("trace", "show", TRACE)
    lines = [line.strip() for line in told.stdout.splitlines()]
    assert lines[0].startswith("✖ execute sync")
    assert lines[1] == "dative.attempt=1 dative.atom.id=hq-2 error.type=lost"
    assert lines[2].startswith("execute sync")
    assert lines[3] == "→ goes on after attempt 1 of hq-2: lost"


# ---- the command's own trace ------------------------------------------------------------------------------------


def test_a_mutating_command_is_one_trace_from_its_root_span_to_the_controller(admin: Any, fake: Any) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    told = admin("env", "create", "test")
    trace_id = told.stderr.rpartition("trace")[2].strip()
    sent = ExportTraceServiceRequest.FromString(zlib.decompress(fake.state.exported[-1]))
    spans = list(sent.resource_spans[0].scope_spans[0].spans)
    root = next(span for span in spans if not span.parent_span_id)
    call = next(span for span in spans if span.name == "dative.v1.EnvironmentService/CreateEnvironment")
    assert root.name == "dative env create"
    assert root.trace_id.hex() == trace_id
    assert call.parent_span_id == root.span_id
    assert fake.state.metadata["CreateEnvironment"]["traceparent"] == f"00-{trace_id}-{call.span_id.hex()}-01"
    assert root.end_time_unix_nano >= call.end_time_unix_nano > call.start_time_unix_nano


def test_a_failed_command_sends_its_spans_with_the_error(admin: Any, fake: Any) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    admin("env", "create", "dev", code=1)
    sent = ExportTraceServiceRequest.FromString(zlib.decompress(fake.state.exported[-1]))
    errors = {
        attribute.value.string_value
        for span in sent.resource_spans[0].scope_spans[0].spans
        for attribute in span.attributes
        if attribute.key == "error.type"
    }
    assert errors == {"control.name_taken"}


def test_a_command_that_only_reads_sends_no_spans(admin: Any, fake: Any) -> None:
    sent = len(fake.state.exported)
    admin("env", "list")
    assert len(fake.state.exported) == sent
    assert fake.state.metadata["ListEnvironments"]["traceparent"].endswith("-00")


def test_no_argument_gets_into_a_span(admin: Any, fake: Any, runs: Any) -> None:
    admin("dlq", "repair", "01JDEAD", "since=2026-01-31-private")
    assert b"2026-01-31-private" not in zlib.decompress(fake.state.exported[-1])


# ---- audit ------------------------------------------------------------------------------------------------------


def test_the_audit_log_is_listed_and_verified(admin: Any, fake: Any) -> None:
    assert admin("audit", "list", "-o", "name").stdout.split() == ["3", "2", "1"]
    assert "the chain holds" in admin("audit", "verify").stderr
    fake.state.audit_broken = True
    assert "store.audit_broken" in admin("audit", "verify", code=1).stderr


def test_watching_a_run_that_fails_says_why_and_what_helps(admin: Any, runs: Any) -> None:
    said = admin("execution", "watch", "01JRUN2", code=1).stderr
    assert "no answer (connector.timeout)" in said
    assert "try again" in said
