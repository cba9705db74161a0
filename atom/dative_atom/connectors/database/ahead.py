"""Loads a batch into a stage of its own while the batch before it is still being applied.

Loading and applying a batch are two thirds of a database run, and both wait for the server. So up to AHEAD_MAX batches
are staged on further connections, each in a transaction that has done nothing else and holds no lock of the stream;
when a batch's turn comes, its connection becomes the writer's and goes on as if it had staged it now. A batch that turns
out different, or whose staging failed, is written the ordinary way: what is ahead is help, never a promise.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from dative_atom.connectors.base import Outcomes, Ticket
from dative_atom.connectors.database.session import Session
from dative_atom.connectors.database.write import DatabaseWriter
from dative_atom.connectors.outcomes import Tally

AHEAD_MAX: Final = 2
"""Batches that may be staged beyond the one that is applied: as many further connections to the database."""
ROWS_MIN: Final = 1000
"""Smaller batches are staged in no time."""


@dataclass(frozen=True)
class Staged:
    """A batch in the stage of a connection. rows: the staged ones, rising."""

    documents: pa.RecordBatch
    session: Session
    tally: Tally
    rows: list[int]


class AheadWriter(DatabaseWriter):
    """A `DatabaseWriter` that can be told of a batch before its turn."""

    def __init__(self, *arguments: Any) -> None:
        self._guard = threading.Lock()
        self._ahead: dict[int, Staged] = {}
        self._free: list[Session] = []
        self._closed = False
        super().__init__(*arguments)

    def ahead(self, batch: int, documents: pa.RecordBatch) -> None:
        """As `connectors.base.Ahead.ahead`; called by another thread than `write`."""
        with self._guard:
            if self._closed or len(self._ahead) >= AHEAD_MAX or documents.num_rows < ROWS_MIN:
                return
            session = self._free.pop() if self._free else None
        try:
            session = session or self._opened()
            staged = self._staged(session, documents)
        except Exception:  # noqa: BLE001 - whatever is wrong with the batch, its own write meets it again and says so
            if session is not None:
                session.close()
            return
        with self._guard:
            if not self._closed:
                self._ahead[batch] = staged
                return
        staged.session.close()

    def _opened(self) -> Session:
        session = self._connect()
        session.make_stage(self._documents)
        return session

    def _staged(self, session: Session, documents: pa.RecordBatch) -> Staged:
        session.run("BEGIN", "BEGIN")
        tally = Tally(documents.num_rows)
        # The same writer, but for the connection: staging knows nothing else of it.
        other = copy.copy(self)
        other._session = session
        return Staged(documents, session, tally, other._stage(documents, tally))

    def _taken(self, ticket: Ticket, documents: pa.RecordBatch) -> Staged | None:
        """What was staged for this batch, if it is this batch. What was staged for earlier ones is given up."""
        with self._guard:
            past = [number for number in self._ahead if number < ticket.batch]
            stale = [self._ahead.pop(number) for number in past]
            found = self._ahead.pop(ticket.batch, None)
        if found is not None and not found.documents.equals(documents):
            stale.append(found)
            found = None
        for staged in stale:
            self._give_back(staged.session)
        return found

    def _give_back(self, session: Session) -> None:
        session.rollback()
        with self._guard:
            if not self._closed and len(self._free) < AHEAD_MAX:
                self._free.append(session)
                return
        session.close()

    def write(self, documents: pa.RecordBatch, ticket: Ticket) -> Outcomes:
        staged = self._taken(ticket, documents)
        if staged is None:
            return super().write(documents, ticket)
        if self._broken:
            self._session.close()
        else:
            self._give_back(self._session)
        self._session, self._broken = staged.session, False
        try:
            self._session.claim(ticket.stream, ticket.fencing_token)
            return self._outcomes(documents, staged.rows, staged.tally)
        except BaseException:
            self._give_up()
            raise

    def close(self) -> None:
        with self._guard:
            self._closed = True
            sessions: Sequence[Session] = [*self._free, *(staged.session for staged in self._ahead.values())]
            self._free, self._ahead = [], {}
        for session in sessions:
            with suppress(Exception):
                session.close()
        super().close()
