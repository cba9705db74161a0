"""Writes batches: into a stage, then with one statement into the table, and finds what became of each row.

Whatever the transaction is about, its mark, savepoints and the way to a bad row, stands in `transaction.py`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from dative.clock import Clock
from dative.errors.base import StopRun
from dative.errors.database import COLUMN_UNKNOWN, KEY_NOT_UNIQUE

from dative_atom.connectors.base import Outcomes
from dative_atom.connectors.database.errors import RowRefused
from dative_atom.connectors.database.session import (
    ROW,
    STAGE,
    Session,
    TargetColumn,
    quoted,
    quoted_list,
    quoted_table,
)
from dative_atom.connectors.database.spec import InsertOptions, UpsertOptions
from dative_atom.connectors.database.transaction import BatchTransaction, Returned
from dative_atom.connectors.outcomes import RESULT_ID, Tally

PROBED = "probe"
"""The stream that a probe takes a place in, so that it waits for no writer."""


class DatabaseWriter(BatchTransaction):
    """A transactional `Writer` of one table's rows. connect: as `BatchTransaction`."""

    def __init__(
        self,
        connect: Callable[[], Session],
        options: InsertOptions,
        documents: pa.Schema,
        marks: str,
        clock: Clock,
    ) -> None:
        self._options = options
        self._key = options.key if isinstance(options, UpsertOptions) else ()
        super().__init__(connect, documents, marks, clock)

    def _check(self) -> None:
        self._target = self._checked_target(self._documents)
        self._results = self._described_results()

    @property
    def result_fields(self) -> pa.Schema:
        more = [field.with_name(f"result.{field.name}") for field in self._results if field.name != "id"]
        return pa.schema([RESULT_ID, *more])

    # --- the contract -------------------------------------------------------------------------------------------------

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

    def _written(self, documents: pa.RecordBatch, tally: Tally) -> Outcomes:
        return self._outcomes(documents, self._stage(documents, tally), tally)

    def _outcomes(self, documents: pa.RecordBatch, staged: list[int], tally: Tally) -> Outcomes:
        self._skip_unchanged(staged, tally)
        returned = self._apply(staged, tally) if staged else []
        return tally.outcomes(self._result_columns(documents, returned))

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
