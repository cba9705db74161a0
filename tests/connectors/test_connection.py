"""The wrapper around every connector, the retry of reads, the catalog: written once, tested once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pyarrow as pa
import pytest
from dative.errors.base import ConfigError, StopRun
from dative.errors.connector import Cancelled, RateLimited, Unavailable
from dative_atom.connectors import catalog
from dative_atom.connectors.base import ConnectionConfig, Outcomes, Read
from dative_atom.connectors.connection import Guard, GuardedReader, GuardedWriter, open_connection
from dative_atom.connectors.registry import CONNECTORS, connector_class, connector_spec
from dative_atom.connectors.retry import Backoff, call_again, retry_after_s

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PROFILE = pa.schema([pa.field("x", pa.int64())])


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        (str(int(NOW.timestamp()) + 45), 45.0),
        ("soon", None),
        ("-1", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_its_three_forms(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW) == seconds


def test_a_call_is_tried_again_no_longer_and_no_more_often_than_it_may_be() -> None:
    waits: list[float] = []
    calls: list[int] = []

    def fails() -> None:
        calls.append(1)
        raise Unavailable("no")

    with pytest.raises(Unavailable):
        call_again(fails, threading.Event(), Backoff(5, 1.0, 2.0, 3.0), wait=lambda s: bool(waits.append(s)))
    assert len(calls) == 5
    assert [wait <= bound for wait, bound in zip(waits, [1, 2, 3, 3], strict=True)] == [True] * 4


def test_a_pause_that_a_system_asks_for_is_kept_and_a_long_one_is_left_to_the_engine() -> None:
    waits: list[float] = []

    def limited(seconds: float) -> Any:
        def fails() -> None:
            raise RateLimited("slow down", retry_after_s=seconds)

        return fails

    with pytest.raises(RateLimited):
        call_again(limited(9), threading.Event(), Backoff(2), wait=lambda s: bool(waits.append(s)))
    assert waits == [9]
    with pytest.raises(RateLimited):
        call_again(limited(3600), threading.Event(), Backoff(5), wait=lambda s: bool(waits.append(s)))
    assert waits == [9]


def test_nothing_is_called_after_the_execution_was_cancelled() -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        call_again(lambda: pytest.fail("called"), cancelled, Backoff())


class BrokenReader:
    """Breaks the rule that it is told to."""

    profile = PROFILE

    def __init__(self, read: Any) -> None:
        self._read = read

    def read(self, after: Any, rows_max: int) -> Iterator[Read]:
        yield self._read()

    def acknowledge(self, position: Any) -> None: ...

    def close(self) -> None:
        raise RuntimeError("closing fails too")


def _batch(rows: int = 1, name: str = "x") -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(range(rows), pa.int64())], [name])


def _guard(secret: str = "correct horse") -> Guard:
    return Guard(ConnectionConfig("crm", "x", {}, {"password": secret}))


def _raise(error: Exception) -> Any:
    raise error


BROKEN = [
    ("another column", lambda: Read(_batch(name="y"), {}), "connector.contract_broken"),
    ("too many rows", lambda: Read(_batch(11), {}), "connector.contract_broken"),
    ("a huge position", lambda: Read(_batch(), {"x": "y" * 5000}), "connector.contract_broken"),
    ("a foreign error", lambda: _raise(ValueError("correct horse: Jane Doe")), "connector.unexpected"),
    ("a secret in a message", lambda: _raise(StopRun("login with correct horse failed")), "internal.unexpected"),
    ("a secret, encoded", lambda: _raise(StopRun("?p=correct%20horse&b=Y29ycmVjdCBob3JzZQ==")), "internal.unexpected"),
]


@pytest.mark.parametrize(("name", "read", "code"), BROKEN, ids=[case[0] for case in BROKEN])
def test_a_reader_that_breaks_a_rule_stops_the_run_and_shows_no_secret(
    name: str, read: Any, code: str, bench: Any
) -> None:
    reader = GuardedReader(BrokenReader(read), _guard(), bench.context())
    with pytest.raises(StopRun) as stopped:
        list(reader.read(None, 10))
    reader.close()
    assert stopped.value.code.name == code
    assert not any(text in str(stopped.value) for text in ("horse", "Jane", "Y29y"))


def test_outcomes_that_do_not_line_up_stop_the_run_and_undo_the_batch() -> None:
    undone: list[bool] = []

    class Writer:
        def write(self, documents: Any, ticket: Any) -> Outcomes:
            return Outcomes(_batch(2))

        def rollback(self) -> None:
            undone.append(True)

    with pytest.raises(StopRun) as stopped:
        GuardedWriter(Writer(), _guard(), PROFILE).write(_batch(3), None)  # type: ignore[arg-type]
    assert stopped.value.code.name == "connector.contract_broken"
    assert undone == [True]


OPENING: list[tuple[str, dict[str, str], dict[str, str], str]] = [
    ("salesforc", {}, {}, "salesforce"),
    ("salesforce", {"client_id": "c"}, {"private_key": "k"}, "username"),
    ("salesforce", {"client_id": "c", "username": "u"}, {}, "private_key"),
    ("salesforce", {"client_id": "c", "username": "u", "timeout": "soon"}, {"private_key": "k"}, "timeout"),
    ("disk", {"root": "relative"}, {}, "root"),
    ("database", {"url": "sqlite:////x", "extra": "1"}, {}, "extra"),
]


@pytest.mark.parametrize(("connector", "settings", "secrets", "says"), OPENING, ids=[f"{c[0]} {c[3]}" for c in OPENING])
def test_settings_are_checked_whole_before_anything_is_opened(
    connector: str, settings: Any, secrets: Any, says: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        open_connection(ConnectionConfig("crm", connector, settings, secrets))
    assert says in refused.value.message


def test_a_connection_shows_no_secret_when_it_is_printed() -> None:
    assert "hush" not in repr(ConnectionConfig("crm", "salesforce", {}, {"private_key": "hush hush"}))


def test_an_operation_of_the_wrong_kind_is_refused(bench: Any, sqlite: Any) -> None:
    erp = bench.connect("database", {"url": sqlite[0]})
    with pytest.raises(ConfigError) as refused:
        erp.reader(bench.operation("database", "upsert", {}), bench.context())
    assert "query" in refused.value.message


# --- the catalog ----------------------------------------------------------------------------------------------------------


def test_the_committed_catalog_is_what_the_specs_say() -> None:
    assert catalog.CATALOG.read_text() == catalog.rendered(), "run python -m dative_atom.connectors.catalog --write"


@pytest.mark.parametrize("name", CONNECTORS)
def test_every_setting_and_option_is_described_and_every_class_is_there(name: str) -> None:
    assert connector_class(name).__name__ == CONNECTORS[name]
    spec = connector_spec(name)
    assert spec.doc
    for model in [spec.settings, *(operation.options for operation in spec.operations.values())]:
        assert model.__doc__
        assert all(item.description for item in model.model_fields.values()), model


OPTIONS = [
    (
        "salesforce",
        "query",
        {"object": "Account", "fields": ["Id"], "incremental": {"field": "SystemModstamp", "overlap": "5m"}},
        True,
    ),
    ("salesforce", "query", {"object": "Account", "fields": ["Id"], "deletes": "include"}, False),
    ("salesforce", "query", {"object": "Account; DROP", "fields": ["Id"]}, False),
    ("salesforce", "query", {"object": "Account", "fields": []}, False),
    ("database", "upsert", {"table": "customer", "key": ["source_id"]}, True),
    ("database", "upsert", {"table": "customer"}, False),
    (
        "database",
        "query",
        {"table": "t", "incremental": {"field": "changed", "key": ["id"], "overlap": "1 hour"}},
        False,
    ),
    ("disk", "read", {"path": "*.csv", "format": "csv", "columns": {"id": "text", "n": "decimal(9,2)"}}, True),
    ("disk", "write", {"path": "x.csv", "format": "xml"}, False),
]


@pytest.mark.parametrize(("connector", "operation", "options", "fits"), OPTIONS)
def test_the_catalogs_schema_takes_what_the_connector_takes(
    connector: str, operation: str, options: Any, fits: bool
) -> None:
    there = json.loads(catalog.CATALOG.read_text())["connectors"][connector]["operations"][operation]
    assert jsonschema.Draft202012Validator(there["options"]).is_valid(options) is fits
