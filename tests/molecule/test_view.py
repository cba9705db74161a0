"""The view is a fold: in one piece or one by one it comes out the same, whatever bytes stand in the keys."""

from __future__ import annotations

import msgspec
import pytest
from dative.errors import DativeError
from dative.errors.base import Code
from dative.errors.molecule import NAME_INVALID, VALUE_TOO_LARGE, VALUE_UNREADABLE, VALUE_VERSION
from dative_atom.molecule.coordination import Changes, Delete, Put, Snapshot
from dative_atom.molecule.keys import Keys
from dative_atom.molecule.memory import MemoryCluster
from dative_atom.molecule.values import (
    AssignmentValue,
    CandidateValue,
    CheckpointValue,
    ExecutionValue,
    MemberValue,
    QuarantineValue,
    Term,
    TermsValue,
    Value,
    decode,
    encode,
)
from dative_atom.molecule.view import View
from hypothesis import given, settings
from hypothesis import strategies as st

KEYS = Keys("env-1", "hq")
NAMES = [
    *(KEYS.execution(f"e{number}") for number in range(4)),
    *(KEYS.assigned(f"hq-{number % 2}", f"e{number}") for number in range(4)),
    *(KEYS.checkpoint(f"e{number}") for number in range(2)),
    *(KEYS.member(f"hq-{number}") for number in range(2)),
    KEYS.leader(7),
    KEYS.leader(8),
    KEYS.quarantine("hq-0"),
    KEYS.terms,
    KEYS.prefix + "what/is/this",
    KEYS.prefix,
]
GOLDEN: list[tuple[Value, bytes]] = [
    (CandidateValue(v=1, atom="hq-1"), b'{"v":1,"atom":"hq-1"}'),
    (
        MemberValue(v=1, slots=2, boot="b", host="h", data_dir="d", digests=("0123",), draining=True),
        b'{"v":1,"slots":2,"boot":"b","host":"h","data_dir":"d","draining":true,"digests":["0123"]}',
    ),
    (
        ExecutionValue(v=1, state="R", stream="env/p", at_ms=5, owner="hq-1", revision=9, attempt=2, lost="hq-2"),
        b'{"v":1,"state":"R","stream":"env/p","at_ms":5,"attempt":2,"owner":"hq-1","revision":9,"lost":"hq-2"}',
    ),
    (AssignmentValue(v=1, attempt=1), b'{"v":1,"attempt":1}'),
    (
        CheckpointValue(v=1, token=7, attempt=1, batches=3, position="journal:3", counts={"read": 3}),
        b'{"v":1,"token":7,"attempt":1,"batches":3,"position":"journal:3","counts":{"read":3}}',
    ),
    (
        QuarantineValue(v=1, hosts=("a", "b"), boots=("x", "y"), at_ms=1),
        b'{"v":1,"hosts":["a","b"],"boots":["x","y"],"at_ms":1}',
    ),
    (TermsValue(v=1, terms=(Term(atom="a", term=3, at_ms=4),)), b'{"v":1,"terms":[{"atom":"a","term":3,"at_ms":4}]}'),
]
values = (
    st.sampled_from([body for _, body in GOLDEN]) | st.binary(max_size=40) | st.just(b'{"v":2}') | st.just(b"[" * 4000)
)


@pytest.mark.parametrize(("value", "body"), GOLDEN, ids=lambda one: type(one).__name__)
def test_yesterdays_bytes_are_read_and_written_the_same(value: Value, body: bytes) -> None:
    assert encode(value) == body
    assert decode(type(value), body) == value


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.none() | values), max_size=40), st.integers(0, 40))
@settings(max_examples=200, deadline=None)
def test_loaded_in_one_piece_or_heard_one_by_one_it_is_the_same(writes, loaded: int) -> None:
    cluster = MemoryCluster(clock=_NoClock())
    after: Snapshot | None = None
    for number, (key, body) in enumerate(writes):
        if number == loaded:
            after = Snapshot(cluster.revision, cluster.items())
        cluster.transact([], [Put(key, body)] if body is not None else [Delete(key)], [])
    after = after or Snapshot(1, ())
    one_by_one = View.of(KEYS, after)
    for changes in cluster.history:
        one_by_one.apply(changes)
    whole = View.of(KEYS, Snapshot(cluster.revision, cluster.items()))
    assert one_by_one.unreadable.keys() == whole.unreadable.keys()
    one_by_one.unreadable = whole.unreadable = {}
    one_by_one.revision = whole.revision
    assert one_by_one == whole
    again = View.of(KEYS, after)
    for changes in cluster.history:
        again.apply(changes)
        again.apply(changes)  # told twice is known once
    again.unreadable, again.revision = {}, whole.revision
    assert again == whole


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(msgspec.json.encode))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused_with_a_code(body: bytes) -> None:
    for kind in {type(value) for value, _ in GOLDEN}:
        assert refusal(kind, body) in (None, VALUE_UNREADABLE, VALUE_VERSION)


def refusal(kind: type[Value], body: bytes) -> Code | None:
    try:
        decode(kind, body)
    except DativeError as refused:
        return refused.code
    return None


def test_a_candidate_stands_in_line_whatever_its_value_is() -> None:
    cluster = MemoryCluster(clock=_NoClock())
    cluster.transact([], [Put(KEYS.leader(1), b"garbage")], [])
    cluster.transact([], [Put(KEYS.leader(2), encode(CandidateValue(v=1, atom="hq-2")))], [])
    leader = View.of(KEYS, cluster.snapshot()).leader
    assert leader is not None
    assert leader.item.key == KEYS.leader(1)


def test_nothing_larger_than_4_kb_is_written() -> None:
    with pytest.raises(DativeError) as refused:
        encode(CheckpointValue(v=1, token=1, attempt=1, batches=1, position="x" * 5000))
    assert refused.value.code is VALUE_TOO_LARGE


@pytest.mark.parametrize("name", ["", "a/b", "a b", "é", "x" * 129, "a\nb", "../x"])
def test_a_name_that_breaks_the_layout_is_refused(name: str) -> None:
    with pytest.raises(DativeError) as refused:
        KEYS.assigned("hq-1", name)
    assert refused.value.code is NAME_INVALID
    assert KEYS.named(KEYS.prefix + "assigned/hq-1/" + name) is None


def test_keys_of_another_molecule_are_not_this_ones() -> None:
    assert KEYS.named(Keys("env-1", "hq2").execution("e1")) is None


class _NoClock:
    def elapsed_s(self) -> float:
        return 0.0


def test_an_empty_change_only_moves_the_revision() -> None:
    view = View(KEYS)
    view.apply(Changes(9, ()))
    assert view.revision == 9


def test_what_comes_late_changes_nothing_back() -> None:
    cluster = MemoryCluster(clock=_NoClock())
    for body in GOLDEN[2][1], GOLDEN[2][1].replace(b'"R"', b'"A"'):
        cluster.transact([], [Put(KEYS.execution("e1"), body)], [])
    view = View.of(KEYS, cluster.snapshot())
    view.apply(cluster.history[0])
    assert view.executions["e1"].value.state == "A"


def test_an_assignment_of_an_earlier_life_is_not_its_own() -> None:
    cluster = MemoryCluster(clock=_NoClock())
    lease = cluster.grant(5.0).lease_id
    cluster.transact([], [Put(KEYS.assigned("hq-1", "e1"), GOLDEN[3][1], lease)], [])
    view = View.of(KEYS, cluster.snapshot())
    assert [one.execution_id for one in view.assigned_to("hq-1", lease)] == ["e1"]
    assert list(view.assigned_to("hq-1", lease + 1)) == []
