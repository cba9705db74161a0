"""A journal in a temporary directory, on a clock that the test moves."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dative.clock import ManualClock
from dative.ids import ExecutionId, ProcessName
from dative_atom.journal.contract import Execution
from dative_atom.journal.sqlite import SqliteJournal
from dative_atom.journal.sqlite_schema import SCHEMA

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def journal(tmp_path: Path, clock: ManualClock) -> Iterator[SqliteJournal]:
    journal = SqliteJournal(tmp_path / "journal.db", clock)
    yield journal
    journal.close()


@pytest.fixture
def first_version(tmp_path: Path) -> Path:
    """A file as the first version of the journal made it, with nothing in it."""
    path = tmp_path / "old.db"
    db = sqlite3.connect(path)
    db.executescript(SCHEMA)
    db.execute("INSERT INTO spool VALUES (1, 'epoch', 0, 0, 0)")
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()
    return path


@pytest.fixture
def execution(journal: SqliteJournal) -> Execution:
    """Planned and begun."""
    planned = Execution(
        execution_id=ExecutionId("01JX0000000000000000000001"),
        process=ProcessName("sync"),
        process_version=1,
        stream="env/sync",
        trigger="manual",
        planned_at=NOW,
        manifest_digest="sha256:00",
    )
    assert journal.plan(planned)
    return journal.begin(planned.execution_id, NOW, "ab" * 16)
