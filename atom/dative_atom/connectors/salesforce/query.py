"""Reads one object: everything, or window by window what changed.

A window is [last upper bound − overlap, the server's Date − lag): bounded by the server's clock on both sides, so that no
clock of ours decides what is read. Rows come ordered by (time, Id); a resume in the middle of a window goes on behind a
row, and so does a read whose locator expired. What the overlap shows again is known by the ledger and left out.
Both kinds of read can be divided by CreatedDate (see `parts`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa
from dative.errors.base import StopRun
from dative.errors.connector import BAD_ANSWER, POSITION_UNREADABLE, Unavailable
from dative.errors.salesforce import FIELD_NOT_FILTERABLE, LOCATOR_EXPIRED

from dative_atom.connectors.base import PART_ROWS_MIN, Division, Position, Read, RunContext
from dative_atom.connectors.salesforce import position as positions
from dative_atom.connectors.salesforce.client import NO_DATE, OrgClient
from dative_atom.connectors.salesforce.describe import Describer
from dative_atom.connectors.salesforce.errors import LocatorExpired, QueryTimeout
from dative_atom.connectors.salesforce.parts import CREATED, Part, bounds, read_back
from dative_atom.connectors.salesforce.rows import Records, columns_of, timestamps, values_of
from dative_atom.connectors.salesforce.soql import Keyset, Query, Window, bound_where, datetime_literal
from dative_atom.connectors.salesforce.spec import QueryOptions

WINDOW_MIN = timedelta(seconds=1)
JITTER = timedelta(seconds=60)
"""The ledger remembers this much more than the overlap: two servers of one org need not have quite the same time."""


class QueryReader:
    """See the module. A `Reader`."""

    def __init__(self, client: OrgClient, options: QueryOptions, context: RunContext) -> None:
        self._client, self._options, self._context = client, options, context
        incremental = options.incremental
        self._cursor = incremental.field if incremental else None
        self._deleted = options.all_rows or (incremental is not None and incremental.deletes == "include")
        describer = Describer(client)
        self._columns = describer.columns(options.object, options.delivered)
        self._hidden = describer.columns(options.object, ["Id", *([self._cursor] if self._cursor else [])])
        self._check_cursor()
        self._profile = pa.schema([column.field for column in self._columns], metadata=self._warnings())
        where = bound_where(options.where, context.binds, lambda name: describer.column(options.object, name).kind)
        paths = dict.fromkeys(".".join(column.path) for column in [*self._columns, *self._hidden])
        self._query = Query(options.object, tuple(paths), where, self._cursor, options.order)
        self._is_part = False

    @property
    def profile(self) -> pa.Schema:
        return self._profile

    def _check_cursor(self) -> None:
        if self._cursor and not self._hidden[-1].filterable:
            raise StopRun(f"{self._options.object}.{self._cursor} can not be filtered", code=FIELD_NOT_FILTERABLE)

    def _warnings(self) -> dict[str, str] | None:
        """Formula fields change without moving SystemModstamp: an incremental read does not see it."""
        formulas = [column.name for column in self._columns if column.calculated or len(column.path) > 1]
        return {"dative.stale_fields": ",".join(formulas)} if formulas and self._cursor else None

    def read(self, after: Position | None, rows_max: int) -> Iterator[Read]:
        """Incremental: the rest of an unfinished window, then one more up to now. Full: the rest, or everything."""
        object_name, execution = self._options.object, self._context.execution_id
        stands = positions.standing(after, object_name, execution, incremental=self._cursor is not None)
        if self._cursor is None:
            yield from self._read_full(stands, rows_max, execution)
            return
        following = self._next_window(stands)
        if stands.window is not None:
            yield from self._read_window(stands.window, stands.after, rows_max, again=True)
        if following is not None:
            yield from self._read_window(following, None, rows_max, again=stands.upper is not None)

    def _next_window(self, stands: positions.Standing) -> Window | None:
        """From where the last one ended, or the one under way will, up to now; None when no time has passed."""
        incremental = self._options.incremental
        assert incremental is not None  # noqa: S101 - there is a cursor
        upper = self._server_time().replace(microsecond=0) - timedelta(seconds=incremental.lag)
        # An org whose clock went back takes the cursor back with it: rows may come twice, never not at all.
        reached = min(stands.upper, upper) if stands.upper else None
        lower = reached - timedelta(seconds=incremental.overlap) if reached else None
        return Window(lower, upper) if lower is None or lower < upper else None

    # --- parts --------------------------------------------------------------------------------------------------------

    def divide(self, after: Position | None, parts_max: int) -> Division:
        object_name, execution = self._options.object, self._context.execution_id
        stands = positions.standing(after, object_name, execution, incremental=self._cursor is not None)
        if self._options.order:
            return Division(reason="an ordered read has one order")
        if self._cursor is None:
            if stands.done or stands.after is not None:
                return Division(reason="this execution has read it already, or a part of it")
            whole = Part(object_name, None, None, None, None, again=False)
            return self._divided(whole, positions.full(object_name, execution, None, done=True), parts_max)
        window = stands.window or self._next_window(stands)
        if window is None:
            return Division(reason="no time has passed since the last window")
        if window.lower is not None:
            # What stands before this window was in the one before, whose own parts could not forget it: others needed it.
            self._context.ledger.forget_before(datetime_literal(window.lower - JITTER))
        whole = Part(object_name, None, None, window, stands.after, again=stands.upper is not None)
        end = positions.finished(object_name, window.upper, self._following(window))
        return self._divided(whole, end, parts_max)

    def _divided(self, whole: Part, end: Position, parts_max: int) -> Division:
        query = self._query
        try:
            rows = self._count(query.count(whole.window, whole.at))
            if (parts := min(parts_max, rows // PART_ROWS_MIN)) < 2:
                return Division(reason=f"{rows} records are too few")
            first, last = (self._made(query, whole, last=last) for last in (False, True))

            def count(after: int, upto: int) -> int:
                narrowed = query.narrowed(CREATED, _at_second(after), _at_second(upto))
                return self._count(narrowed.count(whole.window, whole.at))

            found = [_at_second(at) for at in bounds(first, last, rows, parts, count)]
        except QueryTimeout:
            return Division(reason="counting the records takes too long")
        if not found:
            return Division(reason=f"the records were all made at once, or divide badly by {CREATED}")
        ranges = zip([None, *found], [*found, None], strict=True)
        return Division([replace(whole, after=after, upto=upto).written() for after, upto in ranges], end)

    def _count(self, soql: str) -> int:
        return int(self._client.get("queryAll" if self._deleted else "query", {"q": soql}, {})["totalSize"])

    def _made(self, query: Query, whole: Part, *, last: bool) -> int:
        """The second in which the first of the records was made, or the last; 0 where there is none any more."""
        soql = query.outermost(whole.window, whole.at, CREATED, last=last)
        records = _records(self._client.get("queryAll" if self._deleted else "query", {"q": soql}, {}))
        if not records:
            return 0
        stamp = timestamps(pa.array([records[0][CREATED]], pa.string()))[0].as_py()
        return int(stamp.timestamp()) + last

    def read_part(self, part: bytes, after: Position | None, rows_max: int) -> Iterator[Read]:
        found = read_back(part, self._options.object)
        if (self._cursor is None) != (found.window is None):
            raise StopRun(f"a part is one of another read of {self._options.object}", code=POSITION_UNREADABLE)
        self._query, self._is_part = self._query.narrowed(CREATED, found.after, found.upto), True
        stands = positions.standing(after, self._options.object, "", incremental=found.window is not None)
        if found.window is None:
            yield from self._read_full(stands, rows_max, "")
        elif after is None:
            yield from self._read_window(found.window, found.at, rows_max, again=found.again)
        elif stands.window is not None:
            # The end of a window that was read in halves lies before the part's own.
            yield from self._read_window(stands.window, stands.after, rows_max, again=True)
            yield from self._rest(found.window, stands.window.upper, rows_max)
        elif stands.upper is not None:
            yield from self._rest(found.window, stands.upper, rows_max)

    def _rest(self, window: Window, reached: datetime, rows_max: int) -> Iterator[Read]:
        if reached < window.upper:
            yield from self._read_window(Window(reached, window.upper), None, rows_max, again=True)

    def _server_time(self) -> datetime:
        """The org's clock. The atom's own would lose records wherever it runs ahead, so it never stands in."""
        if self._client.server_time == NO_DATE:
            raise StopRun("the org's answers have no Date header; something between removes it", code=BAD_ANSWER)
        return self._client.server_time

    def acknowledge(self, position: Position) -> None:
        """Salesforce wants to know nothing."""

    def close(self) -> None:
        self._client.close()

    # --- windows ------------------------------------------------------------------------------------------------------

    def _read_window(self, window: Window, after: Keyset | None, rows_max: int, *, again: bool) -> Iterator[Read]:
        """All of the window; its last read is empty and carries the finished position. One too wide is read in halves.

        again: rows of it may have been delivered before.
        """
        pages = self._pages(window, after)
        try:
            page = next(pages, None)
        except QueryTimeout:
            yield from self._read_halves(window, after, rows_max, again=again)
            return
        while page is not None:
            yield from self._fresh_reads(page, window, rows_max, again=again)
            page = next(pages, None)
        if not self._is_part:
            self._context.ledger.forget_before(datetime_literal(self._following(window) - JITTER))
        yield Read(self._rows([]), positions.finished(self._options.object, window.upper, self._following(window)))

    def _read_halves(self, window: Window, after: Keyset | None, rows_max: int, *, again: bool) -> Iterator[Read]:
        lower = after.at if after is not None and after.at is not None else window.lower
        if lower is None or window.upper - lower < 2 * WINDOW_MIN:
            raise QueryTimeout(f"the query on {self._options.object} takes too long, and its window can not be halved")
        middle = (lower + (window.upper - lower) / 2).replace(microsecond=0)
        yield from self._read_window(Window(window.lower, middle), after, rows_max, again=again)
        yield from self._read_window(Window(middle, window.upper), None, rows_max, again=again)

    def _fresh_reads(self, page: Records, window: Window, rows_max: int, *, again: bool) -> Iterator[Read]:
        """The page without what was delivered before, in reads of at most rows_max rows."""
        stamps = [stamp.replace("+0000", "Z") for stamp in values_of(page, self._hidden[-1].path)]
        ids = [record["Id"] for record in page]
        known = self._context.ledger.known(pa.array(ids, pa.string())).to_pylist() if again else [None] * len(page)
        remembered_from = datetime_literal(self._following(window) - JITTER)
        for start in range(0, len(page), rows_max):
            rows: list[dict[str, Any]] = []
            added: dict[str, str] = {}
            end = min(start + rows_max, len(page))
            for row in range(start, end):
                # Only rows that the ledger knows, or shall know, cost a digest.
                shown_again = stamps[row] >= remembered_from
                version = _version(stamps[row], page[row]) if shown_again or known[row] is not None else None
                if version is not None and version == known[row]:
                    continue
                rows.append(page[row])
                if version is not None and shown_again:
                    added[ids[row]] = version
            if not rows:
                continue
            self._context.ledger.add(pa.array(list(added), pa.string()), pa.array(list(added.values()), pa.string()))
            after = self._behind(page[end - 1])
            yield Read(self._rows(rows), positions.within(self._options.object, window, after))

    def _following(self, window: Window) -> datetime:
        """Where the next window begins."""
        assert self._options.incremental is not None  # noqa: S101 - there is a window
        return window.upper - timedelta(seconds=self._options.incremental.overlap)

    # --- everything ---------------------------------------------------------------------------------------------------

    def _read_full(self, stands: positions.Standing, rows_max: int, execution: str) -> Iterator[Read]:
        """execution: which alone goes on from its positions; of a part, none."""
        if stands.done:
            return
        object_name = self._options.object
        last: str | None = None
        for page in self._pages(None, None if self._options.order else stands.after):
            for start in range(0, len(page), rows_max):
                rows = page[start : start + rows_max]
                last = None if self._options.order else rows[-1]["Id"]
                yield Read(self._rows(rows), positions.full(object_name, execution, last, done=False))
        yield Read(self._rows([]), positions.full(object_name, execution, last, done=True))

    # --- pages --------------------------------------------------------------------------------------------------------

    def _pages(self, window: Window | None, after: Keyset | None) -> Iterator[Records]:
        """The pages that hold rows, from behind a row; an expired locator is replaced by a query from the last row."""
        headers = {"Sforce-Query-Options": f"batchSize={self._options.page_rows}"}
        page = self._first_page(window, after, headers)
        while True:
            records = _records(page)
            if records:
                yield records
                after = self._behind(records[-1])
            if page.get("done", False):
                return
            try:
                page = self._client.next_page(str(page["nextRecordsUrl"]), headers)
            except LocatorExpired as error:
                if self._options.order:
                    raise StopRun(
                        f"the locator of an ordered read of {self._options.object} expired", code=LOCATOR_EXPIRED
                    ) from error
                page = self._first_page(window, after, headers)

    def _first_page(self, window: Window | None, after: Keyset | None, headers: dict[str, str]) -> Any:
        resource = "queryAll" if self._deleted else "query"
        return self._client.get(resource, {"q": self._query.text(window, after)}, headers)

    def _behind(self, record: dict[str, Any]) -> Keyset:
        if self._cursor is None:
            return Keyset(None, record["Id"])
        stamp = _at(record, self._hidden[-1].path)
        return Keyset(timestamps(pa.array([stamp], pa.string()))[0].as_py(), record["Id"])

    def _rows(self, records: Records) -> pa.RecordBatch:
        return columns_of(records, self._columns, self._profile)


def _version(stamp: str, record: dict[str, Any]) -> str:
    """A record's stamp and a digest of its content: stamps are whole seconds, and a transaction that stamped a record in
    the same second as another may show it later."""
    return f"{stamp}#{hashlib.blake2b(msgspec.json.encode(record), digest_size=8).hexdigest()}"


def _at_second(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def _at(record: dict[str, Any], path: tuple[str, ...]) -> Any:
    return values_of([record], path)[0]


def _records(page: Any) -> Records:
    records = page.get("records")
    if not isinstance(records, list) or ("nextRecordsUrl" not in page and not page.get("done")):
        raise Unavailable("a page of a query has no records, or no end", code=BAD_ANSWER)
    return records
