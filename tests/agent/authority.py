"""A certificate authority of a test's own, with its pin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from dative_atom.agent.pin import pin_of


def _certificate(
    subject: str, key, issuer_name, issuer_key, *, ca: bool, names=(), start: datetime, life: timedelta
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(issuer_name or x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + life)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


class Authority:
    """A CA with its pin."""

    def __init__(self, name: str = "Dative test CA") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.start = datetime.now(UTC) - timedelta(days=2)
        self.certificate = _certificate(
            name, self.key.public_key(), None, self.key, ca=True, start=self.start, life=timedelta(days=30)
        )
        self.pem = self.certificate.public_bytes(Encoding.PEM)
        self.pin = pin_of(self.certificate)

    def issue(self, key, names, *, start: datetime | None = None, life: timedelta = timedelta(days=2)) -> bytes:
        start = start or datetime.now(UTC) - timedelta(hours=1)
        return _certificate(
            "peer", key, self.certificate.subject, self.key, ca=False, names=names, start=start, life=life
        ).public_bytes(Encoding.PEM)

    def server(self) -> tuple[bytes, bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        chain = self.issue(key.public_key(), [x509.DNSName("localhost")]) + self.pem
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), chain
