"""A process in a folder with a test file beside it, played as `dative-atom test` does."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from dative_atom.testing.cases import Verdict, run_path

PROCESS = """\
apiVersion: dative/v1
kind: Process
metadata: {name: sync}
spec:
  connections: {crm: salesforce, erp: database}
  tables: {link: {kind: xref, columns: [crm, erp]}}
  source: {id: read, salesforce.query: {connection: crm, object: Account, fields: [Id, Name, Since, Active, Phone]}}
  classify: {phi: [Phone]}
  steps:
    - {id: only-active, decide: "coalesce(Active, 'yes') <> 'no'", else: [{id: leave, stop: {}}]}
    - id: deliver
      try:
        - id: shape
          map: {fields: {id: Id, name: upper(Name), since: "date(Since, '%m/%d/%Y')"}}
        - id: upsert
          database.upsert: {connection: erp, table: customer, key: [id]}
          retry: {on: [timeout, rate_limited, unavailable], max_attempts: 4, backoff: {first: 2s, factor: 2, max: 5m}}
          link: {xref: link, crm: id, erp: result.id}
      catch: [{id: park, dead_letter: {queue: sync}}]
"""
HEAD = "apiVersion: dative/v1\nkind: ProcessTest\ncases:\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the process."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "process.yaml").write_text(PROCESS)
    return tmp_path


@pytest.fixture
def write(folder: Path) -> Callable[[str], Path]:
    """Writes the cases of the test file."""

    def cases(text: str) -> Path:
        path = folder / "tests" / "sync.yaml"
        path.write_text(HEAD + textwrap.indent(textwrap.dedent(text), "  "))
        return path

    return cases


@pytest.fixture
def play(folder: Path, write: Callable[[str], Path]) -> Callable[[str], list[Verdict]]:
    """Writes the cases and plays them."""

    def run(text: str) -> list[Verdict]:
        write(text)
        return list(run_path(folder))

    return run
