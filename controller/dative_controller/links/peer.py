"""Who is at the other end of a mutual-TLS call: the atom's identity from its certificate, never from a message."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import grpc.aio
from cryptography import x509
from dative.errors import DativeError
from dative.errors.rpc import NO_CERTIFICATE

_SPIFFE = re.compile(r"\Aspiffe://([A-Za-z0-9._-]+)/env/([A-Za-z0-9]+)/atom/([A-Za-z0-9]+)\Z")


@dataclass(frozen=True, slots=True)
class Peer:
    """An atom as its certificate names it. serial: hex."""

    organization_id: str
    environment_id: str
    atom_id: str
    serial: str
    not_after: datetime


def spiffe_id(organization_id: str, environment_id: str, atom_id: str) -> str:
    return f"spiffe://{organization_id}/env/{environment_id}/atom/{atom_id}"


def peer_of(context: grpc.aio.ServicerContext[Any, Any], organization_id: str, now: datetime) -> Peer:
    """The atom behind this call. The handshake has verified the chain; what it can not know is checked here.

    Errors: rpc.no_certificate (no URI of ours, another organization's, or expired since the connection was made).
    """
    auth = context.auth_context()
    certificates = list(auth.get("x509_pem_cert") or ())
    if not certificates:
        raise DativeError("the call came without a client certificate", code=NO_CERTIFICATE)
    return peer_from(bytes(certificates[0]), organization_id, now)


def peer_from(certificate_pem: bytes, organization_id: str, now: datetime) -> Peer:
    """The identity in a verified certificate."""
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except x509.ExtensionNotFound:
        uris = []
    matched = _SPIFFE.match(uris[0]) if len(uris) == 1 else None
    if matched is None or matched[1] != organization_id:
        raise DativeError("the certificate names no atom of this organization", code=NO_CERTIFICATE)
    if certificate.not_valid_after_utc <= now:
        raise DativeError(f"the certificate expired at {certificate.not_valid_after_utc}", code=NO_CERTIFICATE)
    return Peer(matched[1], matched[2], matched[3], f"{certificate.serial_number:x}", certificate.not_valid_after_utc)
