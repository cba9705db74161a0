"""A document that comes to rest nowhere, or twice, ends the execution with its number."""

from __future__ import annotations

import pyarrow as pa
import pytest
from dative.errors import StopRun
from dative.ids import StepId
from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.books.accounting import balance, prove_execution
from dative_atom.engine.routing import Flow, Written
from dative_atom.journal.contract import Counts
from dative_atom.telemetry.recorder import Recorder


def documents(*numbers: int) -> pa.Array:
    return pa.array(numbers, pa.uint64())


def flow(read: pa.Array) -> Flow:
    return Flow(3, pa.record_batch({DOCUMENT: read}), None, Recorder(), "q")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("filtered", "out", "said"),
    [
        ((), (7, 9), "1 of 3 documents came to rest nowhere (8)"),
        ((7,), (7, 8, 9), "1 more than once (7)"),
        ((), (7, 8, 99), "1 of 3 documents came to rest nowhere (9)"),
    ],
)
def test_what_does_not_add_up_is_named(filtered: tuple[int, ...], out: tuple[int, ...], said: str) -> None:
    lossy = flow(documents(7, 8, 9))
    lossy.filtered.append((StepId("halt"), documents(*filtered)))
    with pytest.raises(StopRun) as stopped:
        balance(lossy, pa.record_batch({DOCUMENT: documents(*out)}), "last")
    assert stopped.value.code.name == "engine.unaccounted"
    assert said in stopped.value.message


def test_written_counts_once_at_its_last_target_and_a_stop_after_it_changes_nothing() -> None:
    through = flow(documents(0, 1, 2, 3))
    for step, numbers in (("a", (0, 1)), ("b", (1, 2))):
        ids = pa.array([f"{step}{number}" for number in numbers])
        through.written.append(Written(StepId(step), documents(*numbers), ids))
    through.filtered.append((StepId("halt"), documents(2)))
    fates = balance(through, pa.record_batch({DOCUMENT: documents(0, 1, 3)}), "last")
    assert fates.outcome.to_pylist() == ["written", "written", "written", "returned"]
    assert fates.step.to_pylist() == ["a", "b", "b", "last"]
    assert fates.target.to_pylist() == ["a0", "b1", "b2", None]
    assert (fates.counts.written, fates.counts.filtered, fates.counts.returned) == (3, 0, 1)


def test_an_execution_that_does_not_add_up_is_stopped() -> None:
    with pytest.raises(StopRun, match="1 of them are neither"):
        prove_execution(Counts(read=5, written=4))
