"""One lease of this member, kept alive, with a deadline of its own that comes before etcd can give the lease away.

Everything about being a live member lives here: when to renew, when to stop, whom to tell. It must not know what is done
under the lease.
Source: "How to do distributed locking" (Kleppmann 2016) for why the deadline is the client's own; etcd, `client/v3/concurrency`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Self

from dative.errors import ConfigError, DativeError
from dative.waiting import WaitingClock, ended

from dative_atom.molecule.coordination import Coordination, LeaseGone

__all__ = ["Session", "check_times", "margin_of"]

RENEWALS_PER_TTL = 3
_AGAIN_SHARE = 15
"""After a renewal that was not answered, the next one follows within ttl / 15: the deadline leaves no third chance else."""


def margin_of(ttl_s: float) -> float:
    """How long before the lease can end this member stops: a tenth for drifting clocks, 0.2 s for a kill to happen."""
    return ttl_s * 0.1 + 0.2


def check_times(ttl_s: float, margin_s: float, timeout_s: float) -> None:
    """Errors: config.invalid, these three do not leave room for one failed renewal before the deadline."""
    third_s = ttl_s / RENEWALS_PER_TTL
    if ttl_s < 2.0:
        raise ConfigError(f"molecule: lease_ttl_s {ttl_s:g} is below 2 s, etcd's least; 5 s is a good value")
    if timeout_s <= 0.0 or timeout_s > third_s:
        raise ConfigError(
            f"molecule: timeout_s {timeout_s:g} must be above 0 and at most a third of lease_ttl_s {ttl_s:g} "
            f"({third_s:.2f} s): a call that hangs would cost the lease; lower timeout_s or raise lease_ttl_s"
        )
    if not 0.0 <= margin_s < third_s:
        raise ConfigError(
            f"molecule: margin_s {margin_s:g} must be below a third of lease_ttl_s {ttl_s:g} ({third_s:.2f} s), "
            "or there is no time between a renewal and the deadline; raise lease_ttl_s"
        )


class Session:
    """Open it, act while `valid`, stop at once when `lost` is set, close it.

    ttl_s: asked of etcd; publish: told each new deadline, on the scale of `clock.elapsed_s()`, and 0.0 when there is
    none any more (Invariant 4). timeout_s: that of the coordination's calls, for the check of all times together.
    Lost is for ever: a session whose deadline passed stays lost even if etcd answers again; open another one.
    Bound: two tasks, which `close` waits for.
    """

    def __init__(
        self,
        coordination: Coordination,
        ttl_s: float,
        clock: WaitingClock,
        margin_s: float,
        publish: Callable[[float], None],
        *,
        timeout_s: float = 1.0,
    ) -> None:
        check_times(ttl_s, margin_s, timeout_s)
        self._coordination, self._clock, self._publish = coordination, clock, publish
        self._ttl_s, self._margin_s = ttl_s, margin_s
        self.lease_id = 0
        self.deadline_s = 0.0
        self.lost = asyncio.Event()
        self.why = ""
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    @property
    def valid(self) -> bool:
        """Whether this member may act now. Looked up in the clock each time: the process may just have been asleep."""
        return not self.lost.is_set() and self._clock.elapsed_s() < self.deadline_s

    async def open(self) -> None:
        """Ask for the lease. Errors: those of `Coordination.grant`; nothing is left behind then."""
        sent_s = self._clock.elapsed_s()
        lease = await self._coordination.grant(self._ttl_s)
        self.lease_id = lease.lease_id
        self._extend(sent_s + lease.ttl_s - self._margin_s)
        self._tasks = (asyncio.create_task(self._renewing()), asyncio.create_task(self._watching_the_deadline()))

    async def close(self) -> None:
        """Stop acting, then give the lease back, so that the others need not wait for its end. Twice is fine.

        An etcd that does not answer is no reason to fail: the lease ends by itself. Errors: a defect of the tasks.
        """
        tasks, self._tasks = self._tasks, ()
        if not tasks:
            return
        self._lose("closed")
        await ended(*tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()
        with contextlib.suppress(DativeError):
            await self._coordination.revoke(self.lease_id)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _renewing(self) -> None:
        pause_s = self._ttl_s / RENEWALS_PER_TTL
        next_s = self._clock.elapsed_s() + pause_s
        while not self.lost.is_set():
            await self._clock.sleep(next_s - self._clock.elapsed_s())
            # The lease holds at least from here on, whenever the answer comes.
            sent_s = self._clock.elapsed_s()
            try:
                holds_s = await self._coordination.keep_alive(self.lease_id)
            except LeaseGone as gone:
                self._lose(str(gone))
            except DativeError as failed:
                self.why = str(failed)
                next_s = self._clock.elapsed_s() + self._ttl_s / _AGAIN_SHARE
            else:
                self._extend(sent_s + holds_s - self._margin_s)
                next_s = sent_s + pause_s

    async def _watching_the_deadline(self) -> None:
        """Beside the renewals, because one of them may hang for longer than the lease."""
        while self.valid:
            await self._clock.sleep(self.deadline_s - self._clock.elapsed_s())
        self._lose(f"no renewal was answered in time; {self.why}" if self.why else "no renewal was answered in time")

    def _extend(self, deadline_s: float) -> None:
        # Invariant 4: an answer that comes after the deadline brings nothing back; whoever looked has stopped already.
        if self.lease_id and self.deadline_s and not self.valid:
            self._lose("the renewal was answered after the deadline")
        elif not self.lost.is_set():
            self.deadline_s, self.why = max(self.deadline_s, deadline_s), ""
            self._publish(self.deadline_s)

    def _lose(self, why: str) -> None:
        if not self.lost.is_set():
            self.why = why
            self._publish(0.0)
            self.lost.set()
