"""EnrollmentService: a join token and a certificate request become an identity, once."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc.aio
from dative.bundle.join_token import JoinToken
from dative.clock import Clock
from dative.errors import DativeError
from dative.errors import control as codes
from dative.errors.rpc import INVALID
from dative.ids import new_id
from dative.v1 import agent_pb2, agent_pb2_grpc, types_pb2
from sqlalchemy import Connection

from dative_controller.links.certificates import Certificates, key_digest
from dative_controller.store import audit, environments, fleet, molecules
from dative_controller.store.database import Database
from dative_controller.telemetry.log import log

NAME = re.compile(r"\A[a-z0-9][a-z0-9-]{0,62}\Z")
RETRY_AFTER_S = 10


@dataclass(frozen=True, slots=True)
class Enrolled:
    row: fleet.AtomRow
    environment: str
    chain: bytes
    trust_envelope: bytes
    settings: types_pb2.MoleculeSettings | None


class EnrollmentServicer(agent_pb2_grpc.EnrollmentServiceServicer):
    """trust_envelope: the stored trust document of a digest. admit: the rate limit, by the caller's address."""

    def __init__(
        self,
        database: Database,
        certificates: Certificates,
        clock: Clock,
        *,
        organization_id: str,
        endpoint: Callable[[], str],
        trust_envelope: Callable[[Connection, str], bytes | None],
        admit: Callable[[str], None],
    ) -> None:
        self._database = database
        self._certificates = certificates
        self._clock = clock
        self._organization_id = organization_id
        self._endpoint = endpoint
        self._trust_envelope = trust_envelope
        self._admit = admit

    async def EnrollAtom(  # noqa: N802
        self, request: agent_pb2.EnrollAtomRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> agent_pb2.EnrollAtomResponse:
        self._admit(context.peer())
        token = JoinToken.parse(request.join_token)
        if len(request.seal_public_key) != 32:
            raise DativeError("seal_public_key must be 32 bytes", code=INVALID)
        if request.name and not NAME.match(request.name):
            raise DativeError(f"{request.name[:80]!r} is no name for an atom", code=codes.BAD_NAME)
        digest = key_digest(request.csr_der)
        enrolled = await self._database.write(lambda sql: self._enrol(sql, token, digest, request))
        log.info("atom.enrolled", atom=enrolled.row.name, environment=enrolled.environment, state=enrolled.row.state)
        return self._answer(enrolled)

    def _enrol(self, sql: Connection, token: JoinToken, digest: str, request: agent_pb2.EnrollAtomRequest) -> Enrolled:
        """All in one transaction: the token is used up exactly when the atom exists."""
        now = self._clock.now()
        now_ms = int(now.timestamp() * 1000)
        stored = fleet.token_row(sql, token.token_id, token.secret)
        trust = self._trust_envelope(sql, token.trust_digest)
        if trust is None:
            raise DativeError("the join token pins another trust root", code=codes.JOIN_TOKEN_INVALID)
        row = fleet.enrolled_with(sql, token.token_id, digest)
        if row is None:
            fleet.use_token(sql, token.token_id, now_ms)
            row = self._add(sql, stored, digest, request, now_ms)
        elif row.state == "revoked":
            raise DativeError(f"atom {row.name} was revoked", code=codes.ATOM_REVOKED, where=row.name)
        environment = environments.find(sql, row.environment_id)
        chain = self._certificates.issue(sql, row, request.csr_der, now) if row.state == "approved" else b""
        settings = molecules.settings_of(sql, row.environment_id, row.molecule_id)
        return Enrolled(row, str(environment.name), chain, trust, settings)

    def _add(
        self, sql: Connection, stored: Any, digest: str, request: agent_pb2.EnrollAtomRequest, now_ms: int
    ) -> fleet.AtomRow:
        environment = environments.find(sql, stored.environment_id)
        atom_id = new_id(self._clock.now())
        pending = stored.require_approval or environment.require_approval
        values = {
            "atom_id": atom_id,
            "environment_id": stored.environment_id,
            "molecule_id": stored.molecule_id,
            "name": request.name or f"atom-{atom_id[-8:].lower()}",
            "state": "pending" if pending else "approved",
            "description": request.description.SerializeToString(),
            "seal_public_key": request.seal_public_key,
            "csr": request.csr_der,
            "token_id": stored.token_id,
            "key_digest": digest,
            "enrolled_ms": now_ms,
        }
        fleet.add_atom(sql, values)
        entry = audit.Entry(actor=f"token:{stored.token_id}", action="EnrollAtom", object=atom_id)
        audit.append(sql, entry, now_ms)
        row = fleet.by_id(sql, atom_id)
        assert row is not None  # noqa: S101  it was inserted three lines above
        return row

    def _answer(self, enrolled: Enrolled) -> agent_pb2.EnrollAtomResponse:
        row = enrolled.row
        answer = agent_pb2.EnrollAtomResponse(
            atom_id=row.atom_id,
            name=row.name,
            organization_id=self._organization_id,
            environment_id=row.environment_id,
            environment=enrolled.environment,
            molecule_id=row.molecule_id,
            certificate_chain_pem=enrolled.chain,
            ca_certificate_pem=self._certificates.ca_pem,
            trust_envelope=enrolled.trust_envelope,
            endpoints=[self._endpoint()],
            molecule_settings=enrolled.settings,
        )
        if not enrolled.chain:
            answer.retry_after.FromSeconds(RETRY_AFTER_S)
        return answer
