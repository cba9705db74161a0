"""Commands: what they may name, what they answer, and that what is shown of a document is sealed and masked."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from dative.secrets import SealKey, open_sealed, seal, seal_info
from dative.v1 import agent_pb2
from dative_atom.agent import identity as identities
from dative_atom.agent.commands import CommandLog
from dative_atom.journal.contract import Counts, Execution, ParkedDocument, Settlement


def _park(agent, document=0):
    """One dead letter in the journal, as an execution leaves it; returns its id."""
    now = datetime.now(UTC)
    execution = Execution(
        execution_id=f"01EXEC{document}",
        process="a",
        process_version=1,
        stream="env1/a",
        trigger="manual",
        planned_at=now,
        manifest_digest=agent.bundles.active.manifest.digest,
    )
    agent.journal.plan(execution)
    agent.journal.begin(execution.execution_id, now)
    parked = ParkedDocument(
        document=document,
        queue="q",
        step="upsert",
        code="expression.cast_failed",
        reason="since is no date",
        field="since",
        payload={"Id": "001", "Phone": "555-0100", "since": "31/31/2020"},
        classified=("Phone",),
        keys={"Id": "001"},
        keep_s=3600.0,
    )
    agent.journal.settle(
        Settlement(
            execution_id=execution.execution_id,
            stream="env1/a",
            batch=0,
            position=b"{}",
            documents_end=document + 1,
            counts=Counts(read=1, dead_lettered=1, batches=1),
            dead_letters=[parked],
        )
    )
    return agent.journal.dead_letters()[0].dead_letter_id


async def test_only_processes_of_the_verified_bundle_can_be_run(joined, controller, tools):
    async with joined.running():
        assert (await controller.run("a")).status.code == "agent.nothing_deployed"
        await controller.deploy({"a": tools.process_json("a")})
        result = await controller.run("evil")
    assert result.status.code == "agent.process_unknown"
    assert "it holds a" in result.status.message


async def test_a_command_after_its_time_is_not_carried_out(joined, controller, tools):
    async with joined.running():
        await controller.deploy({"a": tools.process_json("a")})
        controller.now = lambda: datetime.now(UTC) - timedelta(hours=1)
        assert (await controller.run("a")).status.code == "agent.command_expired"


async def test_a_manual_run_takes_parameters_and_the_callers_trace(joined, controller, tools):
    async with joined.running() as agent:
        await controller.deploy({"a": tools.process_json("a")})
        command = controller.command(
            traceparent=f"00-{'12' * 16}-{'34' * 8}-01",
            run_process=agent_pb2.RunProcess(process="a", parameters={"region": "emea"}),
        )
        found = agent.journal.execution((await controller.answer(command)).run_process.execution_id)
    assert (found.trigger, found.keep_trace, dict(found.parameters)) == ("manual", True, {"region": "emea"})
    assert found.traceparent.startswith("00-1212")
    assert found.command_id == command


async def test_a_dead_letter_is_shown_sealed_to_who_asked_with_classified_fields_masked(joined, controller, tools):
    reader = SealKey.generate()
    async with joined.running() as agent:
        await controller.deploy({"a": tools.process_json("a")})
        letter = _park(agent)
        wanted = agent_pb2.ShowDeadLetter(dead_letter_id=letter, reader_public_key=reader.public_raw)
        result = (await controller.answer(controller.command(show_dead_letter=wanted))).show_dead_letter
    payload = json.loads(open_sealed(result.sealed_payload, reader, seal_info("dative/dead-letter/v1", letter)))
    assert payload == {"Id": "001", "Phone": "***", "since": "31/31/2020"}
    assert (result.dead_letter.code, result.dead_letter.state) == ("expression.cast_failed", "waiting")
    assert b"31/31/2020" not in result.SerializeToString()


async def test_a_dead_letter_is_repaired_and_retried_as_an_execution_of_its_process(joined, controller, tools):
    async with joined.running() as agent:
        await controller.deploy({"a": tools.process_json("a")})
        letter = _park(agent)
        key = identities.read_seal_key(joined.directory)
        sealed = seal(b'{"since": "2020-01-31"}', key.public_raw, seal_info("dative/dead-letter-repair/v1", letter))
        repair = agent_pb2.RepairDeadLetter(dead_letter_id=letter, sealed_fields=sealed)
        assert (await controller.answer(controller.command(repair_dead_letter=repair))).status.code == ""
        assert agent.journal.dead_letter(letter).parked.payload["since"] == "2020-01-31"
        retry = agent_pb2.RetryDeadLetters(dead_letter_ids=[letter])
        result = await controller.answer(controller.command(retry_dead_letters=retry))
        (execution_id,) = result.retry_dead_letters.execution_ids
        execution = agent.journal.execution(execution_id)
        assert (execution.trigger, list(execution.retry_of)) == ("retry", [letter])


REFUSED = [
    ({"retry_dead_letters": agent_pb2.RetryDeadLetters(dead_letter_ids=["nope"])}, "journal.unknown_dead_letter"),
    ({"retry_dead_letters": agent_pb2.RetryDeadLetters()}, "dead_letters.nothing_selected"),
    ({"cancel_execution": agent_pb2.CancelExecution(execution_id="nope")}, "agent.execution_unknown"),
    ({"test_connection": agent_pb2.TestConnection(connection="nope")}, "agent.connection_missing"),
    (
        {"repair_dead_letter": agent_pb2.RepairDeadLetter(dead_letter_id="x", sealed_fields=b"rubbish" * 20)},
        "secrets.cannot_open",
    ),
    ({}, "agent.command_unknown"),
]


@pytest.mark.parametrize(("kind", "code"), REFUSED, ids=[code for _, code in REFUSED])
async def test_a_command_that_can_not_be_carried_out_answers_with_its_code(joined, controller, tools, kind, code):
    async with joined.running():
        await controller.deploy({"a": tools.process_json("a")})
        assert (await controller.answer(controller.command(**kind))).status.code == code


async def test_a_connection_is_tested_on_a_worker(joined, controller, tools):
    connections = {"erp": {"connector": "database", "settings": {"url": "postgresql://erp"}}}
    async with joined.running():
        await controller.deploy({"a": tools.process_json("a")}, environment={"connections": connections})
        wanted = agent_pb2.TestConnection(connection="erp")
        result = await controller.answer(controller.command(test_connection=wanted))
    assert [(one.name, one.passed) for one in result.test_connection.checks] == [("dns", True), ("login", False)]


def test_a_command_that_a_kill_interrupted_is_not_repeated(tmp_path, hand_clock):
    assert CommandLog(tmp_path, hand_clock).begin("abc") is None
    again = CommandLog(tmp_path, hand_clock).begin("abc")
    assert again.status.code == "agent.command_interrupted"


def test_records_of_commands_are_let_go_of_when_they_have_long_expired(tmp_path, hand_clock):
    log = CommandLog(tmp_path, hand_clock)
    log.begin("abc")
    log.sweep()
    assert [path.name for path in tmp_path.iterdir()] == ["abc"]
    hand_clock.advance(3 * 24 * 3600)
    log.sweep()
    assert list(tmp_path.iterdir()) == []
