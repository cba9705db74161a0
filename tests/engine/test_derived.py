"""Documents made of others: who must come to rest, and what became of the document they were made of."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from dative.errors import StopRun
from dative_atom.documents.batch import DOCUMENT, number_documents
from dative_atom.engine.books.accounting import Fates, balance
from dative_atom.engine.books.parking import parked_documents
from dative_atom.engine.evaluation.query import Failure
from dative_atom.engine.making.derived import FIRST, Lineage
from dative_atom.engine.routing import KEEP_DEFAULT_S, Flow, Parked, Written, errors_of
from dative_atom.telemetry.recorder import Recorder


def numbers(*values: int) -> pa.Array:
    return pa.array(values, pa.uint64())


def flow_of(rows: int) -> Flow:
    source = number_documents(pa.record_batch({"Id": [f"d{row}" for row in range(rows)]}), 0)
    return Flow(0, source, None, Recorder(), "queue")  # type: ignore[arg-type]  # nothing is evaluated here


def park(flow: Flow, *documents: int, code: str = "x.y") -> None:
    failures = [Failure(row, code, "for a reason", "f") for row in range(len(documents))]
    flow.parked.append(Parked("queue", KEEP_DEFAULT_S, errors_of("split", numbers(*documents), failures)))  # type: ignore[arg-type]


def told(fates: Fates) -> dict[int, str]:
    return dict(zip(fates.documents.to_pylist(), fates.outcome.to_pylist(), strict=True))


def test_the_parts_of_a_split_replace_it_and_a_copy_does_not() -> None:
    lineage = Lineage()
    parts = lineage.derive(numbers(0, 0, 1))
    assert parts.to_pylist() == [FIRST, FIRST + 1, FIRST + 2]
    lineage.derive(numbers(2), replaces=False)
    assert lineage.living(numbers(0, 1, 2)).to_pylist() == [2, FIRST, FIRST + 1, FIRST + 2, FIRST + 3]


def test_ancestry_goes_through_every_generation_and_names_each_ancestor_once() -> None:
    lineage = Lineage()
    parts = lineage.derive(numbers(0, 0, 1))
    whole = lineage.join(pa.array([0, 0, 0]), parts, 1)
    children, ancestors = lineage.ancestry(numbers(0, 1))
    pairs = sorted(zip(children.to_pylist(), ancestors.to_pylist(), strict=True))
    assert pairs == [(FIRST, 0), (FIRST + 1, 0), (FIRST + 2, 1), (whole[0].as_py(), 0), (whole[0].as_py(), 1)]


@pytest.mark.parametrize(
    ("rests", "outcome"),
    [
        (("returned", "filtered", "filtered"), "returned"),
        (("written", "returned", "filtered"), "written"),
        (("written", "written", "dead_lettered"), "dead_lettered"),
        (("filtered", "filtered", "filtered"), "filtered"),
    ],
)
def test_a_document_has_the_gravest_fate_of_its_parts(rests: tuple[str, ...], outcome: str) -> None:
    flow = flow_of(2)
    parts = flow.lineage.derive(numbers(0, 0, 0))
    for part, rest in zip(parts.to_pylist(), rests, strict=True):
        if rest == "dead_lettered":
            park(flow, part)
        else:
            getattr(flow, "filtered" if rest == "filtered" else "returned").append(("s", numbers(part)))
        if rest == "written":
            flow.written.append(Written("t", numbers(part), pa.array(["T"])))  # type: ignore[arg-type]
    fates = balance(flow, flow.source.slice(1, 1), "end")
    assert told(fates) == {0: outcome, 1: "returned"}
    assert (fates.counts.read, fates.counts.unexplained) == (2, 0)


def test_a_part_that_came_to_rest_nowhere_is_named() -> None:
    flow = flow_of(1)
    parts = flow.lineage.derive(numbers(0, 0))
    flow.filtered.append(("s", parts.slice(0, 1)))  # type: ignore[arg-type]
    with pytest.raises(StopRun, match="1 of 2 documents came to rest nowhere"):
        balance(flow, None, "end")


def test_a_document_written_before_it_was_split_was_written_whatever_its_parts_do() -> None:
    flow = flow_of(1)
    flow.written.append(Written("t", numbers(0), pa.array(["T0"])))  # type: ignore[arg-type]
    parts = flow.lineage.derive(numbers(0, 0))
    flow.filtered.append(("s", parts))  # type: ignore[arg-type]
    fates = balance(flow, None, "end")
    assert told(fates) == {0: "written"}
    assert fates.target.to_pylist() == ["T0"]


def test_parts_that_are_parked_wait_as_the_document_they_were_made_of_once() -> None:
    flow = flow_of(3)
    parts = flow.lineage.derive(numbers(0, 0, 1))
    whole = flow.lineage.join(pa.array([0, 0]), numbers(1, 2).cast(pa.uint64()), 1)
    park(flow, *parts.slice(0, 2).to_pylist(), code="first.one")
    park(flow, parts[2].as_py(), whole[0].as_py(), code="second.one")
    letters = parked_documents(flow, frozenset(), (), ())
    assert [(letter.document, letter.code, letter.payload["Id"]) for letter in letters] == [
        (0, "first.one", "d0"),
        (1, "second.one", "d1"),
        (2, "second.one", "d2"),
    ]


BRANCH = """
  steps:
    - id: guard
      try:
        - id: fan
          branch:
            - name: one
              steps: [{{id: one, database.upsert: {{connection: erp, table: a, key: [Id]}}}}]
            - name: two
              steps:
                - {{id: strict, map: {{fields: {{Id: Id, amount: number(Revenue)}}}}}}
                - {{id: two, database.upsert: {{connection: erp, table: b, key: [Id]}}}}
            - name: three
              steps:
                - {{id: some, decide: Id = 'A000001', then: [{{id: no, stop: {{}}}}]}}
                - {{id: three, database.upsert: {{connection: erp, table: c, key: [Id]}}}}
          {parallel}
        - {{id: last, database.upsert: {{connection: erp, table: d, key: [Id]}}}}
      catch:
        - {{id: say, map: {{fields: {{Id: Id, Revenue: Revenue, why: _error_code, at: _error_step}}}}}}
        - {{id: caught, database.upsert: {{connection: erp, table: e, key: [Id]}}}}
"""


@pytest.mark.parametrize("parallel", ["", "parallel: true"])
@pytest.mark.parametrize("transactional", [True, False])
@pytest.mark.parametrize("batch_rows", [1, 100])
def test_a_document_takes_every_arm_and_one_that_fails_in_an_arm_is_caught_whole(
    engine: Any, accounts: Any, parallel: str, transactional: bool, batch_rows: int
) -> None:
    rows = accounts(4)
    revenue = ["1.50", "2.50", "many", "4.50"]
    engine.system.rows = rows.set_column(rows.schema.get_field_index("Revenue"), "Revenue", pa.array(revenue))
    engine.batch_rows = batch_rows
    targets = {
        step: engine.target(step, key=("Id",), transactional=transactional)
        for step in ("one", "two", "three", "last", "caught")
    }
    execution = engine.run(BRANCH.format(parallel=parallel))
    assert execution.failure is None, execution.failure
    held = {step: sorted(key[0][-1] for key in target.rows) for step, target in targets.items()}
    # Three arms at once do not wait for one another; one after the other, what failed in the second takes no third.
    third = ["0", "2", "3"] if parallel else ["0", "3"]
    assert held == {
        "one": ["0", "1", "2", "3"],
        "two": ["0", "1", "3"],
        "three": third,
        "last": ["0", "1", "3"],
        "caught": ["2"],
    }
    caught = targets["caught"].rows["A000002",]
    assert (caught["Revenue"], caught["why"], caught["at"]) == ("many", "expression.number_unreadable", "strict")
    assert (execution.counts.read, execution.counts.written, execution.counts.unexplained) == (4, 4, 0)


def test_what_an_arm_could_not_do_is_parked_as_the_source_gave_it(engine: Any, accounts: Any) -> None:
    rows = accounts(2)
    engine.system.rows = rows.set_column(rows.schema.get_field_index("Revenue"), "Revenue", pa.array(["1", "many"]))
    body = """
  steps:
    - id: fan
      branch:
        - name: two
          steps:
            - {id: strict, map: {fields: {Id: Id, amount: number(Revenue)}}}
            - {id: two, database.upsert: {connection: erp, table: b, key: [Id]}}
"""
    execution = engine.run(body)
    assert (execution.counts.written, execution.counts.dead_lettered) == (1, 1)
    (letter,) = engine.journal.dead_letters()
    assert letter.parked.payload["Revenue"] == "many"
    assert letter.parked.document == 1
    assert DOCUMENT not in letter.parked.payload
