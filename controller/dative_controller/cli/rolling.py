"""A deployment member by member: its policy, and the way back signed together with the way forward."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
from dative.bundle.envelope import sign
from dative.bundle.keys import SigningKey
from dative.bundle.manifest import DEPLOYMENT_TYPE, Manifest
from dative.v1 import control_pb2

if TYPE_CHECKING:
    from dative_controller.cli.deploying import Next
    from dative_controller.cli.release import Situation

RETURN_WITHIN = timedelta(hours=24)
"""How long the controller may release the way back. After it only a deployer can: dative rollback."""


@dataclass(frozen=True)
class Rolling:
    """way_back: whether to sign it."""

    max_unavailable: int
    gate: timedelta
    way_back: bool


def rolling_policy(
    here: Situation, following: Next, wanted: Rolling, key: SigningKey, now: datetime
) -> tuple[control_pb2.RolloutPolicy, dict[str, bytes]]:
    """The policy to send, and the manifest of the way back as a blob: a later rollback reads it, proven by digest."""
    policy = control_pb2.RolloutPolicy(max_unavailable=wanted.max_unavailable)
    policy.gate.FromTimedelta(wanted.gate)
    current = here.frame.current
    if not wanted.way_back or current is None:
        return policy, {}
    back = way_back(current, following.manifest, now)
    payload = back.to_payload()
    policy.return_envelope = sign(DEPLOYMENT_TYPE, payload, [key]).to_bytes()
    return policy, {back.digest: payload}


def way_back(current: Manifest, new: Manifest, now: datetime) -> Manifest:
    """What runs now under the generation after the new one, adoptable for RETURN_WITHIN."""
    return msgspec.structs.replace(
        current,
        generation=new.generation + 1,
        release_epoch=new.release_epoch,
        trust_version=new.trust_version,
        previous_digest=new.digest,
        issued_at=now,
        expires_at=now + RETURN_WITHIN,
        rollback_of=current.generation,
        allow_release_counter_decrease=True,
        request_id=new.request_id,
        signer=new.signer,
    )
