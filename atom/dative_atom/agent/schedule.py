"""When a process runs by itself: planned times of a cron expression in a time zone, kept through reboots, fired once.

The decisions are pure (`due`); `Scheduler` waits, writes the plan to the journal first and then its own record, so that
a kill in between loses nothing and repeats nothing: an execution's id is made from its planned time. Needs no network.
Source of the clock-change rules: cron(8) of Debian, as the cronsim library follows it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from cronsim import CronSim, CronSimError
from dative.errors import DativeError
from dative.errors.agent import PROCESS_INVALID, SCHEDULE_MISSED, SCHEDULE_SKIPPED
from dative.ids import EnvironmentId, ExecutionId, ProcessName, scheduled_execution_id
from dative.waiting import WaitingClock, either

from dative_atom.agent.content import ScheduleTrigger
from dative_atom.agent.log import log
from dative_atom.agent.paths import write_whole
from dative_atom.agent.reporter import Reporter

GRACE_S = 60.0
"""A planned time this long ago still counts as now, as after a quick restart."""
COUNTED_MAX = 1000
"""Missed times are counted up to here; an atom that was off for a year must not count them all."""
QUEUED_MAX = 10
"""With `overlap: queue`, executions of one process that may wait; further planned times are skipped and said."""
WARM_BEFORE_S = 5.0
"""So long before a planned time a worker is asked for, so that it is warm when the time comes."""
WAIT_MAX_S = 60.0
"""Longest sleep: the wall clock may jump, and a suspended machine wakes late."""


@dataclass(frozen=True)
class Schedule:
    """One trigger of one process. offset_s: this atom's share of the jitter, always the same."""

    process: str
    trigger: ScheduleTrigger
    offset_s: float = 0.0

    @property
    def name(self) -> str:
        """What a planned time's id is made from, with the process; changes when its times do."""
        return f"{self.trigger.cron} {self.trigger.timezone}"

    @property
    def key(self) -> str:
        return f"{self.process}/{self.name}"

    def after(self, moment: datetime) -> datetime:
        """The next planned time, UTC."""
        return self._times(moment, reverse=False)

    def latest(self, moment: datetime) -> datetime:
        """The last planned time at or before `moment`, UTC."""
        return self._times(moment + timedelta(seconds=1), reverse=True)

    def _times(self, moment: datetime, *, reverse: bool) -> datetime:
        local = moment.astimezone(ZoneInfo(self.trigger.timezone))
        found: datetime = next(CronSim(self.trigger.cron, local, reverse=reverse))
        return found.astimezone(UTC)


def check_trigger(process: str, trigger: ScheduleTrigger) -> None:
    """Errors: agent.process_invalid when the expression or the time zone is none, or never comes."""
    try:
        Schedule(process, trigger).after(datetime(2026, 1, 1, tzinfo=UTC))
    except (CronSimError, ZoneInfoNotFoundError, ValueError, StopIteration) as wrong:
        raise DativeError(
            f'schedule "{trigger.cron}" in {trigger.timezone} of {process}: {wrong or "never comes"}',
            code=PROCESS_INVALID,
            where=f"schedule of {process}",
        ) from wrong


def offset_s(atom_id: str, process: str, trigger: ScheduleTrigger) -> float:
    """This atom's start within the jitter: fixed, so that the interval between two executions stays what it is."""
    share = int.from_bytes(hashlib.sha256(f"{atom_id}/{process}/{trigger.cron}".encode()).digest()[:4], "big") / 2**32
    return share * trigger.jitter_s


@dataclass(frozen=True)
class Due:
    """plan: the planned time to run now, None for none. missed: planned times that get no execution of their own.
    last: what counts as considered from now on."""

    plan: datetime | None
    missed: int
    last: datetime


def due(schedule: Schedule, last: datetime, now: datetime) -> Due | None:
    """What a schedule owes, considered up to `last`; None: nothing came since."""
    moment = now - timedelta(seconds=schedule.offset_s)
    latest = schedule.latest(moment)
    if latest <= last:
        return None
    earlier = _count(schedule, last, latest)
    on_time = (moment - latest).total_seconds() <= GRACE_S
    if on_time or schedule.trigger.missed == "run-once":
        return Due(latest, earlier, latest)
    return Due(None, earlier + 1, latest)


def _count(schedule: Schedule, after: datetime, before: datetime) -> int:
    """Planned times between both, neither included, up to COUNTED_MAX."""
    found, moment = 0, schedule.after(after)
    while moment < before and found < COUNTED_MAX:
        found, moment = found + 1, schedule.after(moment)
    return found


class Planner(Protocol):
    """What the scheduler asks of executions."""

    def waiting_or_running(self, process: str) -> int: ...

    async def plan_scheduled(self, process: str, execution_id: ExecutionId, planned_at: datetime) -> bool: ...


class Record(Protocol):
    """Up to when each schedule was considered: its key -> the last planned time."""

    async def read(self) -> dict[str, datetime]: ...

    async def write(self, last: Mapping[str, datetime]) -> None:
        """The whole of it, or nothing (Invariant 5)."""
        ...


class FileRecord:
    """Of an atom that works alone: a file in its data directory, read once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: dict[str, datetime] | None = None

    async def read(self) -> dict[str, datetime]:
        if self._last is None:
            self._last = await asyncio.to_thread(_read, self._path)
        return dict(self._last)

    async def write(self, last: Mapping[str, datetime]) -> None:
        await asyncio.to_thread(write_whole, self._path, msgspec.json.encode(last))
        self._last = dict(last)


def _read(path: Path) -> dict[str, datetime]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, datetime])
    except FileNotFoundError:
        return {}
    except msgspec.MsgspecError as damaged:
        # Written whole, so only a foreign hand or a bad disk gets here. Starting over misses at most what passed.
        log.error("schedule.record_damaged", path=str(path), reason=str(damaged))
        return {}


class Scheduler:
    """Fires the schedules of the running bundle. `changed()` after a bundle, a drain or who leads has changed."""

    def __init__(
        self,
        record: Record,
        environment_id: str,
        place: str,
        planner: Planner,
        reporter: Reporter,
        clock: WaitingClock,
        *,
        triggers: Callable[[], Mapping[str, tuple[ScheduleTrigger, ...]]],
        broken: Callable[[], Collection[str]],
        draining: Callable[[], bool],
        expect: Callable[[], None] = lambda: None,
    ) -> None:
        """place: what the jitter follows from, the atom or its molecule. triggers: of the running bundle; broken: its
        processes that can not run now, whose place is kept. draining: nothing is fired, by this atom at least.
        expect: called when a planned time is near.
        """
        self._record = record
        self._environment_id = EnvironmentId(environment_id)
        self._place = place
        self._planner = planner
        self._reporter = reporter
        self._clock = clock
        self._triggers = triggers
        self._broken = broken
        self._draining = draining
        self._expect = expect
        self._wake = asyncio.Event()
        self._last: dict[str, datetime] = {}

    def changed(self) -> None:
        self._wake.set()

    def schedules(self) -> list[Schedule]:
        return [
            Schedule(process, trigger, offset_s(self._place, process, trigger))
            for process, triggers in sorted(self._triggers().items())
            for trigger in triggers
        ]

    def upcoming(self) -> list[tuple[str, datetime]]:
        """(process, next start) of every schedule, soonest first."""
        now = self._clock.now()
        found = [(one.process, one.after(now) + timedelta(seconds=one.offset_s)) for one in self.schedules()]
        return sorted(found, key=lambda pair: pair[1])

    async def run(self) -> None:
        while True:
            self._wake.clear()
            if not self._draining():
                await self.look()
            wait_s = self._wait_s()
            if wait_s <= WARM_BEFORE_S:
                self._expect()
            if wait_s > 0:
                await either(self._clock, self._wake, wait_s - WARM_BEFORE_S if wait_s > WARM_BEFORE_S else wait_s)
            else:
                await asyncio.sleep(0)  # one came due while the last was fired

    def _wait_s(self) -> float:
        """Until the next planned time that has not been looked at; one that passed during the last look is due now."""
        now = self._clock.now()
        if self._draining():
            return WAIT_MAX_S
        soonest = [
            one.after(self._last.get(one.key, now)) + timedelta(seconds=one.offset_s) for one in self.schedules()
        ]
        if not soonest:
            return WAIT_MAX_S
        return min((min(soonest) - now).total_seconds(), WAIT_MAX_S)

    async def look(self) -> None:
        """Fire what is due now."""
        self._last = await self._record.read()
        schedules, now = self.schedules(), self._clock.now()
        broken = self._broken()
        kept = {key: last for key, last in self._last.items() if key.split("/", 1)[0] in broken}
        kept.update({one.key: self._start(one, now) for one in schedules})
        for schedule in schedules:
            found = due(schedule, kept[schedule.key], now)
            if found is not None:
                await self._fire(schedule, found)
                kept[schedule.key] = found.last
        if kept != self._last:
            await self._record.write(kept)
            self._last = kept

    def _start(self, schedule: Schedule, now: datetime) -> datetime:
        """Where this schedule stands: a new one starts now; one from a future that the clock took back starts over."""
        last = self._last.get(schedule.key)
        if last is None or last > now + timedelta(hours=1):
            return now
        return last

    async def _fire(self, schedule: Schedule, found: Due) -> None:
        if found.missed:
            policy = "one execution makes up for them" if found.plan else "they are skipped"
            error = DativeError(
                f"{found.missed} planned times of {schedule.process} passed while it could not run; {policy}",
                code=SCHEDULE_MISSED,
            )
            await self._reporter.event("schedule.missed", error, _fields(schedule, found.last, found.missed))
        if found.plan is None:
            return
        waiting = self._planner.waiting_or_running(schedule.process)
        if waiting > (0 if schedule.trigger.overlap == "skip" else QUEUED_MAX):
            error = DativeError(
                f"{schedule.process} planned at {found.plan:%Y-%m-%d %H:%M} UTC: {waiting} executions are not over",
                code=SCHEDULE_SKIPPED,
            )
            await self._reporter.event("schedule.skipped", error, _fields(schedule, found.plan, 1))
            return
        execution_id = scheduled_execution_id(
            self._environment_id, ProcessName(schedule.process), schedule.name, found.plan
        )
        await self._planner.plan_scheduled(schedule.process, execution_id, found.plan)


def _fields(schedule: Schedule, planned_at: datetime, count: int) -> dict[str, str]:
    return {
        "process": schedule.process,
        "schedule": schedule.name,
        "planned_at": planned_at.isoformat(),
        "count": str(count),
    }
