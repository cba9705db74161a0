"""Commands about cross-references from the controller: bounded pages and pieces of CSV, told with who asked."""

from __future__ import annotations

import csv
import io
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from dative.errors import DativeError
from dative.errors.rpc import INVALID
from dative.v1 import agent_pb2, types_pb2

from dative_atom.agent.books import Books
from dative_atom.agent.xref import UNIQUE, Row, found_rows, import_rows, known, remove_rows

CSV_BYTES_MAX: Final = 400_000
PAGE_ROWS: Final = 2_000
VALUES_MAX: Final = 1_000

Result = agent_pb2.CommandResult


class XrefCommands:
    """handlers: command kind -> what carries it out."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self.handlers: dict[str, Callable[[agent_pb2.Command], Awaitable[Result]]] = {
            "read_xref": self._read,
            "change_xref": self._change,
        }

    async def _read(self, command: agent_pb2.Command) -> Result:
        return Result(read_xref=await self._books.run(self._answer, command.read_xref))

    def _answer(self, wanted: types_pb2.XrefQuestion) -> types_pb2.XrefAnswer:
        journal = self._books.journal
        if not wanted.table:
            tables = [
                types_pb2.XrefTable(name=each.name, columns=each.columns, unique=each.unique, rows=each.rows)
                for each in journal.xref_tables()
            ]
            return types_pb2.XrefAnswer(tables=tables)
        columns = known(journal, wanted.table).columns
        if wanted.column:
            rows = found_rows(journal, wanted.table, wanted.column, wanted.value)
            return types_pb2.XrefAnswer(csv=_csv(columns, rows[:PAGE_ROWS])[0])
        page = journal.xref_page(wanted.table, wanted.after, PAGE_ROWS)
        body, count = _csv(columns, [row for _, row in page])
        ended = count == len(page) < PAGE_ROWS
        return types_pb2.XrefAnswer(csv=body, next_after=0 if ended or not page else page[count - 1][0])

    async def _change(self, command: agent_pb2.Command) -> Result:
        return Result(change_xref=await self._books.run(self._changed, command.change_xref, command.actor))

    def _changed(self, wanted: types_pb2.XrefChange, actor: str) -> types_pb2.XrefChanged:
        journal, who = self._books.journal, actor or "the controller"
        if not wanted.table or bool(wanted.csv) == bool(wanted.column):
            raise DativeError("a change is of one table, and puts rows in or takes rows out", code=INVALID)
        if len(wanted.csv) > CSV_BYTES_MAX or len(wanted.values) > VALUES_MAX:
            raise DativeError(f"a change has at most {CSV_BYTES_MAX:,} bytes or {VALUES_MAX:,} values", code=INVALID)
        if wanted.column:
            removed = remove_rows(journal, wanted.table, wanted.column, wanted.values, actor=who)
            return types_pb2.XrefChanged(read=len(wanted.values), changed=removed)
        if wanted.unique and wanted.unique not in UNIQUE:
            raise DativeError(f"unique is one of {', '.join(UNIQUE)}", code=INVALID)
        try:
            text = wanted.csv.decode()
        except UnicodeDecodeError as error:
            raise DativeError("the CSV is not UTF-8", code=INVALID) from error
        read, changed = import_rows(
            journal,
            wanted.table,
            io.StringIO(text, newline=""),
            unique=wanted.unique or None,
            conflict="error" if wanted.keep_older else "replace",
            actor=who,
        )
        return types_pb2.XrefChanged(read=read, changed=changed)


def _csv(columns: Sequence[str], rows: Sequence[Row]) -> tuple[bytes, int]:
    """The rows as CSV, as many as fit the bound, and how many those are. One alone always fits: values are bounded."""
    lines = [_line(columns)]
    size = len(lines[0])
    for row in rows:
        line = _line([row[name] or "" for name in columns])
        size += len(line)
        if size > CSV_BYTES_MAX:
            break
        lines.append(line)
    return b"".join(lines), len(lines) - 1


def _line(values: Sequence[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(values)
    return out.getvalue().encode()
