"""The certificate renews itself at half its life, with a new key each time, swapped on disk in one rename."""

from __future__ import annotations

import asyncio

import grpc
from cryptography import x509
from dative.errors import DativeError
from dative.errors.agent import ENROLMENT_INVALID
from dative.rpc import error_from
from dative.v1 import agent_pb2
from dative.waiting import Backoff, WaitingClock, either

from dative_atom.agent import identity as identities
from dative_atom.agent import pin
from dative_atom.agent.connection import CLOSE_GRACE_S, Connection, atom_service
from dative_atom.agent.identity import AtomIdentity, Certificate
from dative_atom.agent.log import log
from dative_atom.agent.paths import DataDir, write_whole

CALL_TIMEOUT_S = 30.0
LOOK_EVERY_S = 3600.0
"""The wall clock may jump, so a long wait is cut into pieces and measured anew."""


class Renewal:
    """Renews for as long as it runs. `renewed` is set each time, for the link to take up the new certificate."""

    def __init__(self, directory: DataDir, identity: AtomIdentity, connection: Connection, clock: WaitingClock) -> None:
        self._directory = directory
        self._identity = identity
        self._connection = connection
        self._clock = clock
        self.renewed = asyncio.Event()
        self.wake = asyncio.Event()

    async def run(self) -> None:
        """Failures are retried with a backoff of up to 60 s until the certificate is new; an expired one is beyond help
        and is said by the link."""
        backoff = Backoff(1.0, 60.0)
        while True:
            wait_s = (self._connection.certificate.renew_at() - self._clock.now()).total_seconds()
            if wait_s > 0:
                await either(self._clock, self.wake, min(wait_s, LOOK_EVERY_S))
                self.wake.clear()
                continue
            try:
                await self.renew()
                backoff.reset()
            except DativeError as failed:
                log.warning("certificate.renewal_failed", code=failed.code.name, reason=failed.message)
                await self._clock.sleep(max(backoff.next_s(), 0.5))

    async def renew(self) -> None:
        """One renewal. Errors: those of the call; agent.enrolment_invalid when the answer does not fit."""
        key_pem = await asyncio.to_thread(identities.new_tls_key)
        request = agent_pb2.RenewCertificateRequest(csr_der=identities.signing_request(key_pem))
        try:
            stub = atom_service(self._connection.channel())
            answer = await stub.RenewCertificate(request, timeout=CALL_TIMEOUT_S)
        except grpc.RpcError as failed:
            raise error_from(failed) from failed
        certificate = self._checked(key_pem, answer)
        identities.write_certificate(self._directory, certificate)
        write_whole(self._directory.ca, answer.ca_certificate_pem)
        former = self._connection.renewed(certificate, answer.ca_certificate_pem)
        # First the link dials anew, then the old channel goes; what is in flight on it has its grace.
        self.renewed.set()
        log.info("certificate.renewed", until=certificate.not_after.isoformat())
        if former is not None:
            await former.close(CLOSE_GRACE_S)

    def _checked(self, key_pem: bytes, answer: agent_pb2.RenewCertificateResponse) -> Certificate:
        certificate = Certificate.of(key_pem, answer.certificate_chain_pem)
        expected = (self._identity.organization_id, self._identity.environment_id, self._identity.atom_id)
        if certificate.names() != expected:
            raise DativeError("the renewed certificate names another atom", code=ENROLMENT_INVALID)
        certificate.check(self._clock.now())
        try:
            pinned = pin.pin_of(x509.load_pem_x509_certificate(answer.ca_certificate_pem)) == self._identity.ca_pin
        except ValueError:
            pinned = False
        if not pinned:
            raise DativeError("the answer names another CA than the pinned one", code=ENROLMENT_INVALID)
        return certificate
