"""What this atom knows of its molecule: the controller's settings, what this host adds, and both laid over one another.

Two files, because two parties write them: `molecule.json` is what the controller said last, `molecule-host.json` what a
person gave here. Secrets are in neither: the host's file holds references, resolved when a connection is opened
(Invariant 6). An atom without `molecule.json` and without its host's own etcd and journal works alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import msgspec
from dative.errors import Code, DativeError
from dative.errors.agent import IDENTITY_DAMAGED
from dative.errors.molecules import HOST_INVALID
from dative.errors.secrets import SecretsRefused
from dative.molecule_settings import MoleculeSettings
from dative.secrets import Secret
from dative.secrets.reference import SecretReference, resolve
from dative.v1 import types_pb2

from dative_atom.agent.log import log, redactor
from dative_atom.agent.paths import DataDir, write_whole

FILE_BYTES_MAX = 1 << 18
_S = TypeVar("_S", bound=msgspec.Struct)


class StoredSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`molecule.json`: the controller's settings, as it last said them."""

    version: int
    etcd_endpoints: tuple[str, ...]
    journal: str
    etcd_ca_pem: str = ""
    etcd_user: str = ""
    lease_ttl_s: float = 5.0

    @classmethod
    def of(cls, settings: MoleculeSettings) -> StoredSettings:
        return cls(**{name: getattr(settings, name) for name in cls.__struct_fields__})

    def settings(self) -> MoleculeSettings:
        return MoleculeSettings(**msgspec.structs.asdict(self))


class HostSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """`molecule-host.json`: this host's own. Secrets are references, "file:/path" or "env:NAME"; "" where there is none.

    etcd_endpoints and journal, where given, are used instead of the controller's. etcd_certificate: a file, PEM.
    """

    etcd_endpoints: tuple[str, ...] = ()
    journal: str = ""
    etcd_password: str = ""
    etcd_certificate: str = ""
    etcd_key: str = ""
    journal_password: str = ""

    def check(self) -> None:
        """Form only; whether a file can be read is asked where it is used. Errors: molecule.host_settings_invalid."""
        for name in ("etcd_password", "journal_password", "etcd_key", "etcd_certificate"):
            text = getattr(self, name)
            try:
                kind = SecretReference.parse(text).kind if text else "file"
            except SecretsRefused as wrong:
                raise DativeError(f"{name}: {wrong.message}", code=HOST_INVALID) from wrong
            if kind == "sealed" or (kind == "env" and name in ("etcd_key", "etcd_certificate")):
                # Sealed values are known only once a bundle is here, and TLS reads keys from files.
                raise DativeError(f"{name} can not be a reference of the kind {kind}:", code=HOST_INVALID)
        if bool(self.etcd_certificate) != bool(self.etcd_key):
            raise DativeError(
                "a client certificate of etcd needs its key, and a key its certificate", code=HOST_INVALID
            )


@dataclass(frozen=True)
class Effective:
    """What to connect with. Resolve the secrets when the connection is opened, not before."""

    settings: MoleculeSettings
    host: HostSettings

    def etcd_password(self, environ: Mapping[str, str] = os.environ) -> Secret | None:
        """Errors: secrets.not_found, secrets.too_large."""
        return _secret(self.host.etcd_password, environ)

    def journal_password(self, environ: Mapping[str, str] = os.environ) -> Secret | None:
        """Errors: secrets.not_found, secrets.too_large."""
        return _secret(self.host.journal_password, environ)

    @property
    def etcd_certificate(self) -> Path | None:
        return _path(self.host.etcd_certificate)

    @property
    def etcd_key(self) -> Path | None:
        return _path(self.host.etcd_key)


def _secret(reference: str, environ: Mapping[str, str]) -> Secret | None:
    if not reference:
        return None
    secret = resolve(SecretReference.parse(reference), {}, environ=environ)
    redactor.register(secret)
    return secret


def _path(reference: str) -> Path | None:
    return Path(SecretReference.parse(reference).name) if reference else None


# ---- files ----------------------------------------------------------------------------------------------------------


def read_stored(directory: DataDir) -> StoredSettings | None:
    """None: the controller gave the molecule no settings. Errors: agent.identity_damaged: what it coordinates with is
    part of what it is, and an atom that began to work alone would do the molecule's work a second time."""
    return _read(directory.molecule, StoredSettings, IDENTITY_DAMAGED)


def read_host(directory: DataDir) -> HostSettings:
    """Errors: molecule.host_settings_invalid."""
    return _read(directory.molecule_host, HostSettings, HOST_INVALID) or HostSettings()


def _read(path: Path, kind: type[_S], damaged: Code) -> _S | None:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX)
    except FileNotFoundError:
        return None
    except OSError as unreadable:
        raise DativeError(f"{path}: {unreadable.strerror}", code=damaged) from unreadable
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as broken:
        raise DativeError(f"{path}: {broken}", code=damaged) from broken


def write_stored(directory: DataDir, settings: MoleculeSettings | None) -> None:
    """Whole or not at all (Invariant 5); None takes it away."""
    if settings is None:
        directory.molecule.unlink(missing_ok=True)
    else:
        write_whole(directory.molecule, msgspec.json.format(msgspec.json.encode(StoredSettings.of(settings))))


def write_host(directory: DataDir, host: HostSettings) -> None:
    """Errors: molecule.host_settings_invalid."""
    host.check()
    write_whole(directory.molecule_host, msgspec.json.format(msgspec.json.encode(host)))


def effective(directory: DataDir) -> Effective | None:
    """Both files laid over one another and checked whole; None: this atom works alone.

    Errors: molecule.settings_invalid, molecule.settings_hold_secret, molecule.host_settings_invalid.
    """
    stored, host = read_stored(directory), read_host(directory)
    if stored is None and not (host.etcd_endpoints and host.journal):
        return None
    settings = stored.settings() if stored else MoleculeSettings((), "")
    if host.etcd_endpoints:
        settings = replace(settings, etcd_endpoints=host.etcd_endpoints)
    if host.journal:
        settings = replace(settings, journal=host.journal)
    settings.check()
    host.check()
    return Effective(settings, host)


class MoleculeKeeper:
    """Keeps `molecule.json` as the controller says, and knows whether what runs was started with something else.

    A member's lease, its etcd and its journal can not be changed under it, so that a change waits for a restart.
    """

    def __init__(self, directory: DataDir) -> None:
        """Errors: those of `effective`."""
        self._directory = directory
        self.running = effective(directory)
        self._stored = read_stored(directory)
        self._started_with = self._stored

    @property
    def restart_needed(self) -> bool:
        return self._stored != self._started_with

    @property
    def version(self) -> int:
        """Of the newest settings that are on the disk; 0: none."""
        return self._stored.version if self._stored else 0

    def take(self, told: types_pb2.MoleculeSettings | None) -> None:
        """What the controller says now; None: the molecule has no settings any more.

        Settings that this version of the program can not use are not taken: what is on the disk stays.
        """
        settings = MoleculeSettings.from_wire(told) if told is not None else None
        if settings is not None:
            try:
                settings.check()
            except DativeError as refused:
                log.warning("molecule.settings_refused", code=refused.code.name, reason=refused.message)
                return
        wanted = StoredSettings.of(settings) if settings else None
        if wanted == self._stored:
            return
        write_stored(self._directory, settings)
        self._stored = wanted
        log.info("molecule.settings_changed", version=self.version, restart_needed=self.restart_needed)
