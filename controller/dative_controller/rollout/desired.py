"""What to push to one atom's stream now: the desired manifest, the trust chain it lacks, and a fresh statement."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from dative.bundle.trust import CHAIN_MAX
from dative.clock import Clock
from dative.v1 import agent_pb2
from sqlalchemy import Connection

from dative_controller.links.session import Pushed, Session
from dative_controller.signing.online import OnlineKey
from dative_controller.store import access, deployments, rollouts, trust
from dative_controller.store.database import Database

FETCH_JITTER_PER_ATOM_S = 0.003
"""10,000 atoms fetch over 30 s: without jitter they are refused and retry, which costs more than waiting."""


@dataclass(frozen=True, slots=True)
class _Found:
    row: deployments.DeploymentRow
    organization: access.Organization
    chain: list[bytes]


class DesiredState:
    """Builds pushes. streams: how many this controller holds now, for the jitter."""

    def __init__(self, database: Database, clock: Clock, online: OnlineKey, *, streams: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock
        self._online = online
        self._streams = streams

    async def for_session(self, session: Session) -> agent_pb2.DesiredState | None:
        """The push, or None when nothing is desired of this atom or it runs that and knows that it is current.

        The first push of a stream comes in any case: it carries the fresh statement, and a repeat is harmless.
        """
        found = await self._database.read(lambda sql: _find(sql, session))
        if found is None:
            return None
        row = found.row
        pushed = Pushed(row.deployment_id, row.release_epoch, row.generation, row.manifest_digest)
        needed = session.needs(pushed)
        if not needed and not found.chain and not session.refresh_wanted:
            return None
        session.refresh_wanted, session.refreshed_s = False, self._clock.elapsed_s()
        message = agent_pb2.DesiredState(
            environment_id=row.environment_id,
            molecule_id=row.molecule_id,
            release_epoch=row.release_epoch,
            generation=row.generation,
            nonce=session.nonce_for(pushed),
            manifest_envelope=row.envelope,
            manifest_digest=row.manifest_digest,
            freshness_envelope=await asyncio.to_thread(self._freshness, found),
            # What only confirms is no part of the deployment's trace, or that would go on for months.
            traceparent=row.traceparent if needed else "",
            trust_chain=found.chain,
        )
        if found.chain:
            message.trust_envelope = found.chain[-1]
            session.trust_version += len(found.chain)
        message.fetch_jitter.FromMilliseconds(int(self._streams() * FETCH_JITTER_PER_ATOM_S * 1000))
        return message

    def _freshness(self, found: _Found) -> bytes:
        row, organization = found.row, found.organization
        return self._online.freshness(
            organization_id=organization.organization_id,
            environment_id=row.environment_id,
            molecule_id=row.molecule_id,
            release_epoch=row.release_epoch,
            generation=row.generation,
            manifest_digest=row.manifest_digest,
            audit_head=organization.audit_head,
            revocation_version=organization.revocation_version,
            now=self._clock.now(),
        )


def _find(sql: Connection, session: Session) -> _Found | None:
    row = deployments.desired(sql, session.environment_id, session.molecule_id)
    if row is None:
        return None
    row = rollouts.row_for(sql, row, session.atom_id)
    if row is None or not deployments.is_for(row, session.atom_id):
        return None
    chain = [envelope for _, envelope in trust.chain(sql, session.trust_version)] if session.trust_version else []
    return _Found(row, access.the_organization(sql), chain[:CHAIN_MAX])
