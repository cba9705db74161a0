"""The controller's certificate authority, found in its TLS handshake and believed only when its key has the pinned digest.

For a machine that was given a pin by voice or mail and no file. Nothing is sent on this connection.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from dative.errors.cli import CA_PIN_MISMATCH, CliError
from dative.errors.rpc import UNREACHABLE

TIMEOUT_S = 10.0


def pin_of(certificate: x509.Certificate) -> str:
    """ "sha256:<hex>" over the SubjectPublicKeyInfo."""
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "sha256:" + hashlib.sha256(spki).hexdigest()


def authority_of(server: str, pin: str) -> str:
    """PEM of the certificate in the server's chain whose key has the pin.

    Errors: rpc.unreachable; cli.ca_pin_mismatch.
    """
    host, _, port = server.rpartition(":")
    # Not verified here, because the pin is what verifies: the digest of a key can not be answered by another's.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            chain = [x509.load_der_x509_certificate(der) for der in _chain(secured)]
    except (OSError, ValueError) as failed:
        raise CliError(f"no TLS with {server}: {failed}", code=UNREACHABLE) from failed
    for certificate in chain:
        if pin_of(certificate) == pin.strip().lower():
            return certificate.public_bytes(Encoding.PEM).decode()
    shown = ", ".join(certificate.issuer.rfc4514_string() for certificate in chain)
    raise CliError(
        f"{server} shows no authority with {pin[:19]}…; its certificate is issued by {shown}", code=CA_PIN_MISMATCH
    )


def _chain(secured: ssl.SSLSocket) -> list[bytes]:
    """The certificates as the server sent them, DER. Public since Python 3.13; the same call lies one level below before."""
    public: Any = getattr(secured, "get_unverified_chain", None)
    if public is not None:
        return list(public())
    inner: Any = secured._sslobj  # type: ignore[attr-defined]
    return [certificate.public_bytes(_DER) for certificate in inner.get_unverified_chain() or ()]


_DER = 2  # _ssl.ENCODING_DER
