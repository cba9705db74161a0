"""Dead letters: parked with their sealed document, edited, retried under their own identity, reported as they move.

A row is in two sealed parts, so that nobody unseals five megabytes to read a reason: `parked` (why, keys, history) and
`payload` (the document). A batch's are parked in `parking`; what a person does to many is in `letter_changes`, retries in
chunks in `retries`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import msgspec
from dative.errors import RejectDocument
from dative.errors import journal as codes
from dative.errors.dead_letters import CHANGED, PAYLOAD_GONE
from dative.ids import DeadLetterId, ExecutionId, ProcessName
from dative.v1 import telemetry_pb2, types_pb2

from dative_atom.journal.contract import Execution
from dative_atom.journal.executions import Executions
from dative_atom.journal.letter_types import check_fields
from dative_atom.journal.letters import DeadLetter, LetterEvent, ParkedDocument, Profile
from dative_atom.journal.sqlite_schema import LETTERS_VERSION
from dative_atom.journal.store import Session

HISTORY_MAX: Final = 50
"""Events kept of one letter. At the bound the second oldest goes: the first failure always stays."""
COLUMNS: Final = (
    "dead_letter_id, execution_id, process, created_at, expires_at, attempts, state, parked, trace_id, revision,"
    " assignee, length(payload)"
)
SEALING_BYTES: Final = 28
PROFILES: Final = "profiles"
"""What is held while profiles are kept, or forgotten."""


@dataclass(frozen=True)
class _Kept:
    """What `parked` holds: the document without its payload, and what happened to it."""

    parked: ParkedDocument
    history: Sequence[LetterEvent] = ()
    note: str = ""


_encode = msgspec.json.Encoder().encode
_kept = msgspec.json.Decoder(_Kept).decode
_parked = msgspec.json.Decoder(ParkedDocument).decode
_payload = msgspec.json.Decoder(dict[str, Any]).decode
_profile = msgspec.json.Decoder(Profile).decode


class DeadLetters(Executions):
    """See the module; the contract's words stand in `letters.Letters`."""

    def dead_letters(
        self, *, state: str | None = "waiting", queue: str | None = None, limit: int = 100
    ) -> list[DeadLetter]:
        asked = {column: value for column, value in (("state", state), ("queue", queue)) if value is not None}
        where = " AND ".join(f"{column} = ?" for column in asked) or "1 = 1"
        with self.reading() as db:
            rows = db.execute(
                f"SELECT {COLUMNS} FROM dead_letter WHERE {where} ORDER BY dead_letter_id LIMIT ?",
                (*asked.values(), limit),
            ).fetchall()
            return [self._with_payload(db, self.letter_of(row)) for row in rows]

    def dead_letter(self, dead_letter_id: DeadLetterId) -> DeadLetter | None:
        with self.reading() as db:
            found = self.letter(db, dead_letter_id)
            return self._with_payload(db, found) if found else None

    def letter_profile(self, dead_letter_id: DeadLetterId) -> Profile | None:
        with self.reading() as db:
            return self._profile(db, dead_letter_id)

    # ---- editing ------------------------------------------------------------------------------------------------

    def repair(
        self, dead_letter_id: DeadLetterId, fields: Mapping[str, Any], *, actor: str = "", expected_revision: int = 0
    ) -> DeadLetter:
        with self.transaction() as db:
            edited = self._edited(db, dead_letter_id, fields, expected_revision)
            db.execute(
                "UPDATE dead_letter SET payload = ? WHERE dead_letter_id = ?",
                (self.sealed_payload(edited.parked.payload, dead_letter_id), dead_letter_id),
            )
            event = LetterEvent("edited", self.clock.now(), actor, fields=sorted(fields))
            return self.moved(db, edited, event)

    def check_repair(
        self, dead_letter_id: DeadLetterId, fields: Mapping[str, Any], *, expected_revision: int = 0
    ) -> DeadLetter:
        with self.reading() as db:
            return self._edited(db, dead_letter_id, fields, expected_revision)

    def _edited(
        self, db: Session, dead_letter_id: DeadLetterId, fields: Mapping[str, Any], expected_revision: int
    ) -> DeadLetter:
        found = self._with_payload(db, self.waiting(db, dead_letter_id))
        if expected_revision not in (0, found.revision):
            raise RejectDocument(
                f"dead letter {dead_letter_id} is at revision {found.revision}, the edit was made of"
                f" {expected_revision}",
                code=CHANGED,
                where=dead_letter_id,
            )
        if not found.payload_bytes:
            raise RejectDocument(f"the document of {dead_letter_id} is gone", code=PAYLOAD_GONE, where=dead_letter_id)
        profile = self._profile(db, dead_letter_id)
        check_fields(fields, found.parked.payload, profile.types if profile else None)
        return replace(found, parked=replace(found.parked, payload={**found.parked.payload, **fields}))

    def revealed(self, dead_letter_id: DeadLetterId, actor: str) -> None:
        with self.transaction() as db:
            found = self.letter(db, dead_letter_id, held=True)
            if found is not None:
                self.moved(db, found, LetterEvent("revealed", self.clock.now(), actor))

    # ---- coming to rest -------------------------------------------------------------------------------------------

    def resolve(self, db: Session, execution: Execution, dead_letter_id: DeadLetterId) -> None:
        """Its document has come to rest now, inside the caller's transaction."""
        found = self.letter(db, dead_letter_id, held=True)
        if found is None or found.state == "resolved":
            return
        event = LetterEvent(
            "resolved", self.clock.now(), execution_id=execution.execution_id, trace_id=execution.trace_id
        )
        self.moved(db, replace(found, state="resolved"), event)

    def retry(self, dead_letter_ids: Sequence[DeadLetterId], execution: Execution, actor: str = "") -> None:
        with self.transaction() as db:
            self.retried(db, dead_letter_ids, execution, actor)

    def retried(self, db: Session, dead_letter_ids: Sequence[DeadLetterId], execution: Execution, actor: str) -> None:
        """As `retry`, inside the caller's transaction."""
        event = LetterEvent("retried", self.clock.now(), actor, execution_id=execution.execution_id)
        for dead_letter_id in dead_letter_ids:
            found = self.waiting(db, dead_letter_id)
            self.moved(db, replace(found, state="retrying"), event)
            db.execute(
                "UPDATE dead_letter SET retrying = ? WHERE dead_letter_id = ?", (execution.execution_id, dead_letter_id)
            )
        self.planned(db, execution)

    def released(self, db: Session, execution: Execution) -> None:
        super().released(db, execution)
        # Dead letters that this execution was to retry and did not settle wait again: none is lost.
        rows = db.execute(
            f"SELECT {COLUMNS} FROM dead_letter WHERE retrying = ? AND state = 'retrying'"
            f" ORDER BY dead_letter_id{self.FOR_UPDATE}",
            (execution.execution_id,),
        ).fetchall()
        event = LetterEvent("released", self.clock.now(), execution_id=execution.execution_id)
        for row in rows:
            self.moved(db, replace(self.letter_of(row), state="waiting"), event)

    # ---- one row ------------------------------------------------------------------------------------------------

    def moved(self, db: Session, letter: DeadLetter, event: LetterEvent) -> DeadLetter:
        """Store what changed of a letter with why, one revision on, and tell the controller; never the payload."""
        changed = recorded(letter, event)
        stream, size = db.execute(
            "UPDATE dead_letter SET state = ?, revision = ?, assignee = ?, expires_at = ?, parked = ?,"
            " retrying = CASE ? WHEN 'retrying' THEN retrying END"
            " WHERE dead_letter_id = ? RETURNING stream, length(payload)",
            (
                changed.state,
                changed.revision,
                changed.assignee,
                changed.expires_at.isoformat(),
                self._sealed_kept(changed),
                changed.state,
                letter.dead_letter_id,
            ),
        ).fetchone()
        changed = replace(changed, payload_bytes=_size(size))
        self._tell(db, changed, stream)
        return changed

    def _tell(self, db: Session, letter: DeadLetter, stream: str) -> None:
        message = letter_message(letter)
        message.environment_id = stream.split("/", 1)[0]
        self.reported(db, "dead_letter", telemetry_pb2.Record(dead_letter=message).SerializeToString())

    def _sealed_kept(self, letter: DeadLetter) -> bytes:
        kept = _Kept(replace(letter.parked, payload={}), letter.history, letter.note)
        return self.seal(_encode(kept), letter.dead_letter_id)

    def waiting(self, db: Session, dead_letter_id: DeadLetterId, *, held: bool = True) -> DeadLetter:
        """Without its payload. held: until the transaction ends; outside of one there is nothing to hold it.

        Errors: journal.unknown_dead_letter, journal.dead_letter_not_waiting.
        """
        found = self.letter(db, dead_letter_id, held=held)
        if found is None:
            raise RejectDocument(f"dead letter {dead_letter_id} is not on this atom", code=codes.UNKNOWN_DEAD_LETTER)
        if found.state != "waiting":
            raise RejectDocument(
                f"dead letter {dead_letter_id} is {found.state}{_since(found)}",
                code=codes.DEAD_LETTER_BUSY,
                where=dead_letter_id,
            )
        return found

    def letter(self, db: Session, dead_letter_id: str, *, held: bool = False) -> DeadLetter | None:
        """Without its payload."""
        row = db.execute(
            f"SELECT {COLUMNS} FROM dead_letter WHERE dead_letter_id = ?{self.FOR_UPDATE if held else ''}",
            (dead_letter_id,),
        ).fetchone()
        return self.letter_of(row) if row else None

    def letter_of(self, row: tuple[Any, ...]) -> DeadLetter:
        """Of COLUMNS; without its payload."""
        kept = _kept(self.unseal(row[7], row[0]))
        return DeadLetter(
            dead_letter_id=DeadLetterId(row[0]),
            execution_id=ExecutionId(row[1]),
            process=ProcessName(row[2]),
            created_at=datetime.fromisoformat(row[3]),
            expires_at=datetime.fromisoformat(row[4]),
            attempts=row[5],
            state=row[6],
            parked=kept.parked,
            trace_id=row[8],
            revision=row[9],
            assignee=row[10],
            note=kept.note,
            history=kept.history,
            payload_bytes=_size(row[11]),
        )

    def _with_payload(self, db: Session, letter: DeadLetter) -> DeadLetter:
        identity = letter.dead_letter_id
        (sealed,) = db.execute("SELECT payload FROM dead_letter WHERE dead_letter_id = ?", (identity,)).fetchone()
        if sealed is None:
            return letter
        payload = _payload(self.unseal(sealed, f"{identity}/payload"))
        return replace(letter, parked=replace(letter.parked, payload=payload))

    def sealed_payload(self, payload: Mapping[str, Any], dead_letter_id: str) -> bytes:
        return self.seal(_encode(payload), f"{dead_letter_id}/payload")

    def _profile(self, db: Session, dead_letter_id: DeadLetterId) -> Profile | None:
        row = db.execute(
            "SELECT body FROM dead_letter_profile WHERE digest ="
            " (SELECT profile FROM dead_letter WHERE dead_letter_id = ?)",
            (dead_letter_id,),
        ).fetchone()
        return _profile(row[0]) if row else None

    def upgraded(self, db: Session, version: int) -> None:
        super().upgraded(db, version)
        if version >= LETTERS_VERSION:
            return
        # Older versions kept the document in `parked`, with why it stopped.
        for identity, body in db.execute("SELECT dead_letter_id, parked FROM dead_letter").fetchall():
            parked = _parked(self.unseal(body, identity))
            db.execute(
                "UPDATE dead_letter SET parked = ?, payload = ?, code = ? WHERE dead_letter_id = ?",
                (
                    self.seal(_encode(_Kept(replace(parked, payload={}))), identity),
                    self.sealed_payload(parked.payload, identity),
                    parked.code,
                    identity,
                ),
            )


def recorded(letter: DeadLetter, event: LetterEvent) -> DeadLetter:
    """The letter with this in its history, one revision on."""
    history = [*letter.history, event]
    if len(history) > HISTORY_MAX:
        del history[1 : 1 + len(history) - HISTORY_MAX]
    return replace(letter, revision=letter.revision + 1, history=history)


def letter_message(letter: DeadLetter) -> types_pb2.DeadLetter:
    """The letter as the wire carries it: no value of its document but its unclassified keys."""
    parked = letter.parked
    message = types_pb2.DeadLetter(
        dead_letter_id=letter.dead_letter_id,
        execution_id=letter.execution_id,
        process=letter.process,
        queue=parked.queue,
        step=parked.step,
        document=parked.document,
        code=parked.code,
        reason=parked.reason,
        field=parked.field,
        keys=dict(parked.keys),
        attempts=letter.attempts,
        state=letter.state,
        trace_id=letter.trace_id,
        revision=letter.revision,
        assignee=letter.assignee,
        payload_bytes=letter.payload_bytes,
        note=letter.note,
        history=[_event_message(event) for event in letter.history],
    )
    message.created_at.FromDatetime(letter.created_at)
    message.expires_at.FromDatetime(letter.expires_at)
    return message


def _event_message(event: LetterEvent) -> types_pb2.DeadLetterEvent:
    values = {name: getattr(event, name) for name in LetterEvent.__dataclass_fields__ if name != "at"}
    message = types_pb2.DeadLetterEvent(**values)
    message.at.FromDatetime(event.at)
    return message


def _since(letter: DeadLetter) -> str:
    """ " in execution …, by anna": how it came into the state that it is in."""
    last = letter.history[-1] if letter.history else None
    if last is None:
        return ""
    said = f" in execution {last.execution_id}" if last.execution_id else ""
    return said + (f", by {last.actor}" if last.actor else "")


def _size(sealed: int | None) -> int:
    return sealed - SEALING_BYTES if sealed else 0
