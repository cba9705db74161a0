"""The link: answered heartbeats, reconnects, results that arrive, certificates that renew; and records relayed once."""

import asyncio
import random
from datetime import timedelta

import pytest
from dative.errors import DativeError
from dative.v1 import agent_pb2, telemetry_pb2
from dative.waiting import Backoff, either
from dative_atom.agent import identity as identities


async def test_hello_carries_what_runs_and_heartbeats_are_sent(joined, controller, tools):
    controller.heartbeat_s = 0.1
    async with joined.running(labels={"site": "hq"}):
        await tools.until(lambda: len(controller.heartbeats) > 2, "heartbeats")
    hello = controller.hellos[0]
    assert (hello.protocol_min, hello.slots, hello.trust_version) == (1, 2, 1)
    assert hello.description.labels == {"site": "hq"}
    assert controller.heartbeats[0].rss_bytes > 1 << 20


async def test_a_heartbeat_that_stays_unanswered_ends_the_stream_and_a_new_one_is_made(
    joined, controller, tools, hand_clock
):
    controller.mute = True
    async with joined.running(clock=hand_clock) as agent:
        await tools.until(lambda: controller.heartbeats, "heartbeat")
        hand_clock.advance(16)
        await tools.until(lambda: not agent.link.connected.is_set(), "given up")
        controller.mute = False
        await tools.until(lambda: _moved(hand_clock, len(controller.hellos) == 2), "again")
        await tools.until(lambda: agent.link.connected.is_set(), "welcomed")


def _moved(clock, result):
    clock.advance(0.5)
    return result


async def test_a_dropped_stream_is_dialled_again_and_desired_state_reconciled(joined, controller, tools):
    async with joined.running() as agent:
        controller.drop()
        await tools.until(lambda: len(controller.hellos) == 2 and agent.link.connected.is_set(), "again")
        ack = await controller.deploy({"a": tools.process_json("a")})
        controller.drop()
        await tools.until(lambda: len(controller.hellos) == 3, "third")
    assert controller.hellos[2].observed.manifest_digest == ack.observed.manifest_digest


async def test_an_atom_that_starts_without_its_controller_connects_when_it_comes(joined, controller, tools):
    await controller.stop()
    async with joined.running(wait=False) as agent:
        await tools.until(lambda: any(part.path == "link" and part.error for part in agent.health.parts()), "ill")
        await controller.start()
        await tools.until(lambda: agent.link.connected.is_set(), "connected")


async def test_a_reconnect_that_the_controller_asks_for_is_followed(joined, controller, tools):
    async with joined.running() as agent:
        wish = agent_pb2.Reconnect()
        wish.after.FromMilliseconds(10)
        controller.send(agent_pb2.ConnectResponse(reconnect=wish))
        await tools.until(lambda: len(controller.hellos) == 2 and agent.link.connected.is_set(), "again")


async def test_a_gap_is_answered_with_a_full_report(joined, controller, tools):
    async with joined.running():
        await tools.until(lambda: controller.reports, "first report")
        before = len(controller.reports)
        controller.send(agent_pb2.ConnectResponse(report_full_state=agent_pb2.ReportFullState()))
        await tools.until(lambda: len(controller.reports) > before, "report")


async def test_a_commands_result_lost_with_its_stream_is_sent_again(joined, controller, tools):
    controller.mute = True  # nothing proves that a result arrived
    async with joined.running() as agent:
        await controller.deploy({"a": tools.process_json("a")})
        command_id = controller.command(run_process=agent_pb2.RunProcess(process="a"))
        first = await controller.answer(command_id)
        controller.drop()
        await tools.until(lambda: len(controller.results[command_id]) == 2, "again")
        controller.mute = False
        controller.drop()
        await tools.until(lambda: agent.link._results == {}, "proven by a later answer")
    assert controller.results[command_id][1] == first


async def test_a_command_is_carried_out_once_however_often_it_comes(joined, controller, tools):
    async with joined.running() as agent:
        await controller.deploy({"a": tools.process_json("a")})
        for _ in range(3):
            controller.command("twice", run_process=agent_pb2.RunProcess(process="a"))
        await tools.until(lambda: len(controller.results.get("twice", [])) == 3, "answers")
        await tools.until(lambda: not agent.executions.running and not agent.executions.waiting, "idle")
        with agent.journal.reading() as db:
            assert db.execute("SELECT count(*) FROM execution").fetchone()[0] == 1
    assert len({one.run_process.execution_id for one in controller.results["twice"]}) == 1


async def test_a_certificate_renews_itself_with_a_new_key_and_the_link_takes_it_up(joined, controller, tools):
    before = identities.read_certificate(joined.directory)
    async with joined.running() as agent:
        await agent.renewal.renew()
        await tools.until(lambda: len(controller.serials) == 2, "new stream")
    after = identities.read_certificate(joined.directory)
    assert after.key_pem != before.key_pem
    assert controller.serials[1] == f"{after.leaf.serial_number:x}" != controller.serials[0]


async def test_a_certificate_past_half_its_life_renews_by_itself(atom, controller, tools):
    controller.atom_start = controller.now() - timedelta(days=1, hours=12)
    await atom.join()
    controller.atom_start = None
    async with atom.running():
        await tools.until(lambda: len(controller.serials) == 2, "renewed")


def test_renewal_is_at_half_life_within_a_tenth(tools):
    import datetime

    from cryptography.hazmat.primitives.asymmetric import ec

    authority, start = tools.Authority(), datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    moments = set()
    for _ in range(20):
        key = identities.new_tls_key()
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        public = load_pem_private_key(key, None).public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        made = identities.Certificate.of(key, authority.issue(public, [], start=start, life=timedelta(hours=24)))
        assert made.renew_at() == made.renew_at()
        moments.add((made.renew_at() - start) / timedelta(hours=24))
    assert all(0.45 <= moment <= 0.55 for moment in moments)
    assert len(moments) > 10


async def test_an_expired_certificate_is_said_in_words_and_work_goes_on(joined, controller, tools, hand_clock):
    async with joined.running(clock=hand_clock) as agent:
        await controller.deploy({"a": tools.process_json("a")})
    hand_clock.advance(3 * 24 * 3600)
    async with joined.running(clock=hand_clock, wait=False) as agent:
        await tools.until(lambda: any(one.path == "link" and one.error for one in agent.health.parts()), "said")
        error = next(one.error for one in agent.health.parts() if one.path == "link")
        assert error.code.name == "agent.certificate_expired"
        assert "expired at" in error.message
        assert "dative-atom join" in error.next
        await agent.executions.run_now("a")
        await tools.until(lambda: not agent.journal.unfinished(), "runs all the same")


async def test_a_slow_controller_is_not_hurried(joined, controller, tools, hand_clock):
    controller.slow_down_s = 30.0
    async with joined.running(clock=hand_clock) as agent:
        await controller.deploy({"a": tools.process_json("a")})
        await tools.until(lambda: controller.batches == 1, "first batch")
        await agent.reporter.event("test.event", DativeError("x"))
        await tools.move(hand_clock, 20, 1)
        assert controller.batches == 1
        await tools.move(hand_clock, 20, 1)
        await tools.until(lambda: controller.batches == 2, "second batch")


async def test_a_restored_controller_gets_again_what_its_backup_did_not_hold(joined, controller, tools):
    async with joined.running() as agent:
        await controller.deploy({"a": tools.process_json("a")})
        for index in range(5):
            await agent.reporter.event("test.event", DativeError(f"number {index}"))
        await tools.until(lambda: len(controller.events("test.event")) == 5, "stored")
        await tools.until(lambda: agent.journal.spooled()[0] == 0, "acknowledged")
        await controller.stop()
        (epoch,) = controller.records
        whole, controller.records[epoch] = controller.records[epoch], controller.records[epoch][:2]
        await controller.start()
        await tools.until(lambda: controller.records[epoch] == whole, "whole again", 40)


async def test_records_that_are_kept_no_more_are_said_to_be_missing(joined, controller, tools):
    async with joined.running() as agent:
        for index in range(4):
            await agent.reporter.event("test.event", DativeError(f"number {index}"))
        await tools.until(lambda: agent.journal.spooled()[0] == 0, "acknowledged")
        with agent.journal.transaction() as db:
            db.execute("DELETE FROM outbox WHERE sequence <= 2")
        await controller.stop()
        (epoch,) = controller.records
        controller.records[epoch] = []
        await controller.start()
        await tools.until(lambda: len(controller.records[epoch]) == 4, "made whole", 40)
    kinds = [record.WhichOneof("kind") for record in controller.records[epoch]]
    assert kinds == ["dropped", "dropped", "event", "event"]
    assert isinstance(controller.records[epoch][0], telemetry_pb2.Record)


@pytest.mark.parametrize("seed", range(5))
def test_backoff_has_full_jitter_and_a_ceiling(seed):
    backoff = Backoff(1.0, 60.0, random.Random(seed))
    waits = [backoff.next_s() for _ in range(100)]
    assert all(0 <= wait <= min(2**index, 60) for index, wait in enumerate(waits))
    assert max(waits[10:]) > 40
    backoff.reset()
    assert backoff.next_s() <= 1


async def test_an_hour_without_the_controller_keeps_the_link_trying_and_bounded(joined, controller, tools, hand_clock):
    async with joined.running(clock=hand_clock) as agent:
        await controller.stop()
        await tools.until(lambda: not agent.link.connected.is_set(), "lost")
        waits = []
        inner = hand_clock.sleep

        async def sleep(seconds):
            waits.append(seconds)
            await inner(seconds)

        agent.link._clock = type("Watched", (), {"sleep": staticmethod(sleep), "now": hand_clock.now})()
        for _ in range(60):
            await tools.move(hand_clock, 60, 30)
            await asyncio.sleep(0.01)
        assert waits
        assert max(waits) <= 60
        await controller.start()
        await tools.until(lambda: _moved(hand_clock, agent.link.connected.is_set()), "back")


async def test_a_cancel_that_comes_while_a_wait_is_ending_is_not_lost(hand_clock):
    """Lost, it left heartbeats of an ended stream and watches of ended executions running for ever."""
    event, turns = asyncio.Event(), 0

    async def loop():
        nonlocal turns
        while True:
            turns += 1
            await either(hand_clock, event, 5)

    for steps in range(8):
        event.clear()
        task = asyncio.create_task(loop())
        await asyncio.sleep(0)
        event.set()
        for _ in range(steps):
            await asyncio.sleep(0)
            event.clear()
        task.cancel()
        async with asyncio.timeout(5):
            await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
