"""Who really answers: the certificate chain of a TLS handshake, compared with the CA pin before anything is sent.

The handshake verifies nothing and sends nothing, it only looks; what follows goes over a channel that trusts exactly
the CA found here. A pin is never bypassed: a mismatch is explained.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from dative.errors import DativeError
from dative.errors.agent import CLOCK_WRONG, NOT_TLS, PIN_MALFORMED, PIN_MISMATCH

from dative_atom.agent.proxy import Answer, Proxy, connect, split_address

CHAIN_MAX = 10
_PIN = re.compile(r"\Asha256:[0-9a-f]{64}\Z")
_DER = 2  # ssl's own constant for it has no public name


@dataclass(frozen=True)
class Presented:
    """What stood at the other end. alpn: "h2" when HTTP/2 gets through, "" otherwise. proxy: its answer to CONNECT."""

    chain: tuple[x509.Certificate, ...]
    alpn: str
    proxy: Answer | None

    @property
    def issuer(self) -> str:
        """The name at the end of the chain, for a person."""
        return name_of(self.chain[-1].issuer)


def check_pin_form(pin: str) -> str:
    """Errors: agent.ca_pin_malformed."""
    if not _PIN.match(pin.lower()):
        raise DativeError(f"{pin[:80]!r} is not a CA pin", code=PIN_MALFORMED)
    return pin.lower()


def pin_of(certificate: x509.Certificate) -> str:
    """ "sha256:<hex>" over the certificate's SubjectPublicKeyInfo."""
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "sha256:" + hashlib.sha256(key).hexdigest()


def name_of(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME) or name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(found[0].value) if found else name.rfc4514_string()


def look(address: str, proxy: Proxy | None, *, timeout_s: float = 10.0) -> Presented:
    """Shake hands and hang up. Blocks. Errors: agent.controller_unreachable, agent.proxy_refused, agent.not_tls."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Nothing is sent over this connection: it asks who is there, and the pin decides.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    connection, answer = connect(address, proxy, timeout_s)
    try:
        with context.wrap_socket(connection, server_hostname=split_address(address)[0]) as secured:
            return Presented(_chain(secured), secured.selected_alpn_protocol() or "", answer)
    except (ssl.SSLError, OSError) as failed:
        raise DativeError(f"TLS with {address}: {getattr(failed, 'reason', '') or failed}", code=NOT_TLS) from failed
    finally:
        connection.close()


def _chain(secured: ssl.SSLSocket) -> tuple[x509.Certificate, ...]:
    """The chain as it was sent. Public from Python 3.13 on; before, the same method is one layer down."""
    public = getattr(secured, "get_unverified_chain", None)
    layer = secured._sslobj  # type: ignore[attr-defined]
    encoded = public() if public else [one.public_bytes(_DER) for one in layer.get_unverified_chain()]
    return tuple(x509.load_der_x509_certificate(one) for one in encoded[:CHAIN_MAX])


def pinned_ca(presented: Presented, pin: str, now: datetime) -> bytes:
    """The pinned CA's certificate as PEM. Errors: agent.ca_pin_mismatch, agent.clock_wrong."""
    ca = next((certificate for certificate in presented.chain if pin_of(certificate) == pin), None)
    if ca is None:
        raise DativeError(
            f'TLS ends at a certificate issued by "{presented.issuer}" ({pin_of(presented.chain[-1])}), '
            f"not at the pinned {pin}: it is INSPECTED in between, or this is another server",
            code=PIN_MISMATCH,
        )
    check_clock(presented.chain[0], now)
    return ca.public_bytes(Encoding.PEM)


def check_clock(leaf: x509.Certificate, now: datetime) -> None:
    """Errors: agent.clock_wrong."""
    start, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if not start <= now < end:
        raise DativeError(
            f"the controller's certificate holds from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, "
            f"this host's clock says {now:%Y-%m-%d %H:%M} UTC",
            code=CLOCK_WRONG,
        )
