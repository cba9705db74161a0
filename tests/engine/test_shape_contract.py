"""What every shape promises, held against a sample process of each: `samples/<verb>.yaml`.

A sample has rows, the body of a process that leads them through the shape, and the counts at the end. `gathers: true`
says that the shape works on the documents that are together in a batch, so that other batches are another input.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Any

import pyarrow as pa
import pytest
from dative.process.reference import REFERENCE_FILE
from dative.process.shapes import VERBS
from dative_atom.journal.contract import Counts
from ruamel.yaml import YAML

SAMPLES = Path(__file__).parent / "samples"
VERB = pytest.mark.parametrize("verb", VERBS)


@dataclass(frozen=True)
class Sample:
    """One sample: see the module."""

    rows: pa.Table
    body: str
    counts: dict[str, int]
    gathers: bool
    tables: dict[str, str]
    called: dict[str, str]


def sample(verb: str) -> Sample:
    data: dict[str, Any] = YAML(typ="safe").load(SAMPLES / f"{verb}.yaml")
    names = list(dict.fromkeys(name for row in data["rows"] for name in row))
    columns = {name: pa.array([row.get(name) for row in data["rows"]]) for name in names}
    body = indent(data["body"], "  ")
    called = {name: indent(text, "  ") for name, text in data.get("called", {}).items()}
    gathers, tables = data.get("gathers", False), data.get("tables", {})
    return Sample(pa.table(columns), body, data["counts"], gathers, tables, called)


def run(engine: Any, given: Sample, rows: pa.Table, batch_rows: int) -> tuple[Counts, dict[str, Any]]:
    """The counts, and what every target holds in the end."""
    engine.afresh()
    engine.tables, engine.system.rows, engine.batch_rows = given.tables, rows, batch_rows
    engine.called = given.called
    execution = engine.run(given.body)
    assert execution.failure is None, execution.failure
    return execution.counts, {step: target.rows for step, target in engine.system.targets.items()}


@VERB
def test_every_document_comes_to_rest_once_and_where_the_sample_says(engine: Any, verb: str) -> None:
    given = sample(verb)
    counts, _ = run(engine, given, given.rows, 100)
    assert {name: getattr(counts, name) for name in given.counts} == given.counts
    assert counts.unexplained == 0


@VERB
def test_one_batch_of_many_and_many_batches_of_one_end_the_same(engine: Any, verb: str) -> None:
    given = sample(verb)
    if given.gathers:
        return
    together, one_by_one = run(engine, given, given.rows, 100), run(engine, given, given.rows, 1)
    assert together[1] == one_by_one[1]
    assert {**together[0].__dict__, "batches": 0} == {**one_by_one[0].__dict__, "batches": 0}


@VERB
def test_no_documents_are_no_trouble(engine: Any, verb: str) -> None:
    given = sample(verb)
    counts, targets = run(engine, given, given.rows.slice(0, 0), 100)
    assert (counts.read, counts.written, counts.dead_lettered) == (0, 0, 0)
    assert all(not rows for rows in targets.values())


@VERB
def test_documents_without_any_value_come_to_rest_too(engine: Any, verb: str) -> None:
    given = sample(verb)
    empty = pa.table({field.name: pa.nulls(3, field.type) for field in given.rows.schema})
    counts, _ = run(engine, given, empty, 100)
    assert (counts.read, counts.unexplained) == (3, 0)


@VERB
def test_numbers_rise_in_what_flows_out_of_every_step(engine: Any, verb: str) -> None:
    given = sample(verb)
    run(engine, given, given.rows, 100)
    assert engine.seen, "no step let anything flow on"
    for step, numbers in engine.seen:
        assert numbers == sorted(set(numbers)), step


@VERB
def test_the_reference_page_tells_of_it(verb: str) -> None:
    page = REFERENCE_FILE.read_text()
    assert f"\n### {verb}\n" in page
