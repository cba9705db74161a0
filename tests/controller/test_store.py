"""What the store promises, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from dative.errors import DativeError
from dative_controller.store import audit, changes
from dative_controller.store.changes import Change
from dative_controller.store.database import Database, DirectoryLock
from dative_controller.store.migrate import upgrade
from dative_controller.store.schema import metadata
from sqlalchemy import Connection, text

NOW_MS = 1_772_366_400_000


def test_migrating_an_empty_database_gives_the_schema_that_the_code_knows(database: Database) -> None:
    def differences(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection), metadata)

    assert database.transact(differences) == []


def test_migrating_again_changes_nothing(database: Database) -> None:
    upgrade(database)


def test_a_database_of_a_newer_version_is_refused(database: Database) -> None:
    database.transact(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = 'future'")))
    with pytest.raises(DativeError) as refused:
        upgrade(database)
    assert refused.value.code.name == "store.newer_schema"


async def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    def half(connection: Connection) -> None:
        audit.append(connection, audit.Entry("anna", "deploy", "sync"), NOW_MS)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await database.write(half)
    assert await database.read(audit.verify) == (0, audit.GENESIS)


async def test_entries_written_at_the_same_moment_form_one_chain(database: Database) -> None:
    def append(number: int) -> object:
        entry = audit.Entry("anna", "deploy", f"process-{number}")
        return database.write(lambda connection: audit.append(connection, entry, NOW_MS + number))

    await asyncio.gather(*(append(number) for number in range(30)))  # type: ignore[arg-type]
    count, head = await database.read(audit.verify)
    assert count == 30
    newest = await database.read(lambda connection: audit.page(connection, before=0, rows_max=2))
    assert [row.sequence for row in newest] == [30, 29]
    assert newest[0].hash == head


TAMPERING = {
    "changed": "UPDATE audit SET actor = 'eve' WHERE sequence = 2",
    "taken out of the middle": "DELETE FROM audit WHERE sequence = 2",
    "cut at the end": "DELETE FROM audit WHERE sequence = 3",
}


@pytest.mark.parametrize("statement", TAMPERING.values(), ids=TAMPERING.keys())
def test_a_tampered_audit_log_is_found(database: Database, statement: str) -> None:
    for number in range(3):
        entry = audit.Entry("anna", "deploy", f"process-{number}")
        database.transact(lambda connection, entry=entry: audit.append(connection, entry, NOW_MS))
    database.transact(lambda connection: connection.execute(text(statement)))
    with pytest.raises(DativeError) as broken:
        database.transact(audit.verify)
    assert broken.value.code.name == "store.audit_broken"


def test_changes_are_read_in_commit_order_from_where_a_reader_stood(database: Database) -> None:
    wanted = [Change("desired", environment_id=f"env-{number}") for number in range(3)]
    for each in wanted:
        database.transact(lambda connection, each=each: changes.publish(connection, each, NOW_MS))
    assert database.transact(changes.newest) == 3
    found = database.transact(lambda connection: changes.since(connection, 1))
    assert found == [(2, wanted[1]), (3, wanted[2])]


def test_a_request_done_before_gets_its_answer_and_another_one_is_refused(database: Database) -> None:
    key = {"request_id": "r1", "actor": "anna", "method": "CreateEnvironment"}

    def ask(connection: Connection, digest: str = "d1") -> bytes | None:
        return changes.answer_of(connection, request_digest=digest, **key)

    assert database.transact(ask) is None
    database.transact(
        lambda connection: changes.remember(connection, request_digest="d1", response=b"done", now_ms=NOW_MS, **key)
    )
    assert database.transact(ask) == b"done"
    with pytest.raises(DativeError) as reused:
        database.transact(lambda connection: ask(connection, "d2"))
    assert reused.value.code.name == "rpc.request_id_reused"


def test_one_controller_a_data_directory(tmp_path: Path) -> None:
    first, second = DirectoryLock(tmp_path / "lock"), DirectoryLock(tmp_path / "lock")
    first.acquire()
    with pytest.raises(DativeError) as held:
        second.acquire()
    assert held.value.code.name == "store.locked"
    first.release()
    second.acquire()
    second.release()
