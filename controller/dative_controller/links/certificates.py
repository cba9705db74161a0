"""Which atom gets a certificate, and for how long; the signing itself is the authority's."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Connection

from dative_controller.links.peer import Peer, spiffe_id
from dative_controller.signing.authority import Authority, check_csr
from dative_controller.store import audit, fleet


def key_digest(csr_der: bytes) -> str:
    """SHA-256 over the request's public key. Errors: signing.csr_refused."""
    info = check_csr(csr_der).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(info).hexdigest()


class Certificates:
    """Issues atoms' certificates and notes them in the registry."""

    def __init__(self, authority: Authority, organization_id: str, lifetime: timedelta) -> None:
        self._authority = authority
        self._organization_id = organization_id
        self._lifetime = lifetime
        self.ca_pem = authority.ca_pem

    def issue(self, sql: Connection, row: fleet.AtomRow, csr_der: bytes, now: datetime) -> bytes:
        """The chain as PEM for an approved atom."""
        name = spiffe_id(self._organization_id, row.environment_id, row.atom_id)
        issued = self._authority.issue_atom(csr_der, name, now=now, lifetime=self._lifetime)
        fleet.set_certificate(sql, row.atom_id, issued.serial, int(issued.not_after.timestamp() * 1000))
        return issued.chain_pem

    def renew(self, sql: Connection, peer: Peer, csr_der: bytes, now: datetime) -> bytes:
        """A fresh certificate for an atom that shows a valid one. Errors: fleet.atom_revoked, signing.csr_refused."""
        row = fleet.admit(sql, peer.atom_id)
        chain = self.issue(sql, row, csr_der, now)
        entry = audit.Entry(actor=f"atom:{row.name}", action="RenewCertificate", object=row.atom_id)
        audit.append(sql, entry, int(now.timestamp() * 1000))
        return chain
