"""Atoms and the join tokens that make them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dative.errors import control as codes
from dative.errors.molecules import QUARANTINED
from dative.v1 import agent_pb2, types_pb2
from sqlalchemy import ColumnElement, Connection, Row, and_, select, update
from sqlalchemy.exc import IntegrityError

from dative_controller.signing.tokens import matches, token_hash
from dative_controller.store.database import refuse
from dative_controller.store.resolve import one
from dative_controller.store.schema import atom, join_token, organization

AtomRow = Row[Any]
TWIN_WITHIN_MS = 60_000
"""Two that fence each other take turns within seconds; an hour later it is a restored copy that replaces the first."""


def add_token(
    connection: Connection,
    token_id: str,
    secret: str,
    *,
    environment_id: str,
    molecule_id: str,
    expires_ms: int,
    max_uses: int,
    require_approval: bool,
    created_by: str,
) -> None:
    """Keep a join token; only the digest of its secret is stored."""
    connection.execute(
        join_token.insert().values(
            token_id=token_id,
            environment_id=environment_id,
            molecule_id=molecule_id,
            secret_hash=token_hash(secret),
            expires_ms=expires_ms,
            max_uses=max_uses,
            require_approval=require_approval,
            created_by=created_by,
        )
    )


def token_row(connection: Connection, token_id: str, secret: str) -> Row[Any]:
    """The token with that id and secret. Errors: enrol.token_invalid, the same for both, compared in constant time."""
    row = connection.execute(select(join_token).where(join_token.c.token_id == token_id)).one_or_none()
    if row is None or not matches(secret, row.secret_hash):
        raise refuse(codes.JOIN_TOKEN_INVALID, "the join token is unknown to this controller")
    return row


def use_token(connection: Connection, token_id: str, now_ms: int) -> None:
    """Use it once: one conditional update decides among any number of callers. Errors: enrol.token_used, _expired."""
    used = connection.execute(
        update(join_token)
        .where(
            join_token.c.token_id == token_id,
            join_token.c.uses < join_token.c.max_uses,
            join_token.c.expires_ms > now_ms,
        )
        .values(uses=join_token.c.uses + 1)
    )
    if used.rowcount == 1:
        return
    row = connection.execute(select(join_token).where(join_token.c.token_id == token_id)).one()
    if row.expires_ms <= now_ms:
        raise refuse(codes.JOIN_TOKEN_EXPIRED, "the join token has expired")
    raise refuse(codes.JOIN_TOKEN_USED, f"the join token was used {row.uses} of {row.max_uses} times")


def enrolled_with(connection: Connection, token_id: str, key_digest: str) -> AtomRow | None:
    """The atom that this very key made with this token before: a lost answer is answered again."""
    return connection.execute(
        select(atom).where(atom.c.token_id == token_id, atom.c.key_digest == key_digest)
    ).one_or_none()


def add_atom(connection: Connection, values: dict[str, Any]) -> None:
    """Errors: control.name_taken. The name of a revoked atom is free again."""
    connection.execute(
        update(atom)
        .where(
            atom.c.environment_id == values["environment_id"], atom.c.name == values["name"], atom.c.state == "revoked"
        )
        .values(name=atom.c.name + "-" + atom.c.atom_id)
    )
    try:
        with connection.begin_nested():
            connection.execute(atom.insert().values(**values))
    except IntegrityError as taken:
        raise refuse(codes.NAME_TAKEN, f"there is an atom {values['name']} in this environment") from taken


def find(connection: Connection, wanted: str, within: ColumnElement[bool] | None = None) -> AtomRow:
    """By id, name or unique prefix. Errors: control.not_found, control.ambiguous."""
    return one(connection, atom, "atom", wanted, id_column="atom_id", within=within)


def by_id(connection: Connection, atom_id: str) -> AtomRow | None:
    return connection.execute(select(atom).where(atom.c.atom_id == atom_id)).one_or_none()


def listed(connection: Connection, environment_id: str | None = None, molecule_id: str | None = None) -> list[AtomRow]:
    query = select(atom).order_by(atom.c.environment_id, atom.c.name)
    if environment_id is not None:
        query = query.where(atom.c.environment_id == environment_id)
    if molecule_id is not None:
        query = query.where(atom.c.molecule_id == molecule_id)
    return list(connection.execute(query))


def admit(connection: Connection, atom_id: str) -> AtomRow:
    """The atom, when it may speak. Errors: fleet.atom_revoked, fleet.atom_pending, fleet.atom_quarantined."""
    row = by_id(connection, atom_id)
    if row is None or row.state == "revoked":
        raise refuse(codes.ATOM_REVOKED, f"atom {atom_id} is not of this fleet (any more)", atom_id)
    if row.state == "quarantined":
        raise refuse(QUARANTINED, row.quarantine, row.name)
    if row.state == "pending":
        raise refuse(codes.ATOM_PENDING, f"atom {row.name} is not approved yet", row.name)
    return row


def set_certificate(connection: Connection, atom_id: str, serial: str, expires_ms: int) -> None:
    connection.execute(
        update(atom)
        .where(atom.c.atom_id == atom_id)
        .values(certificate_serial=serial, certificate_expires_ms=expires_ms)
    )


def approve(connection: Connection, atom_id: str) -> None:
    connection.execute(update(atom).where(atom.c.atom_id == atom_id).values(state="approved"))


def revoke(connection: Connection, atom_id: str) -> None:
    """From now on it is refused everywhere; the revocation version tells the others' atoms through freshness."""
    connection.execute(update(atom).where(atom.c.atom_id == atom_id).values(state="revoked", connected=False))
    connection.execute(update(organization).values(revocation_version=organization.c.revocation_version + 1))


@dataclass(frozen=True, slots=True)
class Greeting:
    """What an atom said of itself when it connected."""

    description: bytes
    observed: types_pb2.ObservedState
    phase: int
    status: bytes
    draining: bool


@dataclass(frozen=True, slots=True)
class Process:
    """Which process speaks for an atom. nonce: drawn at its start, "" of an older version; instance_id: of its directory."""

    nonce: str
    instance_id: str
    host: str


def alive(connection: Connection, atom_id: str, session: int, process: Process, now_ms: int) -> str:
    """Note that this process lives, which it proves by a heartbeat: a Hello may come late, from one that has ended.

    Returns why two processes seem to run with the atom's identity, "" when nothing says so. A process draws its nonce
    when it starts, so that one which is heard of again after another one was has been alive all the while. A restart
    brings a nonce never seen, a quick reconnect the same one. A stream that a newer one has fenced says nothing.
    """
    current = atom.c.atom_id == atom_id, atom.c.session == session
    row = connection.execute(select(atom).where(*current)).one_or_none()
    if row is None or row.boot_nonce == process.nonce:
        return ""
    connection.execute(
        update(atom)
        .where(*current)
        .values(
            boot_nonce=process.nonce,
            instance_id=process.instance_id,
            boot_host=process.host,
            former_nonce=row.boot_nonce,
            nonce_changed_ms=now_ms,
        )
    )
    if process.nonce != row.former_nonce or now_ms - row.nonce_changed_ms > TWIN_WITHIN_MS:
        return ""
    hosts = f"on {process.host or '?'} and on {row.boot_host or '?'}"
    what = "its disk was cloned" if process.instance_id == row.instance_id else "its keys were copied"
    return f"two processes run as atom {row.name}, {hosts}, and take turns in connecting: {what}"


def quarantine(connection: Connection, atom_id: str, why: str) -> bool:
    """From now on it is refused everywhere, and its certificate with it. False: it was not approved any more."""
    statement = update(atom).where(atom.c.atom_id == atom_id, atom.c.state == "approved")
    done = connection.execute(statement.values(state="quarantined", quarantine=why, connected=False))
    return done.rowcount == 1


def open_session(connection: Connection, atom_id: str, greeting: Greeting, controller_id: str, now_ms: int) -> int:
    """A new stream of the atom: its number fences every older one, on whichever controller that is.

    The applied generation is stored from here too, because an ack lost in a kill would leave the store wrong for ever.
    """
    return int(
        connection.execute(
            update(atom)
            .where(atom.c.atom_id == atom_id)
            .values(
                session=atom.c.session + 1,
                connected=True,
                controller_id=controller_id,
                last_seen_ms=now_ms,
                description=greeting.description,
                draining=greeting.draining,
                observed=greeting.observed.SerializeToString(),
                phase=greeting.phase,
                status=greeting.status,
                acked_epoch=greeting.observed.release_epoch,
                acked_generation=greeting.observed.generation,
            )
            .returning(atom.c.session)
        ).scalar_one()
    )


def close_session(connection: Connection, atom_id: str, session: int, now_ms: int) -> None:
    """The stream ended; a newer one is left alone."""
    connection.execute(
        update(atom)
        .where(atom.c.atom_id == atom_id, atom.c.session == session)
        .values(connected=False, last_seen_ms=now_ms)
    )


def forget_sessions(connection: Connection, controller_id: str | None) -> None:
    """At start: nobody is connected yet (None: to no controller, for there is only this one)."""
    query = update(atom).values(connected=False)
    connection.execute(query if controller_id is None else query.where(atom.c.controller_id == controller_id))


def acknowledge(connection: Connection, atom_id: str, session: int, ack: agent_pb2.DesiredStateAck) -> bool:
    """Store an atom's answer, unless a newer stream has taken over. True: stored."""
    stored = connection.execute(
        update(atom)
        .where(and_(atom.c.atom_id == atom_id, atom.c.session == session))
        .values(
            observed=ack.observed.SerializeToString(),
            phase=ack.phase,
            status=ack.status.SerializeToString() if ack.HasField("status") else None,
            acked_epoch=ack.observed.release_epoch,
            acked_generation=ack.observed.generation,
        )
    )
    return stored.rowcount == 1


def seen(connection: Connection, beats: dict[str, tuple[int, int, bytes, bool]]) -> None:
    """Flush heartbeats kept in memory: atom id -> (session, last seen, heartbeat, draining)."""
    for atom_id, (session, last_seen_ms, heartbeat, draining) in beats.items():
        connection.execute(
            update(atom)
            .where(atom.c.atom_id == atom_id, atom.c.session == session)
            .values(last_seen_ms=last_seen_ms, heartbeat=heartbeat, draining=draining)
        )


def set_components(connection: Connection, atom_id: str, session: int, report: bytes) -> None:
    connection.execute(
        update(atom).where(atom.c.atom_id == atom_id, atom.c.session == session).values(components=report)
    )
