"""Reads rows: everything in one stream, or window by window what changed, ordered by (field, key).

A window ends at the field's greatest value when it begins, and begins `overlap` before the last one's end; what the
overlap shows again is known by the ledger and left out. Rows whose `field` is null never change and are not read.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors.base import StopRun
from dative.errors.connector import POSITION_UNREADABLE
from dative.errors.database import COLUMN_UNKNOWN

from dative_atom.connectors.base import Position, Read, RunContext
from dative_atom.connectors.binds import bind_sql
from dative_atom.connectors.database.position import Standing, saved, standing
from dative_atom.connectors.database.session import Session, literal, quoted, quoted_list, quoted_table
from dative_atom.connectors.database.spec import QueryOptions
from dative_atom.connectors.retry import stop_if

_AT = "_dative_at_"
_SEPARATOR = "\x1f"


class DatabaseReader:
    """See the module. A `Reader`; it owns its session."""

    def __init__(self, connect: Callable[[], Session], options: QueryOptions, context: RunContext) -> None:
        self._options, self._context = options, context
        self._source = options.table or f"sql:{hashlib.sha256(options.sql.encode()).hexdigest()[:16]}"
        incremental = options.incremental
        self._order = (incremental.field, *incremental.key) if incremental else options.key
        self._session = connect()
        try:
            self._base = self._base_query()
            described = self._session.describe(self._base)
            self._profile, self._selection = described.schema, described.selection
            self._check_order()
        except BaseException:
            self._session.close()
            raise

    @property
    def profile(self) -> pa.Schema:
        return self._profile

    def _base_query(self) -> str:
        """The rows to choose from. A semicolon at the end is a habit, not an error."""
        write: Callable[..., str] = lambda value, _at: literal(value)  # noqa: E731
        if self._options.sql:
            return bind_sql(self._options.sql.strip().rstrip(";"), self._context.binds, write)
        columns = quoted_list(self._options.columns) if self._options.columns else "*"
        there = [column.name for column in self._session.target(self._options.table)]
        for name in self._options.columns:
            if name not in there:
                near = difflib.get_close_matches(name, there, n=1)
                hint = f"; nearest is {near[0]}" if near else ""
                raise StopRun(f"{self._options.table} has no column {name}{hint}", code=COLUMN_UNKNOWN)
        where = bind_sql(self._options.where, self._context.binds, write)
        return (
            f"SELECT {columns} FROM {quoted_table(self._options.table)}{f' WHERE ({where})' if where.strip() else ''}"
        )

    def _check_order(self) -> None:
        lacking = [name for name in self._order if name not in self._profile.names]
        if lacking:
            raise StopRun(
                f"{self._source} gives no column {', '.join(lacking)}, which this read goes by; add it to its columns",
                code=COLUMN_UNKNOWN,
            )

    def read(self, after: Position | None, rows_max: int) -> Iterator[Read]:
        incremental = self._options.incremental is not None
        stands = standing(after, self._source, self._context.execution_id, incremental=incremental)
        if not incremental:
            yield from self._read_full(stands, rows_max)
            return
        if stands.upper is not None and not stands.done:
            yield from self._read_window(stands, rows_max, stands.upper)
        following = self._next_window(stands)
        if following is not None:
            yield from self._read_window(following, rows_max, stands.upper)

    def acknowledge(self, position: Position) -> None:
        """A database wants to know nothing."""

    def close(self) -> None:
        self._session.close()

    # --- everything ---------------------------------------------------------------------------------------------------

    def _read_full(self, stands: Standing, rows_max: int) -> Iterator[Read]:
        if stands.done:
            return
        execution, at = self._context.execution_id, stands.at if self._order else ()
        for batch, places in self._batches(at, [], rows_max):
            at = _last(places)
            yield Read(batch, saved(self._source, Standing(at), execution))
        yield Read(self._empty(), saved(self._source, Standing(at, done=True), execution))

    # --- windows ------------------------------------------------------------------------------------------------------

    def _next_window(self, stands: Standing) -> Standing | None:
        """From where the last window ended, less the overlap, to the greatest value there is; None when nothing is there."""
        field = quoted(self._order[0])
        upper = self._session.rows(f"SELECT CAST(max({field}) AS text) FROM ({self._base}) AS q", "SELECT max")[0][0]
        if upper is None:
            return None
        if stands.upper is None:
            return Standing(upper=str(upper))
        overlap_s = self._overlap_s
        if not overlap_s:
            return Standing(at=stands.at, upper=str(upper))
        return Standing(lower=_before(stands.upper, overlap_s), upper=str(upper))

    @property
    def _overlap_s(self) -> float:
        return self._options.incremental.overlap if self._options.incremental else 0.0

    def _read_window(self, window: Standing, rows_max: int, known_until: str | None) -> Iterator[Read]:
        """known_until: only rows up to this value can have been delivered before."""
        assert window.upper is not None  # noqa: S101 - a window has an end
        field, at = quoted(self._order[0]), window.at
        conditions = [f"{field} <= {literal(window.upper)}"]
        if window.lower is not None:
            conditions.append(f"{field} >= {literal(window.lower)}")
        remembered_from = _sortable(_before(window.upper, self._overlap_s)) if self._overlap_s else None
        for batch, places in self._batches(window.at, conditions, rows_max):
            at = _last(places)
            fresh = self._fresh(batch, places, known_until, remembered_from)
            if fresh.num_rows:
                yield Read(fresh, saved(self._source, Standing(at, window.lower, window.upper)))
        if remembered_from is not None:
            self._context.ledger.forget_before(remembered_from)
        yield Read(self._empty(), saved(self._source, Standing(at, None, window.upper, done=True)))

    def _fresh(
        self, batch: pa.RecordBatch, places: pa.RecordBatch, known_until: str | None, remembered_from: str | None
    ) -> pa.RecordBatch:
        """The batch without what was delivered before; what the next overlap will show again is remembered."""
        if remembered_from is None:
            return batch
        versions = places.column(0)
        keys = pc.binary_join_element_wise(*places.columns[1:], _SEPARATOR)
        if known_until is not None:
            delivered = pc.fill_null(pc.equal(self._context.ledger.known(keys), versions), False)
            keep = pc.invert(delivered)
            batch, keys, versions = batch.filter(keep), keys.filter(keep), versions.filter(keep)
        shown_again = pc.greater_equal(versions, remembered_from)
        if pc.any(shown_again).as_py():
            self._context.ledger.add(keys.filter(shown_again), versions.filter(shown_again))
        return batch

    # --- rows ---------------------------------------------------------------------------------------------------------

    def _batches(
        self, at: Sequence[str], conditions: list[str], rows_max: int
    ) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
        """(the profile's columns, the order's columns as exact text) of the rows behind `at`, in order."""
        order = quoted_list(self._order)
        if at:
            if len(at) != len(self._order):
                raise StopRun(f"the saved position does not fit the key of {self._source}", code=POSITION_UNREADABLE)
            conditions = [*conditions, f"({order}) > ({', '.join(literal(part) for part in at)})"]
        marks = [f"CAST({quoted(name)} AS text) AS {quoted(_AT + str(i))}" for i, name in enumerate(self._order)]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        ordered = f" ORDER BY {order}" if self._order else ""
        query = f"SELECT {', '.join([self._selection, *marks])} FROM ({self._base}) AS q{where}{ordered}"
        width = len(self._profile.names)
        schema = pa.schema([*self._profile, *(pa.field(f"{_AT}{i}", pa.string()) for i in range(len(marks)))])
        for batch in self._session.stream(query, schema, rows_max):
            stop_if(self._context.cancelled)
            columns = batch.columns
            yield (
                pa.RecordBatch.from_arrays(columns[:width], schema=self._profile),
                pa.RecordBatch.from_arrays(columns[width:], schema=pa.schema(list(schema)[width:])),
            )

    def _empty(self) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in self._profile], schema=self._profile)


def _last(places: pa.RecordBatch) -> tuple[str, ...]:
    return tuple(column[-1].as_py() for column in places.columns)


def _before(text: str, seconds: float) -> str:
    """A timestamp's text, that many seconds earlier. StopRun for a field that holds no time."""
    try:
        return (datetime.fromisoformat(text) - timedelta(seconds=seconds)).isoformat(sep=text[10:11] or " ")
    except ValueError as error:
        raise StopRun("overlap needs a field of times; leave it out for numbers", code=COLUMN_UNKNOWN) from error


def _sortable(text: str) -> str:
    """Without its offset a time's text sorts just before the same time's text with one, so nothing is forgotten early."""
    return text[:19]
