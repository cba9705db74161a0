"""The freshness statement: the controller's online key says what is current.

It can not make anything run or stop; its absence raises an alarm (freeze detection). Pure.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from dative.bundle.accepted import Position
from dative.bundle.manifest import Counter, Digest, Id, Moment, write_document
from dative.errors.base import Code
from dative.errors.bundle import FRESHNESS_BEHIND, FRESHNESS_STALE, FRESHNESS_WITHHELD

FRESHNESS_BYTES_MAX = 16 << 10
LIFETIME_S = 24 * 3600


class Freshness(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the controller says is current for one environment and molecule.

    audit_head: hash of the audit chain's last row, 64 hex digits or "", so that atoms witness it.
    """

    schema_: Literal["dative.freshness/v1"] = msgspec.field(default="dative.freshness/v1", name="schema")
    organization_id: Id
    environment_id: Id
    molecule_id: Id
    release_epoch: Counter
    generation: Counter
    manifest_digest: Digest
    audit_head: Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-f]{64})?\Z")] = ""
    revocation_version: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    issued_at: Moment
    expires_at: Moment

    def to_payload(self) -> bytes:
        return write_document(self)


def freshness_warning(newest: Freshness | None, position: Position | None, now: datetime) -> Code | None:
    """What to show in the atom's health; None: what runs is known to be current. Nothing that runs changes by it.

    newest: the last statement that `verify_freshness` let through. position: what this atom accepted.
    """
    if newest is None or newest.expires_at <= now:
        return FRESHNESS_STALE
    theirs = (newest.release_epoch, newest.generation)
    ours = (position.release_epoch, position.generation) if position else (0, 0)
    if theirs < ours:
        return FRESHNESS_BEHIND
    if theirs > ours or position is None or newest.manifest_digest != position.manifest_digest:
        return FRESHNESS_WITHHELD
    return None
