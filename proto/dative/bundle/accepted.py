"""What an atom remembers of what it accepted, and who it is: the two things every verdict is measured against.

Persisted by the agent (written whole, Invariant 5) before anything is activated; only ever rises. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from dative.bundle.manifest import Counter, Digest, Id, Manifest, Moment, read_document, write_document

ACCEPTED_BYTES_MAX = 4 << 20


@dataclass(frozen=True)
class Identity:
    """Who this atom is: from its certificate, never from a message. atom_version: "major.minor.patch…"."""

    organization_id: str
    environment_id: str
    molecule_id: str
    atom_id: str
    atom_version: str

    @property
    def place(self) -> str:
        return f"{self.environment_id}/{self.molecule_id}"


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest manifest accepted for one environment and molecule.

    trust_version: of the trust document it was verified under. release_counters: process -> the highest accepted, also
    of processes that a later manifest left out, so that leaving out and bringing back does not lower one.
    """

    release_epoch: Counter
    generation: Counter
    manifest_digest: Digest
    trust_version: Counter
    release_counters: dict[Id, Counter]


class Accepted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole memory. trust_envelope: the document in force, to be read with `trust.read_trust`.

    time_floor: the largest issued_at accepted; it can not be earlier than that, whatever the clock says.
    """

    schema_: Literal["dative.accepted/v1"] = msgspec.field(default="dative.accepted/v1", name="schema")
    trust_envelope: bytes
    trust_version: Counter
    positions: dict[str, Position] = {}
    time_floor: Moment | None = None
    revocation_version: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0

    def position(self, identity: Identity) -> Position | None:
        return self.positions.get(identity.place)

    def not_before(self, now: datetime) -> datetime:
        """`now`, or the time floor where the clock was set back behind it."""
        return now if self.time_floor is None else max(now, self.time_floor)

    def with_manifest(self, manifest: Manifest, identity: Identity, trust_version: int) -> Accepted:
        """The memory after `manifest`, which was verified under that trust version, is accepted.

        Accepting the same one again changes nothing: its signatures were verified under the document of the first time.
        """
        former = self.position(identity)
        if former is not None and former.manifest_digest == manifest.digest:
            return self
        counters = dict(former.release_counters) if former else {}
        for entry in manifest.processes:
            counters[entry.process_id] = entry.release_counter
        position = Position(
            manifest.release_epoch, manifest.generation, manifest.digest, trust_version, dict(sorted(counters.items()))
        )
        return msgspec.structs.replace(
            self,
            positions={**self.positions, identity.place: position},
            time_floor=self.not_before(manifest.issued_at),
        )

    def with_trust(self, envelope: bytes, version: int) -> Accepted:
        """The memory after a trust document that `trust.walk` proved."""
        return msgspec.structs.replace(self, trust_envelope=envelope, trust_version=version)

    def with_revocation(self, version: int) -> Accepted:
        """The memory after a verified freshness statement; never lowered."""
        return msgspec.structs.replace(self, revocation_version=max(version, self.revocation_version))

    def to_bytes(self) -> bytes:
        return write_document(self)

    @classmethod
    def parse(cls, data: bytes) -> Accepted:
        """Errors: bundle.malformed: the file was changed by somebody else; join again rather than believe it."""
        return read_document(cls, data, bytes_max=ACCEPTED_BYTES_MAX, what="the record of accepted state")
