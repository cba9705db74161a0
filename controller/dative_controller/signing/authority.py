"""The controller's own certificate authority: ECDSA P-256, for its servers and its atoms.

P-256, because gRPC's TLS offers no Ed25519. Knows no database: whether an atom may have a certificate is decided by the
caller, what may stand in one is decided here. The request gives the key and nothing else.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from dative.errors.signing import CSR_REFUSED, KEY_UNREADABLE, SigningError

from dative_controller.signing.files import p256_pem, read_p256_key, write_key_file

CSR_BYTES_MAX = 4096
ATOM_LIFETIME = timedelta(hours=24)
SERVER_LIFETIME = timedelta(days=90)
CA_LIFETIME = timedelta(days=3650)
# Atoms' clocks drift; a certificate that begins this much earlier is valid for all that are less behind.
BACKDATED = timedelta(hours=1)
_CA_FILE, _CA_KEY_FILE = "ca.pem", "ca.key"


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate. chain_pem: it alone, the authority is its direct issuer. serial: hex, as the registry keeps it."""

    chain_pem: bytes
    serial: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class ServerPair:
    """A server certificate with its key, both PEM."""

    chain_pem: bytes
    key_pem: bytes
    not_after: datetime


class Authority:
    """The authority with its key. Never printed: its repr is its pin."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        """Errors: signing.key_unreadable when the two do not belong together or the certificate is no authority's."""
        if certificate.public_key() != key.public_key():
            raise SigningError("the authority's certificate and key do not belong together", code=KEY_UNREADABLE)
        self._certificate = certificate
        self._key = key
        self.ca_pem = certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def pin(self) -> str:
        """ "sha256:<hex>" over the public key: what an atom compares before it believes the certificate."""
        return pin_of(self.ca_pem)

    @property
    def not_after(self) -> datetime:
        return self._certificate.not_valid_after_utc

    @classmethod
    def create(
        cls,
        organization_id: str,
        *,
        now: datetime,
        lifetime: timedelta = CA_LIFETIME,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> Authority:
        """An authority signed by itself; it may issue leaves only (path length 0). key: None makes a fresh one."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        name = _name(f"Dative {organization_id}"[:64])
        builder = (
            _builder(name, name, key.public_key(), now, lifetime)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(certificates=True), critical=True)
        )
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, directory: Path) -> Authority:
        """From ca.pem and ca.key. Errors: signing.key_missing, signing.key_exposed, signing.key_unreadable."""
        key = read_p256_key(directory / _CA_KEY_FILE)
        try:
            certificate = x509.load_pem_x509_certificate((directory / _CA_FILE).read_bytes())
        except (OSError, ValueError) as broken:
            raise SigningError(f"{directory / _CA_FILE} can not be read", code=KEY_UNREADABLE) from broken
        return cls(certificate, key)

    def store(self, directory: Path) -> None:
        """Write ca.key, then ca.pem: a crash in between leaves a key, never a certificate nobody can sign with."""
        if not (directory / _CA_KEY_FILE).exists():
            write_key_file(directory / _CA_KEY_FILE, p256_pem(self._key))
        write_key_file(directory / _CA_FILE, self.ca_pem)

    @classmethod
    def load_or_create(cls, directory: Path, organization_id: str, *, now: datetime) -> Authority:
        """The authority in `directory`, made there at the first start; a half-made one is completed with its key."""
        if (directory / _CA_FILE).exists():
            return cls.load(directory)
        half_made = (directory / _CA_KEY_FILE).exists()
        made = cls.create(organization_id, now=now, key=read_p256_key(directory / _CA_KEY_FILE) if half_made else None)
        made.store(directory)
        return made

    def issue_server(self, hosts: Sequence[str], *, now: datetime, lifetime: timedelta = SERVER_LIFETIME) -> ServerPair:
        """A certificate and fresh key for a listener. hosts: 1 or more DNS names and IP addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [_host(host) for host in hosts]
        builder = self._leaf(hosts[0], key.public_key(), names, ExtendedKeyUsageOID.SERVER_AUTH, now, lifetime)
        certificate = builder.sign(self._key, hashes.SHA256())
        return ServerPair(
            certificate.public_bytes(serialization.Encoding.PEM), p256_pem(key), certificate.not_valid_after_utc
        )

    def issue_atom(
        self, csr_der: bytes, spiffe_id: str, *, now: datetime, lifetime: timedelta = ATOM_LIFETIME
    ) -> Issued:
        """A client certificate for an atom's key; renewal is the same call with the atom's next request.

        spiffe_id: who the caller knows it to be. What the request says about names or usages is not read.
        Errors: signing.csr_refused.
        """
        key = check_csr(csr_der)
        names = [x509.UniformResourceIdentifier(spiffe_id)]
        builder = self._leaf("atom", key, names, ExtendedKeyUsageOID.CLIENT_AUTH, now, lifetime)
        certificate = builder.sign(self._key, hashes.SHA256())
        return Issued(
            certificate.public_bytes(serialization.Encoding.PEM),
            f"{certificate.serial_number:x}",
            certificate.not_valid_after_utc,
        )

    def issued(self, certificate_pem: bytes) -> bool:
        """Whether this authority signed that certificate: for what was not checked by a TLS handshake."""
        try:
            x509.load_pem_x509_certificate(certificate_pem).verify_directly_issued_by(self._certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True

    def _leaf(
        self,
        common_name: str,
        key: ec.EllipticCurvePublicKey,
        names: Sequence[x509.GeneralName],
        usage: x509.ObjectIdentifier,
        now: datetime,
        lifetime: timedelta,
    ) -> x509.CertificateBuilder:
        # Never valid for longer than the authority itself: a chain that ends early is refused with a worse message.
        lifetime = min(lifetime, self.not_after - now)
        issuer = self._certificate.subject
        own = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        return (
            _builder(_name(common_name[:64]), issuer, key, now, lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), critical=False)
        )

    def __repr__(self) -> str:
        return f"Authority({self.pin[:19]})"


def check_csr(csr_der: bytes) -> ec.EllipticCurvePublicKey:
    """The request's key, once its holder has proven to hold it.

    csr_der: at most CSR_BYTES_MAX bytes. Errors: signing.csr_refused (form, length, curve, signature).
    """
    if len(csr_der) > CSR_BYTES_MAX:
        raise SigningError(f"a request of {len(csr_der)} bytes, {CSR_BYTES_MAX} are allowed", code=CSR_REFUSED)
    try:
        request = x509.load_der_x509_csr(csr_der)
        key = request.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise SigningError("the request's key is not P-256", code=CSR_REFUSED)
        if not request.is_signature_valid:
            raise SigningError("the request is not signed by the key it names", code=CSR_REFUSED)
    except (ValueError, UnsupportedAlgorithm) as broken:
        raise SigningError("not a readable certificate request", code=CSR_REFUSED) from broken
    return key


def pin_of(certificate_pem: bytes) -> str:
    """ "sha256:<hex>" of a certificate's SubjectPublicKeyInfo: it outlives a renewal with the same key."""
    key = x509.load_pem_x509_certificate(certificate_pem).public_key()
    info = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return "sha256:" + hashlib.sha256(info).hexdigest()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        crl_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
