"""Harnesses: how the one contract suite meets each connector. A new connector adds one class and one line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from dative_atom.connectors.base import Connector, Reader, RunContext, Writer

ROWS = 25
CHANGED = 1_700_000_000
"""When the first file of a source was changed, in seconds since 1970."""
DOCUMENTS = pa.schema(
    [pa.field("id", pa.string()), pa.field("amount", pa.decimal128(12, 2)), pa.field("name", pa.string())]
)
NAMELESS: dict[str, Any] = {"id": "bad", "amount": None, "name": None}
"""A document that a table with names refuses."""


class SourceHarness:
    """A source that holds documents numbered 0..rows-1, shown as a column `name` of "row <number>".

    full: every execution reads everything, which is what such a read is for.
    """

    def __init__(
        self, connector: Connector, reader: Callable[[RunContext], Reader], column: str, *, full: bool = False
    ) -> None:
        self.connector, self.reader, self.column, self.full = connector, reader, column, full

    def names(self, reads: list[Any]) -> list[str]:
        return [name for read in reads for name in read.batch.column(self.column).to_pylist()]


class TargetHarness:
    """A target of DOCUMENTS. written: what an outsider sees there, names sorted.

    refuses: it rejects NAMELESS; a file takes every document. probes: it can look up what became of a document.
    """

    def __init__(
        self,
        connector: Connector,
        writer: Callable[[RunContext], Writer],
        written: Callable[[], list[str]],
        *,
        refuses: bool,
        probes: bool,
    ) -> None:
        self.connector, self.writer, self.written = connector, writer, written
        self.refuses, self.probes = refuses, probes


def _salesforce_source(request: pytest.FixtureRequest, rows: int) -> SourceHarness:
    org, bench = request.getfixturevalue("org"), request.getfixturevalue("bench")
    for number in range(rows):
        org.clock.advance(number % 2)  # ties on SystemModstamp
        org.org.put("Account", org.org.complete("Account", {"Id": "", "Name": f"row {number:03d}"}, org.user.id))
    org.clock.advance(10)
    org.org.options.page_rows_max = 4
    crm = request.getfixturevalue("crm")
    options = {"object": "Account", "fields": ["Id", "Name"], "incremental": {"overlap": "0s"}}
    return SourceHarness(
        crm, lambda context: crm.reader(bench.operation("salesforce", "query", options), context), "Name"
    )


def _salesforce_full(request: pytest.FixtureRequest, rows: int) -> SourceHarness:
    harness, bench = _salesforce_source(request, rows), request.getfixturevalue("bench")
    operation = bench.operation("salesforce", "query", {"object": "Account", "fields": ["Name"]})
    return SourceHarness(
        harness.connector, lambda context: harness.connector.reader(operation, context), "Name", full=True
    )


def _database_source(fixture: str, more: dict[str, Any]) -> Callable[[pytest.FixtureRequest, int], SourceHarness]:
    def make(request: pytest.FixtureRequest, rows: int) -> SourceHarness:
        (address, run), bench = request.getfixturevalue(fixture), request.getfixturevalue("bench")
        run("CREATE TABLE source (id integer PRIMARY KEY, name text, changed integer NOT NULL)")
        for number in range(rows):
            run(f"INSERT INTO source VALUES ({number}, 'row {number:03d}', {number // 3})")
        erp = bench.connect("database", {"url": address})
        operation = bench.operation("database", "query", {"table": "source", **more})
        full = "incremental" not in more
        return SourceHarness(erp, lambda context: erp.reader(operation, context), "name", full=full)

    return make


def _disk_source(form: str) -> Callable[[pytest.FixtureRequest, int], SourceHarness]:
    def make(request: pytest.FixtureRequest, rows: int) -> SourceHarness:
        folder: Path = request.getfixturevalue("tmp_path")
        bench = request.getfixturevalue("bench")
        names = [f"row {number:03d}" for number in range(rows)]
        lines = [f'"{name}",x\n' for name in names] if form == "csv" else [f'{{"name": "{name}"}}\n' for name in names]
        for part, start in enumerate(range(0, rows, 10)):
            head = "name,other\n" if form == "csv" else ""
            file = folder / f"part-{part}.{form}"
            file.write_text(head + "".join(lines[start : start + 10]))
            # Files are read in the order of their change, and these were written in no time.
            os.utime(file, (CHANGED + part, CHANGED + part))
        connector = bench.connect("disk", {"root": str(folder)})
        options = {"path": "part-*", "format": form, "columns": {"name": "text"}, "stable_for": "0s"}
        operation = bench.operation("disk", "read", options)
        return SourceHarness(connector, lambda context: connector.reader(operation, context), "name")

    return make


INCREMENTAL = {"incremental": {"field": "changed", "key": ["id"]}}
SOURCES: dict[str, Callable[[pytest.FixtureRequest, int], SourceHarness]] = {
    "salesforce": _salesforce_source,
    "salesforce full": _salesforce_full,
    "postgres incremental": _database_source("postgres", INCREMENTAL),
    "postgres full by key": _database_source("postgres", {"key": ["id"]}),
    "postgres full": _database_source("postgres", {}),
    "sqlite incremental": _database_source("sqlite", INCREMENTAL),
    "sqlite full by key": _database_source("sqlite", {"key": ["id"]}),
    "disk csv": _disk_source("csv"),
    "disk jsonl": _disk_source("jsonl"),
}


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest) -> Callable[..., SourceHarness]:
    return lambda rows=ROWS: SOURCES[request.param](request, rows)


def _database_target(fixture: str, operation: str) -> Callable[[pytest.FixtureRequest], TargetHarness]:
    def make(request: pytest.FixtureRequest) -> TargetHarness:
        (address, run), bench = request.getfixturevalue(fixture), request.getfixturevalue("bench")
        run("CREATE TABLE target (id varchar(20) PRIMARY KEY, amount numeric(12, 2), name text NOT NULL)")
        erp = bench.connect("database", {"url": address})
        options = {"table": "target"} | ({"key": ["id"]} if operation == "upsert" else {})
        made = bench.operation("database", operation, options)
        return TargetHarness(
            erp,
            lambda context: erp.writer(made, context, DOCUMENTS),
            lambda: [row[0] for row in run("SELECT name FROM target ORDER BY name")],
            refuses=True,
            probes=True,
        )

    return make


_ONE = "INSERT INTO target (id, amount, name) VALUES (:id, :amount, :name)"
_ALL = "INSERT INTO target (id, amount, name) SELECT d.id, d.amount, d.name FROM :documents AS d"


def _statement_target(fixture: str, sql: str, per: str) -> Callable[[pytest.FixtureRequest], TargetHarness]:
    def make(request: pytest.FixtureRequest) -> TargetHarness:
        harness = _database_target(fixture, "insert")(request)
        bench = request.getfixturevalue("bench")
        made = bench.operation("database", "execute", {"sql": sql, "per": per})
        # What a builder's statement did to which row, nobody but its builder knows.
        harness.probes = False
        harness.writer = lambda context: harness.connector.writer(made, context, DOCUMENTS)
        return harness

    return make


def _disk_target(form: str) -> Callable[[pytest.FixtureRequest], TargetHarness]:
    def make(request: pytest.FixtureRequest) -> TargetHarness:
        folder: Path = request.getfixturevalue("tmp_path")
        bench = request.getfixturevalue("bench")
        connector = bench.connect("disk", {"root": str(folder)})
        made = bench.operation("disk", "write", {"path": f"out/{{execution}}-{{batch}}.{form}", "format": form})

        def written() -> list[str]:
            texts = [path.read_text() for path in sorted(folder.glob("out/*"))]
            return sorted(word for text in texts for word in text.replace('"', " ").split() if word.startswith("name-"))

        # Files are found by their name, not by a document's key.
        return TargetHarness(
            connector,
            lambda context: connector.writer(made, context, DOCUMENTS),
            written,
            refuses=False,
            probes=False,
        )

    return make


TARGETS: dict[str, Callable[[pytest.FixtureRequest], TargetHarness]] = {
    "postgres upsert": _database_target("postgres", "upsert"),
    "postgres insert": _database_target("postgres", "insert"),
    "sqlite upsert": _database_target("sqlite", "upsert"),
    "sqlite insert": _database_target("sqlite", "insert"),
    "postgres statement": _statement_target("postgres", _ONE, "document"),
    "postgres statement of a batch": _statement_target("postgres", _ALL, "batch"),
    "sqlite statement": _statement_target("sqlite", _ONE, "document"),
    "sqlite statement of a batch": _statement_target("sqlite", _ALL, "batch"),
    "disk csv": _disk_target("csv"),
    "disk jsonl": _disk_target("jsonl"),
}


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> TargetHarness:
    return TARGETS[request.param](request)


@pytest.fixture
def documents() -> Callable[..., pa.RecordBatch]:
    """Documents named name-0…; `bad` puts NAMELESS in their middle."""

    def make(count: int, first: int = 0, *, bad: bool = False) -> pa.RecordBatch:
        rows: list[dict[str, Any]] = [
            {"id": f"k{number}", "amount": None, "name": f"name-{number}"} for number in range(first, first + count)
        ]
        if bad:
            rows.insert(count // 2, NAMELESS)
        return pa.RecordBatch.from_pylist(rows, schema=DOCUMENTS)

    return make
