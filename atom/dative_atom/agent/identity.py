"""Who this atom is, as it lies on its disk: identity, certificate with its key, and the key secrets are sealed to.

Read and written here only. The certificate is checked before it is shown to anybody, because gRPC says no more than
"Socket closed" when the other side refuses it.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from dative.bundle.accepted import Identity
from dative.errors import DativeError
from dative.errors.agent import CERTIFICATE_EXPIRED, CERTIFICATE_FUTURE, IDENTITY_DAMAGED, NOT_JOINED
from dative.secrets import SealKey

from dative_atom.agent.paths import DataDir, write_whole

_SPIFFE = re.compile(r"\Aspiffe://([^/]+)/env/([^/]+)/atom/([^/]+)\Z")
_FILE_BYTES_MAX = 1 << 18


class AtomIdentity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the controller said when the atom joined. endpoints: host:port of AtomService, tried in order."""

    atom_id: str
    name: str
    organization_id: str
    environment_id: str
    environment: str
    molecule_id: str
    endpoints: tuple[str, ...]
    controller: str
    ca_pin: str
    joined_at: datetime

    def for_verdicts(self, atom_version: str) -> Identity:
        return Identity(self.organization_id, self.environment_id, self.molecule_id, self.atom_id, atom_version)


@dataclass(frozen=True)
class Certificate:
    """A private key and its chain, PEM. leaf: the first of the chain."""

    key_pem: bytes
    chain_pem: bytes
    leaf: x509.Certificate

    @property
    def not_after(self) -> datetime:
        return self.leaf.not_valid_after_utc

    @classmethod
    def of(cls, key_pem: bytes, chain_pem: bytes) -> Certificate:
        """Errors: agent.identity_damaged when the key is not the certificate's."""
        try:
            leaf = x509.load_pem_x509_certificates(chain_pem)[0]
            key = load_pem_private_key(key_pem, password=None)
        except (ValueError, IndexError) as broken:
            raise DativeError("the atom's certificate or key can not be read", code=IDENTITY_DAMAGED) from broken
        if _public(key.public_key()) != _public(leaf.public_key()):
            raise DativeError("the atom's certificate is for another key", code=IDENTITY_DAMAGED)
        return cls(key_pem, chain_pem, leaf)

    def check(self, now: datetime) -> None:
        """Before it is shown. Errors: agent.certificate_expired, agent.certificate_not_yet_valid."""
        if now >= self.not_after:
            raise DativeError(
                f"the certificate expired at {self.not_after:%Y-%m-%d %H:%M} UTC", code=CERTIFICATE_EXPIRED
            )
        if now < self.leaf.not_valid_before_utc:
            raise DativeError(
                f"the certificate holds from {self.leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC, "
                f"this host's clock says {now:%Y-%m-%d %H:%M}",
                code=CERTIFICATE_FUTURE,
            )

    def renew_at(self) -> datetime:
        """Half its life, ±10 % drawn once a certificate, so that a fleet made at once does not renew at once."""
        start = self.leaf.not_valid_before_utc
        factor = random.Random(self.leaf.serial_number).uniform(0.45, 0.55)  # noqa: S311  spreads load only
        return start + (self.not_after - start) * factor

    def names(self) -> tuple[str, str, str]:
        """(organization, environment, atom) of its SPIFFE id. Errors: agent.identity_damaged."""
        try:
            names = self.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        except x509.ExtensionNotFound:
            uris = []
        found = _SPIFFE.match(uris[0]) if len(uris) == 1 else None
        if found is None:
            raise DativeError("the certificate names no atom", code=IDENTITY_DAMAGED)
        return found[1], found[2], found[3]


def _public(key: object) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined,no-any-return]


def new_tls_key() -> bytes:
    """A fresh P-256 key as PEM; it never leaves this machine. (gRPC's TLS offers no Ed25519.)"""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def signing_request(key_pem: bytes) -> bytes:
    """A certificate request for that key, DER. It asks for no name: the controller decides it."""
    key = load_pem_private_key(key_pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise DativeError("the atom's key is of another kind than P-256", code=IDENTITY_DAMAGED)
    return x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def read_identity(directory: DataDir) -> AtomIdentity:
    """Errors: agent.not_joined, agent.identity_damaged."""
    try:
        data = directory.identity.read_bytes()
    except FileNotFoundError as absent:
        raise DativeError(f"{directory.root} holds no identity", code=NOT_JOINED) from absent
    try:
        return msgspec.json.decode(data, type=AtomIdentity)
    except msgspec.MsgspecError as broken:
        raise DativeError(f"{directory.identity}: {broken}", code=IDENTITY_DAMAGED) from broken


def write_identity(directory: DataDir, identity: AtomIdentity) -> None:
    write_whole(directory.identity, msgspec.json.format(msgspec.json.encode(identity)))


def read_certificate(directory: DataDir) -> Certificate:
    """Key first, then the chain, from one file. Errors: agent.identity_damaged."""
    data = read_bounded(directory.certificate)
    key, found, _ = data.partition(b"-----BEGIN CERTIFICATE-----")
    return Certificate.of(key, data[len(key) :] if found else b"")


def write_certificate(directory: DataDir, certificate: Certificate) -> None:
    """One rename swaps key and chain together (Invariant 5)."""
    write_whole(directory.certificate, certificate.key_pem.rstrip() + b"\n" + certificate.chain_pem)


def read_seal_key(directory: DataDir) -> SealKey:
    """Errors: agent.identity_damaged."""
    return SealKey.from_bytes(read_bounded(directory.seal_key))


def read_bounded(path: Path) -> bytes:
    """Errors: agent.identity_damaged."""
    try:
        with path.open("rb") as file:
            return file.read(_FILE_BYTES_MAX)
    except OSError as missing:
        raise DativeError(f"{path}: {missing.strerror}", code=IDENTITY_DAMAGED) from missing
