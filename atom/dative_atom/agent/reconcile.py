"""What to do about a verified manifest: pure, so that it can be asked in every state and after every interruption.

An interrupted plan, planned again from what is then on the disk, reaches the same end.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from dative.bundle.manifest import Artifact, Manifest


@dataclass(frozen=True)
class Running:
    """accepted: digest of the manifest persisted last; active: of the one whose content runs; present: blobs here."""

    accepted: str | None
    active: str | None
    present: Collection[str]


@dataclass(frozen=True)
class Fetch:
    artifact: Artifact


@dataclass(frozen=True)
class Persist:
    """(epoch, generation, digest) go to disk, before anything is activated."""


@dataclass(frozen=True)
class Activate:
    pass


@dataclass(frozen=True)
class Confirm:
    """It runs already: only say so."""


Action = Fetch | Persist | Activate | Confirm


def plan(desired: Manifest, running: Running) -> list[Action]:
    """The steps from `running` to `desired`, in the order in which they must happen."""
    if running.active == desired.digest:
        return [Confirm()]
    wanted: dict[str, Artifact] = {artifact.digest: artifact for artifact in desired.artifacts}
    fetches: list[Action] = [Fetch(one) for digest, one in wanted.items() if digest not in running.present]
    persist: list[Action] = [] if running.accepted == desired.digest else [Persist()]
    return [*fetches, *persist, Activate()]
