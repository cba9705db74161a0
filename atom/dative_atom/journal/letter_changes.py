"""What is done to many dead letters: by a person (discard, assign, expire, keep longer), and by time.

Every change is a bounded transaction; whoever has many repeats the call. A letter that is changed is changed whole, with
its history and the record for the controller, so an interruption leaves some changed and some waiting, none in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from dative.errors.base import Code
from dative.errors.dead_letters import EXPIRED, EXPIRING
from dative.ids import DeadLetterId, ProcessName
from dative.v1 import telemetry_pb2, types_pb2

from dative_atom.journal.dead_letters import COLUMNS, PROFILES, DeadLetters
from dative_atom.journal.letters import NOBODY, DeadLetter, Housekeeping, LetterChange, LetterEvent, Selection
from dative_atom.journal.store import Session

ANNOUNCED_BEFORE: Final = timedelta(hours=24)
RECORDS_KEPT: Final = timedelta(days=90)
"""After its keep is over, the record of an ended letter stays so long; then the atom forgets it (Invariant 7)."""
_GROUPS_MAX: Final = 20
"""Events a housekeeping transaction: one a process and queue; the last one speaks for all further groups."""


class LetterChanges(DeadLetters):
    """See the module; the contract's words stand in `letters.Letters`."""

    def count_letters(self, selection: Selection) -> dict[ProcessName, int]:
        with self.reading() as db:
            for identity in selection.ids:
                self.waiting(db, identity, held=False)
            where, values = conditions(selection)
            rows = db.execute(
                f"SELECT process, count(*) FROM dead_letter WHERE {where} GROUP BY process ORDER BY process", values
            ).fetchall()
        return {ProcessName(process): count for process, count in rows}

    def change_letters(
        self, selection: Selection, change: LetterChange, *, after: str = "", limit: int = 500
    ) -> tuple[int, str]:
        with self.transaction() as db:
            if selection.ids:
                chosen = [self.waiting(db, identity) for identity in dict.fromkeys(selection.ids)]
            else:
                chosen = self._chosen(db, selection, after, limit)
            for letter in chosen:
                self._change(db, letter, change)
        more = not selection.ids and len(chosen) == limit
        return len(chosen), chosen[-1].dead_letter_id if more else ""

    def _chosen(self, db: Session, selection: Selection, after: str, limit: int) -> list[DeadLetter]:
        where, values = conditions(selection)
        rows = db.execute(
            f"SELECT {COLUMNS} FROM dead_letter WHERE {where} AND dead_letter_id > ? ORDER BY dead_letter_id LIMIT ?"
            + self.FOR_UPDATE,
            (*values, after, limit),
        ).fetchall()
        return [self.letter_of(row) for row in rows]

    def _change(self, db: Session, letter: DeadLetter, change: LetterChange) -> None:
        now = self.clock.now()
        if change.kind == "discard":
            event = LetterEvent("discarded", now, change.actor, reason=change.reason)
            self.moved(db, replace(letter, state="discarded", note=change.reason), event)
        elif change.kind == "assign":
            event = LetterEvent("assigned", now, change.actor, assignee=change.assignee)
            self.moved(db, replace(letter, assignee=change.assignee), event)
        elif change.kind == "keep":
            self._keep_until(db, letter, now + timedelta(seconds=change.keep_s), change.actor)
        else:
            self._expire(db, letter, change.actor)

    def _keep_until(
        self, db: Session, letter: DeadLetter, until: datetime, actor: str, *, announced: bool = False
    ) -> None:
        db.execute(
            "UPDATE dead_letter SET announced = ? WHERE dead_letter_id = ?", (int(announced), letter.dead_letter_id)
        )
        self.moved(db, replace(letter, expires_at=until), LetterEvent("kept_until", self.clock.now(), actor))

    def _expire(self, db: Session, letter: DeadLetter, actor: str = "") -> None:
        self._destroy(db, letter.dead_letter_id)
        self.moved(db, replace(letter, state="expired"), LetterEvent("expired", self.clock.now(), actor))

    def _destroy(self, db: Session, dead_letter_id: DeadLetterId) -> None:
        # In SQLite the connection's secure_delete overwrites the pages that the payload leaves with zeros.
        db.execute("UPDATE dead_letter SET payload = NULL WHERE dead_letter_id = ?", (dead_letter_id,))

    # ---- time ---------------------------------------------------------------------------------------------------

    def keep_house(self, limit: int = 500) -> Housekeeping:
        with self.transaction() as db:
            now = self.clock.now()
            return Housekeeping(
                announced=self._announce(db, now, limit),
                expired=self._expire_due(db, now, limit),
                destroyed=self._destroy_ended(db, now, limit),
                forgotten=self._forget_ended(db, now, limit),
            )

    def _announce(self, db: Session, now: datetime, limit: int) -> int:
        """A day before they expire. Those whose day passed while this atom was off get a day from now: nobody was told."""
        where = "state = 'waiting' AND announced = 0 AND expires_at <= ?"
        letters = self._due(db, where, now + ANNOUNCED_BEFORE, limit)
        for letter in letters:
            if letter.expires_at > now:
                db.execute("UPDATE dead_letter SET announced = 1 WHERE dead_letter_id = ?", (letter.dead_letter_id,))
                continue
            grace = min(ANNOUNCED_BEFORE, timedelta(seconds=letter.parked.keep_s))
            self._keep_until(db, letter, now + grace, "", announced=True)
        self._tell_groups(db, EXPIRING, letters)
        return len(letters)

    def _expire_due(self, db: Session, now: datetime, limit: int) -> int:
        letters = self._due(db, "state = 'waiting' AND announced = 1 AND expires_at <= ?", now, limit)
        for letter in letters:
            self._expire(db, letter)
        self._tell_groups(db, EXPIRED, letters)
        return len(letters)

    def _destroy_ended(self, db: Session, now: datetime, limit: int) -> int:
        """The documents of letters that ended otherwise; what is on record of them does not change."""
        rows = db.execute(
            "SELECT dead_letter_id FROM dead_letter WHERE state IN ('resolved', 'discarded') AND expires_at <= ?"
            " AND payload IS NOT NULL LIMIT ?",
            (now.isoformat(), limit),
        ).fetchall()
        for (identity,) in rows:
            self._destroy(db, identity)
        return len(rows)

    def _forget_ended(self, db: Session, now: datetime, limit: int) -> int:
        before = (now - RECORDS_KEPT).isoformat()
        forgotten = db.execute(
            "DELETE FROM dead_letter WHERE dead_letter_id IN (SELECT dead_letter_id FROM dead_letter"
            " WHERE state IN ('resolved', 'discarded', 'expired') AND expires_at <= ? LIMIT ?)",
            (before, limit),
        ).rowcount
        if forgotten:
            self.held_name(db, PROFILES)
            db.execute(
                "DELETE FROM dead_letter_profile WHERE digest NOT IN"
                " (SELECT profile FROM dead_letter WHERE profile IS NOT NULL)"
            )
        return forgotten

    def _due(self, db: Session, where: str, at: datetime, limit: int) -> list[DeadLetter]:
        rows = db.execute(
            f"SELECT {COLUMNS} FROM dead_letter WHERE {where} ORDER BY expires_at LIMIT ?{self.FOR_UPDATE}",
            (at.isoformat(), limit),
        ).fetchall()
        return [self.letter_of(row) for row in rows]

    def _tell_groups(self, db: Session, code: Code, letters: Sequence[DeadLetter]) -> None:
        """One event a process and queue, in the transaction of what it tells."""
        groups = Counter((letter.process, letter.parked.queue) for letter in letters)
        for number, ((process, queue), count) in enumerate(groups.most_common(_GROUPS_MAX), 1):
            left = sum(groups.values()) - sum(of for _, of in groups.most_common(number))
            others = f", and {left} in other queues" if number == _GROUPS_MAX and left else ""
            status = types_pb2.Status(
                code=code.name,
                message=f"{count} dead letters of {process} in queue {queue}{others}",
                where=queue,
                next=code.next,
            )
            event = telemetry_pb2.Event(
                kind=code.name,
                status=status,
                occurred_at_ms=int(self.clock.now().timestamp() * 1000),
                fields={"process": process, "queue": queue, "dead_letters": str(count)},
            )
            self.reported(db, "event", telemetry_pb2.Record(event=event).SerializeToString())


def conditions(selection: Selection) -> tuple[str, list[Any]]:
    """SQL of a selection among waiting letters, and its values."""
    parts = ["state = 'waiting'"]
    values: list[Any] = []
    if selection.ids:
        parts.append(f"dead_letter_id IN ({', '.join('?' * len(selection.ids))})")
        values += selection.ids
    for column in ("queue", "process", "code", "execution_id"):
        if wanted := getattr(selection, column):
            parts.append(f"{column} = ?")
            values.append(wanted)
    if selection.assignee:
        parts.append("assignee = ?")
        values.append("" if selection.assignee == NOBODY else selection.assignee)
    for moment, comparison in ((selection.created_after, ">="), (selection.created_before, "<")):
        if moment is not None:
            parts.append(f"created_at {comparison} ?")
            values.append(moment.isoformat())
    return " AND ".join(parts), values
