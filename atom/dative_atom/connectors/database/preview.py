"""Says what a batch would do to its table, by one join between the stage and the table, and writes nothing.

The whole look is one snapshot of a session whose server refuses writes: READ ONLY in PostgreSQL, a file opened for
reading in SQLite. Keys that were asked about stay in a temporary table, because what a second document with the same
key would change depends on the first. The columns are compared as the database compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc
from dative.clock import Clock
from dative.errors.base import StopRun
from dative.errors.database import DUPLICATE, NULL_VALUE, TABLE_UNKNOWN

from dative_atom.connectors.base import PREVIEW_FIELDS, Foresight, Preview
from dative_atom.connectors.database.errors import RowRefused
from dative_atom.connectors.database.session import ROW, STAGE, LookingSession, quoted, quoted_list, quoted_table
from dative_atom.connectors.database.spec import InsertOptions
from dative_atom.connectors.database.transaction import SAVEPOINT
from dative_atom.connectors.database.write import DatabaseWriter
from dative_atom.connectors.outcomes import Tally
from dative_atom.connectors.previews import all_of, with_rejected

SEEN = "dative_seen"
AGAIN = "an earlier document of this run has the same key"
NO_EQUALITY = frozenset({"json", "xml", "point", "line", "lseg", "polygon", "path", "box", "circle"})
"""Types of PostgreSQL that it can not compare, so that their texts are."""
_FOUND = pa.schema([pa.field(ROW, pa.int64()), pa.field("there", pa.int64()), pa.field("again", pa.int64())])


class DatabasePreviewer(DatabaseWriter):
    """A `Previewer`; of the writer it has the checks, the stage and the way to a row that is to blame."""

    def __init__(
        self, connect: Callable[[], LookingSession], options: InsertOptions, documents: pa.Schema, clock: Clock
    ) -> None:
        super().__init__(connect, options, documents, "", clock)

    def _prepare(self) -> None:
        session, table = self._looking, self._options.table
        self._reactions = session.reactions(table)
        keys = (
            [self._key] if self._key else [key for key in session.unique_keys(table) if set(key) <= set(self._target)]
        )
        self._unique = keys
        session.make_stage(self._documents)
        if keys:
            columns = ", ".join(f"{self._value(name)} AS {quoted(name)}" for name in keys[0])
            session.run(
                f"CREATE TEMPORARY TABLE {SEEN} AS SELECT {columns} FROM {STAGE} AS s WHERE 1 = 0", "CREATE STAGE"
            )
            session.run(f"CREATE INDEX {SEEN}_keys ON {SEEN} ({quoted_list(keys[0])})", "CREATE STAGE")
        session.index_stage()
        session.begin_looking()

    @property
    def _looking(self) -> LookingSession:
        return cast(LookingSession, self._session)

    def preview(self, documents: pa.RecordBatch) -> Preview:
        if self._broken:
            raise StopRun("the look at the target broke off; start it again", code=TABLE_UNKNOWN)
        try:
            tally = Tally(documents.num_rows)
            self._session.run(f"DELETE FROM {STAGE}", "DELETE STAGE")
            staged = self._stage(documents, tally)
            self._reject_empty(documents, tally)
            staged = [row for row in staged if not tally.rejected(row)]
            if self._reactions.before:
                names = ", ".join(self._reactions.before)
                sure = all_of(
                    documents.num_rows, Foresight.CANNOT_KNOW, f"{names} of the table may change or drop the row"
                )
            else:
                sure = self._foreseen(documents.num_rows, self._compare(staged, tally), tally)
            return Preview(with_rejected(sure, tally).rows, self._notes())
        except BaseException:
            self._broken = True
            raise

    def _reject_empty(self, documents: pa.RecordBatch, tally: Tally) -> None:
        """Both databases look at NOT NULL before they look whether the key is there."""
        for name in self._reactions.required:
            empty = documents.column(name).is_null() if name in self._target else pa.repeat(True, documents.num_rows)
            for row in pc.indices_nonzero(empty).to_pylist():
                if not tally.rejected(row):
                    tally.reject(row, NULL_VALUE.name, f"column {name} must have a value")

    def _notes(self) -> tuple[str, ...]:
        notes = [
            f"trigger {name} runs after each write; what it changes is not shown" for name in self._reactions.after
        ]
        if self._reactions.checks:
            notes.append(f"whether every row meets {', '.join(self._reactions.checks)} shows only when it is written")
        filled = [name for name in self._reactions.filled if name not in self._target]
        if filled:
            notes.append(f"the database fills {', '.join(filled)} of a new row")
        return tuple(notes)

    # --- comparing ----------------------------------------------------------------------------------------------------

    def _compare(self, rows: Sequence[int], tally: Tally) -> list[pa.RecordBatch]:
        """What the join says of these staged rows; halves after a refusal, down to the row that is to blame."""
        if not rows:
            return []
        self._session.run(f"SAVEPOINT {SAVEPOINT}", "SAVEPOINT")
        try:
            found = self._session.fetch(self._sql(rows[0], rows[-1]), f"COMPARE {self._options.table}", self._schema())
            self._remember(rows[0], rows[-1])
        except RowRefused as refused:
            self._session.run(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}", "ROLLBACK")
            if len(rows) == 1:
                tally.reject(rows[0], refused.code.name, refused.message)
                return []
        else:
            return [found]
        middle = len(rows) // 2
        return self._compare(rows[:middle], tally) + self._compare(rows[middle:], tally)

    def _schema(self) -> pa.Schema:
        return pa.schema([*_FOUND, *(pa.field(name, pa.string()) for name in ("changed", "before", "after"))])

    def _sql(self, first: int, last: int) -> str:
        """One row a staged row: is it there, did its key come before, and what of it differs, as JSON texts."""
        row, table = quoted(ROW), quoted_table(self._options.table)
        chosen = f"SELECT * FROM {STAGE} WHERE {row} BETWEEN {first} AND {last}"
        if not self._unique:
            nothing = "CAST(NULL AS text)"
            return f"SELECT {row}, 0, 0, {nothing}, {nothing}, {nothing} FROM ({chosen}) AS s ORDER BY {row}"
        key = self._unique[0]
        partition = ", ".join(self._value(name) for name in key)
        seen = " AND ".join(f"k.{quoted(name)} = s.{quoted(f'_key{i}')}" for i, name in enumerate(key))
        keys = ", ".join(f"{self._value(name)} AS {quoted(f'_key{i}')}" for i, name in enumerate(key))
        staged = f"SELECT s.*, {keys}, row_number() OVER (PARTITION BY {partition} ORDER BY s.{row}) AS _place FROM ({chosen}) AS s"
        again = f"CASE WHEN s._place > 1 OR EXISTS (SELECT 1 FROM {SEEN} AS k WHERE {seen}) THEN 1 ELSE 0 END"
        if not self._key:
            taken = " OR ".join(f"EXISTS (SELECT 1 FROM {table} AS t WHERE {self._equal(one)})" for one in self._unique)
            nothing = "CAST(NULL AS text)"
            there = f"CASE WHEN {taken} THEN 1 ELSE 0 END"
            return f"SELECT s.{row}, {there}, {again}, {nothing}, {nothing}, {nothing} FROM ({staged}) AS s ORDER BY s.{row}"
        there = f"CASE WHEN t.{quoted(key[0])} IS NULL THEN 0 ELSE 1 END"
        changed, before, after = self._differences()
        return (
            f"SELECT s.{row}, {there}, {again}, {changed}, {before}, {after} FROM ({staged}) AS s "
            f"LEFT JOIN {table} AS t ON {self._equal(key)} ORDER BY s.{row}"
        )

    def _equal(self, key: Sequence[str]) -> str:
        return " AND ".join(f"t.{quoted(name)} = {self._value(name)}" for name in key)

    def _differences(self) -> tuple[str, str, str]:
        """SQL of three JSON texts: the names of the fields that differ, and their values before and after."""
        names, before, after = [], [], []
        for name in self._target:
            if name in self._key:
                continue
            differs, word = self._differs(name), self._looking.json_text(_string(name))
            there, given = f"t.{quoted(name)}", self._value(name)
            names.append(f"CASE WHEN {differs} THEN ',' || {word} ELSE '' END")
            before.append(
                f"CASE WHEN {differs} THEN ',' || {word} || ':' || {self._looking.json_text(there)} ELSE '' END"
            )
            after.append(
                f"CASE WHEN {differs} THEN ',' || {word} || ':' || {self._looking.json_text(given)} ELSE '' END"
            )
        return _joined(names, "[", "]"), _joined(before, "{", "}"), _joined(after, "{", "}")

    def _differs(self, name: str) -> str:
        there, given = f"t.{quoted(name)}", self._value(name)
        if self._target[name].cast in NO_EQUALITY:
            there, given = f"CAST({there} AS text)", f"CAST({given} AS text)"
        return f"{there} IS DISTINCT FROM {given}"

    def _remember(self, first: int, last: int) -> None:
        if self._unique:
            values = ", ".join(self._value(name) for name in self._unique[0])
            where = f"WHERE s.{quoted(ROW)} BETWEEN {first} AND {last}"
            self._session.run(f"INSERT INTO {SEEN} SELECT {values} FROM {STAGE} AS s {where}", "INSERT STAGE")

    # --- the answer ---------------------------------------------------------------------------------------------------

    def _foreseen(self, rows: int, found: Sequence[pa.RecordBatch], tally: Tally) -> Preview:
        if not found:
            return all_of(rows, Foresight.CHANGE)
        table = pa.Table.from_batches(found, self._schema()).combine_chunks()
        places = pc.index_in(pa.arange(0, rows), value_set=table.column(ROW).combine_chunks())
        told = table.take(places).combine_chunks().to_batches()[0]
        there, again = pc.equal(told.column("there"), 1), pc.equal(told.column("again"), 1)
        if not self._key:
            for row in pc.indices_nonzero(pc.fill_null(pc.or_(there, again), False)).to_pylist():
                tally.reject(row, DUPLICATE.name, "a unique column has a value that another row has already")
            return all_of(rows, Foresight.CHANGE)
        same = pc.and_(there, pc.equal(told.column("changed"), "[]"))
        outcome = pc.if_else(same, Foresight.NO_CHANGE.value, Foresight.CHANGE.value)
        outcome = pc.fill_null(pc.if_else(again, Foresight.CANNOT_KNOW.value, outcome), Foresight.CHANGE.value)
        reason = pc.if_else(again, pa.scalar(AGAIN, pa.string()), pa.scalar(None, pa.string()))
        shown = pc.fill_null(pc.and_(there, pc.equal(outcome, Foresight.CHANGE.value)), False)
        nothing = pa.scalar(None, pa.string())
        diff = [pc.if_else(shown, told.column(name), nothing) for name in ("changed", "before", "after")]
        columns = [outcome, pa.nulls(rows, pa.string()), reason, *diff]
        return Preview(pa.RecordBatch.from_arrays(columns, schema=PREVIEW_FIELDS))


def _joined(parts: Sequence[str], left: str, right: str) -> str:
    """SQL that joins texts which each begin with a comma, or are empty."""
    if not parts:
        return f"'{left}{right}'"
    return f"'{left}' || ltrim({' || '.join(parts)}, ',') || '{right}'"


def _string(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
