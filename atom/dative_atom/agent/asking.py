"""What a person asks of documents through the controller: the hash of a key, and receipts. Nothing here changes anything.

The key that hashes are made with never leaves the atom, so whoever searches a classified key sends its value here,
sealed; how often is bounded, so that a controller in wrong hands can not try out values by the thousand.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from dative.errors import DativeError
from dative.errors.agent import SEARCHES_TOO_MANY
from dative.errors.journal import UNKNOWN_EXECUTION
from dative.errors.rpc import INVALID
from dative.ids import ExecutionId
from dative.secrets import MaskKeys, SealKey, open_sealed, seal_info
from dative.v1 import agent_pb2
from dative.waiting import WaitingClock

from dative_atom.agent.books import Books
from dative_atom.journal.contract import ReceiptRecord
from dative_atom.keys import environment_key, hashed_key, tracking_key

FIND_PURPOSE = "dative/find/v1"
SEARCHES_PER_MIN = 60
"""More are refused with agent.too_many_searches."""
PIECE_BYTES_MAX = 384 * 1024
"""Of receipts in one answer: well below the 1 MiB of a message, and a heartbeat is never long behind it."""
RECORDS_AT_ONCE = 8


class Asking:
    """environment_id: whose keys this atom holds; keys: reads them from what runs now, blocking."""

    def __init__(
        self,
        books: Books,
        seal_key: SealKey,
        clock: WaitingClock,
        environment_id: str,
        keys: Callable[[], MaskKeys],
    ) -> None:
        self._books = books
        self._seal_key = seal_key
        self._clock = clock
        self._environment_id = environment_id
        self._keys = keys
        self._searched_s: deque[float] = deque(maxlen=SEARCHES_PER_MIN)

    async def hash_key(self, wanted: agent_pb2.HashKey) -> agent_pb2.HashKeyResult:
        """Errors: agent.too_many_searches, secrets.cannot_open, rpc.invalid_argument, masks.key_missing."""
        now_s = self._clock.elapsed_s()
        if len(self._searched_s) == SEARCHES_PER_MIN and now_s - self._searched_s[0] < 60:
            raise DativeError(
                f"{SEARCHES_PER_MIN} classified keys were searched within a minute", code=SEARCHES_TOO_MANY
            )
        self._searched_s.append(now_s)
        info = seal_info(FIND_PURPOSE, self._environment_id)
        try:
            value = open_sealed(wanted.sealed_value, self._seal_key, info).decode()
        except UnicodeDecodeError as broken:
            raise DativeError("the value that is searched for is no text", code=INVALID) from broken
        keys = await asyncio.to_thread(self._keys)
        return agent_pb2.HashKeyResult(hash=hashed_key(value, tracking_key(environment_key(keys))))

    async def read_receipts(self, wanted: agent_pb2.ReadReceipts) -> agent_pb2.ReadReceiptsResult:
        """The next piece. Errors: journal.unknown_execution, rpc.invalid_argument."""
        sequence, offset = _place(wanted.after)
        execution_id = ExecutionId(wanted.execution_id)
        if await self._books.run(self._books.journal.execution, execution_id) is None:
            raise DativeError(f"execution {execution_id} is not on this atom", code=UNKNOWN_EXECUTION)
        # A record of which a part was sent is the first one again.
        after = sequence - 1 if offset else sequence
        records = await self._books.run(self._books.journal.receipts, execution_id, after, limit=RECORDS_AT_ONCE)
        return _piece(records, offset)


def _piece(records: list[ReceiptRecord], offset: int) -> agent_pb2.ReadReceiptsResult:
    """As much of these records as one answer holds, from that offset of the first one."""
    result, room = agent_pb2.ReadReceiptsResult(), PIECE_BYTES_MAX
    for record in records:
        body = record.receipts.body
        data = body[offset : offset + room]
        part = agent_pb2.ReceiptPart(
            sequence=record.sequence,
            batch=record.batch,
            step=record.receipts.step,
            attempt=record.attempt,
            fencing_token=record.fencing_token,
            settled_at_ms=int(record.at.timestamp() * 1000),
            rows=record.receipts.rows,
            size=len(body),
            offset=offset,
            data=data,
        )
        result.parts.append(part)
        room -= len(data)
        offset += len(data)
        result.next = f"{record.sequence}.{offset if offset < len(body) else 0}"
        if offset < len(body) or room <= 0:
            break
        offset = 0
    return result


def _place(after: str) -> tuple[int, int]:
    """(sequence, offset) of where the piece before ended; an offset is inside that record."""
    if not after:
        return 0, 0
    sequence, _, offset = after.partition(".")
    if not (sequence.isdecimal() and offset.isdecimal()) or len(after) > 40:
        raise DativeError(f"{after[:40]!r} is no place in receipts", code=INVALID)
    return int(sequence), int(offset)
