"""The controller's authority: what it signs works in TLS, what it must not sign it refuses."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from dative.errors.signing import SigningError
from dative_controller.signing.authority import Authority, check_csr, pin_of
from dative_controller.signing.files import p256_pem

NOW = datetime.now(UTC).replace(microsecond=0)  # OpenSSL compares with the machine's clock
SPIFFE = "spiffe://acme/env/prod/atom/atom1"


def request(key: Any = None, algorithm: Any = None, extensions: int = 0) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "I am root")])
    )
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier("spiffe://acme/env/prod/atom/other")]
    names += [x509.DNSName(f"{number}.controller.example") for number in range(extensions)]
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    signed = builder.sign(key or ec.generate_private_key(ec.SECP256R1()), algorithm)
    return signed.public_bytes(serialization.Encoding.DER)


def p256_request(key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    return request(key, hashes.SHA256())


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("acme", now=NOW)


def test_an_atoms_certificate_says_what_the_controller_knows_and_nothing_the_request_asked_for(
    authority: Authority,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    issued = authority.issue_atom(p256_request(key), SPIFFE, now=NOW)
    certificate = x509.load_pem_x509_certificate(issued.chain_pem)
    assert certificate.public_key() == key.public_key()
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier(SPIFFE)]
    assert list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert issued.not_after == certificate.not_valid_after_utc == NOW + timedelta(hours=24)
    assert issued.serial == f"{certificate.serial_number:x}"
    assert authority.issued(issued.chain_pem)
    assert not Authority.create("acme", now=NOW).issued(issued.chain_pem)


def test_a_renewal_gives_the_same_identity_a_new_serial_and_a_later_end(authority: Authority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    first = authority.issue_atom(p256_request(key), SPIFFE, now=NOW)
    second = authority.issue_atom(p256_request(key), SPIFFE, now=NOW + timedelta(hours=12))
    assert first.serial != second.serial
    assert second.not_after - first.not_after == timedelta(hours=12)


def test_no_certificate_outlives_the_authority() -> None:
    short = Authority.create("acme", now=NOW, lifetime=timedelta(hours=6))
    assert short.issue_atom(p256_request(), SPIFFE, now=NOW).not_after == short.not_after


REFUSED = {
    "RSA": lambda: request(rsa.generate_private_key(65537, 2048), hashes.SHA256()),
    "P-384": lambda: request(ec.generate_private_key(ec.SECP384R1()), hashes.SHA256()),
    "Ed25519": lambda: request(ed25519.Ed25519PrivateKey.generate()),
    "a changed signature": lambda: p256_request()[:-3] + b"\0\0\0",
    "another's key": lambda: swap_key(p256_request()),
    "cut off": lambda: p256_request()[:-40],
    "no request": lambda: b"\x30\x03\x02\x01\x01",
    "empty": lambda: b"",
    "too long": lambda: request(None, hashes.SHA256(), extensions=200),
}


def swap_key(csr: bytes) -> bytes:
    """The request of one key holder with the public key of another in it."""
    mine = x509.load_der_x509_csr(csr).public_key()
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    form = (serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    swapped = csr.replace(mine.public_bytes(*form), other.public_bytes(*form))  # type: ignore[union-attr]
    assert swapped != csr
    return swapped


@pytest.mark.parametrize("csr", REFUSED.values(), ids=REFUSED.keys())
def test_the_request_is_refused(csr: Any) -> None:
    with pytest.raises(SigningError) as refused:
        check_csr(csr())
    assert refused.value.code.name == "signing.csr_refused"


def test_an_atom_and_a_listener_of_one_authority_talk_tls_and_know_each_other(
    authority: Authority, tmp_path: Path
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    server = authority.issue_server(["localhost", "127.0.0.1", "::1"], now=NOW)
    listener = context(ssl.PROTOCOL_TLS_SERVER, tmp_path / "s.pem", server.chain_pem + server.key_pem, authority)
    listener.verify_mode = ssl.CERT_REQUIRED
    issued = authority.issue_atom(p256_request(key), SPIFFE, now=NOW)
    caller = context(ssl.PROTOCOL_TLS_CLIENT, tmp_path / "c.pem", issued.chain_pem + p256_pem(key), authority)
    for host in ("localhost", "127.0.0.1"):
        peer = handshake(listener, caller, host)
        assert ("URI", SPIFFE) in peer["subjectAltName"]
    with pytest.raises(ssl.SSLError):
        handshake(listener, caller, "controller.example")


def test_an_atoms_certificate_is_no_servers_and_the_other_way_round(authority: Authority, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    issued = authority.issue_atom(p256_request(key), SPIFFE, now=NOW)
    as_server = context(ssl.PROTOCOL_TLS_SERVER, tmp_path / "s.pem", issued.chain_pem + p256_pem(key), authority)
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    plain.load_verify_locations(cadata=authority.ca_pem.decode())
    plain.check_hostname = False
    with pytest.raises(ssl.SSLError):
        handshake(as_server, plain, "localhost")
    server = authority.issue_server(["localhost"], now=NOW)
    listener = context(ssl.PROTOCOL_TLS_SERVER, tmp_path / "l.pem", server.chain_pem + server.key_pem, authority)
    listener.verify_mode = ssl.CERT_REQUIRED
    as_client = context(ssl.PROTOCOL_TLS_CLIENT, tmp_path / "c.pem", server.chain_pem + server.key_pem, authority)
    with pytest.raises(ssl.SSLError):
        handshake(listener, as_client, "localhost")


def test_the_authority_is_stored_once_and_loaded_with_its_pin(tmp_path: Path) -> None:
    made = Authority.load_or_create(tmp_path / "data", "acme", now=NOW)
    again = Authority.load_or_create(tmp_path / "data", "acme", now=NOW + timedelta(days=1))
    assert again.ca_pem == made.ca_pem
    assert again.pin == made.pin == pin_of(made.ca_pem)
    assert made.pin.startswith("sha256:")
    assert len(made.pin) == 71
    assert (tmp_path / "data" / "ca.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    with pytest.raises(SigningError) as refused:
        Authority.create("acme", now=NOW).store(tmp_path / "data")
    assert refused.value.code.name == "signing.key_exists"


def test_a_start_that_stopped_between_key_and_certificate_is_completed_with_that_key(tmp_path: Path) -> None:
    Authority.create("acme", now=NOW).store(tmp_path)
    key = (tmp_path / "ca.key").read_bytes()
    pin = pin_of((tmp_path / "ca.pem").read_bytes())
    (tmp_path / "ca.pem").unlink()
    assert Authority.load_or_create(tmp_path, "acme", now=NOW).pin == pin
    assert (tmp_path / "ca.key").read_bytes() == key


def expose(directory: Path) -> None:
    (directory / "ca.key").chmod(0o644)


def mismatch(directory: Path) -> None:
    (directory / "ca.key").write_bytes(p256_pem(ec.generate_private_key(ec.SECP256R1())))


def garble(directory: Path) -> None:
    (directory / "ca.key").write_bytes(b"-----BEGIN nothing")


def lose_key(directory: Path) -> None:
    (directory / "ca.key").unlink()


def garble_certificate(directory: Path) -> None:
    (directory / "ca.pem").write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (expose, "signing.key_exposed"),
        (mismatch, "signing.key_unreadable"),
        (garble, "signing.key_unreadable"),
        (garble_certificate, "signing.key_unreadable"),
        (lose_key, "signing.key_missing"),
    ],
)
def test_a_damaged_authority_is_refused_and_left_as_it_is(tmp_path: Path, damage: Any, code: str) -> None:
    Authority.create("acme", now=NOW).store(tmp_path)
    damage(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(SigningError) as refused:
        Authority.load_or_create(tmp_path, "acme", now=NOW)
    assert refused.value.code.name == code
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def context(kind: Any, pair: Path, pem: bytes, authority: Authority) -> ssl.SSLContext:
    made = ssl.SSLContext(kind)
    pair.write_bytes(pem)
    made.load_cert_chain(pair)
    made.load_verify_locations(cadata=authority.ca_pem.decode())
    return made


def handshake(listener: ssl.SSLContext, caller: ssl.SSLContext, host: str) -> dict[str, Any]:
    """Both ends over a socket pair; what the listener learns of the caller. A refusal on either side is raised."""
    near, far = socket.socketpair()
    near.settimeout(10)
    far.settimeout(10)
    seen: list[Any] = []

    def serve() -> None:
        try:
            with listener.wrap_socket(far, server_side=True) as end:
                end.sendall(end.recv(1))
                seen.append(end.getpeercert())
        except OSError as refused:
            far.close()
            seen.append(refused)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with caller.wrap_socket(near, server_hostname=host) as end:
            end.sendall(b"x")
            end.recv(1)
    finally:
        near.close()
        thread.join()
    if isinstance(seen[0], OSError):
        raise seen[0]
    return dict(seen[0] or {})
