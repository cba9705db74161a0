"""A process that others call is tested by itself, with the types that it declares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dative_atom.testing.cases import Verdict

PROCESS = """\
apiVersion: dative/v1
kind: Process
metadata: {name: sync}
spec:
  connections: {erp: database}
  source: {id: in, documents: {fields: {Id: text, Day: date, Amount: "decimal(9,2)"}}}
  steps:
    - {id: shape, map: {fields: {id: Id, due: "Day + 1", amount: Amount * 2}}}
    - {id: upsert, database.upsert: {connection: erp, table: customer, key: [id]}}
"""


def test_a_called_process_is_tested_with_documents_of_its_declared_types(
    folder: Path, play: Callable[[str], list[Verdict]]
) -> None:
    (folder / "process.yaml").write_text(PROCESS)
    (verdict,) = play(
        """\
        - name: it adds a day
          input: [{Id: a, Day: 2024-02-28, Amount: "1.25"}]
          expect: {written: {upsert: [{id: a, due: 2024-02-29, amount: "2.50"}]}}
        """
    )
    assert verdict.passed, verdict.message


MAIN = """\
apiVersion: dative/v1
kind: Process
metadata: {name: main}
spec:
  source: {id: read, nothing: {}}
  steps:
    - {id: make, map: {fields: {Id: "'a'", Day: "DATE '2024-02-28'", Amount: "1.25"}}}
    - {id: call, process_call: {process: sync}}
"""


def test_a_process_is_tested_with_what_it_calls(folder: Path, play: Callable[[str], list[Verdict]]) -> None:
    (folder / "called").mkdir()
    (folder / "called" / "sync.yaml").write_text(PROCESS)
    (folder / "process.yaml").write_text(MAIN)
    verdicts = play(
        """\
        - name: it writes through the called process, wherever it is killed
          input: [{}]
          kill: every-boundary
          expect: {written: {call.upsert: [{id: a, due: 2024-02-29}]}, steps: {call.shape: {count: 1}}}
        """
    )
    assert [verdict.message for verdict in verdicts if verdict.process == "main"] == [""]
