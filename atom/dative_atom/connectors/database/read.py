"""Reads rows: everything in one stream, or window by window what changed, ordered by (field, key).

A window ends at the field's greatest value when it begins, and the next one begins `overlap` before that, or where the
oldest transaction began that may still show rows; what is shown again is known by the ledger and left out (see `windows`).
Both kinds of read can be divided by key (see `parts`).
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
from dative.errors.base import StopRun
from dative.errors.connector import POSITION_UNREADABLE
from dative.errors.database import COLUMN_UNKNOWN, STAMP_MISSING

from dative_atom.connectors.base import PART_BYTES_MAX, Division, Position, Read, RunContext
from dative_atom.connectors.binds import bind_sql
from dative_atom.connectors.database import windows
from dative_atom.connectors.database.parts import Part, cut, read_back
from dative_atom.connectors.database.position import Standing, saved, standing
from dative_atom.connectors.database.session import Horizon, Session, literal, quoted, quoted_list, quoted_table
from dative_atom.connectors.database.spec import QueryOptions
from dative_atom.connectors.retry import stop_if

UNSEEN_S = 1.0
"""A transaction has its stamp a moment before PostgreSQL shows that it has begun."""
_AT = "_dative_at_"


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
        wanted = self._options.columns
        deleted = self._options.incremental.deleted_field if self._options.incremental else ""
        if wanted and deleted and deleted not in wanted:
            wanted = (*wanted, deleted)
        columns = quoted_list(wanted) if wanted else "*"
        there = [column.name for column in self._session.target(self._options.table)]
        for name in wanted:
            if name not in there:
                near = difflib.get_close_matches(name, there, n=1)
                hint = f"; nearest is {near[0]}" if near else ""
                raise StopRun(f"{self._options.table} has no column {name}{hint}", code=COLUMN_UNKNOWN)
        where = bind_sql(self._options.where, self._context.binds, write)
        return (
            f"SELECT {columns} FROM {quoted_table(self._options.table)}{f' WHERE ({where})' if where.strip() else ''}"
        )

    def _check_order(self) -> None:
        deleted = self._options.incremental.deleted_field if self._options.incremental else ""
        lacking = [name for name in (*self._order, *([deleted] if deleted else [])) if name not in self._profile.names]
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
            yield from self._read_window(stands, rows_max, again=True)
        window = self._next_window(stands)
        if window is not None:
            yield from self._read_window(window, rows_max, again=stands.upper is not None)

    def acknowledge(self, position: Position) -> None:
        """A database wants to know nothing."""

    def close(self) -> None:
        self._session.close()

    # --- everything ---------------------------------------------------------------------------------------------------

    def _read_full(self, stands: Standing, rows_max: int) -> Iterator[Read]:
        if stands.done:
            return
        execution, at = self._context.execution_id, stands.at if self._order else ()
        for batch, places in self._batches(at, [], rows_max, self._order):
            at = _last(places)
            yield Read(batch, saved(self._source, Standing(at), execution))
        yield Read(self._empty(), saved(self._source, Standing(at, done=True), execution))

    # --- windows ------------------------------------------------------------------------------------------------------

    def _next_window(self, stands: Standing) -> Standing | None:
        """From where the last window said, to the greatest stamp that there is; None when nothing is there.

        The server is asked before the rows are: whatever no snapshot of this window shows begins at `settled` or later,
        and so does the next window (Invariant 1: the cursor never passes a row that may still come).
        """
        assert self._options.incremental is not None  # noqa: S101 - there is a window
        self._refuse_nulls(self._options.incremental.nulls)
        horizon, reach_s = Horizon(), self._overlap_s
        if self._time is not None:
            horizon = self._session.horizon(zoned=self._time.tz is not None)
            reach_s = max(reach_s, UNSEEN_S) if horizon.settled else reach_s
        upper = self._greatest(stands.upper, horizon.clock)
        if upper is None:
            return None
        following = windows.earliest(windows.before(upper, reach_s), windows.before(horizon.settled, reach_s))
        if stands.upper is None:
            return Standing(upper=upper, following=following)
        # A server whose clock went back takes the cursor back with it: rows may come twice, never not at all.
        back = windows.before(horizon.clock, reach_s) if self._time is not None and self._time.tz is not None else None
        lower = windows.earliest(stands.following, windows.before(stands.upper, self._overlap_s), back)
        return Standing(lower=lower, upper=upper, following=following)

    def _refuse_nulls(self, nulls: str) -> None:
        if nulls == "skip":
            return
        field = quoted(self._order[0])
        if self._session.rows(f"SELECT 1 FROM ({self._base}) AS q WHERE {field} IS NULL LIMIT 1", "SELECT null"):
            raise StopRun(f"{self._source} has rows without {self._order[0]}", code=STAMP_MISSING)

    def _greatest(self, at_least: str | None, at_most: str | None) -> str | None:
        """The greatest value between the two; at_least itself when its row has gone meanwhile."""
        field = quoted(self._order[0])
        bounds = [f"{field} >= {literal(at_least)}"] if at_least is not None else []
        bounds += [f"{field} <= {literal(at_most)}"] if at_most is not None else []
        where = f" WHERE {' AND '.join(bounds)}" if bounds else ""
        found = self._session.rows(f"SELECT CAST(max({field}) AS text) FROM ({self._base}) AS q{where}", "SELECT max")
        return at_least if found[0][0] is None else str(found[0][0])

    @property
    def _time(self) -> pa.TimestampType | None:
        kind = self._profile.field(self._order[0]).type
        return kind if pa.types.is_timestamp(kind) else None

    @property
    def _overlap_s(self) -> float:
        return self._options.incremental.overlap if self._options.incremental else 0.0

    def _read_window(self, window: Standing, rows_max: int, *, again: bool) -> Iterator[Read]:
        """again: rows of it may have been delivered before."""
        window = self._with_following(window)
        yield from self._read_rows(window, [], rows_max, again=again)
        self._context.ledger.forget_before(windows.rank(window.following or ""))
        yield Read(self._empty(), self._finished(window))

    def _with_following(self, window: Standing) -> Standing:
        following = window.following or windows.before(window.upper, self._overlap_s) or window.upper
        return replace(window, following=following)

    def _finished(self, window: Standing) -> Position:
        """window: with what follows it."""
        following = window.following
        return saved(self._source, Standing((), following, window.upper, following, done=True))

    def _within(self, window: Standing) -> list[str]:
        """SQL of a window, and of nothing where everything is read."""
        field = quoted(self._order[0]) if self._order else ""
        bounds = [f"{field} <= {literal(window.upper)}"] if window.upper is not None else []
        return [*bounds, *([f"{field} >= {literal(window.lower)}"] if window.lower is not None else [])]

    def _read_rows(self, window: Standing, also: Sequence[str], rows_max: int, *, again: bool) -> Iterator[Read]:
        """The rows of a window that was not delivered before. also: further conditions."""
        assert window.following is not None  # noqa: S101 - a window has an end
        for batch, places in self._batches(window.at, [*self._within(window), *also], rows_max, self._order):
            if any(column.null_count for column in places.columns):
                raise StopRun(f"{self._source} has rows without {', '.join(self._order)}", code=STAMP_MISSING)
            at = _last(places)
            fresh = windows.fresh(batch, places, self._context.ledger, window.following, again=again)
            if fresh.num_rows:
                yield Read(fresh, saved(self._source, replace(window, at=at)))

    # --- parts --------------------------------------------------------------------------------------------------------

    def divide(self, after: Position | None, parts_max: int) -> Division:
        incremental = self._options.incremental
        stands = standing(after, self._source, self._context.execution_id, incremental=incremental is not None)
        if incremental is None:
            return self._divide_all(stands, parts_max)
        again, rest = stands.upper is not None, stands.upper is not None and not stands.done
        window = stands if rest else self._next_window(stands)
        if window is None:
            return Division(reason="there is nothing to read")
        if window.lower is not None:
            # What stands before this window was in the one before, whose own parts could not forget it: others needed it.
            self._context.ledger.forget_before(windows.rank(window.lower))
        window = self._with_following(window)
        return self._divided(Part(self._source, incremental.key, self._order, (), (), window, again), parts_max)

    def _divide_all(self, stands: Standing, parts_max: int) -> Division:
        if stands.done or stands.at:
            return Division(reason="this execution has read it already, or a part of it")
        key = self._options.key or self._primary_key()
        if not key:
            return Division(
                reason="the read has no `key`, and its table no primary key among the columns that are read"
            )
        return self._divided(Part(self._source, key, key, (), (), Standing(), again=False), parts_max)

    def _primary_key(self) -> tuple[str, ...]:
        keys = self._session.unique_keys(self._options.table) if self._options.table else []
        return keys[0] if keys and set(keys[0]) <= set(self._profile.names) else ()

    def _divided(self, whole: Part, parts_max: int) -> Division:
        conditions = [*self._within(whole.window), *self._behind(whole.window.at, whole.order)]
        found = cut(self._session, self._base, whole.key, conditions, parts_max)
        if found.nulls:
            return Division(reason=f"{found.nulls} rows have no {', '.join(whole.key)}")
        if not found.bounds:
            return Division(reason=f"{found.rows} rows are too few, or have too few keys")
        ranges = zip(((), *found.bounds), (*found.bounds, ()), strict=True)
        parts = [replace(whole, after=after, upto=upto).written() for after, upto in ranges]
        if max(len(part) for part in parts) > PART_BYTES_MAX:
            return Division(reason=f"values of {', '.join(whole.key)} are too long")
        end = saved(self._source, Standing(done=True), self._context.execution_id)
        return Division(parts, self._finished(whole.window) if whole.window.upper is not None else end)

    def read_part(self, part: bytes, after: Position | None, rows_max: int) -> Iterator[Read]:
        found = read_back(part, self._source)
        lacking = [name for name in (*found.order, *found.key) if name not in self._profile.names]
        if lacking or (self._options.incremental is not None) != (found.window.upper is not None):
            raise StopRun(f"a part is one of another read than that of {self._source}", code=POSITION_UNREADABLE)
        stands = standing(after, self._source, "", incremental=True)
        if stands.done:
            return
        self._order = found.order
        window = replace(found.window, at=stands.at or found.window.at)
        if window.upper is None:
            yield from self._part_of_all(window, found.conditions(), rows_max)
        else:
            again = found.again or after is not None
            yield from self._read_rows(window, found.conditions(), rows_max, again=again)
        yield Read(self._empty(), saved(self._source, replace(window, at=(), done=True)))

    def _part_of_all(self, window: Standing, conditions: Sequence[str], rows_max: int) -> Iterator[Read]:
        for batch, places in self._batches(window.at, conditions, rows_max, self._order):
            yield Read(batch, saved(self._source, replace(window, at=_last(places))))

    # --- rows ---------------------------------------------------------------------------------------------------------

    def _behind(self, at: Sequence[str], order: Sequence[str]) -> list[str]:
        if at and len(at) != len(order):
            raise StopRun(f"the saved position does not fit the key of {self._source}", code=POSITION_UNREADABLE)
        return [f"({quoted_list(order)}) > ({', '.join(literal(part) for part in at)})"] if at else []

    def _batches(
        self, at: Sequence[str], conditions: Sequence[str], rows_max: int, order: Sequence[str]
    ) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
        """(the profile's columns, the order's columns as exact text) of the rows behind `at`, in order."""
        conditions = [*conditions, *self._behind(at, order)]
        marks = [f"CAST({quoted(name)} AS text) AS {quoted(_AT + str(i))}" for i, name in enumerate(order)]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        ordered = f" ORDER BY {quoted_list(order)}" if order else ""
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
