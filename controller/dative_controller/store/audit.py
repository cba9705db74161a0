"""The audit log: append-only rows in one hash chain, written in the transaction of the change they tell of.

The organization's row is locked first, so that sequence, chain and commit order agree however many controllers write.
A chain alone proves nothing when its head lives in the same database: the head travels in freshness statements too.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from dative.errors import store as codes
from sqlalchemy import Connection, Row, select, update

from dative_controller.store.database import refuse
from dative_controller.store.schema import audit, organization

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened. object: what it was done to; decision: "allowed" or "denied"."""

    actor: str
    action: str
    object: str
    request_digest: str = ""
    decision: str = "allowed"


def append(connection: Connection, entry: Entry, now_ms: int) -> int:
    """Add one entry; returns its sequence."""
    head = connection.execute(
        update(organization)
        .values(audit_sequence=organization.c.audit_sequence + 1)
        .returning(organization.c.audit_sequence, organization.c.audit_head)
    ).one()
    previous = head.audit_head or GENESIS
    values = {
        "sequence": head.audit_sequence,
        "at_ms": now_ms,
        "actor": entry.actor,
        "action": entry.action,
        "object": entry.object,
        "decision": entry.decision,
        "request_digest": entry.request_digest,
        "previous_hash": previous,
    }
    digest = _digest(values)
    connection.execute(audit.insert().values(**values, hash=digest))
    connection.execute(update(organization).values(audit_head=digest))
    return int(head.audit_sequence)


def _digest(values: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def page(connection: Connection, *, before: int, rows_max: int) -> list[Row[tuple[object, ...]]]:
    """Entries before that sequence (0: from the newest), newest first."""
    query = select(audit).order_by(audit.c.sequence.desc()).limit(rows_max)
    return list(connection.execute(query.where(audit.c.sequence < before) if before else query))


def verify(connection: Connection) -> tuple[int, str]:
    """Recompute the chain: (number of entries, head hash). Errors: store.audit_broken, naming the first bad entry."""
    previous, count = GENESIS, 0
    for row in connection.execute(select(audit).order_by(audit.c.sequence)):
        values = dict(row._mapping)
        stored = values.pop("hash")
        count += 1
        if row.sequence != count or row.previous_hash != previous or _digest(values) != stored:
            raise refuse(
                codes.AUDIT_BROKEN, f"audit entry {row.sequence} does not fit the chain", f"entry {row.sequence}"
            )
        previous = stored
    head = connection.execute(select(organization.c.audit_sequence, organization.c.audit_head)).one()
    if (head.audit_sequence, head.audit_head or GENESIS) != (count, previous):
        raise refuse(codes.AUDIT_BROKEN, f"the log ends at entry {count}, its head says {head.audit_sequence}", "head")
    return count, previous
