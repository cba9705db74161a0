"""Where an execution's documents come from: a connector's reader, or dead letters that are tried again.

Both give `Piece`s, numbered documents with the position after them. A source is opened, read and closed in one thread
of its own; what has settled is told to it there, between two reads, because a reader knows one thread only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

import pyarrow as pa
from dative.errors import DativeError, StopRun
from dative.errors import engine as codes
from dative.ids import DeadLetterId

from dative_atom.connectors.base import UNFENCED, Fence, Position, Read, Reader
from dative_atom.documents.batch import number_documents
from dative_atom.documents.json import Unreadable, from_json
from dative_atom.engine.books.ledger import JournalLedger, Seen
from dative_atom.engine.failpoints import reach
from dative_atom.journal.contract import DeadLetter, Profile, SnapshotChanges


@dataclass(frozen=True)
class Piece:
    """Documents that were read together. position: after them; None where this execution moves none.

    origins: the dead letter of each document, in a retry. unreadable: values that no longer fit their field's type.
    snapshot: what is compared with once these have settled.
    """

    documents: pa.RecordBatch
    position: Position | None
    seen: Seen
    origins: Sequence[DeadLetterId] = ()
    unreadable: Sequence[Unreadable] = ()
    snapshot: SnapshotChanges | None = None


class Source(Protocol):
    """What the reading thread needs."""

    def open(self) -> pa.Schema:
        """Open it; the columns of its documents."""
        ...

    def pieces(self, after: Position | None, first_document: int, rows_max: int) -> Iterator[Piece]: ...

    def settled(self, position: Position) -> None:
        """Everything up to here has settled. Called from another thread; the source is told soon."""
        ...

    def close(self) -> None:
        """Tell the source what is left to tell, and give back what was taken."""
        ...


INSIDE: Final = "_inside"
"""Key of a position inside a read: {"after": the source's own position, "rows": n, "hash": hex}; see `units`."""


def own_position(position: Position | None) -> Position | None:
    """The source's own position at or before this one, which may lie inside a read."""
    if position is not None and INSIDE in position:
        before: Position | None = position[INSIDE]["after"]
        return before
    return position


def watermark(position: Position | None) -> datetime | str | None:
    """What :watermark is: where the window begins that is read next, or in whose middle an execution goes on.

    It never lies behind a row that may still come (Invariant 1), so a filter by it leaves nothing out that the read needs.
    A text for a field that holds no time with a zone; None before the first window has settled.
    """
    lower = (own_position(position) or {}).get("lower")
    if not isinstance(lower, str):
        return None
    try:
        at = datetime.fromisoformat(lower)
    except ValueError:
        return lower
    return at if at.tzinfo is not None else lower


class OpenReader(Protocol):
    def __call__(self) -> Reader: ...


class ReaderSource:
    """A connector's reader."""

    def __init__(self, open_reader: OpenReader, ledger: JournalLedger, fence: Fence = UNFENCED) -> None:
        self._open_reader = open_reader
        self._fence = fence
        self._ledger = ledger
        self._reader: Reader | None = None
        self._settled: Position | None = None
        self._guard = threading.Lock()

    def open(self) -> pa.Schema:
        self._reader = self._open_reader()
        return self._reader.profile

    def pieces(self, after: Position | None, first_document: int, rows_max: int) -> Iterator[Piece]:
        assert self._reader is not None  # noqa: S101  (open comes first)
        number = first_document
        for read in self._reader.read(own_position(after), rows_max):
            yield self._piece(read, number)
            number += read.batch.num_rows
            self._tell()

    def _piece(self, read: Read, number: int) -> Piece:
        if any(name.startswith("_") for name in read.batch.schema.names):
            raise StopRun("a source's field begins with _, which is the engine's", code=codes.READ_INVALID)
        return Piece(number_documents(read.batch, number), read.position, self._ledger.take())

    def settled(self, position: Position) -> None:
        # Only the newest is kept: acknowledging a position covers everything before it.
        with self._guard:
            self._settled = position

    def _tell(self) -> None:
        with self._guard:
            position, self._settled = self._settled, None
        if position is not None and self._reader is not None:
            reach("acknowledge.before")
            # Invariant 4: whoever has the work now tells the source itself.
            self._fence.check()
            self._reader.acknowledge(position)
            reach("acknowledge.after")

    def close(self) -> None:
        if self._reader is None:
            return
        try:
            self._tell()
        finally:
            self._reader.close()


class DeadLetterSource:
    """Dead letters that are tried again: their payloads, cast to the columns that the source has today."""

    def __init__(
        self, letters: Sequence[DeadLetter], kept: Sequence[Profile], profile: Callable[[], pa.Schema]
    ) -> None:
        """profile: asks the source for its columns; may raise DativeError. kept: what it said when they were parked."""
        self._letters = letters
        self._kept = kept
        self._profile = profile
        self._schema: pa.Schema | None = None

    def open(self) -> pa.Schema:
        """The source's own profile; where it can not be asked, what it said when the letters were parked."""
        try:
            self._schema = self._profile()
        except DativeError:
            # The documents are here; that their source is away must not keep them from going on.
            self._schema = self._remembered()
        return pa.schema([item.with_nullable(True) for item in self._schema])

    def _remembered(self) -> pa.Schema:
        """Of profiles that do not go together the newest counts; without any, the types that the payloads show."""
        schemas = [pa.ipc.read_schema(pa.py_buffer(profile.arrow)) for profile in self._kept]
        if not schemas:
            payloads = [dict(letter.parked.payload) for letter in self._letters]
            return pa.RecordBatch.from_pylist(payloads).schema
        try:
            return pa.unify_schemas(schemas, promote_options="permissive")
        except pa.ArrowException:
            return schemas[-1]

    def pieces(self, after: Position | None, first_document: int, rows_max: int) -> Iterator[Piece]:  # noqa: ARG002
        """after is not used: a retry moves no position, it goes on at the first document that has not settled."""
        assert self._schema is not None  # noqa: S101  (open comes first)
        for start in range(first_document, len(self._letters), rows_max):
            letters = self._letters[start : start + rows_max]
            batch, unreadable = from_json([letter.parked.payload for letter in letters], self._schema)
            origins = [letter.dead_letter_id for letter in letters]
            yield Piece(number_documents(batch, start), None, Seen(), origins, unreadable)

    def settled(self, position: Position) -> None:
        """A retry moves no position."""

    def close(self) -> None:
        """Nothing is held."""
