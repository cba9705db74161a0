"""Parking: the documents of a batch into dead letters, all of them in a few statements and one or few records.

Each letter is sealed on its own, so that it can be opened and destroyed alone; only what the letters of a batch have in
common (why, when, in which execution) is made and told once. A document that was retried waits again as the letter it
was, which is one update a letter: `DeadLetters.moved`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from dative.ids import DeadLetterId, document_ids
from dative.letters import together
from dative.v1 import types_pb2

from dative_atom.journal.contract import Execution
from dative_atom.journal.dead_letters import PROFILES, SEALING_BYTES, DeadLetters, letter_message
from dative_atom.journal.letters import DeadLetter, LetterEvent, ParkedDocument, Profile
from dative_atom.journal.store import Session

TEXT_MAX: Final = 1000
KEY_MAX: Final = 200
"""Characters of a reason and of a key; longer ones are cut, or one record could outgrow a message."""
_INSERT: Final = (
    "INSERT INTO dead_letter (dead_letter_id, execution_id, queue, state, attempts, created_at, expires_at,"
    " process, stream, trace_id, code, profile, parked, payload, assignee, revision)"
    " VALUES (?, ?, ?, 'waiting', 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', 1)"
    " ON CONFLICT (dead_letter_id) DO UPDATE SET state = 'waiting', attempts = 1, retrying = NULL, announced = 0,"
    " created_at = excluded.created_at, expires_at = excluded.expires_at, trace_id = excluded.trace_id,"
    " queue = excluded.queue, code = excluded.code, profile = excluded.profile, parked = excluded.parked,"
    " payload = excluded.payload, assignee = '', revision = 1"
)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class _Cause:
    """What letters that stopped for the same reason share, made once for all of them."""

    values: tuple[Any, ...]  # of _INSERT, from execution_id to profile
    kept: dict[str, Any]  # of a ParkedDocument without its payload
    history: msgspec.Raw
    common: types_pb2.DeadLetter
    letters: list[types_pb2.DeadLetter]

    def encoded(self, parked: ParkedDocument) -> bytes:
        """What the column `parked` holds of this document, before it is sealed."""
        own = {
            "document": parked.document,
            "keys": _cut_keys(parked),
            "classified": parked.classified,
            "origin": parked.origin,
        }
        return _encode({"parked": {**self.kept, **own}, "history": self.history})


class Parking(DeadLetters):
    """See the module."""

    def park(self, db: Session, execution: Execution, documents: Sequence[ParkedDocument], profile: str | None) -> None:
        """Keep documents, inside the caller's transaction: each a new dead letter, or its origin waiting again.

        profile: what `keep_profile` gave for the profile of the batch.
        """
        now = self.clock.now()
        new = []
        for parked in documents:
            former = self.letter(db, parked.origin, held=True) if parked.origin else None
            if former is None:
                new.append(parked)
            else:
                self._park_again(db, execution, former, _cut(parked), profile, now)
        self._park_new(db, execution, new, profile, now)

    def _park_again(
        self,
        db: Session,
        execution: Execution,
        former: DeadLetter,
        parked: ParkedDocument,
        profile: str | None,
        now: datetime,
    ) -> None:
        letter = replace(
            former,
            process=execution.process,
            expires_at=now + timedelta(seconds=parked.keep_s),
            attempts=former.attempts + 1,
            state="waiting",
            parked=parked,
            trace_id=execution.trace_id,
            note="",
        )
        # A letter that is retried keeps its payload as it stands: a retry reads it and never changes it.
        db.execute(
            "UPDATE dead_letter SET queue = ?, attempts = ?, trace_id = ?, code = ?, announced = 0,"
            " profile = coalesce(?, profile) WHERE dead_letter_id = ?",
            (parked.queue, letter.attempts, letter.trace_id, parked.code, profile, letter.dead_letter_id),
        )
        self.moved(db, letter, _failed(execution, parked, now))

    def _park_new(
        self,
        db: Session,
        execution: Execution,
        documents: Sequence[ParkedDocument],
        profile: str | None,
        now: datetime,
    ) -> None:
        # Made from the document's identity, so that settling twice parks it once; sorted by the execution's plan.
        ids = document_ids(execution.planned_at, execution.execution_id, [parked.document for parked in documents])
        causes: dict[tuple[Any, ...], _Cause] = {}
        caused, kept, payloads = [], [], []
        # In the order of their ids, in which the indexes have them.
        inserted = sorted(zip(ids, documents, strict=True), key=lambda pair: pair[0])
        for identity, parked in inserted:
            why = (parked.step, parked.code, parked.reason, parked.field, parked.queue, parked.keep_s)
            cause = causes.get(why)
            if cause is None:
                cause = causes[why] = _cause(execution, _cut(parked), profile, now)
            caused.append(cause)
            kept.append((cause.encoded(parked), identity))
            payloads.append((_encode(parked.payload), f"{identity}/payload"))
        sealed = zip(inserted, caused, self.seal_all(kept), self.seal_all(payloads), strict=True)
        rows = []
        for (identity, parked), cause, why_sealed, payload in sealed:
            rows.append((identity, *cause.values, why_sealed, payload))
            cause.letters.append(
                types_pb2.DeadLetter(
                    dead_letter_id=identity,
                    document=parked.document,
                    keys=_cut_keys(parked) or None,
                    payload_bytes=len(payload) - SEALING_BYTES,
                )
            )
        db.executemany(_INSERT, rows)
        for cause in causes.values():
            for record in together(cause.common, cause.letters):
                self.reported(db, "dead_letters", record.SerializeToString())

    def keep_profile(self, db: Session, profile: Profile | None) -> str | None:
        """Keep a profile once, however many letters have it; returns what `park` takes."""
        if profile is None:
            return None
        body = _encode(profile)
        digest = hashlib.sha256(body).hexdigest()
        # Held with others that keep one, against whoever forgets those that no letter has.
        self.held_name(db, PROFILES, shared=True)
        db.execute("INSERT INTO dead_letter_profile VALUES (?, ?) ON CONFLICT DO NOTHING", (digest, body))
        return digest


def _cause(execution: Execution, parked: ParkedDocument, profile: str | None, now: datetime) -> _Cause:
    expires_at = now + timedelta(seconds=parked.keep_s)
    history = [_failed(execution, parked, now)]
    letter = DeadLetter(
        dead_letter_id=DeadLetterId(""),
        execution_id=execution.execution_id,
        process=execution.process,
        created_at=now,
        expires_at=expires_at,
        attempts=1,
        state="waiting",
        parked=replace(parked, document=0, keys={}),
        trace_id=execution.trace_id,
        revision=1,
        history=history,
    )
    common = letter_message(letter)
    common.environment_id = execution.stream.split("/", 1)[0]
    values = (
        execution.execution_id,
        parked.queue,
        now.isoformat(),
        expires_at.isoformat(),
        execution.process,
        execution.stream,
        execution.trace_id,
        parked.code,
        profile,
    )
    return _Cause(values, msgspec.to_builtins(parked), msgspec.Raw(_encode(history)), common, [])


def _cut(parked: ParkedDocument) -> ParkedDocument:
    return replace(parked, reason=parked.reason[:TEXT_MAX], keys=_cut_keys(parked), payload={})


def _cut_keys(parked: ParkedDocument) -> dict[str, str]:
    return {name: value[:KEY_MAX] for name, value in parked.keys.items()}


def _failed(execution: Execution, parked: ParkedDocument, at: datetime) -> LetterEvent:
    return LetterEvent(
        "failed",
        at,
        execution_id=execution.execution_id,
        step=parked.step,
        code=parked.code,
        reason=parked.reason,
        field=parked.field,
        trace_id=execution.trace_id,
    )
