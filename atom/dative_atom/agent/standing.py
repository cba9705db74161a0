"""How an agent stands, as it says itself: to the controller with its hello and each heartbeat, to a person on this host.

Reads the agent's parts and changes none of them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from dative import __version__
from dative.rpc import status_of
from dative.v1 import agent_pb2

from dative_atom.agent.enrol import description
from dative_atom.agent.health import rss_bytes
from dative_atom.agent.link import PROTOCOL

if TYPE_CHECKING:
    from dative_atom.agent.agent import Agent

NEXT_MAX = 10
"""Planned times that a status tells."""


def hello(agent: Agent) -> agent_pb2.Hello:
    """The first word on each new stream."""
    said = agent_pb2.Hello(
        protocol_min=PROTOCOL,
        protocol_max=PROTOCOL,
        description=description(agent.config.labels),
        observed=agent.bundles.observed(),
        phase=agent.applier.phase,
        trust_version=agent.bundles.trust.version,
        revocation_version=agent.bundles.accepted.revocation_version,
        draining=agent.executions.draining,
        slots=agent.config.slots,
    )
    if agent.applier.error is not None:
        said.status.CopyFrom(status_of(agent.applier.error))
    return agent.molecule.introduce(said)


def heartbeat(agent: Agent, spooled: tuple[int, int]) -> agent_pb2.Heartbeat:
    """spooled: records and bytes that the controller has not acknowledged."""
    return agent_pb2.Heartbeat(
        healthy=agent.health.healthy,
        running_executions=agent.executions.running,
        spooled_records=spooled[0],
        spooled_bytes=spooled[1],
        draining=agent.executions.draining,
        rss_bytes=rss_bytes(),
    )


def status(agent: Agent, spooled: tuple[int, int]) -> dict[str, Any]:
    """As `dative-atom status -o json` prints it; a contract. spooled: as of `heartbeat`."""
    identity, active, now = agent.identity, agent.bundles.active, agent.clock.now()
    return {
        "apiVersion": "dative-atom/v1",
        "running": True,
        "pid": os.getpid(),
        "version": __version__,
        "atom": identity.name,
        "atom_id": identity.atom_id,
        "environment": identity.environment,
        "molecule": identity.molecule_id,
        "molecule_settings": agent.molecule.shown(),
        "controller": agent.connection.address,
        "connected": agent.link.connected.is_set(),
        "clock_skew_s": agent.link.skew_s,
        "certificate_expires_at": agent.connection.certificate.not_after.isoformat(),
        "seal_key_fingerprint": agent.fingerprint,
        "generation": active.manifest.generation if active else 0,
        "manifest_digest": active.manifest.digest if active else "",
        "processes": sorted([*active.processes, *active.broken]) if active else [],
        "draining": agent.executions.draining,
        "running_executions": agent.executions.running,
        "waiting_executions": agent.executions.waiting,
        "spooled_records": spooled[0],
        "spooled_bytes": spooled[1],
        "rss_bytes": rss_bytes(),
        "workers": len(agent.runner.pids),
        "next": [
            {"process": process, "at": at.isoformat(), "in_s": round((at - now).total_seconds())}
            for process, at in agent.scheduler.upcoming()[:NEXT_MAX]
        ],
        "components": [
            {
                "path": part.path,
                "healthy": part.error is None,
                "code": part.error.code.name if part.error else "",
                "message": part.error.message if part.error else "",
                "next": part.error.next if part.error else "",
                "changed_at": part.changed_at.isoformat(),
            }
            for part in agent.health.parts()
        ],
    }
