"""What every target promises, each through its harness."""

from __future__ import annotations

from typing import Any

import pytest
from dative.errors.base import StopRun
from dative_atom.connectors.base import Prober


def _names(count: int, first: int = 0) -> list[str]:
    return sorted(f"name-{number}" for number in range(first, first + count))


def test_outcomes_line_up_with_documents_and_nothing_shows_before_commit(
    target: Any, bench: Any, documents: Any
) -> None:
    writer = bench.opened(target.writer(bench.context()))
    outcomes = writer.write(documents(5), bench.ticket(0))
    assert outcomes.results.column("outcome").to_pylist() == ["applied"] * 5
    assert outcomes.results.schema.names[:3] == ["outcome", "code", "reason"]
    assert outcomes.results.schema.names[3:] == writer.result_fields.names
    assert target.written() == []
    writer.commit(bench.ticket(0))
    assert target.written() == _names(5)


def test_a_bad_document_is_rejected_with_its_code_and_its_neighbours_are_written(
    target: Any, bench: Any, documents: Any
) -> None:
    writer = bench.opened(target.writer(bench.context()))
    results = writer.write(documents(9, bad=True), bench.ticket(0)).results
    outcome, code = ("rejected", "database.null_value") if target.refuses else ("applied", None)
    assert results.column("outcome").to_pylist() == ["applied"] * 4 + [outcome] + ["applied"] * 5
    assert results.column("code").to_pylist()[4] == code
    assert ("name" in (results.column("reason").to_pylist()[4] or "")) == target.refuses
    writer.commit(bench.ticket(0))
    assert target.written() == _names(9)


def test_a_rolled_back_batch_leaves_nothing_and_the_next_one_goes_on(target: Any, bench: Any, documents: Any) -> None:
    writer = bench.opened(target.writer(bench.context()))
    writer.write(documents(3), bench.ticket(0))
    writer.rollback()
    writer.rollback()
    assert target.written() == []
    assert writer.committed("env/p/step") is None
    writer.write(documents(3, first=10), bench.ticket(1))
    writer.commit(bench.ticket(1))
    assert target.written() == _names(3, first=10)


def test_the_mark_says_what_was_committed_last_to_anyone_who_asks(target: Any, bench: Any, documents: Any) -> None:
    writer = bench.opened(target.writer(bench.context()))
    for batch in range(3):
        writer.write(documents(2, first=2 * batch), bench.ticket(batch, token=7))
        writer.commit(bench.ticket(batch, token=7))
    mark = bench.opened(target.writer(bench.context("other"))).committed("env/p/step")
    assert (mark.execution_id, mark.batch, mark.fencing_token) == ("01EXECUTION", 2, 7)
    assert writer.committed("env/p/another") is None


@pytest.mark.parametrize(
    ("execution", "batch", "token", "code"),
    [
        ("01EXECUTION", 1, 5, "connector.batch_repeated"),
        ("01EXECUTION", 0, 5, "connector.batch_repeated"),
        ("02EXECUTION", 0, 4, "connector.fenced"),
        ("01EXECUTION", 2, 4, "connector.fenced"),
    ],
)
def test_a_batch_that_is_marked_or_a_stale_owner_changes_nothing(
    target: Any, bench: Any, documents: Any, execution: str, batch: int, token: int, code: str
) -> None:
    writer = bench.opened(target.writer(bench.context()))
    writer.write(documents(2), bench.ticket(1, token=5))
    writer.commit(bench.ticket(1, token=5))
    stale = bench.opened(target.writer(bench.context(execution)))
    ticket = bench.ticket(batch, execution, token)
    stale.write(documents(2, first=50), ticket)
    with pytest.raises(StopRun) as refused:
        stale.commit(ticket)
    assert refused.value.code.name == code
    assert target.written() == _names(2)


def test_a_batch_of_no_documents_moves_the_mark_only(target: Any, bench: Any, documents: Any) -> None:
    writer = bench.opened(target.writer(bench.context()))
    assert writer.write(documents(0), bench.ticket(0)).results.num_rows == 0
    writer.commit(bench.ticket(0))
    assert writer.committed("env/p/step").batch == 0


def test_a_writer_that_is_closed_in_the_middle_leaves_nothing(target: Any, bench: Any, documents: Any) -> None:
    writer = target.writer(bench.context())
    writer.write(documents(4), bench.ticket(0))
    writer.close()
    writer.close()
    assert target.written() == []


def test_a_probe_finds_what_is_there_by_its_key_and_writes_nothing(target: Any, bench: Any, documents: Any) -> None:
    writer = bench.opened(target.writer(bench.context()))
    assert isinstance(writer, Prober) == target.probes
    if not target.probes:
        return
    writer.write(documents(3), bench.ticket(0))
    writer.commit(bench.ticket(0))
    asked = documents(3, first=1)
    found = writer.probe(asked, [asked.schema.names[0]])
    assert found.column("found").to_pylist() == [True, True, False]
    assert target.written() == _names(3)
