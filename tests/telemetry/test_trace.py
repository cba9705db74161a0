"""The recorder, the sampler and the encoder: what is recorded, what is kept, what leaves the atom."""

from __future__ import annotations

import threading
import zlib
from dataclasses import replace

import pytest
from dative_atom.telemetry import otlp, recorder
from dative_atom.telemetry.recorder import Recorder, parse_traceparent
from dative_atom.telemetry.sampler import Ended, keep
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

QUIET = Ended(
    trace_id="f" * 32,
    failed=False,
    documents_failed=0,
    attempt=1,
    seconds=1.0,
    p95_s=1.0,
    runs_of_version=100,
    asked=False,
)

KEPT = [
    ({}, None),
    ({"failed": True}, "failed"),
    ({"documents_failed": 1}, "documents_failed"),
    ({"attempt": 2}, "resumed"),
    ({"asked": True}, "asked"),
    ({"runs_of_version": 19}, "first_runs"),
    ({"runs_of_version": 20}, None),
    ({"seconds": 2.1}, "slow"),
    ({"seconds": 2.1, "p95_s": None}, None),
    ({"trace_id": "f" * 16 + "0" * 16}, "ratio"),
]


@pytest.mark.parametrize(("changes", "reason"), KEPT)
def test_a_trace_is_kept_for_a_reason(changes: dict[str, object], reason: str | None) -> None:
    assert keep(replace(QUIET, **changes)) == reason  # type: ignore[arg-type]


@given(trace_id=st.integers(1, 2**128 - 1), failed=st.booleans(), documents_failed=st.integers(0, 3))
def test_no_failure_is_sampled_away_and_all_decide_alike(trace_id: int, failed: bool, documents_failed: int) -> None:
    ended = replace(QUIET, trace_id=f"{trace_id:032x}", failed=failed, documents_failed=documents_failed)
    for ratio in (0.0, 0.05):
        assert keep(ended, ratio) == keep(ended, ratio)
        if failed or documents_failed:
            assert keep(ended, ratio)


TRACEPARENTS = [
    (f"00-{'a' * 32}-{'b' * 16}-01", ("a" * 32, "b" * 16)),
    (f"00-{'A' * 32}-{'B' * 16}-00", ("a" * 32, "b" * 16)),
    (f"01-{'a' * 32}-{'b' * 16}-01-future", ("a" * 32, "b" * 16)),
    (f"ff-{'a' * 32}-{'b' * 16}-01", None),
    (f"00-{'0' * 32}-{'b' * 16}-01", None),
    (f"00-{'g' * 32}-{'b' * 16}-01", None),
    ("", None),
    ("00-a-b-01", None),
]


@pytest.mark.parametrize(("value", "expected"), TRACEPARENTS)
def test_a_traceparent_is_read_or_ignored(value: str, expected: tuple[str, str] | None) -> None:
    assert parse_traceparent(value) == expected


def decoded(body: bytes) -> tuple[dict[str, WireSpan], dict[str, str]]:
    request = ExportTraceServiceRequest.FromString(zlib.decompress(body))
    (resource_spans,) = request.resource_spans
    resource = {each.key: each.value.string_value for each in resource_spans.resource.attributes}
    return {span.name: span for scope in resource_spans.scope_spans for span in scope.spans}, resource


def recorded() -> Recorder:
    made = Recorder(parent=("c" * 32, "d" * 16))
    with made.step("read", "salesforce.query", 0, 0) as step:
        header = made.traceparent()
        made.called(
            "GET /query", traceparent=header, start_ns=1, end_ns=2, attributes={"http.response.status_code": 200}
        )
        step.documents_out = 10
    with made.step("upsert", "database.upsert", 0, 10) as step:
        step.documents_failed = 1
    return made


def test_the_tree_is_execution_steps_calls_under_the_callers_trace() -> None:
    made = recorded()
    spans, resource = decoded(
        otlp.encode(
            otlp.execution_spans(made, made.start_ns + 5, {"dative.process.name": "sync"}), {"dative.atom.id": "a1"}
        )
    )
    root, read, call, upsert = (spans[name] for name in ("execute sync", "shape read", "GET /query", "shape upsert"))
    assert {span.trace_id.hex() for span in spans.values()} == {"c" * 32}
    assert root.parent_span_id.hex() == "d" * 16
    assert (read.parent_span_id, upsert.parent_span_id) == (root.span_id, root.span_id)
    assert call.parent_span_id == read.span_id
    assert (call.kind, read.kind) == (WireSpan.SPAN_KIND_CLIENT, WireSpan.SPAN_KIND_INTERNAL)
    assert (read.status.code, upsert.status.code) == (0, 2)
    assert resource["dative.atom.id"] == "a1"
    assert resource["service.name"] == "dative-atom"


def test_the_outgoing_header_names_the_span_that_is_made_of_the_call() -> None:
    made = Recorder()
    header = made.traceparent()
    made.called("GET", traceparent=header, start_ns=1, end_ns=2, attributes={})
    assert parse_traceparent(header) == (made.trace_id, made.calls[0].span_id)


def test_an_attribute_off_the_list_never_leaves() -> None:
    made = Recorder()
    made.called(
        "GET",
        traceparent=made.traceparent(),
        start_ns=1,
        end_ns=2,
        attributes={"db.query.text": "SELECT 'canary'", "authorization": "canary", "server.address": "erp"},
    )
    body = zlib.decompress(otlp.encode(otlp.execution_spans(made, 9, {"payload": "canary"}), {}))
    assert b"canary" not in body
    assert b"server.address" in body


def test_a_step_that_raises_is_recorded_as_failed_and_the_error_goes_on() -> None:
    made = Recorder()
    with pytest.raises(RuntimeError), made.step("map", "map", 0, 3):
        raise RuntimeError
    assert made.steps[0].error == "RuntimeError"


def test_calls_of_another_thread_do_not_fall_under_this_step() -> None:
    made = Recorder()

    def elsewhere() -> None:
        made.called("GET", traceparent=made.traceparent(), start_ns=1, end_ns=2, attributes={})

    with made.step("map", "map", 0, 3):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert made.calls[0].parent_id == made.root_id


def test_at_its_bound_the_recorder_counts_successes_and_keeps_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "SPANS_MAX", 2)
    made = Recorder()
    for number in range(4):
        with made.step("map", "map", number, 1):
            pass
    with made.step("map", "map", 4, 1) as step:
        step.documents_failed = 1
    assert [step.batch for step in made.steps] == [0, 1, 4]
    assert (made.dropped, made.totals["map"].documents_in) == (2, 5)
