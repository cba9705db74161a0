"""What some targets of a batch committed while others did not: never sent to them again.

Several transactional targets commit one after the other. A batch that stops in between is read and led through its
steps again, and the source may give other documents by then. So what is kept of each target that had committed is a
print of every row that it took, with what it said of it: a document that comes again exactly as it was gets that
answer and is not sent, one that has changed meanwhile is a new effect. Finding rows again is a loop over rows, off the
columnar path: it runs once after such a stop.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from dative.ids import StepId

from dative_atom.connectors.base import Outcome
from dative_atom.engine.evaluation.database import BATCH_VIEW, Session, quoted

PRINT: Final = "_print"
_TAKEN: Final = pa.array([Outcome.APPLIED.value, Outcome.UNCHANGED.value])
_ZSTD: Final = pa.ipc.IpcWriteOptions(compression="zstd")


class Prints:
    """Prints of rows, from any thread. A session of its own is opened when the first is asked for."""

    def __init__(self, new_session: Callable[[], Session]) -> None:
        self._new_session = new_session
        self._session: Session | None = None
        self._guard = threading.Lock()

    def of(self, documents: pa.RecordBatch) -> pa.Array:
        """128 bits a row as hex text, the same for the same values in the same columns."""
        values = [f"CAST({quoted(name)} AS VARCHAR)" for name in documents.schema.names]
        # The length in front: no two rows of different values are the same text.
        parts = ", ".join(f"coalesce(concat(length({value}), ':', {value}), '-')" for value in values)
        with self._guard:
            if self._session is None:
                self._session = self._new_session()
            return self._session.query(f"SELECT md5(concat({parts})) FROM {BATCH_VIEW}", documents).column(0)


def taken(prints: pa.Array, results: pa.RecordBatch) -> pa.RecordBatch:
    """The rows that a target took, by their prints; what it refused had no effect there and may be sent again."""
    rows = pa.RecordBatch.from_arrays([prints, *results.columns], names=[PRINT, *results.schema.names])
    return rows.filter(pc.is_in(results.column("outcome"), value_set=_TAKEN))


@dataclass(frozen=True)
class Halfway:
    """rows: by step, of `taken`. documents: how many documents of the source they came from.

    After as many documents have settled nothing is looked for any more: a row that comes later is another effect,
    also when it looks the same. Bound: the rows of one batch, and what changed of them at each further stop.
    """

    rows: Mapping[StepId, pa.RecordBatch] = field(default_factory=dict)
    documents: int = 0

    def found(self, step: StepId, prints: pa.Array) -> tuple[pa.Array, pa.Array]:
        """(which of these rows the target has, their places in `rows`), int64 each; a row is found as often as it was
        taken."""
        places: dict[str, deque[int]] = defaultdict(deque)
        for place, one in enumerate(self.rows[step].column(PRINT).to_pylist()):
            places[one].append(place)
        pairs = [(row, places[one].popleft()) for row, one in enumerate(prints.to_pylist()) if places.get(one)]
        return pa.array([row for row, _ in pairs], pa.int64()), pa.array([place for _, place in pairs], pa.int64())

    def and_also(self, sent: Mapping[StepId, pa.RecordBatch], documents: int) -> Halfway:
        """With what a batch of so many documents sent to targets that committed it."""
        rows = dict(self.rows)
        for step, more in sent.items():
            former = rows.get(step)
            rows[step] = more if former is None or former.schema != more.schema else _joined(former, more)
        return Halfway(rows, max(self.documents, documents)) if sent else self

    def after(self, used: Mapping[StepId, pa.Array], documents: int) -> Halfway:
        """What is left when a batch of so many documents has settled, which found these places."""
        if documents >= self.documents:
            return Halfway()
        rows = {}
        for step, known in self.rows.items():
            left = known.filter(pc.invert(pc.is_in(pa.arange(0, known.num_rows), value_set=used.get(step, _NONE))))
            if left.num_rows:
                rows[step] = left
        return Halfway(rows, self.documents - documents) if rows else Halfway()

    def packed(self) -> bytes:
        """Empty when there is nothing to know."""
        return msgspec.msgpack.encode((self.documents, packed(self.rows))) if self.rows else b""

    @classmethod
    def read(cls, body: bytes) -> Halfway:
        if not body:
            return cls()
        documents, rows = msgspec.msgpack.decode(body, type=tuple[int, dict[str, bytes]])
        return cls(unpacked(rows), documents)


_NONE: Final = pa.array([], pa.int64())


def packed(rows: Mapping[StepId, pa.RecordBatch]) -> dict[str, bytes]:
    """As Arrow streams."""
    bodies = {}
    for step, batch in rows.items():
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema, options=_ZSTD) as stream:
            stream.write_batch(batch)
        bodies[str(step)] = sink.getvalue().to_pybytes()
    return bodies


def unpacked(bodies: Mapping[str, bytes]) -> dict[StepId, pa.RecordBatch]:
    return {StepId(step): pa.ipc.open_stream(body).read_next_batch() for step, body in bodies.items()}


def _joined(one: pa.RecordBatch, other: pa.RecordBatch) -> pa.RecordBatch:
    return pa.Table.from_batches([one, other]).combine_chunks().to_batches()[0] if one.num_rows else other
