"""What the leader of a molecule writes down for the leader after it, and whose molecule the journal is.

A leader that was paused and wakes up may believe that it leads. So what it writes carries its term, and a lower one than
any before is refused in the same statement (Invariant 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from dative.errors import StopRun
from dative.errors.molecule import LEADER_FENCED, WRONG_CLUSTER

from dative_atom.journal.store import Store


class Leading(Store):
    """See the module; the contract's words stand in `contract.Journal`."""

    def schedule_last(self) -> dict[str, datetime]:
        with self.reading() as db:
            rows = db.execute("SELECT key, last FROM schedule").fetchall()
        return {key: datetime.fromisoformat(last) for key, last in rows}

    def schedule_note(self, changes: Mapping[str, datetime | None], term: int) -> None:
        with self.transaction() as db:
            held = db.execute(
                "INSERT INTO schedule_term VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET term = excluded.term"
                " WHERE schedule_term.term <= excluded.term",
                (term,),
            ).rowcount
            if not held:
                raise StopRun(f"schedules were noted in a later term than {term}", code=LEADER_FENCED)
            db.executemany(
                "INSERT INTO schedule VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET last = excluded.last,"
                " term = excluded.term",
                [(key, last.isoformat(), term) for key, last in changes.items() if last is not None],
            )
            gone = [(key,) for key, last in changes.items() if last is None]
            db.executemany("DELETE FROM schedule WHERE key = ?", gone)

    def cluster(self, cluster_id: str, *, adopt: bool = False) -> int:
        with self.transaction() as db:
            db.execute("INSERT INTO coordination VALUES (1, ?, 1) ON CONFLICT DO NOTHING", (cluster_id,))
            known, epoch = db.execute("SELECT cluster_id, epoch FROM coordination").fetchone()
            if known == cluster_id:
                return int(epoch)
            if not adopt:
                raise StopRun(f"etcd cluster {cluster_id} is not {known}, the journal's", code=WRONG_CLUSTER)
            db.execute("UPDATE coordination SET cluster_id = ?, epoch = epoch + 1", (cluster_id,))
            return int(epoch) + 1
