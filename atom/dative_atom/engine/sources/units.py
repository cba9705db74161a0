"""Units: the source's documents cut where the process wants them to be together, whatever the source gave at once.

A unit may end inside a read, and a source knows no position there. Then the position says how many documents of the
read after it belong to settled units, with a hash of them: at a resume they are read again and left out if they are the
same. If they are not, nothing is left out: a repeat is allowed, a skip is not (connectors.base).
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import StopRun
from dative.errors import shapes as codes
from dative.process.flow_control import FlowControl

from dative_atom.connectors.base import Position
from dative_atom.documents.batch import number_documents
from dative_atom.documents.json import to_json
from dative_atom.engine.books.ledger import Seen
from dative_atom.engine.sources.source import INSIDE, Piece, Source, own_position


class Cut(Protocol):
    def __call__(self, rows: pa.RecordBatch, *, ended: bool) -> int | None:
        """How many of the waiting documents are the next unit; None while that is not known. ended: no more come."""
        ...


@dataclass
class _Read:
    """One read of the source. taken: documents of it that are in units; digest: of those."""

    rows: pa.RecordBatch
    before: Position | None
    after: Position | None
    seen: Seen
    taken: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    @property
    def left(self) -> int:
        return int(self.rows.num_rows) - self.taken

    def take(self, count: int) -> pa.RecordBatch:
        part = self.rows.slice(self.taken, count)
        self.taken += count
        if self.left:
            update(self.digest, part)
        return part


class UnitSource:
    """`source.Source` that gives the units of another one."""

    def __init__(self, source: Source, cut: Cut, read_rows: int | None = None) -> None:
        """read_rows: documents a read, where the unit says it; None for as many as a batch."""
        self._source = source
        self._cut = cut
        self._read_rows = read_rows

    def open(self) -> pa.Schema:
        return self._source.open()

    def pieces(self, after: Position | None, first_document: int, rows_max: int) -> Iterator[Piece]:
        reads = self._reads(after, self._read_rows or rows_max)
        waiting: deque[_Read] = deque()
        number, ended = first_document, False
        while True:
            rows = _joined(waiting)
            count = self._cut(rows, ended=ended) if rows is not None else None
            if count is not None:
                yield _unit(waiting, count, number)
                number += count
            elif ended:
                return
            elif (read := next(reads, None)) is None:
                ended = True
            elif read.left or waiting:
                waiting.append(read)
            else:
                # An empty read moves the position only, and there is nothing before it that has not settled.
                yield Piece(number_documents(read.rows, number), read.after, read.seen)

    def _reads(self, after: Position | None, rows_max: int) -> Iterator[_Read]:
        before = own_position(after)
        found = self._own(before, rows_max)
        if after is not None and INSIDE in after:
            yield from _without_settled(found, after[INSIDE])
        yield from found

    def _own(self, before: Position | None, rows_max: int) -> Iterator[_Read]:
        for piece in self._source.pieces(before, 0, rows_max):
            yield _Read(piece.documents.select(piece.documents.schema.names[1:]), before, piece.position, piece.seen)
            before = piece.position

    def settled(self, position: Position) -> None:
        own = own_position(position)
        if own is not None:
            self._source.settled(own)

    def close(self) -> None:
        self._source.close()


def _without_settled(reads: Iterator[_Read], inside: Mapping[str, Any]) -> Iterator[_Read]:
    """The first reads again, without the documents that settled before; all of them when they are not the same."""
    again: list[_Read] = []
    digest, left = hashlib.sha256(), int(inside["rows"])
    while left and (read := next(reads, None)) is not None:
        again.append(read)
        part = read.rows.slice(0, left)
        update(digest, part)
        left -= part.num_rows
    if not left and digest.hexdigest() == inside["hash"]:
        settled = int(inside["rows"])
        for read in again:
            count = min(settled, read.left)
            read.take(count)
            settled -= count
    yield from (read for read in again if read.left)


def _joined(waiting: deque[_Read]) -> pa.RecordBatch | None:
    parts = [read.rows.slice(read.taken) for read in waiting if read.left]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else pa.concat_batches(parts)


def _unit(waiting: deque[_Read], count: int, number: int) -> Piece:
    """The next unit, taken from the reads; with the position behind it."""
    parts: list[pa.RecordBatch] = []
    seen = Seen()
    position: Position | None = None
    while True:
        read = waiting[0]
        part = read.take(min(count, read.left))
        parts.append(part)
        count -= part.num_rows
        if read.left:
            # The source knows no position here: say how far into the read that follows the last one it knows.
            where = {"after": read.before, "rows": read.taken, "hash": read.digest.hexdigest()}
            position = {INSIDE: where}
            break
        waiting.popleft()
        _add(seen, read.seen)
        position = read.after
        # Empty reads behind the unit move its position along.
        if not count and not (waiting and not waiting[0].left):
            break
    rows = parts[0] if len(parts) == 1 else pa.concat_batches(parts)
    return Piece(number_documents(rows, number), position, seen)


def _add(seen: Seen, more: Seen) -> None:
    seen.keys += more.keys
    seen.versions += more.versions
    seen.forget_before = more.forget_before or seen.forget_before


def update(digest: Any, rows: pa.RecordBatch) -> None:
    """Add documents to a hash; the same documents in other portions give the same hash."""
    columns = [_texts(column, rows.schema.field(index).name) for index, column in enumerate(rows.columns)]
    if not columns:
        digest.update(b"\x1e" * rows.num_rows)
        return
    joined = pc.binary_join_element_wise(*columns, "", "\x1f", null_handling="replace", null_replacement="\x00")
    digest.update("\x1e".join(["", *joined.to_pylist()]).encode())


def _texts(column: pa.Array, name: str) -> pa.Array:
    # By type and not by trying: bytes that are text in one portion may be none in the next.
    kind = column.type
    if not (pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        return column.cast(pa.string())
    values = to_json(pa.record_batch({name: column}))
    return pa.array([msgspec.json.encode(value[name]).decode() for value in values], pa.string())


def rows_cut(count: int) -> Cut:
    """So many documents."""

    def cut(rows: pa.RecordBatch, *, ended: bool) -> int | None:
        return count if rows.num_rows >= count else rows.num_rows if ended else None

    return cut


def whole_cut(rows_max: int, bytes_max: int) -> Cut:
    """Everything. StopRun shape.unit_too_large beyond either bound."""

    def cut(rows: pa.RecordBatch, *, ended: bool) -> int | None:
        _bounded(rows, rows_max, bytes_max, "the read has")
        return rows.num_rows if ended else None

    return cut


def key_cut(by: tuple[str, ...], batch_rows: int, rows_max: int, bytes_max: int) -> Cut:
    """Whole runs of equal keys, as many as a batch holds. StopRun shape.unit_too_large for a longer run."""

    def cut(rows: pa.RecordBatch, *, ended: bool) -> int | None:
        ends = _run_ends(rows, by)
        if not len(ends):
            _bounded(rows, rows_max, bytes_max, f"one value of {', '.join(by)} has")
            return rows.num_rows if ended else None
        within = ends.filter(pc.less_equal(ends, max(batch_rows, 1)))
        # The last run may go on in the next read; a run that is longer than a batch is a unit of its own.
        return int((within[-1] if len(within) else ends[0]).as_py())

    return cut


def _run_ends(rows: pa.RecordBatch, by: tuple[str, ...]) -> pa.Array:
    """After which rows a run of equal keys has ended, the last run left out."""
    changed = None
    for name in by:
        column = rows.column(name)
        first, second = column.slice(0, len(column) - 1), column.slice(1)
        same = pc.or_kleene(
            pc.fill_null(pc.equal(first, second), False), pc.and_(pc.is_null(first), pc.is_null(second))
        )
        other = pc.invert(same)
        changed = other if changed is None else pc.or_(changed, other)
    return pc.add(pc.indices_nonzero(changed).cast(pa.int64()), 1) if changed is not None else pa.array([], pa.int64())


def _bounded(rows: pa.RecordBatch, rows_max: int, bytes_max: int, what: str) -> None:
    if rows.num_rows > rows_max or rows.nbytes > bytes_max:
        raise StopRun(
            f"{what} more than the {rows_max} documents, or {bytes_max >> 20} MiB, that a unit may have"
            f" ({rows.num_rows} documents, {rows.nbytes >> 20} MiB so far)",
            code=codes.UNIT_TOO_LARGE,
        )


def units_of(source: Source, control: FlowControl | None, batch_rows: int, bytes_max: int) -> Source:
    """The source, cut as the process says. bytes_max: what a unit of `all` or `by` may weigh."""
    if control is None:
        return source
    if control.by:
        return UnitSource(source, key_cut(control.by, batch_rows, control.rows_max, bytes_max))
    if control.unit == "all":
        return UnitSource(source, whole_cut(control.rows_max, bytes_max))
    rows = 1 if control.unit == "one_by_one" else control.rows
    return source if rows is None else UnitSource(source, rows_cut(rows), rows)
