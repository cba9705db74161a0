"""Query results page by page, and the locators that later pages are fetched with."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dative_sandbox.salesforce.errors import ApiError
from dative_sandbox.salesforce.ids import to_id18
from dative_sandbox.salesforce.org import Org
from dative_sandbox.salesforce.schema import Row
from dative_sandbox.salesforce.soql.evaluate import Result, run

_PAGE_ROWS_MIN = 200
_LOCATOR_PREFIX = "01g"


@dataclass
class _Cursor:
    result: Result
    page_rows: int
    path: str
    used_at: datetime


class Queries:
    """The open cursors of an org. At most `options.locators_max` stay open; the one unused longest is dropped."""

    def __init__(self, org: Org) -> None:
        self.org = org
        self.cursors: OrderedDict[str, _Cursor] = OrderedDict()

    def start(self, text: str, *, base: str, resource: str, batch_rows: int | None, timezone: str) -> Row:
        """The first page. resource: query or queryAll. batch_rows: from Sforce-Query-Options, held within 200..2000."""
        most = self.org.options.page_rows_max
        # The control plane may allow pages smaller than the vendor's least, so that small tests page too.
        page_rows = min(most, max(min(_PAGE_ROWS_MIN, most), batch_rows or most))
        path = f"{base}/{resource}"

        def children(result: Result) -> Row:
            return self._first(result, page_rows, path)

        with self.org.lock:
            result = run(
                self.org,
                text,
                base=base,
                timezone=timezone,
                deleted=resource.lower() == "queryall",
                child_page=children,
            )
            return self._first(result, page_rows, path)

    def resume(self, locator: str) -> Row:
        """The page that a locator (`<id>-<offset>`) points to; it may be read again. ApiError 400 INVALID_QUERY_LOCATOR."""
        name, _, offset = locator.partition("-")
        with self.org.lock:
            cursor = self.cursors.get(to_id18(name) or "")
            ttl = timedelta(seconds=self.org.options.locator_ttl_s)
            now = self.org.clock.now()
            if (
                cursor is None
                or not offset.isdigit()
                or cursor.used_at + ttl < now
                or int(offset) >= len(cursor.result.rows)
            ):
                raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
            cursor.used_at = now
            self.cursors.move_to_end(to_id18(name) or "")
            return self._page(cursor, name, int(offset))

    def _first(self, result: Result, page_rows: int, path: str) -> Row:
        cursor = _Cursor(result, page_rows, path, self.org.clock.now())
        if len(result.rows) <= page_rows:
            return self._page(cursor, "", 0)
        name = self.org.ids.new(_LOCATOR_PREFIX)
        self.cursors[name] = cursor
        while len(self.cursors) > self.org.options.locators_max:
            self.cursors.popitem(last=False)
        return self._page(cursor, name, 0)

    def _page(self, cursor: _Cursor, name: str, offset: int) -> Row:
        end = offset + cursor.page_rows
        done = end >= len(cursor.result.rows)
        page: dict[str, Any] = {"totalSize": cursor.result.total, "done": done}
        if not done:
            page["nextRecordsUrl"] = f"{cursor.path}/{name}-{end}"
        page["records"] = [cursor.result.render(row) for row in cursor.result.rows[offset:end]]
        return page
