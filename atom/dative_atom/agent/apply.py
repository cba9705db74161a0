"""Desired state, one at a time: verify, fetch, persist, activate, and say each step to the controller.

A newer push supersedes one that is still fetching. A refusal leaves the last good bundle running; a failed activation
goes back to the content before, while what was accepted stays accepted.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from dative.bundle.freshness import freshness_warning
from dative.bundle.manifest import Artifact, Manifest
from dative.bundle.verify import verify_manifest
from dative.errors import DativeError
from dative.rpc import status_of
from dative.v1 import agent_pb2, types_pb2
from dative.waiting import WaitingClock, ended

from dative_atom.agent.bundles import BLOB_CODES, Bundles
from dative_atom.agent.fetch import Fetcher
from dative_atom.agent.health import Health
from dative_atom.agent.log import log
from dative_atom.agent.reconcile import Confirm, Fetch, Persist, Running, plan
from dative_atom.agent.reporter import Reporter

FETCHES_AT_ONCE = 4
Acknowledge = Callable[[agent_pb2.DesiredStateAck], None]


@dataclass(frozen=True)
class Hooks:
    """What else happens. acknowledge: to the controller; activated: schedules read the bundle anew; in_use: manifests
    of unfinished executions."""

    acknowledge: Acknowledge
    activated: Callable[[], None]
    in_use: Callable[[], Collection[str]]


class Applier:
    """Owns the way from a push to a running bundle. `phase` and `error` are of the last manifest seen, for Hello."""

    def __init__(
        self,
        bundles: Bundles,
        fetcher: Fetcher,
        reporter: Reporter,
        health: Health,
        clock: WaitingClock,
        hooks: Hooks,
        *,
        kept: int,
    ) -> None:
        self._bundles = bundles
        self._fetcher = fetcher
        self._reporter = reporter
        self._health = health
        self._clock = clock
        self._hooks = hooks
        self._kept = kept
        self.phase: types_pb2.Phase = types_pb2.PHASE_ACTIVE if bundles.active else types_pb2.PHASE_UNSPECIFIED
        self.error: DativeError | None = None
        self._wanted: agent_pb2.DesiredState | None = None
        self._repairs: set[str] = set()
        self._wake = asyncio.Event()
        self._fetching: asyncio.Task[None] | None = None

    def offer(self, desired: agent_pb2.DesiredState) -> None:
        """Take the newest push; one that is still fetching for an older one stops (what it fetched stays)."""
        self._wanted = desired
        if self._fetching is not None:
            self._fetching.cancel()
        self._wake.set()

    def linked(self) -> None:
        """The controller is there: repairs that had to wait are tried."""
        if self._repairs:
            self._wake.set()

    def damaged(self, process: str, error: DativeError) -> None:
        """A blob of `process` did not verify: fetch again whatever of the running bundle does not."""
        self._health.set(f"process/{process}", error)
        active = self._bundles.active
        if active is not None and error.code in BLOB_CODES:
            self._repairs.add(process)
            self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            desired, self._wanted = self._wanted, None
            if desired is not None:
                await self._apply(desired)
            elif self._repairs:
                await self._repair()

    # ---- one push -----------------------------------------------------------------------------------------------

    async def _apply(self, desired: agent_pb2.DesiredState) -> None:
        start_ns = time.time_ns()
        try:
            done = await self._steps(desired)
        except DativeError as refused:
            await self._refused(desired, refused)
            error = refused.code.name
        else:
            if not done:
                return
            error = self.error.code.name if self.error else ""
        await self._reporter.span(
            "apply bundle",
            traceparent=desired.traceparent,
            start_ns=start_ns,
            attributes={
                "dative.deployment.generation": int(desired.generation),
                "dative.bundle.digest": desired.manifest_digest,
            },
            error=error,
        )

    async def _steps(self, desired: agent_pb2.DesiredState) -> bool:
        """False: superseded by a newer push. Errors: why it is refused."""
        manifest = await asyncio.to_thread(self._verified, desired)
        self._acknowledge(desired, types_pb2.PHASE_VERIFIED)
        missing = await asyncio.to_thread(self._bundles.missing, manifest)
        present = {artifact.digest for artifact in manifest.artifacts} - missing
        actions = plan(manifest, self._running(present))
        if isinstance(actions[0], Confirm):
            self._ended(desired, types_pb2.PHASE_ACTIVE, None)
            return True
        fetches = [action.artifact for action in actions if isinstance(action, Fetch)]
        if not await self._fetch(fetches, desired):
            return False
        self._acknowledge(desired, types_pb2.PHASE_STAGED)
        if any(isinstance(action, Persist) for action in actions):
            await asyncio.to_thread(self._bundles.accept, manifest, desired.manifest_envelope)
        await self._activate(desired, manifest)
        return True

    def _running(self, present: Collection[str]) -> Running:
        position = self._bundles.accepted.position(self._bundles.identity)
        active = self._bundles.active
        whole = active is not None and not active.broken
        return Running(
            position.manifest_digest if position else None,
            active.manifest.digest if active and whole else None,
            present,
        )

    def _verified(self, desired: agent_pb2.DesiredState) -> Manifest:
        """The order of the house: trust first, then length, signatures, audience, counters, time, engine."""
        bundles, now = self._bundles, self._clock.now()
        bundles.take_trust(desired.trust_chain, now)
        if desired.freshness_envelope:
            self._take_freshness(desired.freshness_envelope)
        return verify_manifest(
            desired.manifest_envelope,
            trust=bundles.trust,
            identity=bundles.identity,
            accepted=bundles.accepted,
            now=now,
        )

    def _take_freshness(self, envelope: bytes) -> None:
        """A missing or stale statement changes nothing that runs; it shows in health."""
        try:
            self._bundles.take_freshness(envelope, self._clock.now())
        except DativeError as refused:
            log.warning("freshness.refused", code=refused.code.name, reason=refused.message)

    def look_at_freshness(self) -> None:
        """Say in health whether anybody confirms that what runs is current."""
        position = self._bundles.accepted.position(self._bundles.identity)
        if position is None:
            return
        warning = freshness_warning(self._bundles.freshness, position, self._clock.now())
        self._health.set("freshness", DativeError(warning.means, code=warning) if warning else None)

    async def _fetch(self, artifacts: list[Artifact], desired: agent_pb2.DesiredState) -> bool:
        if not artifacts:
            return True
        await self._clock.sleep(_jitter_s(desired))
        self._fetching = asyncio.create_task(self._fetch_all(artifacts), name="fetch bundle")
        try:
            await asyncio.wait({self._fetching})
            if self._fetching.cancelled():
                return False
            self._fetching.result()
        finally:
            await ended(self._fetching)
            self._fetching = None
        return True

    async def _fetch_all(self, artifacts: list[Artifact]) -> None:
        slots = asyncio.Semaphore(FETCHES_AT_ONCE)

        async def one(artifact: Artifact) -> None:
            async with slots:
                await self._fetcher.fetch(artifact)

        try:
            async with asyncio.TaskGroup() as group:
                for artifact in artifacts:
                    group.create_task(one(artifact))
        except ExceptionGroup as failures:
            # Not `except*`: what is raised in one comes out wrapped in a group again on Python 3.11.2, Debian 12's own.
            if all(isinstance(failed, DativeError) for failed in failures.exceptions):
                raise failures.exceptions[0] from None
            raise

    async def _activate(self, desired: agent_pb2.DesiredState, manifest: Manifest) -> None:
        former = self._bundles.active
        try:
            await asyncio.to_thread(self._bundles.activate, manifest)
        except DativeError as failed:
            log.error("bundle.rolled_back", generation=manifest.generation, code=failed.code.name)
            self._ended(desired, types_pb2.PHASE_ROLLED_BACK, failed)
            fields = {
                "generation": str(manifest.generation),
                "running": str(former.manifest.generation if former else 0),
            }
            await self._reporter.event("bundle.rolled_back", failed, fields)
            return
        for name in {**(former.broken if former else {}), **(former.processes if former else {})}:
            self._health.forget(f"process/{name}")
        self._repairs.clear()
        self._hooks.activated()
        self._ended(desired, types_pb2.PHASE_ACTIVE, None)
        log.info("bundle.activated", generation=manifest.generation, processes=len(manifest.processes))
        await asyncio.to_thread(self._bundles.sweep, self._hooks.in_use(), self._kept)

    async def _refused(self, desired: agent_pb2.DesiredState, error: DativeError) -> None:
        self._ended(desired, types_pb2.PHASE_REFUSED, error)
        await self._reporter.event("bundle.refused", error, {"generation": str(desired.generation)})

    def _ended(self, desired: agent_pb2.DesiredState, phase: types_pb2.Phase, error: DativeError | None) -> None:
        self.phase, self.error = phase, error
        self._health.set("bundle", error)
        self.look_at_freshness()
        self._acknowledge(desired, phase, error)

    def _acknowledge(
        self, desired: agent_pb2.DesiredState, phase: types_pb2.Phase, error: DativeError | None = None
    ) -> None:
        ack = agent_pb2.DesiredStateAck(
            nonce=desired.nonce, observed=self._bundles.observed(), generation=desired.generation, phase=phase
        )
        if error is not None:
            ack.status.CopyFrom(status_of(error))
        self._hooks.acknowledge(ack)

    # ---- repairs ------------------------------------------------------------------------------------------------

    async def _repair(self) -> None:
        """Fetch again what does not verify of the running bundle. What fails now waits for the next connection."""
        active = self._bundles.active
        if active is None:
            return
        missing = await asyncio.to_thread(self._bundles.missing, active.manifest)
        wanted = {artifact.digest: artifact for artifact in active.manifest.artifacts if artifact.digest in missing}
        try:
            for artifact in wanted.values():
                await self._fetcher.fetch(artifact)
        except DativeError as failed:
            log.warning("bundle.repair_failed", code=failed.code.name, reason=failed.message)
            return
        await asyncio.to_thread(self._bundles.reload)
        self._show_broken()
        for process in list(self._repairs):
            if self._bundles.active is not None and process not in self._bundles.active.broken:
                self._repairs.discard(process)
                self._health.set(f"process/{process}", None)
        self._hooks.activated()
        log.info("bundle.repaired", blobs=len(wanted))

    async def report_broken(self) -> None:
        """After a start: say which processes did not verify, and have them fetched again."""
        active = self._bundles.active
        for process, error in (active.broken if active else {}).items():
            self.damaged(process, error)
            await self._reporter.event("bundle.refused", error, {"process": process})

    def _show_broken(self) -> None:
        active = self._bundles.active
        for process, error in (active.broken if active else {}).items():
            self._health.set(f"process/{process}", error)


def _jitter_s(desired: agent_pb2.DesiredState) -> float:
    return random.uniform(0, desired.fetch_jitter.ToTimedelta().total_seconds())  # noqa: S311  spreads load only
