"""A molecule's settings as one value, and whether they fit together: asked by the controller before it stores them and
by an atom after its host's own were laid over them.

Everything that makes settings right or wrong stands here. It knows no network, no store and no secret: a password in
any of them is refused (Invariant 6).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from dative.errors import DativeError
from dative.errors.molecules import SETTINGS_INVALID, SETTINGS_SECRET
from dative.v1 import types_pb2

ENDPOINTS_MAX = 9
LEASE_TTL_S = 5.0
LEASE_TTL_MIN_S = 2.0
"""A busy machine misses the renewals of a shorter one, and etcd's own election takes up to 2.4 s."""
LEASE_TTL_MAX_S = 60.0
PEM_CHARS_MAX = 64 << 10
URL_CHARS_MAX = 2048
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_USER = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._@-]{0,127}\Z")
_HOST_PORT = re.compile(
    r"\A(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?)(?::(\d{1,5}))?\Z"
)
POSTGRES_PORT = 5432
_SECRET_PARAMETERS = frozenset({"password", "sslpassword", "passfile"})


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    @property
    def loopback(self) -> bool:
        return self.host in LOOPBACK

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class MoleculeSettings:
    """etcd_ca_pem: "" trusts the host's own authorities. etcd_user: "" is a client certificate, or nothing.

    journal: "postgresql://user@host/database" or "sqlite:///absolute/path". version: 0, the controller has not given one.
    """

    etcd_endpoints: tuple[str, ...]
    journal: str
    etcd_ca_pem: str = ""
    etcd_user: str = ""
    lease_ttl_s: float = LEASE_TTL_S
    version: int = 0

    @classmethod
    def from_wire(cls, message: types_pb2.MoleculeSettings) -> MoleculeSettings:
        ttl_s = message.lease_ttl.ToTimedelta().total_seconds() if message.HasField("lease_ttl") else LEASE_TTL_S
        return cls(
            tuple(message.etcd_endpoints),
            message.journal,
            message.etcd_ca_pem,
            message.etcd_user,
            ttl_s,
            message.version,
        )

    def to_wire(self) -> types_pb2.MoleculeSettings:
        message = types_pb2.MoleculeSettings(
            version=self.version,
            etcd_endpoints=self.etcd_endpoints,
            etcd_ca_pem=self.etcd_ca_pem,
            etcd_user=self.etcd_user,
            journal=self.journal,
        )
        message.lease_ttl.FromMilliseconds(round(self.lease_ttl_s * 1000))
        return message

    @property
    def etcd(self) -> tuple[Address, ...]:
        """Where etcd listens. Errors: molecule.settings_invalid, molecule.settings_hold_secret."""
        return tuple(_endpoint(text) for text in self.etcd_endpoints)

    @property
    def etcd_tls(self) -> bool:
        return all(text.startswith("https://") for text in self.etcd_endpoints)

    @property
    def journal_shared(self) -> bool:
        """Whether atoms on several hosts can use it."""
        return self.journal.startswith("postgresql://")

    def check(self) -> list[str]:
        """The whole of it. Returns what is allowed and deserves a warning.

        Errors: molecule.settings_invalid, molecule.settings_hold_secret; the first that is found.
        """
        _check_etcd(self)
        check_journal(self.journal)
        if not LEASE_TTL_MIN_S <= self.lease_ttl_s <= LEASE_TTL_MAX_S:
            raise _invalid(
                f"lease_ttl {self.lease_ttl_s:g} s must be {LEASE_TTL_MIN_S:g} to {LEASE_TTL_MAX_S:g} s: a shorter one is "
                "lost whenever a machine is busy, a longer one delays every failover"
            )
        return list(_warnings(self))


def _invalid(message: str) -> DativeError:
    return DativeError(message, code=SETTINGS_INVALID)


def _secret(what: str) -> DativeError:
    return DativeError(f"{what} holds a password or a key; the value is not repeated here", code=SETTINGS_SECRET)


# ---- etcd -----------------------------------------------------------------------------------------------------------


def _check_etcd(settings: MoleculeSettings) -> None:
    endpoints = settings.etcd_endpoints
    if not 1 <= len(endpoints) <= ENDPOINTS_MAX:
        raise _invalid(f"{len(endpoints)} etcd endpoints: name 1 to {ENDPOINTS_MAX}, as https://host:2379")
    addresses = [str(address) for address in settings.etcd]
    twice = [address for address in addresses if addresses.count(address) > 1]
    if twice:
        raise _invalid(f"etcd endpoint {twice[0]} is named twice")
    secure = sum(text.startswith("https://") for text in endpoints)
    if 0 < secure < len(endpoints):
        raise _invalid("some etcd endpoints are https and some http; write all of them the same way")
    if settings.etcd_ca_pem:
        _check_ca(settings.etcd_ca_pem)
        if not secure:
            raise _invalid("a CA for etcd is given, and its endpoints are http: write them as https://")
    if settings.etcd_user and not _USER.match(settings.etcd_user):
        raise _invalid(f"etcd user of {len(settings.etcd_user)} characters: letters, digits and . _ @ - only")


def _endpoint(text: str) -> Address:
    if len(text) > URL_CHARS_MAX:
        raise _invalid(f"an etcd endpoint of {len(text)} characters")
    if "@" in text:
        raise _secret("an etcd endpoint with a user in it")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    fits = parts.scheme in ("http", "https") and parts.hostname and port and parts.path in ("", "/")
    if not fits or parts.query or parts.fragment or not _HOST_PORT.match(parts.netloc):
        raise _invalid(f"etcd endpoint {text[:100]!r} is not of the form https://host:2379")
    return Address(str(parts.hostname), int(port or 0))


def _check_ca(pem: str) -> None:
    if "PRIVATE KEY" in pem:
        raise _secret("the CA file of etcd")
    if len(pem) > PEM_CHARS_MAX:
        raise _invalid(f"the CA file of etcd has {len(pem)} characters of at most {PEM_CHARS_MAX}")
    from cryptography import x509

    try:
        x509.load_pem_x509_certificates(pem.encode())
    except ValueError as broken:
        raise _invalid("the CA file of etcd holds no certificate that can be read") from broken


# ---- the journal ----------------------------------------------------------------------------------------------------


def check_journal(url: str) -> None:
    """Errors: molecule.settings_invalid, molecule.settings_hold_secret."""
    if len(url) > URL_CHARS_MAX:
        raise _invalid(f"a journal URL of {len(url)} characters")
    if url.startswith("sqlite:"):
        path = url.removeprefix("sqlite://")
        if not path.startswith("/") or "/../" in f"{path}/" or path.endswith("/") or "?" in path:
            raise _invalid("a SQLite journal is written sqlite:///absolute/path/to/journal.db")
        return
    if not url.startswith("postgresql://"):
        raise _invalid(
            "the journal is postgresql://user@host/database, or sqlite:///path where all atoms are on one host"
        )
    parts = _journal_parts(url)
    user, _, _ = parts.netloc.rpartition("@")
    if ":" in user or _SECRET_PARAMETERS & {name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)}:
        raise _secret("the journal's URL")
    if not parts.path.strip("/") or "/" in parts.path.strip("/") or parts.fragment:
        raise _invalid("the journal's URL names no database: postgresql://user@host/database")
    journal_addresses(url)


def _journal_parts(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as broken:
        raise _invalid("the journal's URL can not be read; write postgresql://user@host/database") from broken


def journal_addresses(url: str) -> tuple[Address, ...]:
    """Hosts of a PostgreSQL journal in their order, its port 5432 by default; none of SQLite.

    Errors: molecule.settings_invalid.
    """
    if not url.startswith("postgresql://"):
        return ()
    return tuple(_journal_address(text) for text in _journal_parts(url).netloc.rpartition("@")[2].split(","))


def _journal_address(text: str) -> Address:
    found = _HOST_PORT.match(text)
    if found is None or not 0 < int(found[2] or POSTGRES_PORT) < 1 << 16:
        raise _invalid(f"the journal's host {unquote(text)[:100]!r} is not of the form host or host:port")
    return Address(found[1].strip("[]"), int(found[2] or POSTGRES_PORT))


def journal_database(url: str) -> str:
    """What is shown of it: host and database, or the file."""
    if not url.startswith("postgresql://"):
        return url.removeprefix("sqlite://")
    hosts = ",".join(map(str, journal_addresses(url)))
    return f"{hosts}{_journal_parts(url).path}"


# ---- what is allowed and deserves a word ----------------------------------------------------------------------------


def _warnings(settings: MoleculeSettings) -> Iterator[str]:
    etcd = settings.etcd
    if settings.journal_shared:
        if len(etcd) == 1 and not etcd[0].loopback:
            yield (
                f"one etcd endpoint, {etcd[0]}: when that host is lost, the whole molecule stops; "
                "run three etcd members and name all of them"
            )
        if any(address.loopback for address in etcd):
            yield "an etcd endpoint is this host's own loopback: atoms on other hosts would each look for it on their own"
        if any(address.loopback for address in journal_addresses(settings.journal)):
            yield "the journal is on loopback: atoms on other hosts would each look for it on their own"
    else:
        yield "a SQLite journal is a file of one host: every atom of this molecule has to run on that host"
    if not settings.etcd_tls and any(not address.loopback for address in etcd):
        yield "etcd is reached without TLS: who listens in between reads and changes who does what; use https://"
    if settings.etcd_user and not settings.etcd_tls:
        yield "the etcd password travels in the clear; use https://"
