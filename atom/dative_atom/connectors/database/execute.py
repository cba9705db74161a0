"""Executes one statement of the builder's own: once for the whole batch, or once for each of its documents.

Values are the database's own bound parameters, or rows of the stage; never a part of the text. Everything happens in
the batch's transaction, so it is applied if and only if the batch's mark is. What is off the columnar path: `per:
document` asks the database once for each document.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from dative.clock import Clock
from dative.errors import statements as codes
from dative.errors.base import StopRun
from dative.process.statements import StatementError, read_statement

from dative_atom.connectors.base import Foresight, Outcomes, Preview
from dative_atom.connectors.database.checks import reject_unstorable
from dative_atom.connectors.database.errors import RowRefused
from dative_atom.connectors.database.session import ROW, STAGE, Session, quoted
from dative_atom.connectors.database.spec import ExecuteOptions
from dative_atom.connectors.database.transaction import BatchTransaction, Returned
from dative_atom.connectors.database.types import stage_sql
from dative_atom.connectors.outcomes import Tally
from dative_atom.connectors.previews import all_of

ROWS_MAX = 100_000
"""Rows that a statement whose result nobody wants may give before it is stopped."""
_TEXT = pa.string()


class ExecuteWriter(BatchTransaction):
    """A transactional `Writer` of one statement. documents: what a batch has; its fields may stand in the statement."""

    def __init__(
        self,
        connect: Callable[[], Session],
        options: ExecuteOptions,
        documents: pa.Schema,
        marks: str,
        clock: Clock,
    ) -> None:
        self._options = options
        self._whole = options.per == "batch"
        try:
            self._statement = read_statement(options.sql, options.per)
        except StatementError as error:
            raise StopRun(f"the statement can not be executed: {error.message}", code=error.code) from error
        self._what = f"EXECUTE {self._statement.kind}"
        super().__init__(connect, documents, marks, clock)

    @property
    def result_fields(self) -> pa.Schema:
        return pa.schema([pa.field(f"result.{name}", _TEXT) for name in self._options.result_columns])

    # --- opening ------------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        """The database reads the statement before the first document is read."""
        if not self._whole:
            self._bind()
        bound = pa.schema([self._stage_schema.field(name) for name in self._bound])
        self._make_stage()
        given = self._session.statement_columns(self._text(0, 0), bound, self._what)
        if given is not None:
            self._whether_given(given)

    def _bind(self) -> None:
        for name in self._statement.names:
            if name not in self._documents.names:
                near = difflib.get_close_matches(name, self._documents.names, n=1)
                note = f"; nearest is :{near[0]}" if near else ""
                raise StopRun(f"the documents have no field for :{name}{note}", code=codes.BIND)
            stage_sql(self._stage_schema.field(name).type)

    @property
    def _bound(self) -> list[str]:
        """Fields that are parameters, each once, in the order of their numbers."""
        return [] if self._whole else list(dict.fromkeys(self._statement.names))

    def _text(self, first: int, last: int) -> str:
        """The statement as the database gets it. first, last: numbers of the rows of a whole batch."""
        if self._whole:
            rows = f"(SELECT * FROM {STAGE} WHERE {quoted(ROW)} BETWEEN {first} AND {last})"
            return self._statement.written(lambda _: rows)
        numbers = {name: number for number, name in enumerate(self._bound, 1)}
        return self._statement.written(
            lambda name: self._session.parameter(numbers[name], self._stage_schema.field(name).type)
        )

    def _whether_given(self, given: Sequence[str]) -> None:
        wanted = (
            [*([ROW] if self._whole else []), *self._options.result_columns] if self._options.result_columns else []
        )
        missing = [name for name in wanted if name not in given]
        if missing:
            has = ", ".join(given) or "none"
            raise StopRun(
                f"{self._what} gives no column {', '.join(missing)}; it gives: {has}", code=codes.RESULT_MISSING
            )

    def _prepare(self) -> None:
        self._session.make_marks(self._marks)

    def _make_stage(self) -> None:
        if self._whole:
            super()._make_stage()

    # --- writing ------------------------------------------------------------------------------------------------------

    def _written(self, documents: pa.RecordBatch, tally: Tally) -> Outcomes:
        self._session.limit_statements(self._options.timeout)
        if self._whole:
            # SQLite would keep a NUL, and its functions would end the text there.
            reject_unstorable(documents, tally)
            rows = self._stage(documents, tally)
        else:
            self._values = documents.select(self._bound).cast(
                pa.schema([self._stage_schema.field(name) for name in self._bound])
            )
            reject_unstorable(self._values, tally)
            rows = tally.standing_rows
        return tally.outcomes(self._results(documents.num_rows, self._apply(rows, tally), tally))

    def _apply_at_once(self, rows: Sequence[int]) -> Returned:
        if self._whole:
            return self._of_a_batch(rows)
        text = self._text(0, 0)
        found: Returned = []
        for row in rows:
            values = self._values.slice(row, 1) if self._bound else None
            given = self._session.execute(text, values, self._what, self._rows_max(1))
            if self._wanted:
                self._whether_given(given.schema.names)
                found.append(([row] * given.num_rows, given.select(self._options.result_columns)))
            if self._options.required and not given.num_rows:
                raise RowRefused("the statement gave no row for it", code=codes.NO_ROW)
        return found

    def _of_a_batch(self, rows: Sequence[int]) -> Returned:
        given = self._session.execute(self._text(rows[0], rows[-1]), None, self._what, self._rows_max(len(rows)))
        if not self._wanted:
            return []
        self._whether_given(given.schema.names)
        try:
            numbers: list[int] = given.column(ROW).cast(pa.int64()).to_pylist()
        except pa.ArrowInvalid as error:
            raise StopRun(f"{self._what} gives a {ROW} that is no number", code=codes.RESULT_MISSING) from error
        if not set(numbers) <= set(rows):
            raise StopRun(f"{self._what} gives a {ROW} that is no document's", code=codes.RESULT_MISSING)
        if len(set(numbers)) < len(numbers):
            raise RowRefused("the statement gave more than one row for it", code=codes.TOO_MANY_ROWS)
        return [(numbers, given.select(self._options.result_columns))]

    @property
    def _wanted(self) -> bool:
        return bool(self._options.result_columns)

    def _rows_max(self, documents: int) -> int:
        return documents if self._wanted else ROWS_MAX

    # --- results ------------------------------------------------------------------------------------------------------

    def _results(self, rows: int, returned: Returned, tally: Tally) -> Mapping[str, pa.Array]:
        names = self._options.result_columns
        numbers = [row for found, _ in returned for row in found]
        if self._options.required and self._whole:
            there = set(numbers)
            for row in tally.standing_rows:
                if row not in there:
                    tally.reject(row, codes.NO_ROW.name, "the statement gave no row for it")
        places = pc.index_in(pa.arange(0, rows), value_set=pa.array(numbers, pa.int64()))
        columns = {}
        for name in names:
            parts = [batch.column(name) for _, batch in returned]
            columns[f"result.{name}"] = pa.chunked_array(parts, _TEXT).combine_chunks().take(places)
        return columns


class ExecutePreviewer(ExecuteWriter):
    """A `Previewer`: the database reads the statement, and nobody can say what it would do."""

    def _prepare(self) -> None:
        """Nothing is written, no mark and no stage that stays."""

    def preview(self, documents: pa.RecordBatch) -> Preview:
        return all_of(
            documents.num_rows, Foresight.CANNOT_KNOW, f"only executing {self._statement.kind} shows what it does"
        )
