"""Writes batches: into a stage, then with one statement into the table, in one transaction with the batch's mark.

A row that the database refuses is found by halving, each half behind a savepoint: it is rejected alone, with its code,
and its neighbours are applied. Source of the exactly-once promise: the mark is written in the same transaction, so a
batch is in the table if and only if its mark is.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from dative.bundle.canonical import canonical_json
from dative.clock import Clock
from dative.errors.base import StopRun
from dative.errors.connector import BATCH_REPEATED, FENCED
from dative.errors.database import COLUMN_UNKNOWN, KEY_NOT_UNIQUE

from dative_atom.connectors.base import Mark, Outcomes, Ticket
from dative_atom.connectors.database.checks import reject_bad_rows, reject_unstorable
from dative_atom.connectors.database.errors import RowRefused
from dative_atom.connectors.database.session import (
    ROW,
    STAGE,
    Session,
    TargetColumn,
    literal,
    quoted,
    quoted_list,
    quoted_table,
)
from dative_atom.connectors.database.spec import InsertOptions, UpsertOptions
from dative_atom.connectors.database.types import staged_type
from dative_atom.connectors.outcomes import RESULT_ID, Tally

SAVEPOINT = "dative_rows"
PROBED = "probe"
"""The stream that a probe takes a place in, so that it waits for no writer."""
INDEX_FROM_ROWS = 500
Returned = list[tuple[Sequence[int], pa.RecordBatch]]
"""Rows that were inserted together, and what RETURNING gave for them in the same order; only when results are wanted."""


class DatabaseWriter:
    """A transactional `Writer`. connect: makes a session; the second one is for `committed`, on a fresh connection."""

    transactional = True

    def __init__(
        self,
        connect: Callable[[], Session],
        options: InsertOptions,
        documents: pa.Schema,
        marks: str,
        clock: Clock,
    ) -> None:
        self._connect, self._options, self._marks, self._clock = connect, options, marks, clock
        self._key = options.key if isinstance(options, UpsertOptions) else ()
        self._stage_schema = pa.schema([pa.field(field.name, staged_type(field.type)) for field in documents])
        self._documents, self._broken = documents, False
        self._session = connect()
        try:
            self._target = self._checked_target(documents)
            self._results = self._described_results()
            self._prepare()
        except BaseException:
            self._session.close()
            raise

    def _prepare(self) -> None:
        """What writing needs at the target."""
        self._session.make_marks(self._marks)
        self._session.make_stage(self._documents)

    @property
    def result_fields(self) -> pa.Schema:
        more = [field.with_name(f"result.{field.name}") for field in self._results if field.name != "id"]
        return pa.schema([RESULT_ID, *more])

    # --- the contract -------------------------------------------------------------------------------------------------

    def write(self, documents: pa.RecordBatch, ticket: Ticket) -> Outcomes:
        self._renewed_if_broken()
        self.rollback()
        try:
            self._session.begin(ticket.stream)
            tally = Tally(documents.num_rows)
            return self._outcomes(documents, self._stage(documents, tally), tally)
        except BaseException:
            self._give_up()
            raise

    def _outcomes(self, documents: pa.RecordBatch, staged: list[int], tally: Tally) -> Outcomes:
        self._skip_unchanged(staged, tally)
        returned = self._apply(staged, tally) if staged else []
        return tally.outcomes(self._result_columns(documents, returned))

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
            self._session.make_stage(self._documents)
            self._broken = False

    def committed(self, stream: str) -> Mark | None:
        session = self._connect()
        try:
            found = session.committed_mark(self._marks, stream)
            return Mark(found[0], int(found[1]), int(found[2])) if found else None
        finally:
            session.close()

    def probe(self, documents: pa.RecordBatch, key: Sequence[str]) -> pa.RecordBatch:
        """As `base.Prober.probe`: the stage of a connection of its own, joined with the table, then rolled back."""
        session, staged = self._connect(), [ROW, *self._stage_schema.names]
        try:
            session.make_stage(self._documents)
            session.begin(PROBED)
            numbers = pa.array(range(documents.num_rows), pa.int64())
            rows = documents.cast(self._stage_schema)
            session.load_stage(pa.RecordBatch.from_arrays([numbers, *rows.columns], names=staged))
            same = " AND ".join(f"t.{quoted(name)} = {self._value(name)}" for name in key)
            statement = (
                f"SELECT s.{quoted(ROW)} FROM {STAGE} AS s WHERE EXISTS "
                f"(SELECT 1 FROM {quoted_table(self._options.table)} AS t WHERE {same})"
            )
            found = session.fetch(statement, f"PROBE {self._options.table}", pa.schema([pa.field(ROW, pa.int64())]))
            there = pc.is_in(numbers, value_set=found.column(0))
            return pa.record_batch({"found": there, RESULT_ID.name: self._identity_of(documents)})
        finally:
            session.rollback()
            session.close()

    def close(self) -> None:
        self._session.close()

    # --- opening ------------------------------------------------------------------------------------------------------

    def _checked_target(self, documents: pa.Schema) -> dict[str, TargetColumn]:
        """The table's columns that documents fill. StopRun naming the nearest column for one that is not there."""
        table = self._options.table
        there = {column.name: column for column in self._session.target(table)}
        for name in (*documents.names, *self._key, *self._options.result_columns):
            if name not in there:
                near = difflib.get_close_matches(name, there, n=1)
                raise StopRun(
                    f"{table} has no column {name}{f'; nearest is {near[0]}' if near else ''}", code=COLUMN_UNKNOWN
                )
        lacking = [name for name in self._key if name not in documents.names]
        if lacking:
            raise StopRun(
                f"the documents have no {', '.join(lacking)}, which is in the key of {table}", code=COLUMN_UNKNOWN
            )
        keys = self._session.unique_keys(table)
        if self._key and set(self._key) not in [set(key) for key in keys]:
            has = "; ".join(", ".join(key) for key in keys) or "none"
            raise StopRun(f"{table} is not unique by {', '.join(self._key)}; unique are: {has}", code=KEY_NOT_UNIQUE)
        self._identity = (self._key or (keys[0] if keys else ()))[:1]
        return {name: there[name] for name in documents.names}

    def _described_results(self) -> pa.Schema:
        if not self._options.result_columns:
            return pa.schema([])
        columns = quoted_list(self._options.result_columns)
        return self._session.describe(f"SELECT {columns} FROM {quoted_table(self._options.table)}").schema

    # --- writing ------------------------------------------------------------------------------------------------------

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

    def _skip_unchanged(self, staged: list[int], tally: Tally) -> None:
        """Take rows out of the stage that the table has already, value by value."""
        if not (isinstance(self._options, UpsertOptions) and self._options.skip_unchanged and staged):
            return
        names = list(self._target)
        same = " AND ".join(f"t.{quoted(name)} IS NOT DISTINCT FROM {self._value(name)}" for name in names)
        statement = (
            f"DELETE FROM {STAGE} WHERE {quoted(ROW)} IN (SELECT s.{quoted(ROW)} FROM {STAGE} AS s "
            f"JOIN {quoted_table(self._options.table)} AS t ON {self._same_key()} WHERE {same}) RETURNING {quoted(ROW)}"
        )
        found = self._session.fetch(statement, f"COMPARE {self._options.table}", pa.schema([pa.field(ROW, pa.int64())]))
        unchanged = set(found.column(0).to_pylist())
        for row in unchanged:
            tally.unchanged(row)
        staged[:] = [row for row in staged if row not in unchanged]

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

    def _apply_at_once(self, rows: Sequence[int]) -> Returned:
        table = self._options.table
        statement = self._apply_sql(rows[0], rows[-1])
        if self._key or not self._results.names:
            touched = self._session.run(statement, f"{'UPSERT' if self._key else 'INSERT'} {table}", blames_rows=True)
            return self._all_there(rows, touched, [])
        if not self._session.returns_in_order and len(rows) > 1:
            raise RowRefused("rows whose results are wanted go one by one")
        statement += f" RETURNING {quoted_list(self._results.names)}"
        returned = self._session.fetch(statement, f"INSERT {table}", self._results)
        return self._all_there(rows, returned.num_rows, [(rows, returned)])

    def _all_there(self, rows: Sequence[int], touched: int, returned: Returned) -> Returned:
        """Invariant 2: a row that a trigger swallowed without an error is not written, and is not counted as written."""
        if touched != len(rows):
            raise RowRefused("the table's own trigger or rule dropped the row")
        return returned

    def _apply_sql(self, first: int, last: int) -> str:
        names = list(self._target)
        values = ", ".join(self._value(name) for name in names)
        statement = (
            f"INSERT INTO {quoted_table(self._options.table)} ({quoted_list(names)}) SELECT {values} FROM {STAGE} AS s "
            f"WHERE s.{quoted(ROW)} BETWEEN {first} AND {last} ORDER BY s.{quoted(ROW)}"
        )
        if not self._key:
            return statement
        changed = [name for name in names if name not in self._key] or list(self._key)
        updates = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in changed)
        return f"{statement} ON CONFLICT ({quoted_list(self._key)}) DO UPDATE SET {updates}"

    def _value(self, name: str) -> str:
        """A staged value as its column takes it. Only text is cast: numbers and times convert by themselves."""
        cast = self._target[name].cast
        is_text = pa.types.is_string(self._stage_schema.field(name).type)
        return f"CAST(s.{quoted(name)} AS {cast})" if cast and is_text else f"s.{quoted(name)}"

    def _same_key(self) -> str:
        return " AND ".join(f"t.{quoted(name)} = {self._value(name)}" for name in self._key)

    # --- results ------------------------------------------------------------------------------------------------------

    def _result_columns(self, documents: pa.RecordBatch, returned: Returned) -> dict[str, pa.Array]:
        """result.id always, from the documents themselves where nothing was asked for; result.<column> when it was."""
        if not self._results.names:
            return {RESULT_ID.name: self._identity_of(documents)}
        numbers, values = self._looked_up() if self._key else self._returned(returned)
        places = pc.index_in(pa.array(range(documents.num_rows), pa.int64()), value_set=numbers)
        aligned = values.take(places)
        named = zip(self._results.names, aligned.columns, strict=True)
        columns = {f"result.{name}": column for name, column in named if name != "id"}
        return {RESULT_ID.name: pc.cast(aligned.column(0), pa.string()), **columns}

    def _identity_of(self, documents: pa.RecordBatch) -> pa.Array:
        if self._identity and self._identity[0] in documents.schema.names:
            values = documents.column(self._identity[0])
            if not pa.types.is_binary(values.type):
                return pc.cast(values, pa.string())
        return pa.nulls(documents.num_rows, pa.string())

    def _looked_up(self) -> tuple[pa.Array, pa.RecordBatch]:
        selected = ", ".join(f"t.{quoted(name)} AS {quoted(name)}" for name in self._results.names)
        statement = (
            f"SELECT s.{quoted(ROW)}, {selected} FROM {STAGE} AS s "
            f"JOIN {quoted_table(self._options.table)} AS t ON {self._same_key()}"
        )
        schema = pa.schema([pa.field(ROW, pa.int64()), *self._results])
        found = self._session.fetch(statement, f"SELECT {self._options.table}", schema)
        return found.column(0), found.select(self._results.names)

    def _returned(self, returned: Returned) -> tuple[pa.Array, pa.RecordBatch]:
        """Rows are inserted, and so returned, in the order in which they are selected."""
        table = pa.Table.from_batches([batch for _, batch in returned], self._results).combine_chunks()
        batches = table.to_batches()
        whole = batches[0] if batches else pa.RecordBatch.from_pylist([], schema=self._results)
        numbers = [row for rows, _ in returned for row in rows]
        return pa.array(numbers, pa.int64()), whole

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
