"""Processes, tables, environment and sealed secrets as artifacts and blobs; and reading the environment back.

Pure: the same input gives the same bytes, whatever the order of dictionaries. Signing and sending are the CLI's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from dative.bundle.blobs import NAME, SIZE_MAX, digest_of
from dative.bundle.manifest import (
    ENVIRONMENT_MEDIA,
    PROCESS_MEDIA,
    SEALED_SECRETS_MEDIA,
    TABLE_MEDIA,
    Artifact,
    Id,
    ProcessEntry,
    Text,
    read_document,
    write_document,
)
from dative.errors.bundle import BAD_NAME, TOO_LARGE, BundleRefused
from dative.errors.process import CALL_CYCLE, UNKNOWN_PROCESS
from dative.process.calls import cycle, names_called

ENVIRONMENT_BYTES_MAX = 1 << 20
ENVIRONMENT_NAME = "environment.json"
SEALED_SECRETS_NAME = "sealed-secrets.json"

_NAME = re.compile(NAME)
_PART = re.compile(r"\A[a-z0-9][a-z0-9._-]{0,127}\Z")
_Setting = Annotated[str, msgspec.Meta(max_length=16 << 10)]


@dataclass(frozen=True)
class PackedProcess:
    """One process, ready to pack. definition: its canonical JSON. tables: table name -> CSV (rates, xref seeds)."""

    name: str
    version: int
    release_counter: int
    definition: bytes
    tables: Mapping[str, bytes] = field(default_factory=dict)


class ConnectionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One connection. secrets: setting -> reference ("sealed:erp.password"), never a value (Invariant 6)."""

    connector: Id
    settings: dict[str, _Setting] = {}
    secrets: dict[str, Text] = {}


class EnvironmentConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an environment binds: logical connection -> connection, "<process>.<parameter>" -> value. version: its own.

    allows: what processes may do there beyond their rights, where the atom allows it too: "scripts", "command:/a/path".
    """

    environment: Text
    environment_id: Id
    production: bool
    version: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    connections: dict[str, ConnectionConfig] = {}
    overrides: dict[str, _Setting] = {}
    # Unset where it allows nothing: such an environment keeps the bytes that it always had.
    allows: Annotated[tuple[_Setting, ...], msgspec.Meta(min_length=1)] | msgspec.UnsetType = msgspec.UNSET

    def to_bytes(self) -> bytes:
        return write_document(self)

    @classmethod
    def parse(cls, data: bytes) -> EnvironmentConfig:
        """Read the verified environment artifact. Errors: bundle.too_large, bundle.malformed."""
        return read_document(cls, data, bytes_max=ENVIRONMENT_BYTES_MAX, what="environment")


def pack(
    processes: Sequence[PackedProcess],
    environment: EnvironmentConfig,
    sealed: bytes | None,
    *,
    beside: Collection[str] = (),
) -> tuple[list[Artifact], dict[str, bytes]]:
    """Artifacts in order of name, and digest -> bytes of each blob (equal bytes once).

    sealed: the environment's sealed set as stored; None: it has none. beside: processes that the bundle holds already.
    Errors: bundle.bad_name (also for two of one name), bundle.too_large, and those of `check_calls`.
    """
    check_calls({process.name: names_called(process.definition) for process in processes}, beside)
    named: dict[str, tuple[str, bytes]] = {}
    _add(named, ENVIRONMENT_NAME, ENVIRONMENT_MEDIA, environment.to_bytes())
    if sealed is not None:
        _add(named, SEALED_SECRETS_NAME, SEALED_SECRETS_MEDIA, sealed)
    for process in processes:
        _add(named, process_artifact(process.name), PROCESS_MEDIA, process.definition)
        for table, content in process.tables.items():
            _add(named, table_artifact(process.name, table), TABLE_MEDIA, content)
    artifacts = [
        Artifact(name, digest_of(content), len(content), media) for name, (media, content) in sorted(named.items())
    ]
    return artifacts, {artifact.digest: named[artifact.name][1] for artifact in artifacts}


def check_calls(calls: Mapping[str, Sequence[str]], beside: Collection[str] = ()) -> None:
    """Every called process travels too, and all calls end.

    calls: process -> the processes that it calls. beside: others that are there.
    Errors: process.unknown_process, process.call_cycle.
    """
    for name, called in sorted(calls.items()):
        for other in called:
            if other not in calls and other not in beside:
                raise BundleRefused(f"{name} calls {other}, which the bundle does not hold", code=UNKNOWN_PROCESS)
        circle = cycle(name, lambda one: calls.get(one, ()))
        if circle is not None:
            raise BundleRefused(f"the calls never end: {' → '.join(circle)}", code=CALL_CYCLE)


def process_entries(processes: Sequence[PackedProcess]) -> tuple[ProcessEntry, ...]:
    """The manifest's list of processes, in order of name."""
    return tuple(
        ProcessEntry(process.name, process.version, process.release_counter, process_artifact(process.name))
        for process in sorted(processes, key=lambda process: process.name)
    )


def process_artifact(process: str) -> str:
    """ "<process>/process.json". Errors: bundle.bad_name."""
    return f"{_part(process)}/process.json"


def table_artifact(process: str, table: str) -> str:
    """ "<process>/<table>.csv". Errors: bundle.bad_name."""
    return f"{_part(process)}/{_part(table)}.csv"


def _add(named: dict[str, tuple[str, bytes]], name: str, media: str, content: bytes) -> None:
    if _NAME.match(name) is None or name in named:
        raise BundleRefused(f"artifact name {name[:80]!r} is not usable, or there twice", code=BAD_NAME)
    if len(content) > SIZE_MAX:
        raise BundleRefused(f"{name} has {len(content)} bytes, {SIZE_MAX} are allowed", code=TOO_LARGE)
    named[name] = (media, content)


def _part(text: str) -> str:
    if _PART.match(text) is None:
        raise BundleRefused(f"{text[:80]!r} can not be part of an artifact's name", code=BAD_NAME)
    return text


__all__ = [
    "ConnectionConfig",
    "EnvironmentConfig",
    "PackedProcess",
    "check_calls",
    "pack",
    "process_artifact",
    "process_entries",
    "table_artifact",
]
