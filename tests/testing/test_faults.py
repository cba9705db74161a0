"""Cases in which systems misbehave: every kind of fault, in virtual time."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from dative_atom.testing.cases import Verdict

Play = Callable[[str], list[Verdict]]
INPUT = "input: [{Id: A1, Name: ada}, {Id: A2, Name: bob}, {Id: A3, Name: eve}]"
ALL = "written: {upsert: [{id: A1}, {id: A2}, {id: A3}]}, dead_lettered: []"
UNKNOWN = "{code: engine.outcome_unknown, step: upsert}"

FAULTS = {
    "a timeout that passes": ("{step: upsert, kind: timeout}", ALL),
    "429 with Retry-After is waited for": (
        "{step: upsert, kind: rate_limited, retry_after: 10m}",
        f"{ALL}, waited: 10m",
    ),
    "503 three times": ("{step: upsert, kind: unavailable, times: 3}", f"{ALL}"),
    "503 for ever": ("{step: upsert, kind: unavailable, times: 9}", "failure: engine.retries_exhausted"),
    "a class that the step does not retry": ("{step: upsert, kind: conflict}", "failure: engine.retries_exhausted"),
    "a connection that is away": ("{connection: erp, kind: timeout, times: 2}", ALL),
    "a source that is away": ("{connection: crm, kind: unavailable}", "failure: connector.unavailable"),
    "an unknown outcome is never sent again": (
        "{step: upsert, kind: unknown}",
        f"written: {{upsert: []}}, dead_lettered: [{UNKNOWN}, {UNKNOWN}, {UNKNOWN}]",
    ),
    "a commit whose answer is lost is not repeated": ("{step: upsert, kind: commit_lost}", ALL),
    "a commit that did not happen starts over": ("{step: upsert, kind: commit_undone}", ALL),
    "some are refused by key": (
        "{step: upsert, kind: reject, where: {id: [A2]}, code: database.duplicate}",
        "written: {upsert: [{id: A1}, {id: A3}]}, dead_lettered: [{code: database.duplicate, document: {Id: A2}}]",
    ),
    "the second call": ("{step: upsert, kind: timeout, call: 2}", ALL),
}


@pytest.mark.parametrize(("fault", "expect"), FAULTS.values(), ids=FAULTS)
def test_a_fault_has_the_end_that_the_case_expects(play: Play, fault: str, expect: str) -> None:
    started_s = time.monotonic()
    (verdict,) = play(f"- name: a\n  {INPUT}\n  faults: [{fault}]\n  expect: {{{expect}}}")
    assert verdict.message == ""
    assert time.monotonic() - started_s < 5, "a pause took real time"


def test_a_fault_that_the_process_does_not_bear_fails_the_case(play: Play) -> None:
    (verdict,) = play(f"- name: a\n  {INPUT}\n  faults: [{{step: upsert, kind: unavailable, times: 9}}]")
    assert "(engine.retries_exhausted)" in verdict.message
