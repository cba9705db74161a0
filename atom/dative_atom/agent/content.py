"""What a verified bundle says, as far as an agent needs it: when processes run and what they are bound to.

The process' meaning is the engine's; the agent reads triggers and connections out of the same bytes. Every read here is
verified from the disk by the digest that a manifest signs (Invariant 3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from dative.bundle.blobs import BlobStore
from dative.bundle.manifest import (
    ENVIRONMENT_MEDIA,
    SEALED_SECRETS_MEDIA,
    Artifact,
    Manifest,
    ProcessEntry,
)
from dative.bundle.verify import verify_blob
from dative.errors import DativeError
from dative.errors.agent import CONNECTOR_MISMATCH, PROCESS_INVALID, PROCESS_UNKNOWN
from dative.errors.process import CALL_CYCLE
from dative.process.calls import closure, cycle, names_called
from dative.process.classes import Classification, Entry
from dative.secrets import SealKey, Secret
from dative.secrets.sealed_set import open_set

_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


class ScheduleTrigger(msgspec.Struct, frozen=True):
    """As `dative.process.model.ScheduleTrigger` writes it. jitter: a duration's text."""

    cron: str
    timezone: str = "UTC"
    overlap: Literal["skip", "queue"] = "skip"
    missed: Literal["run-once", "skip"] = "run-once"
    jitter: str = "0ms"
    kind: str = "schedule"

    @property
    def jitter_s(self) -> float:
        found = _DURATION.fullmatch(self.jitter)
        return int(found[1]) * _UNIT_S[found[2]] if found else 0.0


class _Trigger(msgspec.Struct, frozen=True):
    """The YAML's own form of a trigger: {schedule: {…}}."""

    schedule: ScheduleTrigger


class _Classified(msgspec.Struct, frozen=True):
    field: str


class _Spec(msgspec.Struct, frozen=True):
    triggers: tuple[msgspec.Raw, ...] = ()
    connections: dict[str, str] = {}
    classify: dict[str, tuple[str | _Classified, ...]] = {}

    def classification(self) -> Classification:
        entries = (
            Entry(kind, place, item if isinstance(item, str) else item.field, None)
            for kind, items in self.classify.items()
            for place, item in enumerate(items)
        )
        return Classification(entries)


class _Process(msgspec.Struct, frozen=True):
    spec: _Spec


class BoundConnection(msgspec.Struct, frozen=True):
    """One connection of the environment artifact. secrets: setting -> reference."""

    connector: str
    settings: dict[str, str] = {}
    secrets: dict[str, str] = {}


class EnvironmentConfig(msgspec.Struct, frozen=True):
    """The environment artifact, version 1."""

    environment: str = ""
    environment_id: str = ""
    production: bool = False
    version: int = 0
    connections: dict[str, BoundConnection] = {}
    overrides: dict[str, str] = {}
    allows: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProcessContent:
    """One process of a bundle. connections: logical name -> connector, of called processes too. artifacts: all that its
    worker reads. called: the processes that it calls, directly and through others. classified: which fields it protects.
    """

    name: str
    version: int
    artifact: str
    triggers: tuple[ScheduleTrigger, ...]
    connections: Mapping[str, str]
    artifacts: tuple[Artifact, ...]
    called: tuple[str, ...] = ()
    classified: Classification = field(default_factory=lambda: Classification(()))


T = TypeVar("T", bound=msgspec.Struct)


def _decode(data: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as broken:
        raise DativeError(f"{what} can not be read: {broken}", code=PROCESS_INVALID, where=what) from broken


def _trigger(raw: msgspec.Raw, what: str) -> ScheduleTrigger:
    try:
        return msgspec.json.decode(raw, type=_Trigger).schedule
    except msgspec.ValidationError:
        return _decode(bytes(raw), ScheduleTrigger, what)


@dataclass(frozen=True)
class Shelf:
    """A manifest and the blobs it names on this disk."""

    manifest: Manifest
    blobs: BlobStore

    def _read(self, artifact: Artifact) -> bytes:
        return self.blobs.read(artifact.digest, artifact.size)

    def _only(self, media_type: str) -> Artifact | None:
        found = self.manifest.artifacts_of(media_type)
        return found[0] if found else None

    def process(self, name: str) -> ProcessContent:
        """Errors: agent.process_unknown, agent.process_invalid, process.call_cycle, bundle.blob_missing, ..mismatch."""
        entry = self._entry(name)
        circle = cycle(name, self._calls)
        if circle is not None:
            raise DativeError(f"the calls never end: {' → '.join(circle)}", code=CALL_CYCLE, where=name)
        called = closure(name, self._calls)
        artifacts = self._artifacts_of([entry, *(self._entry(other) for other in called)])
        spec = _decode(self._read(artifacts[0]), _Process, name).spec
        connections = dict(spec.connections)
        for other in called:
            for logical, connector in self._spec(other).connections.items():
                if connections.setdefault(logical, connector) != connector:
                    why = f"{name} and {other}, which it calls, want different connectors behind {logical}"
                    raise DativeError(why, code=CONNECTOR_MISMATCH, where=f"connection {logical}")
        triggers = tuple(_trigger(raw, name) for raw in spec.triggers)
        return ProcessContent(
            name, entry.version, entry.artifact, triggers, connections, artifacts, called, spec.classification()
        )

    def _entry(self, name: str) -> ProcessEntry:
        entry = next((entry for entry in self.manifest.processes if entry.process_id == name), None)
        if entry is None:
            raise DativeError(
                f"generation {self.manifest.generation} holds no process {name}", code=PROCESS_UNKNOWN, where=name
            )
        return entry

    def _definition(self, name: str) -> bytes:
        artifact = self._entry(name).artifact
        return self._read(next(one for one in self.manifest.artifacts if one.name == artifact))

    def _spec(self, name: str) -> _Spec:
        return _decode(self._definition(name), _Process, name).spec

    def _calls(self, name: str) -> tuple[str, ...]:
        return names_called(self._definition(name))

    def _artifacts_of(self, entries: Sequence[ProcessEntry]) -> tuple[Artifact, ...]:
        """The first process itself first, then what it calls, their tables, and the environment."""
        prefixes = tuple(f"{entry.process_id}/" for entry in entries)
        definitions = {entry.artifact for entry in entries}
        mine = [one for one in self.manifest.artifacts if one.name == entries[0].artifact]
        mine += [
            one
            for one in self.manifest.artifacts
            if one.name != entries[0].artifact
            and (one.name in definitions or one.name.startswith(prefixes) or one.media_type == ENVIRONMENT_MEDIA)
        ]
        return tuple(mine)

    def environment(self) -> EnvironmentConfig:
        """Empty when the bundle carries none. Errors: as `process`."""
        artifact = self._only(ENVIRONMENT_MEDIA)
        return _decode(self._read(artifact), EnvironmentConfig, "the environment") if artifact else EnvironmentConfig()

    def secrets(self, key: SealKey, atom_id: str) -> Mapping[str, Secret]:
        """The sealed values, opened. Errors: secrets.not_recipient, secrets.cannot_open, bundle.blob_mismatch."""
        artifact = self._only(SEALED_SECRETS_MEDIA)
        return open_set(self._read(artifact), key, atom_id) if artifact else {}

    def verified_paths(self, artifacts: Iterable[Artifact]) -> dict[str, str]:
        """Artifact name -> file, each verified from the disk now. Errors: bundle.blob_missing, bundle.blob_mismatch."""
        paths: dict[str, str] = {}
        for artifact in artifacts:
            path: Path = self.blobs.path(artifact.digest)
            verify_blob(artifact, path)
            paths[artifact.name] = str(path)
        return paths
