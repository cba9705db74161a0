"""The three stages of an execution: a reading thread, a transforming thread, and the caller, who delivers.

Bounded channels stand between them, so memory stays flat and a slow target slows its source. Whatever happens in one
stage, an error or a cancel, ends the other two, and nobody returns before they have ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from dative.errors import StopRun
from dative.errors import engine as codes
from dative.ids import StepId

from dative_atom.connectors.base import Position
from dative_atom.documents.batch import DOCUMENT, payload
from dative_atom.engine.channel import Channel, Closed
from dative_atom.engine.evaluation.database import Database, Session
from dative_atom.engine.evaluation.query import Failure
from dative_atom.engine.failpoints import reach
from dative_atom.engine.plan import Plan
from dative_atom.engine.routing import Flow, run_steps
from dative_atom.engine.sources.source import Piece, Source
from dative_atom.telemetry.recorder import Recorder

JOIN_S: Final = 60.0
"""How long a stage may take to notice that it must stop; a connector's own timeouts are shorter."""


class Control:
    """Stops an execution from any thread. `halted` is what readers and writers wait on."""

    def __init__(self) -> None:
        self.halted = threading.Event()
        self.cancelled = False
        self._guard = threading.Lock()
        self._hooks: list[Callable[[], None]] = []

    def cancel(self) -> None:
        """Somebody wants the execution to stop; what is settled stays settled."""
        self.cancelled = True
        self.halt()

    def halt(self) -> None:
        """All stages must end. May be called more than once."""
        self.halted.set()
        with self._guard:
            hooks = list(self._hooks)
        for hook in hooks:
            hook()

    def on_halt(self, hook: Callable[[], None]) -> None:
        """Call this when everything must stop; at once, if that has happened."""
        with self._guard:
            self._hooks.append(hook)
        if self.halted.is_set():
            hook()


@dataclass(frozen=True)
class Transformed:
    """A batch that is ready to be delivered. documents: what is left to deliver, None when every one has come to rest."""

    batch: int
    piece: Piece
    documents: pa.RecordBatch | None
    flow: Flow


@dataclass(frozen=True)
class Start:
    """Where to begin."""

    position: Position | None
    batch: int
    document: int
    batch_rows: int


class Reading:
    """The reading thread: opens the source, says which columns it has, then reads when it is told where to begin."""

    def __init__(self, source: Source, recorder: Recorder, control: Control) -> None:
        self.channel: Channel[Piece] = Channel()
        self._source = source
        self._recorder = recorder
        self._control = control
        self._opened: Channel[pa.Schema] = Channel(1)
        self._start: Channel[Start] = Channel(1)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dative-read", daemon=True)
        for channel in (self.channel, self._opened, self._start):
            control.on_halt(channel.close)
        control.on_halt(self._done.set)

    def open(self) -> pa.Schema:
        """Start the thread and wait until the source is open. Raises what the source raised."""
        self._thread.start()
        return next(iter(self._opened))

    def begin(self, start: Start) -> None:
        self._start.put(start)

    def finish(self) -> None:
        """Everything has settled: let the thread tell the source the last position, close it, and end."""
        self._done.set()
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        try:
            self._read()
            self.channel.end()
            # The source is told last (Invariant 1), by the one thread that knows it: wait for the last batch to settle.
            self._done.wait()
        except Closed:
            pass
        except BaseException as error:  # noqa: BLE001 - handed on to the thread that delivers, which raises it
            self._opened.fail(error)
            self.channel.fail(error)
        finally:
            self._close()

    def _read(self) -> None:
        self._opened.put(self._source.open())
        start = next(iter(self._start))
        for piece in self._source.pieces(start.position, start.document, start.batch_rows):
            reach("batch.read")
            self.channel.put(piece)

    def _close(self) -> None:
        try:
            self._source.close()
        except Exception as error:  # noqa: BLE001 - what was read has settled; an unread acknowledgement is repeated
            self._recorder.links.append(
                (self._recorder.trace_id, self._recorder.root_id, {"error.type": type(error).__name__})
            )


class Transforming:
    """The transforming thread."""

    def __init__(
        self,
        plan: Plan,
        database: Database,
        make_flow: Callable[[int, pa.RecordBatch, Session], Flow],
        control: Control,
        step: str,
    ) -> None:
        self.channel: Channel[Transformed] = Channel()
        self._plan = plan
        self._session = database.session()
        self._make_flow = make_flow
        self._source_step = StepId(step)
        self._thread: threading.Thread | None = None
        control.on_halt(self.channel.close)

    def start(self, pieces: Channel[Piece], first_batch: int) -> None:
        self._thread = threading.Thread(
            target=self._run, args=(pieces, first_batch), name="dative-transform", daemon=True
        )
        self._thread.start()

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join(JOIN_S)

    def _run(self, pieces: Channel[Piece], first_batch: int) -> None:
        try:
            for number, piece in enumerate(pieces, first_batch):
                self.channel.put(self.transform(piece, number))
                reach("batch.transformed")
            self.channel.end()
        except Closed:
            self.channel.close()
        except BaseException as error:  # noqa: BLE001 - handed on to the thread that delivers, which raises it
            self.channel.fail(error)

    def transform(self, piece: Piece, number: int) -> Transformed:
        """Lead one batch through the transform stage."""
        flow = self._make_flow(number, piece.documents, self._session)
        documents = flow.failures(self._source_step, piece.documents, unreadable(piece))
        if flow.observe is not None:
            flow.observe(self._source_step, documents)
        out = run_steps(self._plan.transform, documents, flow)
        if self._plan.ahead is not None and out is not None and out.num_rows:
            self._plan.ahead.ahead(number, payload(out))
        return Transformed(number, piece, out, flow)


def unreadable(piece: Piece) -> list[Failure]:
    """One failure a document whose payload no longer fits, rows rising."""
    first: dict[int, Failure] = {}
    for value in piece.unreadable:
        reason = f"{value.field} does not fit its type, {value.type}"
        first.setdefault(value.row, Failure(value.row, codes.PAYLOAD_UNREADABLE.name, reason, value.field))
    return [first[row] for row in sorted(first)]


def numbered(documents: pa.RecordBatch) -> tuple[int, int]:
    """(first, one past the last) document number of a batch that has rows."""
    column = documents.column(DOCUMENT)
    return column[0].as_py(), column[len(column) - 1].as_py() + 1


def until_halted(channel: Channel[Transformed], control: Control) -> Iterator[Transformed]:
    """The channel's batches. StopRun engine.cancelled when the execution was cancelled."""
    try:
        yield from channel
    except Closed:
        if control.cancelled:
            raise StopRun("cancelled; what was settled stays settled", code=codes.CANCELLED) from None
        raise
