"""Whether this host reaches its molecule's etcd and journal: for `dative-atom doctor` and `dative-atom status`.

As far as TCP and TLS go, with the host's own certificate; who is behind the journal's port and whether its password
holds is found when the journal is opened. Blocks, bounded a step; raises nothing for a finding.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from dative.errors import DativeError
from dative.molecule_settings import Address, journal_addresses

from dative_atom.agent.finding import Line
from dative_atom.agent.molecule_settings import Effective, effective
from dative_atom.agent.paths import DataDir

TIMEOUT_S = 2.0
LISTEN_S = 0.5
WANTS_CERTIFICATE = "etcd may want a client certificate: dative-atom join … --etcd-cert FILE --etcd-key FILE"


def examine(directory: DataDir, timeout_s: float = TIMEOUT_S) -> Iterator[Line]:
    """Nothing where the atom works alone."""
    try:
        found = effective(directory)
    except DativeError as wrong:
        yield Line("molecule", False, wrong.message, wrong.next)
        return
    if found is None:
        return
    yield from _secrets(found)
    for text, address in zip(found.settings.etcd_endpoints, found.settings.etcd, strict=True):
        yield _etcd(found, text, address, timeout_s)
    yield from _journal(found, timeout_s)


def _secrets(found: Effective) -> Iterator[Line]:
    for name, flag, resolve in (
        ("etcd password", "--etcd-password-file", found.etcd_password),
        ("journal password", "--journal-password-file", found.journal_password),
    ):
        try:
            secret = resolve()
        except DativeError as missing:
            yield Line(name, False, missing.message, f"give it again: dative-atom join … {flag} FILE")
        else:
            if secret is not None:
                yield Line(name, True, "is here")
    if found.settings.etcd_user and not found.host.etcd_password:
        fix = "dative-atom join … --etcd-password-file FILE"
        yield Line("etcd password", False, f"user {found.settings.etcd_user} has none on this host", fix)


def _etcd(found: Effective, text: str, address: Address, timeout_s: float) -> Line:
    name = f"etcd {address}"
    try:
        with closing(socket.create_connection((address.host, address.port), timeout_s)) as connection:
            if not text.startswith("https://"):
                return Line(name, True, "reached, without TLS")
            with context_of(found).wrap_socket(connection, server_hostname=address.host) as secured:
                # A server that wants a client certificate says so after the handshake in TLS 1.3: one read tells.
                secured.settimeout(LISTEN_S)
                return _after_handshake(name, secured)
    except ssl.SSLCertVerificationError as wrong:
        fix = "compare the CA: dative molecule set NAME --etcd-ca FILE"
        return Line(name, False, f"its certificate is not trusted: {wrong.verify_message}", fix)
    except ssl.SSLError as wrong:
        return Line(name, False, f"TLS failed: {wrong.reason or wrong}", WANTS_CERTIFICATE)
    except OSError as failed:
        return Line(name, False, failed.strerror or str(failed) or type(failed).__name__, _network(address))


def _after_handshake(name: str, secured: ssl.SSLSocket) -> Line:
    version, accepted = secured.version(), True
    with suppress(TimeoutError):  # it waits for a request: the certificate was accepted
        accepted = bool(secured.recv(1))
    if not accepted:
        return Line(name, False, "it ended the connection after the handshake", WANTS_CERTIFICATE)
    return Line(name, True, f"reached over {version}")


def context_of(found: Effective) -> ssl.SSLContext:
    """Errors: ssl.SSLError, OSError when the client certificate can not be read."""
    context = ssl.create_default_context(cadata=found.settings.etcd_ca_pem or None)
    context.set_alpn_protocols(["h2"])
    if found.etcd_certificate is not None and found.etcd_key is not None:
        context.load_cert_chain(found.etcd_certificate, found.etcd_key)
    return context


def _journal(found: Effective, timeout_s: float) -> Iterator[Line]:
    url = found.settings.journal
    if not found.settings.journal_shared:
        path = Path(url.removeprefix("sqlite://"))
        fits = os.access(path if path.exists() else path.parent, os.W_OK)
        fix = "" if fits else f"make {path.parent} for the atom's user, or set another journal"
        yield Line("journal", fits, str(path) if fits else f"{path} can not be written", fix)
        return
    for address in journal_addresses(url):
        try:
            socket.create_connection((address.host, address.port), timeout_s).close()
        except OSError as failed:
            reason = failed.strerror or str(failed) or type(failed).__name__
            yield Line(f"journal {address}", False, reason, _network(address))
        else:
            yield Line(f"journal {address}", True, "reached")


def _network(address: Address) -> str:
    return f"look whether it runs, and ask for a way from this host to {address.host}, port {address.port}"
