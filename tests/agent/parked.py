"""Dead letters in an agent's journal, as one execution leaves them."""

from __future__ import annotations

from typing import Any

from dative.ids import new_id
from dative_atom.journal.contract import Counts, Execution, ExecutionState, Settlement
from dative_atom.journal.letters import ParkedDocument, Profile

PAYLOAD = {"Id": "001", "Phone": "555-0100", "since": "31/31/2020"}
TYPES = {"Id": "string", "Phone": "string", "since": "string"}


def park(agent, count: int = 1, payload: dict[str, Any] | None = None, queue: str = "q") -> list[str]:
    """Dead letters in the journal, as one execution leaves them; returns their ids, oldest first."""
    now = agent.clock.now()
    execution = Execution(
        execution_id=new_id(now),
        process="a",
        process_version=1,
        stream="env1/a",
        trigger="manual",
        planned_at=now,
        manifest_digest=agent.bundles.active.manifest.digest,
    )
    before = {one.dead_letter_id for one in agent.journal.dead_letters(state=None, limit=100_000)}
    agent.journal.plan(execution)
    agent.journal.begin(execution.execution_id, now)
    parked = [
        ParkedDocument(
            document=number,
            queue=queue,
            step="upsert",
            code="expression.cast_failed",
            reason="since is no date",
            field="since",
            payload=payload or PAYLOAD,
            classified=("Phone",),
            keys={"Id": "001"},
            keep_s=30 * 86_400.0,
        )
        for number in range(count)
    ]
    agent.journal.settle(
        Settlement(
            execution_id=execution.execution_id,
            stream="env1/a",
            batch=0,
            position=b"{}",
            documents_end=count,
            counts=Counts(read=count, dead_lettered=count, batches=1),
            dead_letters=parked,
            profile=Profile(TYPES, b""),
        )
    )
    agent.journal.finish(execution.execution_id, ExecutionState.PARTIAL, now, None)
    after = agent.journal.dead_letters(state=None, limit=100_000)
    return [one.dead_letter_id for one in after if one.dead_letter_id not in before]
