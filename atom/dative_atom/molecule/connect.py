"""How a molecule finds its etcd: addresses, certificates, user; checked whole before anything starts.

What a person writes about etcd lives here, and what is said about the cluster that answers. Certificates are read again by
`etcd_endpoints.py` when a connection is made anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from dative.errors import ConfigError, DativeError
from dative.errors.molecule import ETCD_TOO_OLD
from dative.secrets.reference import SecretReference, resolve
from dative.secrets.secret import Secret
from dative.waiting import WaitingClock

from dative_atom.molecule.coordination import ClusterStatus
from dative_atom.molecule.etcd import EtcdCoordination, TlsFiles

__all__ = ["EtcdSettings", "check_cluster", "connect"]

ENDPOINTS_MAX = 16
_ENDPOINT = re.compile(r"\A(https?)://((?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5})/?\Z")
_LOOPBACK = re.compile(r"\A(localhost|127\.[0-9.]+|\[::1\]):")
_OLDEST = (3, 4)
# From these on, no known defect loses data on SIGKILL or lets a leader that slept revoke live leases.
_FIT = {(3, 5): (3, 5, 33), (3, 6): (3, 6, 14)}


class EtcdSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """endpoints: "https://etcd-1:2379" of the members, as many as are known. ca_file, cert_file, key_file: PEM.
    ca_pem: the text instead of a file.

    user, password: of an etcd user; the password is a reference ("env:…", "file:…", "sealed:…").
    timeout_s: of every call; at most a third of the lease (checked where the lease is known). Errors: config.invalid.
    """

    endpoints: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=ENDPOINTS_MAX)]
    ca_file: str = ""
    ca_pem: str = ""
    cert_file: str = ""
    key_file: str = ""
    user: str = ""
    password: str = ""
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=60)] = 1.0

    def __post_init__(self) -> None:
        found = [_ENDPOINT.match(endpoint) for endpoint in self.endpoints]
        for endpoint, match in zip(self.endpoints, found, strict=True):
            if match is None:
                raise ValueError(f"endpoint {endpoint} is not https://host:port or http://host:port")
        if len({endpoint.startswith("https") for endpoint in self.endpoints}) > 1:
            raise ValueError("endpoints must be all https or all http")
        if len(set(self.endpoints)) < len(self.endpoints):
            raise ValueError("an endpoint is named twice")
        self._check_tls()
        self._check_user()

    def _check_tls(self) -> None:
        if (self.ca_file or self.ca_pem or self.cert_file or self.key_file) and not self.secure:
            raise ValueError("ca_file, ca_pem, cert_file and key_file need https:// endpoints")
        if self.ca_file and self.ca_pem:
            raise ValueError("give ca_file or ca_pem, not both")
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file belong together: give both or neither")

    def _check_user(self) -> None:
        if bool(self.user) != bool(self.password):
            raise ValueError("user and password belong together: give both or neither")
        if self.password:
            SecretReference.parse(self.password)
        if self.user and not self.secure and not all(map(_LOOPBACK.match, self.addresses)):
            raise ValueError("a user's password would travel in the clear: use https:// endpoints")

    @property
    def secure(self) -> bool:
        return self.endpoints[0].startswith("https")

    @property
    def addresses(self) -> tuple[str, ...]:
        """host:port of each."""
        return tuple(endpoint.partition("://")[2].rstrip("/") for endpoint in self.endpoints)

    @property
    def tls(self) -> TlsFiles | None:
        if not self.secure:
            return None
        ca, cert, key = (Path(name) if name else None for name in (self.ca_file, self.cert_file, self.key_file))
        return TlsFiles(self.ca_pem.encode() if self.ca_pem else ca, cert, key)

    @classmethod
    def of(cls, given: Mapping[str, object]) -> EtcdSettings:
        """From what a person wrote. Errors: config.invalid."""
        try:
            return msgspec.convert(given, cls, strict=False)
        except msgspec.ValidationError as wrong:
            raise ConfigError(f"molecule, etcd: {wrong}") from wrong


def connect(
    settings: EtcdSettings, *, sealed: Callable[[], Mapping[str, Secret]] = dict, clock: WaitingClock | None = None
) -> EtcdCoordination:
    """The client; nothing is sent yet. sealed: this atom's sealed secrets, asked each time the password is needed.

    Errors: molecule.coordination_refused, a certificate file can not be read.
    """

    def password() -> str:
        return resolve(SecretReference.parse(settings.password), sealed()).reveal()

    return EtcdCoordination(
        settings.addresses,
        tls=settings.tls,
        user=settings.user,
        password=password if settings.user else None,
        timeout_s=settings.timeout_s,
        clock=clock,
    )


def check_cluster(status: ClusterStatus) -> tuple[str, ...]:
    """Warnings about the servers that answered, by name and version. Errors: molecule.etcd_too_old, below 3.4."""
    warnings = []
    for endpoint, version in sorted(status.versions.items()):
        number = _number(version)
        if number[:2] < _OLDEST:
            raise DativeError(f"etcd {version} at {endpoint} is older than 3.4", code=ETCD_TOO_OLD)
        fit = _FIT.get((number[0], number[1]), (3, 5, 33) if number < (3, 5) else number)
        if number < fit:
            warnings.append(
                f"etcd {version} at {endpoint} is for laptops and tests only: it can lose data on SIGKILL, and a leader that "
                f"was asleep can end live leases; use 3.5.33, 3.6.14 or newer"
            )
    return tuple(warnings)


def _number(version: str) -> tuple[int, ...]:
    """(3, 5, 1) of "3.5.1" or "3.6.0-rc.3". Of a text that is none: (0,)."""
    found = re.match(r"\A(\d+)\.(\d+)\.(\d+)", version)
    return tuple(map(int, found.groups())) if found else (0,)
