"""One batch, one transaction, and the mark of the batch in it: what every operation that writes here has in common.

A row that the database refuses is found by halving, each half behind a savepoint: it is rejected alone, with its code,
and its neighbours are applied. Source of the exactly-once promise: the mark is written in the same transaction, so a
batch is in the database if and only if its mark is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
from dative.bundle.canonical import canonical_json
from dative.clock import Clock
from dative.errors.base import StopRun
from dative.errors.connector import BATCH_REPEATED, FENCED

from dative_atom.connectors.base import Mark, Outcomes, Ticket
from dative_atom.connectors.database.checks import reject_bad_rows, reject_unstorable
from dative_atom.connectors.database.errors import RowRefused
from dative_atom.connectors.database.session import ROW, Session, TargetColumn, literal
from dative_atom.connectors.database.types import staged_type
from dative_atom.connectors.outcomes import Tally

SAVEPOINT = "dative_rows"
INDEX_FROM_ROWS = 500
Returned = list[tuple[Sequence[int], pa.RecordBatch]]
"""Rows that were written together, and what the statement gave for them; only when results are wanted."""


class BatchTransaction(ABC):
    """The part of a transactional `Writer` that is about the transaction.

    connect: makes a session; the second one is for `committed`, on a fresh connection.
    """

    transactional = True
    _key: Sequence[str] = ()

    def __init__(self, connect: Callable[[], Session], documents: pa.Schema, marks: str, clock: Clock) -> None:
        self._connect, self._marks, self._clock = connect, marks, clock
        self._stage_schema = pa.schema([pa.field(field.name, staged_type(field.type)) for field in documents])
        self._documents, self._broken = documents, False
        self._target: Mapping[str, TargetColumn] = {}
        self._session = connect()
        try:
            self._check()
            self._prepare()
        except BaseException:
            self._session.close()
            raise

    @abstractmethod
    def _check(self) -> None:
        """Whether the database can take what will come. StopRun when not; nothing is written."""

    @abstractmethod
    def _written(self, documents: pa.RecordBatch, tally: Tally) -> Outcomes:
        """Write them inside of the open transaction."""

    @abstractmethod
    def _apply_at_once(self, rows: Sequence[int]) -> Returned:
        """Write these rows, at least one. RowRefused when the database refuses one of them."""

    def _prepare(self) -> None:
        """What writing needs at the target."""
        self._session.make_marks(self._marks)
        self._make_stage()

    def _make_stage(self) -> None:
        self._session.make_stage(self._documents)

    # --- the contract -------------------------------------------------------------------------------------------------

    def write(self, documents: pa.RecordBatch, ticket: Ticket) -> Outcomes:
        self._renewed_if_broken()
        self.rollback()
        try:
            self._session.begin(ticket.stream, ticket.fencing_token)
            tally = Tally(documents.num_rows)
            return self._written(documents, tally)
        except BaseException:
            self._give_up()
            raise

    def commit(self, ticket: Ticket) -> None:
        # Invariant 4: the mark only moves forward, and never for an owner whose token is older than the mark's.
        try:
            self._mark(ticket)
            self._session.commit()
        except BaseException:
            self._give_up()
            raise

    def rollback(self) -> None:
        self._session.rollback()

    def _give_up(self) -> None:
        """Undo, and take a new connection for the next batch: nobody can tell what the old one is still good for."""
        self.rollback()
        self._broken = True

    def _renewed_if_broken(self) -> None:
        if self._broken:
            self._session.close()
            self._session = self._connect()
            self._make_stage()
            self._broken = False

    def committed(self, stream: str) -> Mark | None:
        session = self._connect()
        try:
            found = session.committed_mark(self._marks, stream)
            return Mark(found[0], int(found[1]), int(found[2])) if found else None
        finally:
            session.close()

    def close(self) -> None:
        self._session.close()

    # --- rows ---------------------------------------------------------------------------------------------------------

    def _stage(self, documents: pa.RecordBatch, tally: Tally) -> list[int]:
        """Load what can be loaded; the numbers of the staged rows, rising."""
        rows = documents.cast(self._stage_schema)
        reject_bad_rows(rows, self._key, self._target, tally)
        try:
            return self._load(rows, tally)
        except RowRefused:
            # Asked for only now: looking into every text of every batch would cost more than this rare second load.
            reject_unstorable(rows, tally)
            self._session.run(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}", "ROLLBACK")
            return self._load(rows, tally)

    def _load(self, rows: pa.RecordBatch, tally: Tally) -> list[int]:
        numbers = tally.standing_rows
        if len(numbers) < rows.num_rows:
            rows = rows.take(pa.array(numbers, pa.int64()))
        schema = pa.schema([pa.field(ROW, pa.int64()), *self._stage_schema])
        self._session.run(f"SAVEPOINT {SAVEPOINT}", "SAVEPOINT")
        if numbers:
            self._session.load_stage(
                pa.RecordBatch.from_arrays([pa.array(numbers, pa.int64()), *rows.columns], schema=schema)
            )
        return numbers

    def _apply(self, rows: Sequence[int], tally: Tally) -> Returned:
        """Write these staged rows; halves after a refusal, down to the single row that is to blame."""
        if not rows:
            return []
        self._session.run(f"SAVEPOINT {SAVEPOINT}", "SAVEPOINT")
        try:
            return self._apply_at_once(rows)
        except RowRefused as refused:
            self._session.run(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}", "ROLLBACK")
            if len(rows) == 1:
                tally.reject(rows[0], refused.code.name, refused.message)
                return []
        if len(rows) > INDEX_FROM_ROWS:
            self._session.index_stage()
        middle = len(rows) // 2
        return self._apply(rows[:middle], tally) + self._apply(rows[middle:], tally)

    # --- the mark -----------------------------------------------------------------------------------------------------

    def _mark_sql(self, ticket: Ticket) -> str:
        position = canonical_json(dict(ticket.position)).decode()
        texts = [literal(ticket.stream), literal(ticket.execution_id)]
        numbers = [str(int(ticket.batch)), str(int(ticket.fencing_token))]
        values = ", ".join([*texts, *numbers, literal(position), literal(self._clock.now())])
        columns = ("stream", "execution_id", "batch", "fencing_token", "position", "written_at")
        updates = ", ".join(f"{name} = excluded.{name}" for name in columns[1:])
        return (
            f"INSERT INTO {self._marks} AS m ({', '.join(columns)}) VALUES ({values}) "
            f"ON CONFLICT (stream) DO UPDATE SET {updates} WHERE m.fencing_token <= excluded.fencing_token "
            "AND NOT (m.execution_id = excluded.execution_id AND m.batch >= excluded.batch)"
        )

    def _mark(self, ticket: Ticket) -> None:
        if self._session.run(self._mark_sql(ticket), "UPSERT dative_position") != 1:
            raise self._refused(ticket)

    def _refused(self, ticket: Ticket) -> StopRun:
        query = f"SELECT fencing_token FROM {self._marks} WHERE stream = {literal(ticket.stream)}"
        token = int(self._session.rows(query, "SELECT dative_position")[0][0])
        if token > ticket.fencing_token:
            return StopRun(
                f"the target's mark has fencing token {token}, this batch has {ticket.fencing_token}", code=FENCED
            )
        return StopRun(f"batch {ticket.batch} is marked in the target already", code=BATCH_REPEATED)
