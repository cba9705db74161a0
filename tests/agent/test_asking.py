"""What a person asks of documents: the hash of a sealed key, so many a minute, and receipts in bounded pieces."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from dative.clock import ManualClock
from dative.errors import DativeError
from dative.ids import ExecutionId, ProcessName, StepId
from dative.receipts import whole
from dative.secrets import MaskKeys, SealKey, seal, seal_info
from dative.v1 import agent_pb2
from dative_atom.agent.asking import PIECE_BYTES_MAX, SEARCHES_PER_MIN, Asking
from dative_atom.agent.books import Books
from dative_atom.journal.contract import Counts, Execution, Receipts, Settlement
from dative_atom.journal.sqlite import SqliteJournal
from dative_atom.keys import environment_key, hashed_key, tracking_key

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KEYS = MaskKeys({1: b"\x11" * 32})
RUN = ExecutionId("01JX0000000000000000000001")


class Clock(ManualClock):
    """A clock that the test moves, as an agent wants it."""

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def journal(tmp_path, clock):
    return SqliteJournal(tmp_path / "journal.db", clock)


@pytest.fixture
def seal_key() -> SealKey:
    return SealKey.generate()


@pytest.fixture
def asking(journal, clock, seal_key):
    books = Books(journal)
    yield Asking(books, seal_key, clock, "E1", lambda: KEYS)
    books.close()


def sealed(key: SealKey, value: bytes = b"+49 30 1", environment: str = "E1") -> agent_pb2.HashKey:
    return agent_pb2.HashKey(sealed_value=seal(value, key.public_raw, seal_info("dative/find/v1", environment)))


async def test_a_sealed_key_is_hashed_as_its_documents_are(asking, seal_key) -> None:
    expected = hashed_key("+49 30 1", tracking_key(environment_key(KEYS)))
    assert (await asking.hash_key(sealed(seal_key))).hash == expected
    rotated = MaskKeys({1: b"\x11" * 32, 2: b"\x22" * 32})
    assert environment_key(rotated) == environment_key(KEYS), "documents tracked before a rotation are found after it"


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (lambda key: sealed(SealKey.generate()), "secrets.cannot_open"),
        (lambda key: sealed(key, environment="E2"), "secrets.cannot_open"),
        (lambda key: sealed(key, b"\xff"), "rpc.invalid_argument"),
    ],
)
async def test_what_is_not_sealed_for_this_is_refused(asking, seal_key, wanted, code: str) -> None:
    with pytest.raises(DativeError) as refused:
        await asking.hash_key(wanted(seal_key))
    assert refused.value.code.name == code


async def test_values_can_not_be_tried_out_by_the_thousand(asking, seal_key, clock) -> None:
    for _ in range(SEARCHES_PER_MIN):
        await asking.hash_key(sealed(seal_key))
    with pytest.raises(DativeError) as refused:
        await asking.hash_key(sealed(seal_key))
    assert refused.value.code.name == "agent.too_many_searches"
    clock.advance(60.0)
    await asking.hash_key(sealed(seal_key))


def settle(journal: SqliteJournal, sizes: list[int]) -> list[bytes]:
    journal.plan(Execution(RUN, ProcessName("p"), 1, "E1/p", "manual", NOW, "sha256:00"))
    journal.begin(RUN, NOW)
    bodies = [os.urandom(size) for size in sizes]
    for batch, body in enumerate(bodies):
        receipts = [Receipts(StepId("upsert"), 0, 1, body)]
        journal.settle(
            Settlement(RUN, "E1/p", batch, b"{}", batch + 1, Counts(read=1), receipts=receipts, receipts_keep_s=60.0)
        )
    return bodies


@pytest.mark.parametrize(
    "sizes",
    [[], [1], [PIECE_BYTES_MAX], [PIECE_BYTES_MAX + 1], [2 * PIECE_BYTES_MAX, 5], [10] * 30, [300_000, 300_000, 7]],
)
async def test_receipts_come_whole_in_pieces_below_their_bound(asking, journal, sizes: list[int]) -> None:
    bodies = settle(journal, sizes)
    parts, after = [], ""
    while True:
        piece = await asking.read_receipts(agent_pb2.ReadReceipts(execution_id=RUN, after=after))
        assert sum(len(part.data) for part in piece.parts) <= PIECE_BYTES_MAX
        parts += piece.parts
        after = piece.next
        if not after:
            break
    assert [record.data for record in whole(parts)] == bodies


@pytest.mark.parametrize("after", ["x", "1", "1.x", "-1.0", "9" * 41])
async def test_a_place_that_is_none_is_refused(asking, journal, after: str) -> None:
    settle(journal, [1])
    with pytest.raises(DativeError) as refused:
        await asking.read_receipts(agent_pb2.ReadReceipts(execution_id=RUN, after=after))
    assert refused.value.code.name == "rpc.invalid_argument"
