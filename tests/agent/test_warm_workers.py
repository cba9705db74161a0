"""Idle workers leave after a while, and are back before they are needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from dative.waiting import ended
from dative_atom.agent.content import ScheduleTrigger
from dative_atom.agent.health import Health
from dative_atom.agent.runner import Runner, WorkerSettings
from dative_atom.agent.schedule import WARM_BEFORE_S, FileRecord, Scheduler


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await ended(task)


class Plans:
    """A planner that has nothing under way and takes every plan."""

    def waiting_or_running(self, process: str) -> int:
        return 0

    async def plan_scheduled(self, process: str, execution_id: object, planned_at: object) -> bool:
        return True


async def test_an_idle_worker_leaves_after_a_while_and_comes_back_when_work_is_near(hand_clock, tools) -> None:
    settings = WorkerSettings(slots=2, warm=1, warm_for_s=120.0, executions_max=10, stall_s=60.0, command=tools.WORKER)
    runner = Runner(settings, Health(hand_clock), hand_clock)
    async with running(runner.run()):
        await tools.until(lambda: len(runner.pids) == 1, "a warm worker")
        await tools.move(hand_clock, 60.0)
        assert len(runner.pids) == 1
        await tools.move(hand_clock, 90.0)
        await tools.until(lambda: not runner.pids, "the idle worker has left")
        runner.expect()
        await tools.until(lambda: len(runner.pids) == 1, "a worker again")
    await runner.stop()


async def test_a_worker_is_asked_for_a_little_before_a_planned_time(hand_clock, tools, tmp_path) -> None:
    asked: list[Any] = []
    scheduler = Scheduler(
        FileRecord(tmp_path / "schedules.json"),
        "env",
        "atom",
        Plans(),
        None,
        hand_clock,
        triggers=lambda: {"sync": (ScheduleTrigger(cron="0 * * * *"),)},
        broken=lambda: (),
        draining=lambda: False,
        expect=lambda: asked.append(hand_clock.now()),
    )
    due = hand_clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    async with running(scheduler.run()):
        await tools.move(hand_clock, (due - hand_clock.now()).total_seconds() - 1.0, step_s=1.0)
    assert asked
    assert 0 < (due - asked[0]).total_seconds() <= WARM_BEFORE_S
