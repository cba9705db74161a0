"""Commands about cross-references at the atom: pages that fit, changes whole or not at all, hostile ones refused."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dative.clock import ManualClock
from dative.errors import DativeError
from dative.v1 import agent_pb2 as a
from dative.v1 import types_pb2 as t
from dative_atom.agent.books import Books
from dative_atom.agent.xref_commands import CSV_BYTES_MAX, XrefCommands
from dative_atom.journal.sqlite import SqliteJournal


@pytest.fixture
async def xrefs(tmp_path: Path) -> AsyncIterator[XrefCommands]:
    books = Books(SqliteJournal(tmp_path / "journal.db", ManualClock(datetime(2026, 3, 1, tzinfo=UTC))))
    yield XrefCommands(books)
    books.close()


async def change(xrefs: XrefCommands, **what: Any) -> t.XrefChanged:
    return (await xrefs.handlers["change_xref"](a.Command(change_xref=t.XrefChange(**what), actor="ada"))).change_xref


async def ask(xrefs: XrefCommands, **what: Any) -> t.XrefAnswer:
    return (await xrefs.handlers["read_xref"](a.Command(read_xref=t.XrefQuestion(**what)))).read_xref


async def test_a_large_table_comes_in_pages_that_fit_and_is_whole(xrefs: XrefCommands) -> None:
    rows = [(f"C{row}", f"E{row}" + "x" * 100) for row in range(5_000)]
    for first in range(0, len(rows), 1000):
        text = "crm,erp\n" + "".join(f"{crm},{erp}\n" for crm, erp in rows[first : first + 1000])
        assert (await change(xrefs, table="t", csv=text.encode())).changed == 1000
    found: list[tuple[str, str]] = []
    after, pages = 0, 0
    while not pages or after:
        answer = await ask(xrefs, table="t", after=after)
        assert len(answer.csv) <= CSV_BYTES_MAX
        found += [(row["crm"], row["erp"]) for row in csv.DictReader(io.StringIO(answer.csv.decode()))]
        after, pages = answer.next_after, pages + 1
    assert found == rows
    assert pages > 1
    (table,) = (await ask(xrefs)).tables
    assert (table.name, list(table.columns), table.rows) == ("t", ["crm", "erp"], 5_000)


async def test_rows_are_found_and_removed(xrefs: XrefCommands) -> None:
    await change(xrefs, table="t", csv=b"crm,erp\nA,1\nB,2\n")
    assert (await ask(xrefs, table="t", column="crm", value="B")).csv == b"crm,erp\nB,2\n"
    assert (await change(xrefs, table="t", column="crm", values=["B", "C"])).changed == 1
    assert (await ask(xrefs, table="t")).csv == b"crm,erp\nA,1\n"


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ({"table": "t"}, "rpc.invalid_argument"),
        ({"table": "", "csv": b"a,b\n1,2\n"}, "rpc.invalid_argument"),
        ({"table": "t", "csv": b"a,b\n1,2\n", "column": "a"}, "rpc.invalid_argument"),
        ({"table": "t", "csv": b"x" * (CSV_BYTES_MAX + 1)}, "rpc.invalid_argument"),
        ({"table": "t", "csv": b"a,b\n\xff,2\n"}, "rpc.invalid_argument"),
        ({"table": "t", "csv": b"a,b\n1,2\n", "unique": "twice"}, "rpc.invalid_argument"),
        ({"table": "t", "csv": b"a\n1\n"}, "journal.xref_invalid"),
        ({"table": "t", "column": "a", "values": ["1"]}, "journal.unknown_xref"),
    ],
)
async def test_a_change_that_does_not_fit_changes_nothing(xrefs: XrefCommands, what: dict[str, Any], code: str) -> None:
    with pytest.raises(DativeError) as refused:
        await change(xrefs, **what)
    assert refused.value.code.name == code
    assert list((await ask(xrefs)).tables) == []
