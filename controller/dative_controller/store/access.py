"""Who may do what: accounts, role bindings, the bootstrap token and refresh tokens. Tokens are stored as digests only."""

from __future__ import annotations

from dataclasses import dataclass

from dative.errors import control as codes
from dative.errors.rpc import UNAUTHENTICATED
from sqlalchemy import Connection, delete, func, select, update

from dative_controller.signing.tokens import token_hash
from dative_controller.store.database import insert, refuse
from dative_controller.store.schema import bootstrap_token, organization, refresh_token, role_binding, user

ROLES = ("viewer", "operator", "deployer", "admin", "auditor", "revealer")


@dataclass(frozen=True, slots=True)
class Organization:
    organization_id: str
    store_epoch: int
    revocation_version: int
    audit_head: str


def ensure_organization(connection: Connection, organization_id: str, now_ms: int) -> Organization:
    """The one organization of this controller, made with `organization_id` at the first start."""
    row = connection.execute(select(organization)).one_or_none()
    if row is None:
        connection.execute(organization.insert().values(organization_id=organization_id, created_ms=now_ms))
    return the_organization(connection)


def adopt_ca(connection: Connection, pin: str) -> bool:
    """Remember the authority of this organization; False when another controller brought another one."""
    connection.execute(update(organization).where(organization.c.ca_pin == "").values(ca_pin=pin))
    return bool(connection.execute(select(organization.c.ca_pin)).scalar_one() == pin)


def the_organization(connection: Connection) -> Organization:
    row = connection.execute(select(organization)).one()
    return Organization(row.organization_id, row.store_epoch, row.revocation_version, row.audit_head)


def add_user(connection: Connection, subject: str, roles: dict[str, str], now_ms: int) -> None:
    """Make the account when it is new and bind roles. roles: role -> environment id, "" for the whole organization."""
    connection.execute(insert(connection, user).values(subject=subject, created_ms=now_ms).on_conflict_do_nothing())
    for role, environment_id in roles.items():
        connection.execute(
            insert(connection, role_binding)
            .values(subject=subject, role=role, environment_id=environment_id)
            .on_conflict_do_nothing()
        )


def bindings(connection: Connection, subject: str) -> frozenset[tuple[str, str]]:
    """(role, environment id or "") of an enabled account. Errors: rpc.unauthenticated when it is gone or disabled."""
    account = connection.execute(select(user).where(user.c.subject == subject)).one_or_none()
    if account is None or account.disabled:
        raise refuse(UNAUTHENTICATED, f"the account {subject} does not exist any more or is disabled")
    rows = connection.execute(select(role_binding).where(role_binding.c.subject == subject))
    return frozenset((row.role, row.environment_id) for row in rows)


def has_admin(connection: Connection) -> bool:
    query = select(func.count()).select_from(role_binding).where(role_binding.c.role == "admin")
    return bool(connection.execute(query).scalar_one())


def set_bootstrap(connection: Connection, token: str, expires_ms: int) -> None:
    """This is the one bootstrap token now; former ones are void."""
    connection.execute(delete(bootstrap_token))
    connection.execute(bootstrap_token.insert().values(token_hash=token_hash(token), expires_ms=expires_ms))


def use_bootstrap(connection: Connection, token: str, now_ms: int) -> None:
    """Use it up: one conditional update, so that it creates one admin however many try. Errors: access.token_invalid."""
    used = connection.execute(
        update(bootstrap_token)
        .where(
            bootstrap_token.c.token_hash == token_hash(token),
            bootstrap_token.c.used.is_(False),
            bootstrap_token.c.expires_ms > now_ms,
        )
        .values(used=True)
    )
    if used.rowcount != 1:
        raise refuse(codes.TOKEN_INVALID, "the bootstrap token is unknown, used or expired")


def add_refresh(connection: Connection, token: str, *, family: str, subject: str, expires_ms: int) -> None:
    connection.execute(
        refresh_token.insert().values(
            token_hash=token_hash(token), family=family, subject=subject, expires_ms=expires_ms
        )
    )


@dataclass(frozen=True, slots=True)
class Refreshed:
    """reused: the token had been used before; its family is revoked now, and the caller must refuse *after* commit."""

    subject: str
    family: str
    reused: bool


def use_refresh(connection: Connection, token: str, now_ms: int) -> Refreshed:
    """Use a refresh token up. Errors: access.token_invalid (unknown, expired, revoked)."""
    row = connection.execute(
        select(refresh_token).where(refresh_token.c.token_hash == token_hash(token)).with_for_update()
    ).one_or_none()
    if row is None or row.revoked or row.expires_ms <= now_ms:
        raise refuse(codes.TOKEN_INVALID, "the refresh token is unknown, revoked or expired")
    if row.used:
        connection.execute(update(refresh_token).where(refresh_token.c.family == row.family).values(revoked=True))
        return Refreshed(row.subject, row.family, reused=True)
    connection.execute(update(refresh_token).where(refresh_token.c.token_hash == row.token_hash).values(used=True))
    return Refreshed(row.subject, row.family, reused=False)


def forget_tokens(connection: Connection, now_ms: int) -> None:
    connection.execute(delete(refresh_token).where(refresh_token.c.expires_ms < now_ms))
