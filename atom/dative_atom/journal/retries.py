"""Retries of many dead letters: written down whole, then taken chunk by chunk, so that a kill loses and doubles nothing.

A chunk is one execution. Its letters, its plan and how far the retry is are one transaction; the letters beyond wait as
before, so that they can still be edited or discarded until their chunk is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import msgspec
from dative.ids import DeadLetterId, ExecutionId

from dative_atom.journal.contract import Execution
from dative_atom.journal.letter_changes import RECORDS_KEPT, LetterChanges, conditions
from dative_atom.journal.letters import Retry
from dative_atom.journal.store import Session

CHUNK_MAX: Final = 1000
CHUNK_BYTES_MAX: Final = 32 * 1024 * 1024
"""Of payloads in one chunk: an execution holds them all at once. A larger single document is a chunk of its own."""

_encode = msgspec.json.Encoder().encode
_retry = msgspec.json.Decoder(Retry).decode


class Retries(LetterChanges):
    """See the module; the contract's words stand in `letters.Letters`."""

    def start_retry(self, retry: Retry) -> bool:
        with self.transaction() as db:
            before = self.clock.now() - RECORDS_KEPT
            ended = db.execute("SELECT retry_id, body FROM dead_letter_retry WHERE state <> 'running'").fetchall()
            old = [(identity,) for identity, body in ended if _retry(body).created_at < before]
            db.executemany("DELETE FROM dead_letter_retry WHERE retry_id = ?", old)
            cursor = db.execute(
                "INSERT INTO dead_letter_retry VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (retry.retry_id, retry.state, _encode(retry)),
            )
            return cursor.rowcount == 1

    def retries(self, state: str = "running") -> list[Retry]:
        with self.reading() as db:
            rows = db.execute("SELECT body FROM dead_letter_retry WHERE state = ?", (state,)).fetchall()
        return sorted((_retry(body) for (body,) in rows), key=lambda retry: retry.created_at)

    def next_chunk(self, retry_id: str, execution: Execution) -> Execution | None:
        with self.transaction() as db:
            retry = self._running(db, retry_id)
            if retry is None:
                return None
            chosen = self._next_letters(db, retry)
            if not chosen:
                self._write(db, replace(retry, state="done"))
                return None
            planned = replace(execution, retry_of=tuple(chosen))
            self.retried(db, chosen, planned, retry.actor)
            self._write(
                db,
                replace(
                    retry,
                    after=chosen[-1],
                    taken=retry.taken + len(chosen),
                    executions=retry.executions + 1,
                    execution_id=ExecutionId(execution.execution_id),
                ),
            )
            return planned

    def end_retry(self, retry_id: str, state: str, failure: Mapping[str, str] | None = None) -> Retry | None:
        with self.transaction() as db:
            retry = self._running(db, retry_id)
            if retry is None:
                return None
            ended = replace(retry, state=state, failure=dict(failure or {}))
            self._write(db, ended)
            return ended

    def _running(self, db: Session, retry_id: str) -> Retry | None:
        row = db.execute(
            "SELECT body FROM dead_letter_retry WHERE retry_id = ? AND state = 'running'" + self.FOR_UPDATE, (retry_id,)
        ).fetchone()
        return _retry(row[0]) if row else None

    def _write(self, db: Session, retry: Retry) -> None:
        db.execute(
            "UPDATE dead_letter_retry SET state = ?, body = ? WHERE retry_id = ?",
            (retry.state, _encode(retry), retry.retry_id),
        )

    def _next_letters(self, db: Session, retry: Retry) -> list[DeadLetterId]:
        """The next ones after the last that was taken, as many as a chunk may have and hold."""
        where, values = conditions(replace(retry.selection, process=retry.process))
        rows = db.execute(
            f"SELECT dead_letter_id, length(payload) FROM dead_letter WHERE {where} AND created_at <= ?"
            " AND payload IS NOT NULL AND dead_letter_id > ? ORDER BY dead_letter_id LIMIT ?",
            (*values, retry.created_at.isoformat(), retry.after, min(retry.chunk, CHUNK_MAX)),
        )
        chosen: list[DeadLetterId] = []
        room = CHUNK_BYTES_MAX
        for identity, size in rows:
            room -= size
            if chosen and room < 0:
                break
            chosen.append(DeadLetterId(identity))
        rows.close()
        return chosen
