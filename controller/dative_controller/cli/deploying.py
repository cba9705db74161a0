"""The next manifest, from what runs now and what is to change. Pure: no network, no disk, no clock of its own.

A deployment carries every process of its molecule. What is not named stays, by digest: its bytes are neither read nor
sent again, so that deploying one process can not change another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dative.bundle.manifest import Artifact, Audience, Manifest, ProcessEntry, Signer
from dative.bundle.pack import EnvironmentConfig, PackedProcess, pack, process_artifact
from dative.errors.cli import NOT_DEPLOYED, CliError
from dative.process.calls import names_called

LIFETIME = timedelta(days=90)
"""How long a manifest may be newly accepted; what runs goes on after it."""


@dataclass(frozen=True)
class Frame:
    """Where the next manifest goes: what the controller said is desired there now, verified.

    current: None when nothing was deployed yet. environment, sealed: what is set now, for the new manifest.
    """

    organization_id: str
    environment_id: str
    molecule_id: str
    release_epoch: int
    trust_version: int
    generation: int
    current: Manifest | None
    environment: EnvironmentConfig
    sealed: bytes | None


@dataclass(frozen=True)
class Part:
    """One process of a manifest: its entry and all its artifacts. blobs: those that this machine holds."""

    entry: ProcessEntry
    artifacts: tuple[Artifact, ...]
    blobs: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.entry.process_id

    @property
    def digests(self) -> dict[str, str]:
        return {artifact.name: artifact.digest for artifact in self.artifacts}


@dataclass(frozen=True)
class Next:
    """A manifest to sign, and the bytes that it adds."""

    manifest: Manifest
    blobs: Mapping[str, bytes]


def part_of(manifest: Manifest, process: str) -> Part:
    """A process as a manifest holds it. Errors: cli.not_deployed."""
    entry = next((entry for entry in manifest.processes if entry.process_id == process), None)
    if entry is None:
        raise CliError(f"process {process} is not in generation {manifest.generation}", code=NOT_DEPLOYED)
    prefix = process_artifact(process).partition("/")[0] + "/"
    return Part(entry, tuple(one for one in manifest.artifacts if one.name.startswith(prefix)))


def parts_of(manifest: Manifest | None) -> dict[str, Part]:
    """Every process of a manifest, by name."""
    return {entry.process_id: part_of(manifest, entry.process_id) for entry in manifest.processes} if manifest else {}


def packed(
    name: str, definition: bytes, tables: Mapping[str, bytes], current: Manifest | None, versions: Iterable[int]
) -> Part:
    """A process from this machine, under its version.

    versions: every version that it ever had there; the next one is higher than all of them, so that a counter never
    falls. The very content that runs keeps its version.
    """
    running = parts_of(current).get(name)
    highest = max([*versions, *([running.entry.version, running.entry.release_counter] if running else [])], default=0)
    made = _make(PackedProcess(name, highest + 1, highest + 1, definition, tables))
    if running is not None and running.digests == made.digests:
        return Part(running.entry, made.artifacts, made.blobs)
    return made


def renumbered(part: Part, current: Manifest | None, versions: Iterable[int]) -> Part:
    """The same content under the next version of another place, as for a promotion."""
    running = parts_of(current).get(part.name)
    if running is not None and running.digests == part.digests:
        return Part(running.entry, part.artifacts, part.blobs)
    highest = max([*versions, *([running.entry.version, running.entry.release_counter] if running else [])], default=0)
    entry = ProcessEntry(part.name, highest + 1, highest + 1, part.entry.artifact)
    return Part(entry, part.artifacts, part.blobs)


def versions_of(process: str, deployed: Iterable[str]) -> list[int]:
    """The versions of a process in a list of "name@version", as deployments carry them."""
    pairs = (text.rpartition("@") for text in deployed)
    return [int(version) for name, _, version in pairs if name == process and version.isdigit()]


def next_manifest(
    frame: Frame,
    *,
    put: Sequence[Part] = (),
    remove: Collection[str] = (),
    now: datetime,
    signer: Signer,
    request_id: str,
    rollback_of: int | None = None,
) -> Next:
    """The manifest after this one. put: processes that replace or join those that run; remove: names that leave.

    rollback_of: the generation whose content comes back; only then may a release counter fall.
    Errors: cli.not_deployed for a name to remove that is not there; BundleRefused when it does not fit the limits.
    """
    parts = parts_of(frame.current)
    for name in remove:
        if name not in parts:
            raise CliError(f"process {name} is not deployed in {frame.environment.environment}", code=NOT_DEPLOYED)
        del parts[name]
    parts.update({part.name: part for part in put})
    common, blobs = pack([], frame.environment, frame.sealed)
    artifacts = sorted([*common, *(one for part in parts.values() for one in part.artifacts)], key=lambda one: one.name)
    manifest = Manifest(
        organization_id=frame.organization_id,
        environment_id=frame.environment_id,
        audience=Audience(frame.molecule_id),
        release_epoch=frame.release_epoch,
        generation=frame.generation + 1,
        previous_digest=frame.current.digest if frame.current else None,
        issued_at=now,
        expires_at=now + LIFETIME,
        trust_version=frame.trust_version,
        processes=tuple(parts[name].entry for name in sorted(parts)),
        artifacts=tuple(artifacts),
        rollback_of=rollback_of,
        allow_release_counter_decrease=rollback_of is not None,
        request_id=request_id,
        signer=signer,
    )
    return Next(manifest, {**blobs, **{digest: data for part in put for digest, data in part.blobs.items()}})


def _make(process: PackedProcess) -> Part:
    nowhere = EnvironmentConfig(environment="", environment_id="none", production=False, version=0)
    # What it calls is checked over the whole manifest, where the other processes are known.
    artifacts, blobs = pack([process], nowhere, None, beside=names_called(process.definition))
    own = tuple(one for one in artifacts if one.name.startswith(f"{process.name}/"))
    entry = ProcessEntry(process.name, process.version, process.release_counter, process_artifact(process.name))
    return Part(entry, own, {one.digest: blobs[one.digest] for one in own})
