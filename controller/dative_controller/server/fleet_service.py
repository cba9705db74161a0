"""FleetService: invitations, atoms and what they say of themselves, approval and revocation, drain."""

from __future__ import annotations

import hmac
from datetime import timedelta
from typing import Any

import grpc.aio
from dative.bundle.join_token import JoinToken
from dative.errors import DativeError
from dative.errors import control as codes
from dative.errors.molecules import QUARANTINED
from dative.errors.rpc import INVALID
from dative.ids import new_id
from dative.rpc import status_of
from dative.secrets import fingerprint
from dative.v1 import agent_pb2, control_pb2, control_pb2_grpc
from sqlalchemy import Connection

from dative_controller.links.enrollment import NAME
from dative_controller.rollout import trust
from dative_controller.server.caller import Caller, caller
from dative_controller.server.choose import choose_atom
from dative_controller.server.core import Core
from dative_controller.store import deployments, environments, fleet
from dative_controller.store.changes import Change, publish

Context = grpc.aio.ServicerContext[Any, Any]
TOKEN_LIFETIME = timedelta(minutes=15)
TOKEN_LIFETIME_MAX = timedelta(hours=24)
TOKEN_USES_MAX = 1000


class FleetServicer(control_pb2_grpc.FleetServiceServicer):
    def __init__(self, core: Core) -> None:
        self._core = core

    async def CreateJoinToken(  # noqa: N802
        self, request: control_pb2.CreateJoinTokenRequest, _context: Context
    ) -> control_pb2.CreateJoinTokenResponse:
        lifetime = request.ttl.ToTimedelta() if request.HasField("ttl") else TOKEN_LIFETIME
        molecule = request.molecule or "default"
        if not timedelta() < lifetime <= TOKEN_LIFETIME_MAX:
            raise DativeError(f"ttl {lifetime} must be at most {TOKEN_LIFETIME_MAX}", code=INVALID)
        if not NAME.match(molecule) or request.max_uses > TOKEN_USES_MAX:
            raise DativeError("a molecule's name, and at most 1,000 uses", code=INVALID)
        expires_at = self._core.clock.now() + lifetime

        def create(sql: Connection, who: Caller) -> tuple[control_pb2.CreateJoinTokenResponse, str]:
            row = environments.find(sql, request.environment)
            who.require(row.environment_id)
            _, document = trust.newest(sql)
            token = JoinToken.make(new_id(self._core.clock.now()), document.digest)
            fleet.add_token(
                sql,
                token.token_id,
                token.secret,
                environment_id=row.environment_id,
                molecule_id=molecule,
                expires_ms=int(expires_at.timestamp() * 1000),
                max_uses=request.max_uses or 1,
                require_approval=request.require_approval,
                created_by=who.subject,
            )
            answer = control_pb2.CreateJoinTokenResponse(join_token=token.reveal(), ca_pin=self._core.authority.pin)
            answer.expires_at.FromDatetime(expires_at)
            return answer, token.token_id

        return await self._core.change(request, control_pb2.CreateJoinTokenResponse, create, remember=False)

    async def ListAtoms(  # noqa: N802
        self, request: control_pb2.ListAtomsRequest, _context: Context
    ) -> control_pb2.ListAtomsResponse:
        who = caller()
        visible = who.environments()

        def read(sql: Connection) -> list[control_pb2.Atom]:
            wanted = None
            if request.environment:
                wanted = environments.find(sql, request.environment).environment_id
                who.require(wanted)
            rows = fleet.listed(sql, wanted)
            return [
                shown_atom(self._core, sql, row) for row in rows if visible is None or row.environment_id in visible
            ]

        return control_pb2.ListAtomsResponse(atoms=await self._core.database.read(read))

    async def GetAtom(self, request: control_pb2.GetAtomRequest, _context: Context) -> control_pb2.GetAtomResponse:  # noqa: N802
        who = caller()

        def read(sql: Connection) -> control_pb2.Atom:
            row = fleet.find(sql, request.atom)
            who.require(row.environment_id)
            return shown_atom(self._core, sql, row)

        return control_pb2.GetAtomResponse(atom=await self._core.database.read(read))

    async def ApproveAtom(  # noqa: N802
        self, request: control_pb2.ApproveAtomRequest, _context: Context
    ) -> control_pb2.ApproveAtomResponse:
        def approve(sql: Connection, who: Caller) -> tuple[control_pb2.ApproveAtomResponse, str]:
            row = fleet.find(sql, request.atom)
            who.require(row.environment_id)
            shown = fingerprint(row.seal_public_key)
            if not hmac.compare_digest(shown.lower(), request.seal_key_fingerprint.strip().lower()):
                raise DativeError(f"atom {row.name} has another sealing key", code=codes.FINGERPRINT, where=row.name)
            if row.state == "revoked":
                raise DativeError(f"atom {row.name} was revoked", code=codes.ATOM_REVOKED, where=row.name)
            if row.state == "quarantined":
                raise DativeError(row.quarantine, code=QUARANTINED, where=row.name)
            fleet.approve(sql, row.atom_id)
            publish(sql, Change("atom", row.environment_id, row.molecule_id, row.atom_id), self._core.now_ms())
            approved = shown_atom(self._core, sql, fleet.find(sql, row.atom_id))
            return control_pb2.ApproveAtomResponse(atom=approved), row.atom_id

        return await self._core.change(request, control_pb2.ApproveAtomResponse, approve)

    async def RevokeAtom(  # noqa: N802
        self, request: control_pb2.RevokeAtomRequest, _context: Context
    ) -> control_pb2.RevokeAtomResponse:
        def revoke(sql: Connection, who: Caller) -> tuple[control_pb2.RevokeAtomResponse, str]:
            row = fleet.find(sql, request.atom)
            who.require(row.environment_id)
            fleet.revoke(sql, row.atom_id)
            publish(sql, Change("atom", row.environment_id, row.molecule_id, row.atom_id), self._core.now_ms())
            return control_pb2.RevokeAtomResponse(), f"{row.atom_id}: {request.reason[:200]}"

        return await self._core.change(request, control_pb2.RevokeAtomResponse, revoke)

    async def DrainAtom(  # noqa: N802
        self, request: control_pb2.DrainAtomRequest, _context: Context
    ) -> control_pb2.DrainAtomResponse:
        who = caller()
        row = await self._core.database.read(lambda sql: fleet.find(sql, request.atom))
        who.require(row.environment_id)
        await self._core.commander.send(
            row,
            agent_pb2.Command(drain=agent_pb2.Drain(resume=request.resume)),
            entry=self._core.entry("DrainAtom", row.atom_id, request),
            request_id=request.request_id,
            traceparent=who.trace.traceparent,
        )
        return control_pb2.DrainAtomResponse()

    async def TestConnection(  # noqa: N802
        self, request: control_pb2.FleetTestConnectionRequest, _context: Context
    ) -> control_pb2.FleetTestConnectionResponse:
        who = caller()
        row = await choose_atom(self._core, request.environment, molecule=None, atom=request.atom)
        result = await self._core.commander.send(
            row,
            agent_pb2.Command(test_connection=agent_pb2.TestConnection(connection=request.connection)),
            entry=self._core.entry("TestConnection", f"{row.atom_id}/{request.connection[:100]}", request),
            request_id="",
            traceparent=who.trace.traceparent,
        )
        return control_pb2.FleetTestConnectionResponse(atom=row.name, result=result.test_connection)


def shown_atom(core: Core, sql: Connection, row: fleet.AtomRow) -> control_pb2.Atom:
    """The row, with what this controller knows better when it holds the stream."""
    desired = deployments.desired(sql, row.environment_id, row.molecule_id)
    shown = control_pb2.Atom(
        atom_id=row.atom_id,
        name=row.name,
        environment_id=row.environment_id,
        environment=environments.find(sql, row.environment_id).name,
        molecule_id=row.molecule_id,
        desired_generation=desired.generation if desired else 0,
        phase=row.phase,
        seal_public_key=row.seal_public_key,
        seal_key_fingerprint=fingerprint(row.seal_public_key),
    )
    for name in ("description", "observed", "status", "heartbeat"):
        if body := getattr(row, name):
            getattr(shown, name).ParseFromString(body)
    session = core.hub.session(row.atom_id)
    draining, last_seen_ms = row.draining, row.last_seen_ms
    if session is not None:
        draining, last_seen_ms = session.draining, max(last_seen_ms, session.last_seen_ms)
        shown.heartbeat.CopyFrom(session.heartbeat)
    connected = "draining" if draining else "online"
    if row.state == "quarantined":
        shown.status.CopyFrom(status_of(DativeError(row.quarantine, code=QUARANTINED, where=row.name)))
    shown.state = row.state if row.state != "approved" else connected if row.connected else "offline"
    shown.enrolled_at.FromMilliseconds(row.enrolled_ms)
    if last_seen_ms:
        shown.last_seen_at.FromMilliseconds(last_seen_ms)
    if row.certificate_expires_ms:
        shown.certificate_expires_at.FromMilliseconds(row.certificate_expires_ms)
    return shown
