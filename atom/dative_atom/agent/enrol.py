"""Joining: a token and a pin become an identity on this disk.

Order: form of token and pin, who answers (pin), and only then the token's secret leaves; the trust document is compared
with the digest in the token before it is believed. Run again after any crash it goes on where it stood: the keys stay,
and the controller answers the same key with the same token alike.
"""

from __future__ import annotations

import asyncio
import platform
import re
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass

import grpc
import msgspec
from cryptography import x509
from dative import __version__
from dative.bundle import trust
from dative.bundle.accepted import Accepted
from dative.errors import DativeError
from dative.errors.agent import ENROLMENT_INVALID, JOINED_ELSEWHERE, PENDING, PIN_MISMATCH
from dative.errors.control import JOIN_TOKEN_INVALID
from dative.errors.rpc import UNREACHABLE
from dative.molecule_settings import MoleculeSettings
from dative.rpc import error_from
from dative.secrets import SealKey, Secret
from dative.v1 import agent_pb2, agent_pb2_grpc, types_pb2
from dative.waiting import Backoff, WaitingClock

from dative_atom.agent import identity as identities
from dative_atom.agent import molecule_settings as molecules
from dative_atom.agent import pin, proxy
from dative_atom.agent.connection import dial, enrollment_service
from dative_atom.agent.identity import AtomIdentity, Certificate
from dative_atom.agent.log import redactor
from dative_atom.agent.molecule_settings import HostSettings
from dative_atom.agent.paths import DataDir, write_whole

CALL_TIMEOUT_S = 30.0
TRIES_MAX = 5
NO_HOST = HostSettings()
_TOKEN = re.compile(r"\Aat1\.[A-Za-z0-9]{1,64}\.([A-Za-z0-9_-]{43})\.([0-9a-f]{64})\Z")


@dataclass(frozen=True)
class JoinToken:
    """at1.<id>.<secret>.<digest of the trust document>; only the digest and the whole text are of use here."""

    text: Secret
    trust_digest: str

    @classmethod
    def parse(cls, text: str) -> JoinToken:
        """Errors: enrol.token_invalid; the text stays out of the message."""
        found = _TOKEN.match(text.strip())
        if found is None:
            raise DativeError(
                f"the join token ({len(text.strip())} characters) is not of the form at1.….….…; copy it whole",
                code=JOIN_TOKEN_INVALID,
            )
        redactor.register(Secret(found[1]))
        return cls(Secret(text.strip()), found[2])


@dataclass(frozen=True)
class Joining:
    """What a person gives. wait_s: how long to wait for an approval. name: "" lets the controller choose.

    host: what this host adds to its molecule's settings; on a joined atom it is taken over those it had.
    """

    controller: str
    ca_pin: str
    token: Callable[[], str]
    name: str = ""
    proxy: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    wait_s: float = 900.0
    host: HostSettings = NO_HOST


@dataclass(frozen=True)
class Joined:
    """molecule: what it coordinates with; None, it works alone."""

    identity: AtomIdentity
    fingerprint: str
    already: bool
    certificate_until: str
    molecule: MoleculeSettings | None = None


Told = Callable[[str], None]


async def join(directory: DataDir, joining: Joining, clock: WaitingClock, tell: Told = lambda _: None) -> Joined:
    """Join, or say that it is done already. tell: gets a sentence for the person when an approval is awaited.

    Errors: agent.* of pin, proxy and data directory; enrol.* and fleet.* from the controller; trust.not_pinned.
    """
    wanted_pin = pin.check_pin_form(joining.ca_pin)
    joining.host.check()
    if directory.identity.exists():
        return _already(directory, wanted_pin, joining.host)
    token = JoinToken.parse(joining.token())
    way = proxy.choose(joining.controller, joining.proxy)
    presented = await asyncio.to_thread(pin.look, joining.controller, way)
    ca_pem = pin.pinned_ca(presented, wanted_pin, clock.now())
    key_pem, seal_key = _keys(directory)
    request = _request(joining, token, key_pem, seal_key)
    async with dial(joining.controller, ca_pem=ca_pem, way=way) as channel:
        answer = await _ask(enrollment_service(channel), request, joining, seal_key, clock, tell)
    joined = _checked(answer, joining, wanted_pin, token, key_pem, clock)
    molecule = _keep_molecule(directory, answer, joining.host)
    _persist(directory, *joined, answer)
    return Joined(joined[0], seal_key.fingerprint, False, f"{joined[1].not_after:%Y-%m-%d %H:%M} UTC", molecule)


def _keep_molecule(
    directory: DataDir, answer: agent_pb2.EnrollAtomResponse, host: HostSettings
) -> MoleculeSettings | None:
    """Settings with this host's own over them. Before the identity: an atom never starts without what it needs."""
    told = answer.molecule_settings if answer.HasField("molecule_settings") else None
    molecules.write_stored(directory, MoleculeSettings.from_wire(told) if told is not None else None)
    molecules.write_host(directory, host)
    found = molecules.effective(directory)
    return found.settings if found else None


def _already(directory: DataDir, wanted_pin: str, host: HostSettings) -> Joined:
    found = identities.read_identity(directory)
    if wanted_pin != found.ca_pin:
        raise DativeError(
            f"{directory.root} belongs to atom {found.name} of controller {found.controller}", code=JOINED_ELSEWHERE
        )
    certificate = identities.read_certificate(directory)
    fingerprint = identities.read_seal_key(directory).fingerprint
    if host != NO_HOST:
        given = {name: value for name, value in msgspec.structs.asdict(host).items() if value}
        molecules.write_host(directory, msgspec.structs.replace(molecules.read_host(directory), **given))
    molecule = molecules.effective(directory)
    until = f"{certificate.not_after:%Y-%m-%d %H:%M} UTC"
    return Joined(found, fingerprint, True, until, molecule.settings if molecule else None)


def _keys(directory: DataDir) -> tuple[bytes, SealKey]:
    """This atom's keys: made once, kept over every try."""
    if not directory.joining_key.exists():
        write_whole(directory.joining_key, identities.new_tls_key())
    if not directory.seal_key.exists():
        write_whole(directory.seal_key, SealKey.generate().to_bytes())
    return identities.read_bounded(directory.joining_key), identities.read_seal_key(directory)


def description(labels: dict[str, str]) -> types_pb2.AtomDescription:
    version = f"cpython{sys.version_info.major}.{sys.version_info.minor}"
    return types_pb2.AtomDescription(
        version=__version__,
        platform=f"{sys.platform}-{platform.machine()}-{version}",
        labels=labels,
        host=socket.gethostname(),
    )


def _request(joining: Joining, token: JoinToken, key_pem: bytes, seal_key: SealKey) -> agent_pb2.EnrollAtomRequest:
    return agent_pb2.EnrollAtomRequest(
        join_token=token.text.reveal(),
        csr_der=identities.signing_request(key_pem),
        seal_public_key=seal_key.public_raw,
        description=description(dict(joining.labels)),
        name=joining.name,
    )


async def _ask(
    stub: agent_pb2_grpc.EnrollmentServiceStub,
    request: agent_pb2.EnrollAtomRequest,
    joining: Joining,
    seal_key: SealKey,
    clock: WaitingClock,
    tell: Told,
) -> agent_pb2.EnrollAtomResponse:
    """Ask until there is a certificate; lost calls up to TRIES_MAX times, an approval for `wait_s`."""
    deadline = clock.elapsed_s() + joining.wait_s
    backoff, tries, told = Backoff(0.5, 5.0), 0, False
    while True:
        try:
            answer: agent_pb2.EnrollAtomResponse = await stub.EnrollAtom(request, timeout=CALL_TIMEOUT_S)
        except grpc.RpcError as failed:
            error, tries = error_from(failed), tries + 1
            if error.code is not UNREACHABLE or tries >= TRIES_MAX:
                raise error from failed
            await clock.sleep(backoff.next_s())
            continue
        if answer.certificate_chain_pem:
            return answer
        if not told:
            tell(
                f"atom {answer.name} waits for approval; its seal key's fingerprint is {seal_key.fingerprint}\n"
                f"an admin compares it and says: dative atom approve {answer.name}"
            )
            told = True
        if clock.elapsed_s() >= deadline:
            raise DativeError(f"atom {answer.name} was not approved within {joining.wait_s:.0f} s", code=PENDING)
        await clock.sleep(max(answer.retry_after.ToTimedelta().total_seconds(), 0.1))


def _checked(
    answer: agent_pb2.EnrollAtomResponse,
    joining: Joining,
    wanted_pin: str,
    token: JoinToken,
    key_pem: bytes,
    clock: WaitingClock,
) -> tuple[AtomIdentity, Certificate, trust.TrustDocument]:
    """Believe nothing of the answer that does not fit what this side knows."""
    try:
        ca = x509.load_pem_x509_certificate(answer.ca_certificate_pem)
    except ValueError as broken:
        raise DativeError("the answer's CA certificate can not be read", code=ENROLMENT_INVALID) from broken
    if pin.pin_of(ca) != wanted_pin:
        raise DativeError("the answer names another CA than the pinned one", code=PIN_MISMATCH)
    certificate = Certificate.of(key_pem, answer.certificate_chain_pem)
    if certificate.names() != (answer.organization_id, answer.environment_id, answer.atom_id):
        raise DativeError("the certificate names another atom than the answer", code=ENROLMENT_INVALID)
    certificate.check(clock.now())
    document = trust.pinned(answer.trust_envelope, token.trust_digest, clock.now())
    if document.organization_id != answer.organization_id:
        raise DativeError("the trust document is of another organization", code=ENROLMENT_INVALID)
    if not answer.endpoints:
        raise DativeError("the answer names no endpoint for atoms", code=ENROLMENT_INVALID)
    return _identity(answer, joining, wanted_pin, clock), certificate, document


def _identity(
    answer: agent_pb2.EnrollAtomResponse, joining: Joining, wanted_pin: str, clock: WaitingClock
) -> AtomIdentity:
    return AtomIdentity(
        atom_id=answer.atom_id,
        name=answer.name,
        organization_id=answer.organization_id,
        environment_id=answer.environment_id,
        environment=answer.environment,
        molecule_id=answer.molecule_id,
        endpoints=tuple(answer.endpoints),
        controller=joining.controller,
        ca_pin=wanted_pin,
        joined_at=clock.now(),
    )


def _persist(
    directory: DataDir,
    identity: AtomIdentity,
    certificate: Certificate,
    document: trust.TrustDocument,
    answer: agent_pb2.EnrollAtomResponse,
) -> None:
    """The identity is written last: until it is there, the atom has not joined, and the next try starts over."""
    accepted = Accepted(trust_envelope=answer.trust_envelope, trust_version=document.version)
    write_whole(directory.ca, answer.ca_certificate_pem)
    write_whole(directory.accepted, accepted.to_bytes())
    identities.write_certificate(directory, certificate)
    identities.write_identity(directory, identity)
    directory.joining_key.unlink(missing_ok=True)
