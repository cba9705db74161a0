"""Trust documents by version, as signed envelopes. The store keeps bytes; `dative.bundle.trust` judges them."""

from __future__ import annotations

from dative.errors import control as codes
from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from dative_controller.store.database import refuse
from dative_controller.store.schema import trust_document


def chain(connection: Connection, after: int = 0) -> list[tuple[int, bytes]]:
    """(version, envelope) of every document after that version, oldest first."""
    query = select(trust_document).where(trust_document.c.version > after).order_by(trust_document.c.version)
    return [(row.version, bytes(row.envelope)) for row in connection.execute(query)]


def newest(connection: Connection) -> tuple[int, bytes] | None:
    row = connection.execute(select(trust_document).order_by(trust_document.c.version.desc()).limit(1)).one_or_none()
    return (row.version, bytes(row.envelope)) if row else None


def add(connection: Connection, version: int, envelope: bytes, now_ms: int) -> None:
    """Errors: control.trust_conflict when that version is there already."""
    try:
        with connection.begin_nested():
            connection.execute(trust_document.insert().values(version=version, envelope=envelope, created_ms=now_ms))
    except IntegrityError as taken:
        raise refuse(codes.TRUST_VERSION, f"trust document {version} is stored already") from taken
