"""Parked documents, and what a test asks of their journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from dative.errors import DativeError
from dative.ids import DeadLetterId, ExecutionId, StepId
from dative.letters import taken_apart
from dative.v1 import telemetry_pb2
from dative_atom.journal.contract import Counts, Execution, Settlement
from dative_atom.journal.letters import ParkedDocument, Profile

from tests.journal.places import AnyJournal

DAY_S = 86_400.0
TYPES = {"Id": "string", "amount": "decimal128(10, 2)", "count": "int32", "on": "date32[day]", "Phone": "string"}
PAYLOAD = {"Id": "001", "amount": "1.50", "count": 7, "on": "2026-01-31", "Phone": "canary-555-0100"}


def parked(document: int, **changes: Any) -> ParkedDocument:
    base = ParkedDocument(
        document=document,
        queue="sync",
        step=StepId("upsert"),
        code="expression.cast_failed",
        reason="on: no date in this text",
        field="on",
        payload=PAYLOAD,
        classified=["Phone"],
        keys={"Id": "001"},
        keep_s=30 * DAY_S,
    )
    return replace(base, **changes)


def settle(
    journal: AnyJournal, execution: Execution, letters: Iterable[ParkedDocument], types: Any = TYPES, batch: int = 0
) -> list[DeadLetterId]:
    """Park these; returns the ids of everything that waits."""
    parked_ones = list(letters)
    journal.settle(
        Settlement(
            execution_id=execution.execution_id,
            stream=execution.stream,
            batch=batch,
            position=None,
            documents_end=10_000,
            counts=Counts(read=len(parked_ones), dead_lettered=len(parked_ones)),
            dead_letters=parked_ones,
            profile=Profile(types, b"arrow") if types else None,
        )
    )
    return [letter.dead_letter_id for letter in journal.dead_letters(limit=10_000)]


def reported(journal: AnyJournal, kind: str) -> list[Any]:
    """Everything reported of one kind; letters that were parked together, each as if it had come alone."""
    found: list[Any] = []
    for kept in journal.outbox(0, rows_max=10_000):
        record = telemetry_pb2.Record.FromString(kept.body)
        assert record.WhichOneof("kind") == kept.kind
        if kind == "dead_letter" and kept.kind == "dead_letters":
            found += taken_apart(record.dead_letters)
        elif kept.kind == kind:
            found.append(getattr(record, kind))
    return found


def again(execution: Execution, number: int = 9, **changes: Any) -> Execution:
    return replace(execution, **{"execution_id": ExecutionId(f"01JX{number:022d}"), "trigger": "retry", **changes})


def refused(call: Callable[[], object]) -> DativeError:
    with pytest.raises(DativeError) as found:
        call()
    return found.value
