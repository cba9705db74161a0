"""Leads one edited dead letter through its process and says where it would end. Writes nothing.

The same compiler, shapes and accounting as the retry that may follow, over the source's profile of today and the
cross-references as they stand; only what writes is replaced: every target takes what comes and keeps it in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, cast

import pyarrow as pa
from dative.clock import Clock
from dative.ids import DeadLetterId
from dative.process.lineage import follow
from dative.process.model import Process

from dative_atom.connectors.base import Checked, ConnectionConfig, Connector, Operation, Reader, RunContext, Writer
from dative_atom.documents.batch import ERROR_CODE, ERROR_FIELD, ERROR_REASON, ERROR_STEP
from dative_atom.engine.books.accounting import balance
from dative_atom.engine.books.ledger import JournalLedger
from dative_atom.engine.context import Opened, open_execution
from dative_atom.engine.dry.dry_journal import DryJournal
from dative_atom.engine.effects.effects import Effects
from dative_atom.engine.effects.retry import Waits
from dative_atom.engine.memory import MemoryTarget, MemoryWriter
from dative_atom.engine.message import Message
from dative_atom.engine.pipeline import Control, unreadable
from dative_atom.engine.routing import Flow, run_steps
from dative_atom.journal.contract import DeadLetter, Execution, Journal
from dative_atom.telemetry.recorder import Recorder

MASKED: Final = "***"
Connect = Callable[[ConnectionConfig], Connector]


@dataclass(frozen=True)
class Outcome:
    """Where the document would end. ends: "written" | "filtered" | "returned" | "dead_lettered", at `step`.

    code, reason, field: of a dead-lettered one; none of them holds a value. targets: step and document of each
    target that it would reach, in their order; classified fields that nothing has masked are MASKED, if not revealed.
    """

    ends: str
    step: str
    queue: str = ""
    code: str = ""
    reason: str = ""
    field: str = ""
    targets: Sequence[Mapping[str, Any]] = ()


def rehearse(
    message: Message, execution: Execution, letter: DeadLetter, journal: Journal, connect: Connect, clock: Clock,
    *, reveal: bool = False,
) -> Outcome:  # fmt: skip
    """Lead the letter's document, as it is given, through the process. Raises what a retry would stop with."""
    targets: dict[str, MemoryTarget] = {}
    ledger = JournalLedger(journal, execution.stream)
    control, recorder = Control(), Recorder()
    binds: dict[str, datetime | str] = {
        **message.parameters,
        "lastRunDate": clock.now(),
        "lastSuccessDate": clock.now(),
        "watermark": clock.now(),
    }
    context = RunContext(execution.execution_id, clock, recorder, control.halted, binds, ledger)
    opened = open_execution(
        message,
        execution,
        cast("Journal", _WithEdit(journal, execution, letter)),
        lambda config: _WithoutTargets(config, connect, targets),
        context,
        ledger,
    )
    try:
        return _led_through(opened, recorder, Waits(clock, lambda _: True), targets, reveal)
    finally:
        opened.source.close()
        opened.close()


def _led_through(
    opened: Opened, recorder: Recorder, waits: Waits, targets: Mapping[str, MemoryTarget], reveal: bool
) -> Outcome:
    process = opened.process
    plan = opened.compile(opened.source.open())
    piece = next(iter(opened.source.pieces(None, 0, 1)))
    effects = Effects("rehearsal", opened.execution.execution_id, 0, {}, 0, waits)
    running = opened.remembered().typed(plan.running)
    flow = Flow(0, piece.documents, opened.database.session(), recorder, process.name, effects, running=running)
    documents = flow.failures(process.spec.source.id, piece.documents, unreadable(piece))  # type: ignore[arg-type]
    out = run_steps([*plan.transform, *plan.deliver], documents, flow)
    steps = process.spec.steps
    fates = balance(flow, out, steps[-1].id if steps else process.spec.source.id)
    reached = [{"step": step, "document": row} for step, target in targets.items() for row in target.rows.values()]
    ends, step = fates.outcome[0].as_py(), fates.step[0].as_py()
    if not reveal:
        reached = _masked(process, reached)
    if not flow.parked:
        return Outcome(ends, step, targets=reached)
    error = flow.parked[0].errors.to_pylist()[0]
    return Outcome(
        ends,
        error[ERROR_STEP],
        queue=flow.parked[0].queue,
        code=error[ERROR_CODE],
        reason=error[ERROR_REASON],
        field=error[ERROR_FIELD],
        targets=reached,
    )


def _masked(process: Process, reached: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What reaches the targets without the values of classified fields; a field of unknown descent counts as one."""
    if not process.spec.classify:
        return list(reached)
    classes = follow(process).classes

    def shown(step: str, name: str, value: Any) -> Any:
        known = classes.get(step, {}).get(name)
        return MASKED if value is not None and (known is None or known) else value

    return [
        {
            "step": one["step"],
            "document": {name: shown(one["step"], name, value) for name, value in one["document"].items()},
        }
        for one in reached
    ]


class _WithEdit(DryJournal):
    """The journal as a retry would see it, with the edited letter in it; nothing is written to it."""

    def __init__(self, journal: Journal, execution: Execution, letter: DeadLetter) -> None:
        super().__init__(journal, execution)
        self._letter = letter

    def dead_letter(self, dead_letter_id: DeadLetterId) -> DeadLetter | None:
        return self._letter if dead_letter_id == self._letter.dead_letter_id else None


@dataclass
class _WithoutTargets:
    """A connection whose readers are real and whose writers keep in memory what comes: the system is only read."""

    config: ConnectionConfig
    connect: Connect
    targets: dict[str, MemoryTarget]
    opened: list[Connector] = field(default_factory=list)

    def reader(self, operation: Operation, context: RunContext) -> Reader:
        if not self.opened:
            self.opened.append(self.connect(self.config))
        return self.opened[0].reader(operation, context)

    def writer(self, operation: Operation, context: RunContext, documents: pa.Schema) -> Writer:  # noqa: ARG002
        key = operation.options.get("key")
        target = MemoryTarget(tuple(str(name) for name in key) if isinstance(key, list | tuple) else ())
        self.targets[operation.step] = target
        return MemoryWriter(target, documents)

    def check(self, clock: Clock) -> Iterator[Checked]:
        """As the connection itself; a rehearsal never asks."""
        return self.connect(self.config).check(clock)

    def close(self) -> None:
        for connector in self.opened:
            connector.close()
