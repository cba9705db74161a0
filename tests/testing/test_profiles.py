"""`dative-atom profile` against a real database file, and `dative-atom test` with what was recorded."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from dative_atom.testing.cases import run_path
from dative_atom.testing.profile import main

PROCESS = """
apiVersion: dative/v1
kind: Process
metadata: {name: sync}
spec:
  connections: {erp: database}
  source: {id: read, database.query: {connection: erp, sql: "SELECT id, name FROM account"}}
  steps:
    - id: write
      database.upsert: {connection: erp, table: customer, key: [id]}
"""
TEST = """
apiVersion: dative/v1
kind: ProcessTest
process: sync
fields: {id: integer, name: text}
cases:
  - {name: one, input: [{id: 1, name: a}], expect: {written: {write: [{id: 1, name: a}]}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "process.yaml").write_text(PROCESS)
    (tmp_path / "erp.yaml").write_text(f"settings: {{url: 'sqlite:///{tmp_path}/erp.db'}}\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "one.yaml").write_text(TEST)
    execute(tmp_path, "CREATE TABLE account (id INTEGER, name TEXT)")
    execute(tmp_path, "CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT)")
    return tmp_path


def execute(folder: Path, sql: str) -> None:
    with closing(sqlite3.connect(folder / "erp.db")) as database, database:
        database.execute(sql)


def profile(folder: Path, *more: str) -> int:
    return main([str(folder / "process.yaml"), f"--connection=erp={folder}/erp.yaml", *more])


def test_it_is_recorded_compared_and_a_test_refuses_what_no_longer_fits(folder: Path, capsys: Any) -> None:
    assert profile(folder, "--write") == 0
    assert profile(folder) == 0
    assert [(one.name, one.passed, one.message) for one in run_path(folder)] == [("one", True, "")]
    execute(folder, "ALTER TABLE customer ADD COLUMN tax TEXT NOT NULL DEFAULT 'x'")
    execute(folder, "DROP TABLE account")
    execute(folder, "CREATE TABLE account (id INTEGER, name TEXT)")
    assert profile(folder) == 3
    assert "  + tax: text" in capsys.readouterr().out
    execute(folder, "DROP TABLE customer")
    execute(folder, "CREATE TABLE customer (id INTEGER PRIMARY KEY, tax TEXT NOT NULL)")
    assert profile(folder, "--write", "--output", "json") == 0
    (steps,) = [json.loads(line)["steps"] for line in capsys.readouterr().out.splitlines()]
    assert [(one["step"], one["state"]) for one in steps] == [("read", "same"), ("write", "drifted")]
    verdicts = [one for one in run_path(folder) if not one.passed]
    assert [one.name for one in verdicts] == ["fits its profiles"]
    assert "target.required_missing" in str(verdicts[0].differences)


def test_a_connection_that_is_not_bound_is_said(folder: Path, capsys: Any) -> None:
    assert main([str(folder / "process.yaml")]) == 1
    assert "give --connection erp=FILE (testing.binding_invalid)" in capsys.readouterr().out
