"""Each area of the store, on SQLite and on PostgreSQL alike: what its conditional statements decide."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dative.errors import DativeError
from dative.v1 import agent_pb2, control_pb2, telemetry_pb2, types_pb2
from dative_controller.config import RetentionConfig
from dative_controller.reporting.retention import forget
from dative_controller.store import access, commands, deployments, environments, fleet, reports, traces, trust
from dative_controller.store.database import Database
from dative_controller.store.reports import Reporter

NOW_MS = 1_772_366_400_000
REPORTER = Reporter("A1", "E1", "default")


def add_atom(database: Database, atom_id: str = "A1", name: str = "hq-1", **more: Any) -> None:
    values = {"atom_id": atom_id, "environment_id": "E1", "molecule_id": "default", "name": name, "state": "approved"}
    values |= {"token_id": atom_id, "key_digest": atom_id}
    database.transact(lambda sql: fleet.add_atom(sql, values | more))


def code_of(database: Database, work: Any) -> str:
    try:
        database.transact(work)
    except DativeError as refused:
        return refused.code.name
    return "done"


async def test_of_many_uses_of_a_token_as_many_win_as_it_has(database: Database) -> None:
    database.transact(
        lambda sql: fleet.add_token(
            sql,
            "T1",
            "secret",
            environment_id="E1",
            molecule_id="default",
            expires_ms=NOW_MS + 1,
            max_uses=3,
            require_approval=False,
            created_by="ada",
        )
    )

    async def use() -> str:
        try:
            await database.write(lambda sql: fleet.use_token(sql, "T1", NOW_MS))
        except DativeError as refused:
            return refused.code.name
        return "used"

    results = await asyncio.gather(*(use() for _ in range(20)))
    assert sorted(results) == ["enrol.token_used"] * 17 + ["used"] * 3
    assert code_of(database, lambda sql: fleet.use_token(sql, "T1", NOW_MS + 1)) == "enrol.token_expired"
    assert code_of(database, lambda sql: fleet.token_row(sql, "T1", "other")) == "enrol.token_invalid"


def greeting() -> fleet.Greeting:
    return fleet.Greeting(b"", types_pb2.ObservedState(), 0, b"", draining=False)


def test_what_an_older_stream_says_changes_nothing(database: Database) -> None:
    add_atom(database)
    first = database.transact(lambda sql: fleet.open_session(sql, "A1", greeting(), "c1", NOW_MS))
    second = database.transact(lambda sql: fleet.open_session(sql, "A1", greeting(), "c2", NOW_MS))
    assert second > first
    ack = agent_pb2.DesiredStateAck(observed=types_pb2.ObservedState(generation=7))
    assert not database.transact(lambda sql: fleet.acknowledge(sql, "A1", first, ack))
    database.transact(lambda sql: fleet.close_session(sql, "A1", first, NOW_MS))
    row = database.transact(lambda sql: fleet.admit(sql, "A1"))
    assert (row.connected, row.acked_generation, row.controller_id) == (True, 0, "c2")
    assert database.transact(lambda sql: fleet.acknowledge(sql, "A1", second, ack))


def test_a_revoked_atom_is_not_admitted_and_its_name_is_free(database: Database) -> None:
    add_atom(database)
    assert code_of(database, lambda sql: fleet.add_atom(sql, {"atom_id": "A2", "environment_id": "E1", "name": "hq-1"}))
    database.transact(lambda sql: fleet.revoke(sql, "A1"))
    assert code_of(database, lambda sql: fleet.admit(sql, "A1")) == "fleet.atom_revoked"
    add_atom(database, "A2")
    assert database.transact(access.the_organization).revocation_version == 1


async def test_a_command_is_claimed_once_and_answered_by_its_atom_only(database: Database) -> None:
    body = agent_pb2.Command(command_id="C1")
    body.expires_at.FromMilliseconds(NOW_MS + 1000)
    late = agent_pb2.Command(command_id="C2")
    late.expires_at.FromMilliseconds(NOW_MS)
    for command in (body, late):
        database.transact(lambda sql, one=command: commands.add(sql, "A1", one, "ada"))
    result = agent_pb2.CommandResult(command_id="C1")
    assert not database.transact(lambda sql: commands.finish(sql, "A1", result)), "not delivered yet"
    claims = await asyncio.gather(*(database.write(lambda sql: commands.claim(sql, "A1", NOW_MS)) for _ in range(8)))
    assert [command.command_id for claimed in claims for command in claimed] == ["C1"]
    assert not database.transact(lambda sql: commands.finish(sql, "A2", result))
    assert database.transact(lambda sql: commands.finish(sql, "A1", result))
    assert not database.transact(lambda sql: commands.finish(sql, "A1", result))
    assert database.transact(lambda sql: commands.result_of(sql, "C1")) == result


def test_an_environment_changes_only_from_the_version_that_was_seen(database: Database) -> None:
    database.transact(lambda sql: environments.create(sql, "E1", "test", production=True, now_ms=NOW_MS))
    again = code_of(database, lambda sql: environments.create(sql, "E2", "test", production=False, now_ms=NOW_MS))
    assert again == "control.name_taken"
    database.transact(lambda sql: environments.bump(sql, "E1", 1))
    assert code_of(database, lambda sql: environments.bump(sql, "E1", 1)) == "control.version_conflict"
    connection = control_pb2.Connection(name="erp", connector="database", settings={"url": "x"}, secrets={"p": "env:P"})
    database.transact(lambda sql: environments.set_connections(sql, "E1", [connection]))
    database.transact(lambda sql: environments.set_overrides(sql, "E1", {"orders.rows": "5"}, []))
    allowed = ["command:/bin/x", "scripts"]
    database.transact(
        lambda sql: environments.set_allows(sql, environments.find(sql, "E1"), ["scripts", "command:/bin/y"], [])
    )
    database.transact(
        lambda sql: environments.set_allows(sql, environments.find(sql, "E1"), ["command:/bin/x"], ["command:/bin/y"])
    )
    shown = database.transact(lambda sql: environments.message(sql, environments.find(sql, "test")))
    assert list(shown.connections) == [connection]
    assert list(shown.allows) == allowed
    assert (dict(shown.overrides), shown.version, shown.require_approval) == ({"orders.rows": "5"}, 2, True)
    database.transact(lambda sql: environments.delete_connections(sql, "E1", ["erp"]))
    missing = code_of(database, lambda sql: environments.delete_connections(sql, "E1", ["erp"]))
    assert missing == "control.not_found"


def test_a_trust_version_is_stored_once(database: Database) -> None:
    database.transact(lambda sql: trust.add(sql, 1, b"one", NOW_MS))
    database.transact(lambda sql: trust.add(sql, 2, b"two", NOW_MS))
    assert code_of(database, lambda sql: trust.add(sql, 2, b"other", NOW_MS)) == "control.trust_conflict"
    assert database.transact(lambda sql: trust.chain(sql, 1)) == [(2, b"two")]


def deployment(generation: int, digest: str = "") -> deployments.NewDeployment:
    return deployments.NewDeployment(
        deployment_id=f"D{generation}{digest}",
        environment_id="E1",
        molecule_id="default",
        release_epoch=1,
        generation=generation,
        manifest_digest=f"sha256:{generation}{digest}",
        envelope=b"signed",
        kind="deploy",
        created_by="ada",
        created_ms=NOW_MS,
        reason="",
        processes=["orders@1"],
        atom_ids=None,
        traceparent="",
        rollback_of=0,
    )


def test_a_generation_is_given_out_once(database: Database) -> None:
    database.transact(lambda sql: deployments.add(sql, deployment(1), ["b1"]))
    taken = code_of(database, lambda sql: deployments.add(sql, deployment(1, "x"), []))
    assert taken == "deployment.generation_conflict"
    database.transact(lambda sql: deployments.add(sql, deployment(2), ["b1", "b2"]))
    current = database.transact(lambda sql: deployments.desired(sql, "E1", "default"))
    assert current is not None
    assert current.generation == 2
    page = database.transact(lambda sql: deployments.page(sql, "E1", "default", before_generation=2, rows_max=9))
    assert [row.generation for row in page] == [1]


def test_spans_are_stored_once_and_come_back_whole(database: Database) -> None:
    span = traces.SpanRow(
        "ab" * 16, "cd" * 8, "", "run", "INTERNAL", 5, 9, "atom", "A1", True, "failed", {"a": "1"}, (("t", "s", {}),)
    )
    for _ in range(2):
        database.transact(lambda sql: traces.add(sql, [span]))
    shown, more = database.transact(lambda sql: traces.of_trace(sql, "ab" * 16))
    assert (len(shown), more) == (1, False)
    assert (shown[0].error, shown[0].attributes["a"], shown[0].links[0].span_id) == (True, "1", "s")


def test_what_is_old_goes_and_what_is_young_stays(database: Database) -> None:
    now = datetime.fromtimestamp(NOW_MS / 1000, UTC)
    for name, age in (("old", timedelta(days=8)), ("young", timedelta(days=6))):
        at_ns = int((now - age).timestamp() * 1e9)
        row = traces.SpanRow(name, "s", "", "run", "INTERNAL", at_ns, at_ns, "atom", "A1")
        database.transact(lambda sql, one=row: traces.add(sql, [one]))
    database.transact(lambda sql: forget(sql, RetentionConfig(), now))
    assert not database.transact(lambda sql: traces.of_trace(sql, "old"))[0]
    assert database.transact(lambda sql: traces.of_trace(sql, "young"))[0]
    for number in range(9):
        row = traces.SpanRow("many", str(number), "", "run", "INTERNAL", int(now.timestamp() * 1e9) + number, 0, "", "")
        database.transact(lambda sql, one=row: traces.add(sql, [one]))
    database.transact(lambda sql: forget(sql, RetentionConfig(spans_rows_max=5), now))
    kept, _ = database.transact(lambda sql: traces.of_trace(sql, "many"))
    assert [span.span_id for span in kept] == ["4", "5", "6", "7", "8"]


def test_a_text_that_a_database_can_not_hold_stops_no_batch(database: Database) -> None:
    """PostgreSQL refuses NUL in text; the savepoint keeps the transaction, and the neighbours, alive."""
    from dative_controller.reporting.ingest import Batch, Item, _store

    records = [
        telemetry_pb2.Record(execution=types_pb2.Execution(execution_id=identity, process=process))
        for identity, process in (("X1", "orders"), ("X2", "or\x00ders"), ("X3", "orders"))
    ]
    batch = Batch(REPORTER, "e1", 1, [Item(record) for record in records], done=None)  # type: ignore[arg-type]
    assert database.transact(lambda sql: _store(sql, batch, NOW_MS))[0] == 3
    found = database.transact(
        lambda sql: reports.execution_page(
            sql, environments=None, process="orders", states=[], since_ms=0, before="", rows_max=9
        )
    )
    assert [run.execution_id for run in found] == ["X3", "X1"]


@pytest.mark.parametrize("used_at", [NOW_MS, NOW_MS + 1])
def test_a_refresh_token_expires(database: Database, used_at: int) -> None:
    database.transact(lambda sql: access.add_refresh(sql, "rt1.x", family="f", subject="ada", expires_ms=NOW_MS + 1))
    code = code_of(database, lambda sql: access.use_refresh(sql, "rt1.x", used_at))
    assert code == ("done" if used_at == NOW_MS else "access.token_invalid")
