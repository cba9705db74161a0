"""Schedules: planned times in their time zone, over clock changes, missed and overlapping, fired once through kills."""

from datetime import UTC, datetime, timedelta

import pytest
from dative.errors import DativeError
from dative_atom.agent.content import ScheduleTrigger
from dative_atom.agent.schedule import COUNTED_MAX, Due, Schedule, check_trigger, due
from dative_atom.journal.contract import ExecutionState
from hypothesis import given
from hypothesis import strategies as st


def _schedule(cron, timezone="UTC", **more):
    return Schedule("a", ScheduleTrigger(cron, timezone, **more))


def _at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NEXT = [
    # cron, time zone, after (UTC), the next three (UTC)
    ("*/15 * * * *", "Europe/Paris", "2026-01-05 10:01", ["2026-01-05 10:15", "2026-01-05 10:30", "2026-01-05 10:45"]),
    ("0 2 * * *", "Europe/Paris", "2026-07-01 00:00", ["2026-07-02 00:00", "2026-07-03 00:00", "2026-07-04 00:00"]),
    # 29 March 2026: 02:00 becomes 03:00. What was planned in the gap runs right after it, once.
    ("30 2 * * *", "Europe/Paris", "2026-03-28 02:00", ["2026-03-29 01:00", "2026-03-30 00:30", "2026-03-31 00:30"]),
    # 25 October 2026: 03:00 becomes 02:00. A fixed time runs once, not twice.
    ("30 2 * * *", "Europe/Paris", "2026-10-24 12:00", ["2026-10-25 00:30", "2026-10-26 01:30", "2026-10-27 01:30"]),
    # Every quarter of an hour goes on through the repeated hour.
    ("*/30 * * * *", "Europe/Paris", "2026-10-25 00:29", ["2026-10-25 00:30", "2026-10-25 01:00", "2026-10-25 01:30"]),
    (
        "0 9 * * 1-5",
        "America/New_York",
        "2026-11-20 15:00",
        ["2026-11-23 14:00", "2026-11-24 14:00", "2026-11-25 14:00"],
    ),
    ("0 0 29 2 *", "UTC", "2026-01-01 00:00", ["2028-02-29 00:00", "2032-02-29 00:00", "2036-02-29 00:00"]),
]


@pytest.mark.parametrize(("cron", "timezone", "after", "expected"), NEXT)
def test_planned_times(cron, timezone, after, expected):
    schedule, moment, found = _schedule(cron, timezone), _at(after), []
    for _ in expected:
        moment = schedule.after(moment)
        found.append(moment)
    assert found == [_at(text) for text in expected]


@given(
    cron=st.sampled_from([row[0] for row in NEXT[:6]]),
    timezone=st.sampled_from(["UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe"]),
    minutes=st.integers(0, 2 * 365 * 24 * 60),
)
def test_the_latest_planned_time_is_never_in_the_future_and_the_next_one_always_is(cron, timezone, minutes):
    schedule, now = _schedule(cron, timezone), _at("2026-01-01 00:00") + timedelta(minutes=minutes)
    assert schedule.latest(now) <= now < schedule.after(now)


DUE = [
    # what, trigger, last considered, now, expected
    ("nothing yet", {}, "10:00", "10:14", None),
    ("on time", {}, "10:00", "10:15", Due(_at("2026-01-05 10:15"), 0, _at("2026-01-05 10:15"))),
    ("a quick restart", {"missed": "skip"}, "10:00", "10:16", Due(_at("2026-01-05 10:15"), 0, _at("2026-01-05 10:15"))),
    ("missed, one makes up", {}, "10:00", "12:07", Due(_at("2026-01-05 12:00"), 7, _at("2026-01-05 12:00"))),
    ("missed, skipped", {"missed": "skip"}, "10:00", "12:07", Due(None, 8, _at("2026-01-05 12:00"))),
]


@pytest.mark.parametrize(("what", "trigger", "last", "now", "expected"), DUE, ids=[row[0] for row in DUE])
def test_what_a_schedule_owes(what, trigger, last, now, expected):
    schedule = _schedule("*/15 * * * *", **trigger)
    assert due(schedule, _at(f"2026-01-05 {last}"), _at(f"2026-01-05 {now}")) == expected


def test_an_atom_that_was_off_for_years_counts_up_to_its_bound():
    found = due(_schedule("* * * * *"), _at("2020-01-01 00:00"), _at("2026-01-05 10:00"))
    assert found.missed == COUNTED_MAX


@pytest.mark.parametrize(("cron", "timezone"), [("99 * * * *", "UTC"), ("* * *", "UTC"), ("* * * * *", "Mars/Olympus")])
def test_a_schedule_that_is_none_is_refused(cron, timezone):
    with pytest.raises(DativeError) as refused:
        check_trigger("a", ScheduleTrigger(cron, timezone))
    assert refused.value.code.name == "agent.process_invalid"


# ---- in a running agent -------------------------------------------------------------------------------------------


def _trigger(**more):
    return {"triggers": [{"kind": "schedule", "cron": "*/15 * * * *", "timezone": "UTC", **more}]}


async def _deploy(joined, controller, tools, behaviour="finish", **trigger):
    """Deployed, and its schedule has been noted: from now on the clock may move."""
    await controller.deploy({"a": tools.process_json("a", behaviour, **_trigger(**trigger))})
    await tools.until(lambda: joined.directory.schedules.exists() and joined.agent.scheduler._last, "noted")


async def _done(agent, tools, count=None):
    """As many executions have been planned, and nothing runs any more."""
    await tools.until(lambda: count is None or len(_planned(agent)) >= count, "planned")
    await tools.until(lambda: agent.journal.unfinished() == [] and not agent.executions.running, "idle")


def _planned(agent):
    with agent.journal.reading() as db:
        ids = [row[0] for row in db.execute("SELECT execution_id FROM execution")]
    return sorted(agent.journal.execution(one).planned_at for one in ids)


async def test_a_schedule_fires_once_a_planned_time(joined, controller, tools, hand_clock):
    async with joined.running(clock=hand_clock) as agent:
        start = hand_clock.now()
        await _deploy(joined, controller, tools)
        for count in range(1, 5):
            await tools.move(hand_clock, 900, 60)
            await _done(agent, tools, count)
        planned = _planned(agent)
    assert len(planned) == 4
    assert all(moment.minute % 15 == 0 and moment > start for moment in planned)
    assert len(set(planned)) == 4


async def test_the_controller_down_for_an_hour_costs_no_schedule_no_record_and_no_duplicate(
    joined, controller, tools, hand_clock
):
    async with joined.running(clock=hand_clock) as agent:
        await _deploy(joined, controller, tools)
        await controller.stop()
        for count in range(1, 5):
            await tools.move(hand_clock, 900, 60)
            await _done(agent, tools, count)
        assert len(_planned(agent)) == 4
        assert agent.journal.spooled()[0] >= 12
        assert not agent.link.connected.is_set()
        await controller.start()
        await tools.until(lambda: _pushed_on(hand_clock, agent), "back")
        await tools.until(lambda: _pushed_on(hand_clock, agent) and agent.journal.spooled()[0] == 0, "drained")
        await _done(agent, tools)
        await tools.until(lambda: agent.journal.spooled()[0] == 0 or hand_clock.advance(1), "all of it")
        planned = len(_planned(agent))
        epoch = agent.journal.spool_epoch()
        sent = [record.body for record in agent.journal.outbox(0, rows_max=10_000, bytes_max=1 << 30)]
    stored = [record.SerializeToString() for record in controller.records[epoch]]
    assert stored[: len(sent)] == sent
    ended = [one.execution_id for one in controller.heard("execution") if one.state == 3]
    # The clock moved on while the link came back, perhaps over one more planned time.
    assert len(ended) == len(set(ended)) == planned


def _pushed_on(clock, agent):
    clock.advance(1)
    return agent.link.connected.is_set()


@pytest.mark.parametrize(("missed", "runs"), [("run-once", 1), ("skip", 0)])
async def test_planned_times_that_passed_while_the_atom_was_off(joined, controller, tools, hand_clock, missed, runs):
    async with joined.running(clock=hand_clock) as agent:
        await _deploy(joined, controller, tools, missed=missed)
    hand_clock.advance(6 * 3600 + _to_quarter(hand_clock) + 120)
    async with joined.running(clock=hand_clock) as agent:
        await tools.until(lambda: controller.events("schedule.missed"), "event")
        # The event goes out before the plan is made, so the record of what was fired is what to wait for.
        await tools.until(
            lambda: min(agent.scheduler._last.values()) > hand_clock.now() - timedelta(minutes=15), "fired"
        )
        await _done(agent, tools)
        assert len(_planned(agent)) == runs
    assert int(controller.events("schedule.missed")[0].fields["count"]) + runs in (24, 25)


def _to_quarter(clock):
    return 900 - clock.now().timestamp() % 900


async def test_a_kill_between_plan_and_record_neither_loses_nor_repeats(joined, controller, tools, hand_clock):
    async with joined.running(clock=hand_clock) as agent:
        await _deploy(joined, controller, tools)
        before = joined.directory.schedules.read_bytes()
        await tools.move(hand_clock, 900, 60)
        await _done(agent, tools, 1)
    joined.directory.schedules.write_bytes(before)  # the plan is in the journal, the record is not
    async with joined.running(clock=hand_clock) as agent:
        await tools.until(lambda: joined.directory.schedules.read_bytes() != before, "considered again")
        await _done(agent, tools)
        assert len(_planned(agent)) == 1


@pytest.mark.parametrize(("overlap", "waiting"), [("skip", 0), ("queue", 2)])
async def test_planned_times_that_come_while_the_last_one_runs(
    joined, controller, tools, hand_clock, overlap, waiting, tmp_path
):
    gate = tmp_path / "gate"
    async with joined.running(clock=hand_clock) as agent:
        await _deploy(joined, controller, tools, f"hang:{gate}", overlap=overlap)
        await tools.move(hand_clock, 900, 60)
        await tools.until(lambda: agent.executions.running == 1, "first runs")
        for turn in (1, 2):
            await tools.move(hand_clock, 900, 60)
            skipped = turn if overlap == "skip" else 0
            await tools.until(lambda: len(controller.events("schedule.skipped")) == skipped, "said")  # noqa: B023
            await tools.until(lambda: agent.executions.waiting == min(turn, waiting), "waiting")  # noqa: B023
        assert agent.executions.running == 1
        gate.touch()
        await _done(agent, tools)
        states = {agent.journal.execution(one.execution_id).state for one in agent.journal.unfinished()}
    assert states == set()


async def test_a_draining_atom_fires_nothing_and_makes_up_for_it_afterwards(joined, controller, tools, hand_clock):
    async with joined.running(clock=hand_clock) as agent:
        await _deploy(joined, controller, tools)
        await agent.drain(True)
        await tools.move(hand_clock, 3600, 60)
        assert _planned(agent) == []
        await agent.drain(False)
        await tools.until(lambda: _planned(agent), "made up")
        await _done(agent, tools)
        assert len(_planned(agent)) == 1
        assert agent.journal.execution(_only(agent)).state is ExecutionState.SUCCEEDED


def _only(agent):
    with agent.journal.reading() as db:
        return db.execute("SELECT execution_id FROM execution").fetchone()[0]


async def test_a_clock_that_was_set_back_does_not_stop_a_schedule_for_ever(joined, controller, tools, hand_clock):
    async with joined.running(clock=hand_clock) as agent:
        await _deploy(joined, controller, tools)
        record = agent.scheduler._record
        await record.write({key: hand_clock.now() + timedelta(days=300) for key in await record.read()})
        agent.scheduler.changed()
        await tools.until(lambda: max(agent.scheduler._last.values()) <= hand_clock.now(), "started over")
        await tools.move(hand_clock, 1800, 60)
        await tools.until(lambda: _planned(agent), "goes on")
        await _done(agent, tools)
