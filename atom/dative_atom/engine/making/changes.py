"""The source of a process that finds changes: the whole snapshot, compared with the one that settled last.

The reader is read to its end first, into a file without a name beside the journal, so that memory stays flat and a
partial snapshot is known before anything moves. Of every document 32 bytes stay in memory: hashes of its key and of what
is compared. Then the documents go on in batches, each saying what it is, and behind them those that are gone. What a
batch says becomes what is compared with when that batch settles (Invariant 1), so that a kill repeats nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import StopRun
from dative.errors import changes as codes
from dative.errors import engine as engine_codes
from dative.process.shapes import FindChangesSettings

from dative_atom.connectors.base import Position
from dative_atom.documents.batch import DOCUMENT, number_documents
from dative_atom.documents.json import from_json, to_json
from dative_atom.engine.books.ledger import Seen
from dative_atom.engine.evaluation.database import Session, quoted
from dative_atom.engine.sources.source import Piece, Source
from dative_atom.journal.contract import Journal, SnapshotChanges

ADD: Final = "add"
UPDATE: Final = "update"
DELETE: Final = "delete"
UNCHANGED: Final = "unchanged"
DUPLICATE: Final = "duplicate"
"""What `into` says of a document; NULL of one without a key. Only the first three go on."""

_KEY, _HASH = "_key", "_hash"
KEYS_AT_ONCE: Final = 200_000
"""Keys of the journal that are looked for at once: each look hashes all keys of the snapshot."""
_KEY_TYPE: Final = pa.binary()
_encode = msgspec.json.encode


class ChangesSource:
    """`source.Source` of whole snapshots. It moves no position: every execution reads from the beginning."""

    def __init__(
        self,
        source: Source,
        settings: FindChangesSettings,
        owner: str,
        journal: Journal,
        session: Session,
        folder: Path,
    ) -> None:
        """owner: "<stream>/<step>". session: for the reading thread alone. folder: where the snapshot is kept meanwhile."""
        self._source = source
        self._settings = settings
        self._owner = owner
        self._journal = journal
        self._session = session
        self._folder = folder
        self._schema = pa.schema([])

    def open(self) -> pa.Schema:
        self._schema = with_change(self._source.open(), self._settings)
        return self._schema

    def pieces(self, after: Position | None, first_document: int, rows_max: int) -> Iterator[Piece]:  # noqa: ARG002
        """after is not used: what was told already is known by the snapshot that settled.

        Of a resumed execution as many documents as have settled are left out. Should the source give others in their
        place by now, nothing is lost: the next execution compares everything again and tells of them.
        """
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                keys = self._spooled(file, rows_max)
                here = pc.unique(keys)
                gone = self._gone(here)
                number = first_document
                twice = len(here) + keys.null_count - (1 if here.null_count else 0) < len(keys)
                told: list[pa.Array] | None = [] if twice else None
                for piece in self._snapshot(file, first_document, told):
                    yield piece
                    number += piece.documents.num_rows
                for start in range(0, len(gone), rows_max):
                    part = gone[start : start + rows_max]
                    yield self._deleted(part, number)
                    number += len(part)
        except OSError as error:
            raise StopRun(f"the snapshot can not be kept: {type(error).__name__}", code=codes.SPOOL_FAILED) from error

    def settled(self, position: Position) -> None:
        """There is no position."""

    def close(self) -> None:
        self._source.close()

    # The snapshot, first into the file, then out of it.

    def _spooled(self, file: IO[bytes], rows_max: int) -> pa.Array:
        """Read everything; returns the hashes of the keys, NULL where a document has none."""
        sql = hashes_sql(self._schema, self._settings)
        keys: list[pa.Array] = []
        writer: Any = None
        for piece in self._source.pieces(None, 0, rows_max):
            hashed = self._session.query(sql, piece.documents)
            columns = [*piece.documents.columns[1:], hashed.column(_KEY), hashed.column(_HASH)]
            rows = pa.RecordBatch.from_arrays(columns, names=[*piece.documents.schema.names[1:], _KEY, _HASH])
            if writer is None:
                writer = pa.ipc.new_stream(file, rows.schema)
            writer.write_batch(rows)
            keys.append(hashed.column(_KEY).cast(_KEY_TYPE))
        if writer is not None:
            writer.close()
        return pa.concat_arrays(keys) if keys else pa.array([], _KEY_TYPE)

    def _gone(self, here: pa.Array) -> list[bytes]:
        """The keys that were there and are not. StopRun changes.too_many_deletions."""
        count = self._journal.snapshot_count(self._owner)
        gone: list[bytes] = []
        for known in self._journal.snapshot_keys(self._owner, KEYS_AT_ONCE):
            asked = pa.array(known, _KEY_TYPE)
            gone += asked.filter(pc.invert(pc.is_in(asked, value_set=here))).to_pylist()
        if self._settings.deletes == "ignore":
            return []
        # Invariant 1: known before the first document goes on, so nothing has moved.
        if len(gone) * 100 > count * self._settings.deletes_max_percent:
            raise StopRun(
                f"{len(gone)} of {count} documents are missing in this snapshot, "
                f"more than {self._settings.deletes_max_percent} %",
                code=codes.TOO_MANY_DELETIONS,
            )
        return gone

    def _snapshot(self, file: IO[bytes], settled: int, told: list[pa.Array] | None) -> Iterator[Piece]:
        """told: keys of the batches before, where some stand twice; None where none does."""
        file.seek(0)
        if not file.read(1):
            return
        file.seek(0)
        number, left_out = settled, settled
        for whole in pa.ipc.open_stream(file):
            change = self._change(whole.column(_KEY).cast(_KEY_TYPE), whole.column(_HASH).cast(_KEY_TYPE), told)
            rows, change = whole.slice(left_out), change.slice(left_out)
            left_out = max(left_out - whole.num_rows, 0)
            if not rows.num_rows:
                continue
            documents = rows.select(rows.schema.names[:-2]).append_column(self._settings.into, change)
            put = self._put(documents, rows.column(_KEY), rows.column(_HASH), change)
            yield Piece(number_documents(documents.cast(self._schema), number), None, Seen(), snapshot=put)
            number += rows.num_rows

    def _change(self, keys: pa.Array, hashes: pa.Array, told: list[pa.Array] | None) -> pa.Array:
        known = self._journal.snapshot_hashes(self._owner, pc.unique(keys).drop_null().to_pylist())
        place = pc.index_in(keys, value_set=pa.array(list(known), _KEY_TYPE))
        before = pa.array(list(known.values()), _KEY_TYPE).take(place)
        change = pc.if_else(
            pc.is_null(before), ADD, pc.if_else(pc.fill_null(pc.equal(before, hashes), False), UNCHANGED, UPDATE)
        )
        change = pc.if_else(pc.is_null(keys), pa.scalar(None, pa.string()), change)
        if told is None:
            return change
        first = pc.equal(pc.index_in(keys, value_set=keys).cast(pa.int64()), pa.arange(0, len(keys)))
        again = pc.invert(first)
        for batch in told:
            again = pc.or_(again, pc.is_in(keys, value_set=batch))
        told.append(pc.unique(keys).drop_null())
        return pc.if_else(pc.and_(again, pc.is_valid(keys)), DUPLICATE, change)

    def _put(self, documents: pa.RecordBatch, keys: pa.Array, hashes: pa.Array, change: pa.Array) -> SnapshotChanges:
        new = pc.fill_null(pc.is_in(change, value_set=pa.array([ADD, UPDATE])), False)
        kept = documents.select(list(dict.fromkeys((*self._settings.key, *self._settings.keep)))).filter(new)
        bodies = [_encode(row) for row in to_json(kept)]
        put = list(zip(keys.filter(new).to_pylist(), hashes.filter(new).to_pylist(), bodies, strict=True))
        return SnapshotChanges(self._owner, put, [])

    def _deleted(self, keys: Sequence[bytes], number: int) -> Piece:
        bodies = [msgspec.json.decode(body) for body in self._journal.snapshot_bodies(self._owner, keys)]
        rows = [{**body, self._settings.into: DELETE} for body in bodies]
        # A field whose type has changed since is NULL in the deletion, like those that were not kept.
        documents, _ = from_json(rows, self._schema)
        numbered = number_documents(documents.cast(self._schema), number)
        return Piece(numbered, None, Seen(), snapshot=SnapshotChanges(self._owner, [], list(keys)))


def with_change(schema: pa.Schema, settings: FindChangesSettings) -> pa.Schema:
    """The source's columns, and the one that says what a document is. StopRun for a field that is not there."""
    names = set(schema.names)
    missing = [name for name in (*settings.key, *settings.compare, *settings.keep) if name not in names]
    if missing or settings.into in names:
        why = f"the source has no field {', '.join(missing)}" if missing else f"the source has a field {settings.into}"
        raise StopRun(f"find_changes: {why}", code=engine_codes.COMPILE_FAILED, where="find_changes")
    nullable = [item.with_nullable(True) for item in schema]
    return pa.schema([*nullable, pa.field(settings.into, pa.string())])


def hashes_sql(schema: pa.Schema, settings: FindChangesSettings) -> str:
    """SQL of both hashes, 16 bytes of SHA-256 each: two of a million keys share one with a chance of 1 in 10^26."""
    compared = settings.compare or tuple(name for name in schema.names if name != settings.into)
    some = " OR ".join(f"b.{quoted(name)} IS NULL" for name in settings.key)
    key = f"CASE WHEN {some} THEN NULL ELSE {_digest(settings.key)} END"
    return f"SELECT {key} AS {_KEY}, {_digest(compared)} AS {_HASH} FROM batch b ORDER BY b.{quoted(DOCUMENT)}"


def _digest(names: Sequence[str]) -> str:
    # Lengths stand before the texts, so that no two rows of different fields make one text.
    texts = (f"CAST(b.{quoted(name)} AS VARCHAR)" for name in names)
    parts = (f"coalesce(length({text}) || ':' || {text}, '-')" for text in texts)
    joined = " || ',' || ".join(parts)
    return f"unhex(left(sha256({joined}), 32))"
