"""The organization's trust documents: the newest one, its history, and when a further one is taken."""

from __future__ import annotations

from datetime import datetime

from dative.bundle.trust import TrustDocument, read_trust, walk
from dative.errors import DativeError
from dative.errors import control as codes
from dative.errors.trust import WRONG_ORGANIZATION
from sqlalchemy import Connection

from dative_controller.store import trust


def newest(sql: Connection) -> tuple[bytes, TrustDocument]:
    """(envelope, document) in force. Errors: enrol.no_trust."""
    found = trust.newest(sql)
    if found is None:
        raise DativeError("no trust document was uploaded yet", code=codes.NO_TRUST)
    return found[1], read_trust(found[1])


def pinned_envelope(sql: Connection, digest: str) -> bytes | None:
    """The envelope of the document with that digest, as a join token names it."""
    return next((envelope for _, envelope in trust.chain(sql) if read_trust(envelope).digest == digest), None)


def put(sql: Connection, envelope: bytes, *, organization_id: str, now: datetime) -> int:
    """Take a further document; returns its version. The same one again changes nothing.

    The first is taken on the admin's word, every later one only with the root threshold of the one before and its own.
    Errors: those of `dative.bundle.trust`; control.trust_conflict when the first is not version 1.
    """
    held = trust.newest(sql)
    if held is None:
        document = read_trust(envelope)
        if document.organization_id != organization_id:
            raise DativeError(f"it is of organization {document.organization_id}", code=WRONG_ORGANIZATION)
        if document.version != 1:
            raise DativeError("the first trust document must be version 1", code=codes.TRUST_VERSION)
    else:
        if read_trust(envelope).digest == read_trust(held[1]).digest:
            return held[0]
        document = walk(read_trust(held[1]), [envelope], now)
    trust.add(sql, document.version, envelope, int(now.timestamp() * 1000))
    return document.version
