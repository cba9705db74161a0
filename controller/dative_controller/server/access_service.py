"""AccessService: logging in, who one is, and the audit log."""

from __future__ import annotations

from typing import Any

import grpc.aio
from dative.errors import DativeError
from dative.errors import control as codes
from dative.errors import store as store_codes
from dative.errors.rpc import INVALID
from dative.ids import new_id
from dative.rpc import status_of
from dative.v1 import control_pb2, control_pb2_grpc
from sqlalchemy import Connection

from dative_controller.server.caller import caller
from dative_controller.server.core import Core, digest_of, page_size
from dative_controller.server.limits import address_of, is_loopback
from dative_controller.signing.tokens import make_refresh_token
from dative_controller.store import access, audit, changes
from dative_controller.telemetry.log import log

Context = grpc.aio.ServicerContext[Any, Any]
SUBJECT_CHARS_MAX = 200
FIRST_ADMIN_ROLES = ("admin", "deployer", "operator", "auditor", "revealer")
"""Until there are others, one person does everything; the audit log tells which."""


class AccessServicer(control_pb2_grpc.AccessServiceServicer):
    def __init__(self, core: Core) -> None:
        self._core = core

    async def Login(self, request: control_pb2.LoginRequest, context: Context) -> control_pb2.LoginResponse:  # noqa: N802
        address = address_of(context.peer())
        self._core.login_limit.check(address)
        try:
            if request.token.startswith("bt1."):
                subject, refresh = await self._first_admin(request, context.peer())
            else:
                subject, refresh = await self._refresh(request)
        except DativeError:
            self._core.login_limit.take(address)
            raise
        now = self._core.clock.now()
        answer = control_pb2.LoginResponse(
            access_token=self._core.tokens.issue(subject, now),
            refresh_token=refresh,
            subject=subject,
            organization_id=self._core.organization_id,
        )
        answer.expires_at.FromDatetime(now + self._core.config.access_token_lifetime)
        log.info("login.succeeded", subject=subject, peer=context.peer())
        return answer

    async def _first_admin(self, request: control_pb2.LoginRequest, peer: str) -> tuple[str, str]:
        if not is_loopback(peer):
            raise DativeError(f"it came from {address_of(peer)}", code=codes.BOOTSTRAP_REMOTE)
        subject = request.subject.strip()
        if not 0 < len(subject) <= SUBJECT_CHARS_MAX or not subject.isprintable():
            raise DativeError("subject: give the name or e-mail of the first admin", code=INVALID)

        def create(sql: Connection) -> str:
            now_ms = self._core.now_ms()
            changes.lock(sql)
            access.use_bootstrap(sql, request.token, now_ms)
            access.add_user(sql, subject, dict.fromkeys(FIRST_ADMIN_ROLES, ""), now_ms)
            return self._issue(sql, subject, new_id(self._core.clock.now()), "CreateFirstAdmin", request)

        return subject, await self._core.database.write(create)

    async def _refresh(self, request: control_pb2.LoginRequest) -> tuple[str, str]:
        def rotate(sql: Connection) -> tuple[access.Refreshed, str]:
            changes.lock(sql)
            used = access.use_refresh(sql, request.token, self._core.now_ms())
            if used.reused:
                entry = audit.Entry(used.subject, "Login", used.family, digest_of(request), decision="denied")
                audit.append(sql, entry, self._core.now_ms())
                return used, ""
            access.bindings(sql, used.subject)
            return used, self._issue(sql, used.subject, used.family, "Login", request)

        used, refresh = await self._core.database.write(rotate)
        if used.reused:  # after the commit, so that the family stays revoked
            raise DativeError("this refresh token was used before", code=codes.REFRESH_REUSED)
        return used.subject, refresh

    def _issue(self, sql: Connection, subject: str, family: str, action: str, request: control_pb2.LoginRequest) -> str:
        refresh = make_refresh_token()
        expires_ms = self._core.now_ms() + int(self._core.config.refresh_token_lifetime.total_seconds() * 1000)
        access.add_refresh(sql, refresh, family=family, subject=subject, expires_ms=expires_ms)
        audit.append(sql, audit.Entry(subject, action, family, digest_of(request)), self._core.now_ms())
        return refresh

    async def WhoAmI(self, _request: control_pb2.WhoAmIRequest, _context: Context) -> control_pb2.WhoAmIResponse:  # noqa: N802
        who = caller()
        return control_pb2.WhoAmIResponse(
            subject=who.subject,
            roles=sorted(role + (f"@{environment}" if environment else "") for role, environment in who.bindings),
            organization_id=self._core.organization_id,
            controller_version=self._core.version,
        )

    async def ListAudit(  # noqa: N802
        self, request: control_pb2.ListAuditRequest, _context: Context
    ) -> control_pb2.ListAuditResponse:
        caller().require("")
        rows = await self._core.database.read(
            lambda sql: audit.page(sql, before=request.before_sequence, rows_max=page_size(request.page_size))
        )
        answer = control_pb2.ListAuditResponse()
        for row in rows:
            entry = answer.entries.add(
                sequence=row.sequence,
                actor=row.actor,
                action=row.action,
                object=row.object,
                decision=row.decision,
                request_digest=row.request_digest,
                hash=row.hash,
            )
            entry.at.FromMilliseconds(row.at_ms)
        return answer

    async def VerifyAudit(  # noqa: N802
        self, _request: control_pb2.VerifyAuditRequest, _context: Context
    ) -> control_pb2.VerifyAuditResponse:
        caller().require("")
        try:
            entries, head = await self._core.database.read(audit.verify)
        except DativeError as broken:
            if broken.code is not store_codes.AUDIT_BROKEN:
                raise
            return control_pb2.VerifyAuditResponse(status=status_of(broken))  # a finding, not a failure of the call
        return control_pb2.VerifyAuditResponse(entries=entries, head_hash=head)
