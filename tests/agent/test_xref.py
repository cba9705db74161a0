"""What people do to cross-reference tables on the atom: CSV out and in, rows set and removed, every change an event."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dative.clock import ManualClock
from dative.errors import DativeError
from dative.v1 import telemetry_pb2
from dative_atom.agent.xref import export_rows, found_rows, import_rows, remove_rows, set_row
from dative_atom.journal.sqlite import SqliteJournal

CSV = "crm,erp,wms\nA,1,w1\nB,2,\n"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    made = SqliteJournal(tmp_path / "journal.db", ManualClock(datetime(2026, 3, 1, tzinfo=UTC)))
    yield made
    made.close()


def loaded(journal: SqliteJournal, text: str, conflict: str = "replace") -> tuple[int, int]:
    return import_rows(journal, "t", io.StringIO(text), unique=None, conflict=conflict, actor="ada")


def told(journal: SqliteJournal) -> list[str]:
    records = [telemetry_pb2.Record.FromString(record.body) for record in journal.outbox(0)]
    return [f"{record.event.kind}: {record.event.status.message}" for record in records]


def test_a_table_goes_out_as_csv_and_comes_back_the_same(journal: SqliteJournal) -> None:
    assert loaded(journal, CSV) == (2, 2)
    out = io.StringIO()
    assert export_rows(journal, "t", out) == 2
    assert sorted(out.getvalue().splitlines()) == sorted(CSV.splitlines())
    assert loaded(journal, out.getvalue()) == (2, 0), "the same rows again change nothing"


def test_an_import_takes_the_place_of_rows_or_leaves_them(journal: SqliteJournal) -> None:
    loaded(journal, CSV)
    assert loaded(journal, "crm,erp\nA,9\nC,3\n", "error") == (2, 1)
    assert found_rows(journal, "t", "crm", "A")[0]["erp"] == "1"
    assert loaded(journal, "crm,erp\nA,9\n") == (1, 1)
    assert [row["erp"] for row in found_rows(journal, "t", "crm", "A")] == ["9"]


@pytest.mark.parametrize(
    "text",
    ["", "crm\nA\n", "crm,crm\nA,B\n", "crm,erp\nA,1\nB\n", "crm,erp\nA,1,2\n", "crm,erp\nA,1\x1f\n",
     "crm,erp\nA," + "x" * 4001 + "\n"],
    ids=["empty", "one column", "twice", "one value", "more values", "control", "long"],
)  # fmt: skip
def test_a_csv_that_does_not_fit_changes_nothing(journal: SqliteJournal, text: str) -> None:
    with pytest.raises(DativeError) as refused:
        loaded(journal, text)
    assert refused.value.code.name == "journal.xref_invalid"
    assert journal.xref_tables() == []


def test_rows_are_set_and_removed_and_every_change_is_told_with_who_did_it(journal: SqliteJournal) -> None:
    loaded(journal, CSV)
    assert set_row(journal, "t", {"crm": "C", "erp": "3"}, actor="bob") == 1
    assert set_row(journal, "t", {"crm": "C", "erp": "3"}, actor="bob") == 0
    assert remove_rows(journal, "t", "crm", ["A", "C", "nobody"], actor="eve") == 2
    assert told(journal) == [
        "xref.changed: 2 rows of cross-reference t were imported by ada",
        "xref.changed: 1 row of cross-reference t was set by bob",
        "xref.changed: 2 rows of cross-reference t were removed by eve",
    ]


def test_a_table_or_column_that_is_not_there_is_named_with_those_that_are(journal: SqliteJournal) -> None:
    loaded(journal, CSV)
    for call in (lambda: found_rows(journal, "x", "crm", "A"), lambda: found_rows(journal, "t", "x", "A")):
        with pytest.raises(DativeError) as refused:
            call()
        assert refused.value.code.name == "journal.unknown_xref"
        assert "there are" in refused.value.message
