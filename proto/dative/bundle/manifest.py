"""The manifest: the one signed document that says what may run where.

Everything its fields promise by themselves is checked here: forms, ranges, and that they fit each other. Whether an
atom may take it is decided in verify.py. msgspec, because the atom's agent reads manifests too and must stay small.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from typing import Annotated, Literal, TypeVar

import msgspec

from dative.bundle.blobs import DIGEST, NAME, SIZE_MAX, digest_of
from dative.bundle.canonical import check_limits, encode_checked
from dative.errors.bundle import BundleRefused

DEPLOYMENT_TYPE = "application/vnd.dative.deployment.v1+json"
TRUST_TYPE = "application/vnd.dative.trust.v1+json"
FRESHNESS_TYPE = "application/vnd.dative.freshness.v1+json"
RECIPIENTS_TYPE = "application/vnd.dative.recipients.v1+json"

PROCESS_MEDIA = "application/vnd.dative.process.v1+json"
TABLE_MEDIA = "application/vnd.dative.table.v1+csv"
ENVIRONMENT_MEDIA = "application/vnd.dative.environment.v1+json"
SEALED_SECRETS_MEDIA = "application/vnd.dative.sealed-secrets.v1+json"

MANIFEST_BYTES_MAX = 1 << 20
ENVELOPE_BYTES_MAX = MANIFEST_BYTES_MAX * 4 // 3 + 8192  # base64 and the signatures around it
PROCESSES_MAX = 1000
ARTIFACTS_MAX = 5000

Counter = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
Id = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")]
Name = Annotated[str, msgspec.Meta(pattern=NAME)]
Digest = Annotated[str, msgspec.Meta(pattern=DIGEST)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Text = Annotated[str, msgspec.Meta(max_length=1000)]
Version = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}\Z")]

S = TypeVar("S", bound=msgspec.Struct)


def read_document(kind: type[S], payload: bytes, *, bytes_max: int, what: str) -> S:
    """One signed JSON document as its model; only its canonical bytes are read, so that its digest is its identity.

    Whatever two readers could take differently (a key twice, a float, a space) is written differently by the canonical
    writer, so that comparing the bytes refuses it; msgspec reads three times as fast as the strict reader.
    Errors: bundle.too_large, bundle.malformed (unknown or missing field, value out of range, not canonical).
    """
    check_limits(payload, bytes_max=bytes_max)
    try:
        document = msgspec.json.decode(payload, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as wrong:
        raise BundleRefused(f"{what}: {wrong}") from wrong
    if write_document(document) != payload:
        raise BundleRefused(f"{what}: these are not the canonical bytes of what they say")
    return document


def write_document(document: msgspec.Struct) -> bytes:
    """The canonical bytes of a signed document."""
    # No field of a signed document is a float or an open-ended object, so that the types need no second look.
    return encode_checked(msgspec.to_builtins(document))


class Artifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One blob of the bundle. name: "/"-separated parts, for people and look-ups, never a path. size: bytes."""

    name: Name
    digest: Digest
    size: Annotated[int, msgspec.Meta(ge=0, le=SIZE_MAX)]
    media_type: Annotated[str, msgspec.Meta(pattern=r"\Aapplication/[a-z0-9.+-]{1,100}\Z")]


class ProcessEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One process. release_counter only rises per process, whatever the generation; artifact: the name of its blob."""

    process_id: Id
    version: Counter
    release_counter: Counter
    artifact: Name


class Audience(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom the manifest is for. atom_ids: None is every atom of the molecule."""

    molecule_id: Id
    atom_ids: tuple[Id, ...] | None = None


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """on_stale: what the atom does while nobody confirms that this manifest is current."""

    on_stale: Literal["continue", "pause"] = "continue"


class Signer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who deployed, and why; for the audit, not for a decision."""

    subject: Text
    reason: Text


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True, kw_only=True):
    """A deployment. Every field is written, also where it holds its default, so that the bytes follow from the fields.

    expires_at: it may not be newly accepted after; what runs already goes on. previous_digest: None for the first.
    rollback_of: the generation whose content comes back, None otherwise.
    """

    schema_: Literal["dative.deployment/v1"] = msgspec.field(default="dative.deployment/v1", name="schema")
    organization_id: Id
    environment_id: Id
    audience: Audience
    release_epoch: Counter
    generation: Counter
    previous_digest: Digest | None = None
    issued_at: Moment
    expires_at: Moment
    trust_version: Counter
    min_atom_version: Version = "0.0.0"
    policy: Policy = Policy()
    processes: Annotated[tuple[ProcessEntry, ...], msgspec.Meta(max_length=PROCESSES_MAX)]
    artifacts: Annotated[tuple[Artifact, ...], msgspec.Meta(max_length=ARTIFACTS_MAX)]
    rollback_of: Counter | None = None
    allow_release_counter_decrease: bool = False
    request_id: Annotated[str, msgspec.Meta(max_length=128)] = ""
    signer: Signer = Signer(subject="", reason="")

    def __post_init__(self) -> None:
        if not self.issued_at < self.expires_at:
            raise ValueError("expires_at must be after issued_at")
        if self.audience.atom_ids is not None and not self.audience.atom_ids:
            raise ValueError("an audience of no atoms; leave atom_ids null for the whole molecule")
        _all_different("process_id", (entry.process_id for entry in self.processes))
        _all_different("artifact name", (artifact.name for artifact in self.artifacts))
        media = {artifact.name: artifact.media_type for artifact in self.artifacts}
        for entry in self.processes:
            if media.get(entry.artifact) != PROCESS_MEDIA:
                raise ValueError(f"process {entry.process_id} names {entry.artifact}, which is no process artifact")
        if len({artifact.digest for artifact in self.artifacts}) != len(
            {(artifact.digest, artifact.size) for artifact in self.artifacts}
        ):
            raise ValueError("one digest is listed with two sizes")

    def to_payload(self) -> bytes:
        """The bytes to sign."""
        return write_document(self)

    @classmethod
    def parse(cls, payload: bytes) -> Manifest:
        """Errors: bundle.too_large, bundle.malformed. Only ever called on a payload whose signatures hold."""
        manifest = read_document(cls, payload, bytes_max=MANIFEST_BYTES_MAX, what="manifest")
        # The bytes were just compared with what `to_payload` writes, so the digest need not write them again.
        manifest.__dict__["digest"] = digest_of(payload)
        return manifest

    @cached_property
    def digest(self) -> str:
        """Of the payload, never of the envelope: base64 has spare bits, so one payload has several envelopes."""
        return digest_of(self.to_payload())

    def artifacts_of(self, media_type: str) -> tuple[Artifact, ...]:
        return tuple(artifact for artifact in self.artifacts if artifact.media_type == media_type)


def _all_different(what: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{what} {value} is listed twice")
        seen.add(value)
