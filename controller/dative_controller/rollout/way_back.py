"""The way back of a rollout: signed by the deployer together with the way forward, checked here before either is stored.

A rollback is a new generation that only the release key can sign, so the controller alone could never bring members
back. What it is given is exactly what runs now under the generation after the new one, adoptable for a short while: the
most that a controller which turns hostile can do with it is to undo that one deployment within that while.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from dative.bundle.manifest import Manifest
from dative.errors import DativeError
from dative.errors.molecules import RETURN_INVALID

LIFETIME_MAX = timedelta(days=7)


def check(back: Manifest, new: Manifest, current: Manifest | None, now: datetime) -> None:
    """back: verified as to its signatures. Errors: rollout.return_invalid, which names what does not fit."""
    if current is None:
        raise DativeError("nothing runs yet that could be returned to", code=RETURN_INVALID)
    fits = {
        "generation": back.generation == new.generation + 1,
        "release epoch": back.release_epoch == new.release_epoch,
        "place": (back.organization_id, back.environment_id, back.audience)
        == (new.organization_id, new.environment_id, new.audience),
        "predecessor": back.previous_digest == new.digest,
        "rollback_of": back.rollback_of == current.generation and back.allow_release_counter_decrease,
        "processes": back.processes == current.processes,
        "artifacts": back.artifacts == current.artifacts,
        "expiry": back.expires_at <= now + LIFETIME_MAX,
    }
    wrong = [name for name, right in fits.items() if not right]
    if wrong:
        raise DativeError(f"the way back has another {', '.join(wrong)} than it must have", code=RETURN_INVALID)
