"""The bundle on this atom's disk: what was accepted, what runs, and the proof of both from its own bytes.

Files change in the order that makes every crash harmless: manifest, then the record of what is accepted, then the
record of what runs. Blocking; callers that live on the event loop call it in a thread. Knows no network.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from dative.bundle import trust
from dative.bundle.accepted import Accepted, Identity
from dative.bundle.blobs import BlobStore, digest_of
from dative.bundle.envelope import Envelope
from dative.bundle.freshness import Freshness
from dative.bundle.manifest import ENVELOPE_BYTES_MAX, Manifest
from dative.bundle.verify import readopt, verify_freshness
from dative.errors import DativeError
from dative.errors.agent import CONNECTOR_MISMATCH, IDENTITY_DAMAGED
from dative.errors.bundle import BLOB_MISMATCH, BLOB_MISSING, BundleRefused
from dative.errors.secrets import NOT_FOUND, SecretsRefused
from dative.secrets import MaskKeys, SealKey, Secret
from dative.secrets.mask_keys import readers_in
from dative.secrets.reference import SecretReference
from dative.v1 import types_pb2

from dative_atom.agent.content import EnvironmentConfig, ProcessContent, Shelf
from dative_atom.agent.log import redactor
from dative_atom.agent.paths import DataDir, write_whole
from dative_atom.agent.schedule import check_trigger
from dative_atom.agent.secrets import bind, binding, connection, mask_keys
from dative_atom.worker.protocol import Binding

BLOB_CODES = (BLOB_MISMATCH, BLOB_MISSING)


@dataclass(frozen=True)
class ActiveBundle:
    """What runs. broken: processes that can not run, and why; after a restart on a damaged disk."""

    manifest: Manifest
    processes: Mapping[str, ProcessContent]
    broken: Mapping[str, DativeError] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """Everything that one execution needs, verified from the disk a moment ago."""

    content: ProcessContent
    paths: Mapping[str, str]
    bindings: list[Binding]
    environment: EnvironmentConfig
    mask_keys: MaskKeys


class Bundles:
    """See the module. blobs: passed in, so that a test can give one that fails."""

    def __init__(self, directory: DataDir, identity: Identity, seal_key: SealKey, blobs: BlobStore) -> None:
        self._directory = directory
        self.identity = identity
        self._seal_key = seal_key
        self.blobs = blobs
        self.accepted = self._read(directory.accepted)
        self.trust = trust.read_trust(self.accepted.trust_envelope)
        self.active: ActiveBundle | None = None
        self.freshness: Freshness | None = None

    def _read(self, path: Path) -> Accepted:
        try:
            return Accepted.parse(path.read_bytes())
        except OSError as missing:
            raise DativeError(f"{path}: {missing.strerror}", code=IDENTITY_DAMAGED) from missing

    # ---- at a start ---------------------------------------------------------------------------------------------

    def restore(self, now: datetime) -> list[DativeError]:
        """Take up what ran before, each byte verified again (Invariant 3). Returns what was refused on the way."""
        refused: list[DativeError] = []
        for accepted in self._candidates():
            if accepted.position(self.identity) is None:
                continue
            try:
                manifest = self._readopted(accepted, now)
                whole = accepted is self.accepted
                self.active = self._load(manifest, strict=whole and not self._ran(manifest.digest))
            except DativeError as error:
                refused.append(error)
            else:
                return refused
        return refused

    def _candidates(self) -> list[Accepted]:
        former = self._read(self._directory.active) if self._directory.active.exists() else None
        return [self.accepted, *([former] if former is not None and former != self.accepted else [])]

    def _ran(self, digest: str) -> bool:
        """Whether that manifest was active before: then a damaged blob breaks its process and not the whole."""
        if not self._directory.active.exists():
            return False
        position = self._read(self._directory.active).position(self.identity)
        return position is not None and position.manifest_digest == digest

    def _readopted(self, accepted: Accepted, now: datetime) -> Manifest:
        position = accepted.position(self.identity)
        envelope = self._envelope(position.manifest_digest if position else "")
        document = trust.read_trust(accepted.trust_envelope)
        return readopt(envelope, trust=document, identity=self.identity, accepted=accepted, now=now)

    def _manifest_path(self, digest: str) -> Path:
        return self._directory.manifests / f"{digest.removeprefix('sha256:')}.json"

    def _envelope(self, digest: str) -> bytes:
        try:
            with self._manifest_path(digest).open("rb") as file:
                return file.read(ENVELOPE_BYTES_MAX + 1)
        except OSError as missing:
            raise BundleRefused(f"the manifest {digest[:19]} is not on this disk", code=BLOB_MISSING) from missing

    # ---- accepting ----------------------------------------------------------------------------------------------

    def take_trust(self, chain: Iterable[bytes], now: datetime) -> bool:
        """Walk to the newest trust document and persist it. True when there was one. Errors: trust.*."""
        newer = [envelope for envelope in chain if trust.read_trust(envelope).version > self.trust.version]
        if not newer:
            return False
        document = trust.walk(self.trust, newer, now)
        self._persist(self.accepted.with_trust(newer[-1], document.version))
        self.trust = document
        return True

    def take_freshness(self, envelope: bytes, now: datetime) -> None:
        """Errors: BundleRefused; the last good statement stays in force."""
        statement = verify_freshness(
            envelope, trust=self.trust, identity=self.identity, accepted=self.accepted, now=now
        )
        self.freshness = statement
        if statement.revocation_version > self.accepted.revocation_version:
            self._persist(self.accepted.with_revocation(statement.revocation_version))

    def accept(self, manifest: Manifest, envelope: bytes) -> None:
        """Persist a manifest whose blobs are all here; from now on nothing older is taken, whatever happens next."""
        write_whole(self._manifest_path(manifest.digest), envelope)
        # Invariant 5: the counters are on disk before anything of it runs, so that no crash can lower them.
        self._persist(self.accepted.with_manifest(manifest, self.identity, self.trust.version))

    def _persist(self, accepted: Accepted) -> None:
        write_whole(self._directory.accepted, accepted.to_bytes())
        self.accepted = accepted

    def missing(self, manifest: Manifest) -> set[str]:
        """Digests whose blobs are not here or are not what was signed; the latter are thrown away."""
        found: set[str] = set()
        shelf = Shelf(manifest, self.blobs)
        for artifact in manifest.artifacts:
            try:
                shelf.verified_paths([artifact])
            except BundleRefused as wrong:
                found.add(artifact.digest)
                if wrong.code is BLOB_MISMATCH:
                    self.blobs.remove(artifact.digest)
        return found

    # ---- activating ---------------------------------------------------------------------------------------------

    def activate(self, manifest: Manifest) -> None:
        """All of it or nothing. Errors: the first reason why it can not run here; the former content keeps running."""
        self.active = self._load(manifest, strict=True)
        write_whole(self._directory.active, self.accepted.to_bytes())

    def reload(self) -> None:
        """Look at broken processes again, as after a repair."""
        if self.active is not None:
            self.active = self._load(self.active.manifest, strict=False)

    def _load(self, manifest: Manifest, *, strict: bool) -> ActiveBundle:
        shelf = Shelf(manifest, self.blobs)
        processes: dict[str, ProcessContent] = {}
        broken: dict[str, DativeError] = {}
        for entry in manifest.processes:
            try:
                processes[entry.process_id] = self._runnable(shelf, entry.process_id)
            except DativeError as error:
                if strict:
                    raise
                error.where = error.where or f"process {entry.process_id}"
                broken[entry.process_id] = error
        return ActiveBundle(manifest, processes, broken)

    def _runnable(self, shelf: Shelf, process: str) -> ProcessContent:
        """Everything about a process that can be known before it runs."""
        content = shelf.process(process)
        shelf.verified_paths(content.artifacts)
        for trigger in content.triggers:
            check_trigger(process, trigger)
        environment, sealed = shelf.environment(), shelf.secrets(self._seal_key, self.identity.atom_id)
        for name, connector in content.connections.items():
            found = connection(environment, name)
            if found.connector != connector:
                raise DativeError(
                    f"{process} was written for {connector}, the environment binds {name} to {found.connector}",
                    code=CONNECTOR_MISMATCH,
                    where=f"connection {name}",
                )
            _check_sealed(name, found.secrets.values(), sealed)
        return content

    # ---- before an execution ------------------------------------------------------------------------------------

    def shelf(self, manifest_digest: str) -> Shelf:
        """A manifest accepted before, by its digest alone. Errors: bundle.blob_missing, bundle.blob_mismatch."""
        payload = Envelope.parse(self._envelope(manifest_digest), bytes_max=ENVELOPE_BYTES_MAX).payload
        if digest_of(payload) != manifest_digest:
            raise BundleRefused(f"the manifest {manifest_digest[:19]} on this disk was changed", code=BLOB_MISMATCH)
        return Shelf(Manifest.parse(payload), self.blobs)

    def prepare(self, manifest_digest: str, process: str) -> Prepared:
        """Verify from the disk, now, everything that an execution reads (Invariant 3), and bind its connections.

        Errors: bundle.blob_missing, bundle.blob_mismatch, agent.*, secrets.*.
        """
        shelf = self.shelf(manifest_digest)
        content = shelf.process(process)
        environment = shelf.environment()
        sealed = shelf.secrets(self._seal_key, self.identity.atom_id)
        paths = shelf.verified_paths(content.artifacts)
        bindings = bind(content, environment, sealed, redactor)
        return Prepared(content, paths, bindings, environment, mask_keys(sealed, redactor))

    def vault(self) -> tuple[MaskKeys, dict[str, bytes]]:
        """The mask keys and the vault's readers of what runs now. Errors: as `prepare`."""
        if self.active is None:
            raise BundleRefused("nothing is deployed to this atom", code=BLOB_MISSING)
        sealed = self.shelf(self.active.manifest.digest).secrets(self._seal_key, self.identity.atom_id)
        return mask_keys(sealed, redactor), readers_in(sealed)

    def binding(self, name: str) -> Binding:
        """One connection of what runs now, for a test of it. Errors: as `prepare`."""
        if self.active is None:
            raise BundleRefused("nothing is deployed to this atom", code=BLOB_MISSING)
        shelf = self.shelf(self.active.manifest.digest)
        sealed = shelf.secrets(self._seal_key, self.identity.atom_id)
        return binding(name, connection(shelf.environment(), name), sealed, redactor)

    def definition(self, process: str) -> bytes | None:
        """What runs now under that name, as its signers wrote it; None when there is none. Errors: as `prepare`."""
        if self.active is None or process not in self.active.processes:
            return None
        content = self.active.processes[process]
        paths = self.shelf(self.active.manifest.digest).verified_paths(content.artifacts)
        return Path(paths[content.artifact]).read_bytes()

    # ---- what it says of itself ---------------------------------------------------------------------------------

    def observed(self) -> types_pb2.ObservedState:
        """What runs: after a rollback not what was accepted last."""
        state = types_pb2.ObservedState(
            environment_id=self.identity.environment_id, molecule_id=self.identity.molecule_id
        )
        if self.active is not None:
            manifest = self.active.manifest
            state.release_epoch, state.generation = manifest.release_epoch, manifest.generation
            state.manifest_digest = manifest.digest
        return state

    def sweep(self, in_use: Collection[str], kept: int) -> None:
        """Let go of blobs that no kept manifest names: the active, the accepted, `in_use`, and the `kept` newest."""
        manifests = sorted(self._directory.manifests.glob("*.json"), key=lambda path: -path.stat().st_mtime)
        position = self.accepted.position(self.identity)
        needed = {*in_use, position.manifest_digest if position else ""}
        if self.active is not None:
            needed.add(self.active.manifest.digest)
        blobs: set[str] = set()
        for index, path in enumerate(manifests):
            digest = f"sha256:{path.stem}"
            if index >= kept and digest not in needed:
                path.unlink()
                continue
            try:
                blobs.update(artifact.digest for artifact in self.shelf(digest).manifest.artifacts)
            except DativeError:
                # Unreadable: what it names is unknown, so nothing can be let go.
                return
        self.blobs.sweep(blobs)


def _check_sealed(name: str, references: Iterable[str], sealed: Mapping[str, Secret]) -> None:
    """Sealed values can be looked up now; variables and files may come later."""
    for text in references:
        reference = SecretReference.parse(text)
        if reference.kind == "sealed" and reference.name not in sealed:
            raise SecretsRefused(f"no secret at {reference}", code=NOT_FOUND, where=f"connection {name}")
