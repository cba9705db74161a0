"""Named cases of incremental reads: each was, or would be, a row that is lost or comes twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from dative.errors.base import StopRun

CHANGED = {"table": "t", "incremental": {"field": "changed", "key": ["id"]}}
Bench = Any


def _reads(bench: Bench, connector: Any, name: str, operation: str, options: dict[str, Any], after: Any = None) -> Any:
    """Ids that a run delivers, and the position after it."""
    reads = bench.read_all(connector.reader(bench.operation(name, operation, options), bench.context()), after)
    ids = [row.get("id", row.get("Name")) for read in reads for row in read.batch.to_pylist()]
    return ids, json.loads(json.dumps(dict(reads[-1].position))) if reads else after


def _database(bench: Bench, address: str, options: dict[str, Any], after: Any = None) -> Any:
    erp = bench.connect("database", {"url": address})
    return _reads(bench, erp, "database", "query", {**CHANGED, **options}, after)


def test_postgresql_shows_a_row_of_a_transaction_that_was_open_during_the_run(postgres: Any, bench: Bench) -> None:
    address, run = postgres
    run("CREATE TABLE t (id int PRIMARY KEY, changed timestamptz NOT NULL DEFAULT now())")
    with psycopg.connect(address) as late:
        late.execute("INSERT INTO t VALUES (1)")
        run("SELECT pg_sleep(1.2)")  # beyond what is read again in any case
        run("INSERT INTO t VALUES (2)")
        first, position = _database(bench, address, {})
        late.commit()
    assert first == [2]
    assert _database(bench, address, {}, position)[0] == [1]


@pytest.mark.parametrize("system", ["postgres", "sqlite"])
@pytest.mark.parametrize("kind", ["integer", "timestamp", "date"])
def test_a_row_that_comes_later_with_the_same_stamp_and_a_lower_key_is_read(
    system: str, kind: str, request: pytest.FixtureRequest, bench: Bench
) -> None:
    address, run = request.getfixturevalue(system)
    value = "7" if kind == "integer" else "'2026-03-01'"
    run(f"CREATE TABLE t (id integer PRIMARY KEY, changed {kind} NOT NULL)")
    run(f"INSERT INTO t VALUES (5, {value})")
    first, position = _database(bench, address, {})
    run(f"INSERT INTO t VALUES (4, {value})")
    second, position = _database(bench, address, {}, position)
    assert (first, second, _database(bench, address, {}, position)[0]) == ([5], [4], [])


@pytest.mark.parametrize("system", ["postgres", "sqlite"])
def test_a_second_change_within_the_same_stamp_is_delivered(
    system: str, request: pytest.FixtureRequest, bench: Bench
) -> None:
    address, run = request.getfixturevalue(system)
    run("CREATE TABLE t (id integer PRIMARY KEY, v text, changed date NOT NULL)")
    run("INSERT INTO t VALUES (5, 'a', '2026-03-01')")
    _, position = _database(bench, address, {})
    run("UPDATE t SET v = 'b'")
    assert _database(bench, address, {}, position)[0] == [5]


def test_numbers_of_more_digits_are_remembered_and_forgotten_by_their_size(sqlite: Any, bench: Bench) -> None:
    address, run = sqlite
    run("CREATE TABLE t (id integer PRIMARY KEY, changed integer NOT NULL)")
    run("INSERT INTO t VALUES (1, 9)")
    _, position = _database(bench, address, {})
    run("INSERT INTO t VALUES (2, 10)")
    assert _database(bench, address, {}, position)[0] == [2]
    assert list(bench.ledger.entries) == ["2"]


def test_a_stamp_in_the_future_does_not_carry_the_cursor_away(postgres: Any, bench: Bench) -> None:
    address, run = postgres
    run("CREATE TABLE t (id int PRIMARY KEY, changed timestamptz NOT NULL)")
    run("INSERT INTO t VALUES (1, now()), (2, '9999-12-31'), (3, 'infinity')")
    first, position = _database(bench, address, {})
    run("INSERT INTO t VALUES (4, now())")
    assert (first, _database(bench, address, {}, position)[0]) == ([1], [4])


def test_the_newest_row_may_vanish_without_anything_coming_again(sqlite: Any, bench: Bench) -> None:
    address, run = sqlite
    run("CREATE TABLE t (id integer PRIMARY KEY, changed integer NOT NULL)")
    run("INSERT INTO t VALUES (1, 1), (2, 2)")
    _, position = _database(bench, address, {})
    run("DELETE FROM t WHERE id = 2")
    second, position = _database(bench, address, {}, position)
    run("INSERT INTO t VALUES (3, 3)")
    assert (second, _database(bench, address, {}, position)[0]) == ([], [3])


@pytest.mark.parametrize("system", ["postgres", "sqlite"])
@pytest.mark.parametrize(("nulls", "key", "expected"), [("skip", 2, [1]), ("refuse", 2, None), ("skip", "NULL", None)])
def test_rows_without_a_stamp_stop_the_run_or_are_left_out_and_rows_without_a_key_stop_it(
    system: str, nulls: str, key: Any, expected: Any, request: pytest.FixtureRequest, bench: Bench
) -> None:
    address, run = request.getfixturevalue(system)
    run("CREATE TABLE t (id integer, changed timestamp)")
    stamp = "NULL" if key == 2 else "'2026-03-01 12:00:00'"
    run(f"INSERT INTO t VALUES (1, '2026-03-01 12:00:00'), ({key}, {stamp})")
    options = {"incremental": {**CHANGED["incremental"], "nulls": nulls}}  # type: ignore[dict-item]
    if expected is None:
        with pytest.raises(StopRun) as refused:
            _database(bench, address, options)
        assert refused.value.code.name == "database.stamp_missing"
    else:
        assert _database(bench, address, options)[0] == expected


def test_a_role_that_can_not_see_transactions_reads_with_its_overlap(postgres: Any, bench: Bench) -> None:
    address, run = postgres
    run("CREATE TABLE t (id int PRIMARY KEY, changed timestamptz NOT NULL)")
    run("DROP ROLE IF EXISTS blind")
    run("CREATE ROLE blind LOGIN")
    run("GRANT SELECT ON t TO blind")
    run("INSERT INTO t VALUES (1, now() - interval '40 s')")
    blind = address.replace("postgres@", "blind@")
    options = {"incremental": {**CHANGED["incremental"], "overlap": "1m"}}  # type: ignore[dict-item]
    first, position = _database(bench, blind, options)
    run("INSERT INTO t VALUES (2, now() - interval '90 s'), (3, now() - interval '95 s'), (4, now())")
    second, _ = _database(bench, blind, options, position)
    run("DROP OWNED BY blind")
    run("DROP ROLE blind")
    assert (first, second) == ([1], [3, 2, 4])


# --- Salesforce -----------------------------------------------------------------------------------------------------------

QUERY = {"object": "Account", "fields": ["Id", "Name"], "incremental": {"overlap": "60s"}}


def _add(org: Any, name: str) -> dict[str, Any]:
    row: dict[str, Any] = org.org.complete("Account", {"Id": "", "Name": name}, org.user.id)
    org.org.put("Account", row)
    return row


def test_a_change_stamped_in_the_same_second_and_shown_later_is_delivered(org: Any, crm: Any, bench: Bench) -> None:
    row = _add(org, "first")
    org.org.commit_late("Account", {**row, "Name": "second"}, 20)
    org.clock.advance(5)
    first, position = _reads(bench, crm, "salesforce", "query", QUERY)
    org.clock.advance(30)
    assert (first, _reads(bench, crm, "salesforce", "query", QUERY, position)[0]) == (["first"], ["second"])


def test_an_org_whose_clock_went_back_loses_nothing(org: Any, crm: Any, bench: Bench) -> None:
    _add(org, "before")
    org.clock.advance(10)
    _, position = _reads(bench, crm, "salesforce", "query", QUERY)
    org.clock.advance(-3600)
    _, position = _reads(bench, crm, "salesforce", "query", QUERY, position)
    _add(org, "while it was back")
    org.clock.advance(5)
    assert _reads(bench, crm, "salesforce", "query", QUERY, position)[0] == ["while it was back"]


def test_servers_of_one_org_a_few_seconds_apart_cause_no_repeats(org: Any, crm: Any, bench: Bench) -> None:
    for name in ("a", "b"):
        _add(org, name)
        org.clock.advance(30)
    org.clock.advance(25)
    first, position = _reads(bench, crm, "salesforce", "query", QUERY)
    org.clock.advance(-3)
    second, _ = _reads(bench, crm, "salesforce", "query", QUERY, position)
    assert (first, second) == (["a", "b"], [])


def test_a_field_that_the_org_no_longer_has_stops_the_run_by_name(org: Any, crm: Any, bench: Bench) -> None:
    _, position = _reads(bench, crm, "salesforce", "query", QUERY)
    org.org.remove_field("Account", "Industry")
    with pytest.raises(StopRun) as refused:
        _reads(bench, crm, "salesforce", "query", {**QUERY, "fields": ["Id", "Industry"]}, position)
    assert refused.value.code.name == "salesforce.field_unknown"


# --- :watermark -----------------------------------------------------------------------------------------------------------


def test_positions_say_where_the_next_window_begins_and_a_resume_keeps_its_own(
    org: Any, crm: Any, bench: Bench, watermark_of: Callable[[Any], Any]
) -> None:
    for name in ("a", "b", "c"):
        _add(org, name)
    org.clock.advance(10)
    reader = crm.reader(bench.operation("salesforce", "query", QUERY), bench.context())
    reads = bench.read_all(reader, rows_max=1)
    assert watermark_of(None) is None
    assert [watermark_of(read.position) for read in reads[:-1]] == [None] * 3
    assert watermark_of(reads[-1].position) == org.clock.now() - timedelta(seconds=60)


def test_an_incremental_profile_names_the_formulas_and_parents_that_may_change_unseen(
    org: Any, crm: Any, bench: Bench
) -> None:
    options = {**QUERY, "fields": ["Id", "Owner.Name"]}
    reader = bench.opened(crm.reader(bench.operation("salesforce", "query", options), bench.context()))
    assert reader.profile.metadata[b"dative.stale_fields"] == b"Owner.Name"
