"""Executions on workers that crash, hang and tell secrets: each goes on from its last settled batch, or says why not."""

import os
import signal
import sys

import pytest
from dative.errors import DativeError
from dative.v1 import agent_pb2, types_pb2
from dative_atom.journal.contract import ExecutionState

SUCCEEDED, FAILED = ExecutionState.SUCCEEDED, ExecutionState.FAILED


async def _deploy(controller, tools, behaviour, **more):
    spec = more.pop("spec", {})
    ack = await controller.deploy({"a": tools.process_json("a", behaviour, **spec)}, **more)
    assert ack.status.code == ""


async def _end(agent, tools, execution_id):
    await tools.until(lambda: agent.journal.execution(execution_id).state.final, "end")
    return agent.journal.execution(execution_id)


@pytest.mark.parametrize("behaviour", ["crash:1", "exit:2"])
async def test_an_execution_whose_worker_dies_is_resumed_and_ends(joined, controller, tools, behaviour):
    async with joined.running() as agent:
        await _deploy(controller, tools, behaviour)
        done = await _end(agent, tools, await agent.executions.run_now("a"))
    deaths = int(behaviour[-1])
    assert (done.state, done.attempt) == (SUCCEEDED, deaths + 1)
    assert done.counts.read == 5 * (deaths + 1) + 5


@pytest.mark.parametrize(
    ("behaviour", "code"), [("crash:9", "agent.worker_killed"), ("exit:9", "agent.worker_crashed")]
)
async def test_an_execution_whose_worker_always_dies_has_failed_after_the_third(
    joined, controller, tools, behaviour, code
):
    async with joined.running() as agent:
        await _deploy(controller, tools, behaviour)
        done = await _end(agent, tools, await agent.executions.run_now("a"))
        assert (done.state, done.attempt, done.failure["code"]) == (FAILED, 3, code)
        await tools.until(lambda: any(one.failure.code == code for one in controller.heard("execution")), "report")
        await tools.until(lambda: any(one.execution_id for one in controller.heard("spans")), "its trace")


async def test_a_hanging_execution_is_cancelled_at_its_next_batch(joined, controller, tools):
    async with joined.running() as agent:
        await _deploy(controller, tools, "hang")
        execution_id = (await controller.run("a")).run_process.execution_id
        await tools.until(lambda: agent.journal.execution(execution_id).attempt == 1, "begun")
        result = await controller.answer(
            controller.command(cancel_execution=agent_pb2.CancelExecution(execution_id=execution_id))
        )
        assert result.status.code == ""
        assert (await _end(agent, tools, execution_id)).state is ExecutionState.CANCELLED


async def test_a_worker_that_ignores_a_cancel_is_killed_and_the_execution_cancelled(
    joined, controller, tools, hand_clock
):
    async with joined.running(clock=hand_clock) as agent:
        await _deploy(controller, tools, "stubborn")
        execution_id = await agent.executions.run_now("a")
        await tools.until(lambda: agent.journal.execution(execution_id).counts.read == 5, "first batch")
        await agent.executions.cancel(execution_id)
        await tools.move(hand_clock, 15, 5)
        assert (await _end(agent, tools, execution_id)).state is ExecutionState.CANCELLED


async def test_an_execution_that_settles_nothing_is_taken_from_its_worker(joined, controller, tools, hand_clock):
    async with joined.running(clock=hand_clock, execution_stall_s=600.0, crashes_max=1) as agent:
        await _deploy(controller, tools, "stubborn")
        execution_id = await agent.executions.run_now("a")
        await tools.until(lambda: agent.journal.execution(execution_id).counts.read == 5, "first batch")
        await tools.until(lambda: _ended_after(hand_clock, agent, execution_id), "stuck")
        assert agent.journal.execution(execution_id).failure["code"] == "agent.execution_stuck"


def _ended_after(clock, agent, execution_id):
    clock.advance(5)
    return agent.journal.execution(execution_id).state.final


async def test_a_process_runs_once_at_a_time_and_its_second_execution_waits(joined, controller, tools, tmp_path):
    gate = tmp_path / "gate"
    async with joined.running() as agent:
        await _deploy(controller, tools, f"hang:{gate}")
        first, second = await agent.executions.run_now("a"), await agent.executions.run_now("a")
        await tools.until(lambda: agent.journal.execution(first).attempt == 1, "first runs")
        assert (agent.executions.running, agent.executions.waiting) == (1, 1)
        gate.touch()
        assert (await _end(agent, tools, second)).state is SUCCEEDED


async def test_an_execution_of_a_former_version_finishes_on_that_version(joined, controller, tools, tmp_path):
    gate = tmp_path / "gate"
    async with joined.running(bundles_kept=1) as agent:
        await _deploy(controller, tools, f"hang:{gate}")
        first, second = await agent.executions.run_now("a"), await agent.executions.run_now("a")
        old = agent.bundles.active.manifest.digest
        await _deploy(controller, tools, "finish")
        await _deploy(controller, tools, "finish:2")
        gate.touch()
        assert (await _end(agent, tools, first)).manifest_digest == old
        done = await _end(agent, tools, second)
        assert (done.state, done.manifest_digest) == (SUCCEEDED, old)


async def test_more_executions_than_may_wait_are_refused(joined, controller, tools):
    async with joined.running(queue_max=1) as agent:
        await _deploy(controller, tools, "hang")
        await agent.executions.run_now("a")
        await tools.until(lambda: agent.executions.running == 1, "first runs")
        await agent.executions.run_now("a")
        with pytest.raises(DativeError) as refused:
            await agent.executions.run_now("a")
    assert refused.value.code.name == "agent.queue_full"


async def test_what_a_stopped_agent_left_is_taken_up_at_the_next_start(joined, controller, tools, tmp_path):
    gate = tmp_path / "gate"
    async with joined.running() as agent:
        await _deploy(controller, tools, f"hang:{gate}")
        running, waiting = await agent.executions.run_now("a"), await agent.executions.run_now("a")
        await tools.until(lambda: agent.journal.execution(running).counts.read == 5, "first batch")
    gate.touch()
    async with joined.running() as agent:
        first, second = await _end(agent, tools, running), await _end(agent, tools, waiting)
    assert (first.state, first.attempt, first.counts.read) == (SUCCEEDED, 2, 15)
    assert (second.state, second.attempt) == (SUCCEEDED, 1)


async def test_a_missing_secret_fails_the_execution_and_names_the_connection(joined, controller, tools):
    connections = {"erp": {"connector": "database", "settings": {}, "secrets": {"password": "env:NOT_SET_ANYWHERE"}}}
    async with joined.running() as agent:
        await _deploy(
            controller,
            tools,
            "finish",
            spec={"connections": {"erp": "database"}},
            environment={"connections": connections},
        )
        done = await _end(agent, tools, await agent.executions.run_now("a"))
    assert (done.state, done.failure["code"]) == (FAILED, "secrets.not_found")
    assert done.failure["where"] == "connection erp, password"


async def test_a_secret_that_a_worker_prints_does_not_reach_the_log(
    joined, controller, tools, monkeypatch, tmp_path, capfd
):
    monkeypatch.setenv("ERP_PASSWORD", "kanarienvogel-77")
    connections = {"erp": {"connector": "database", "settings": {}, "secrets": {"password": "env:ERP_PASSWORD"}}}
    async with joined.running() as agent:
        await _deploy(
            controller,
            tools,
            "tell",
            spec={"connections": {"erp": "database"}},
            environment={"connections": connections},
        )
        await _end(agent, tools, await agent.executions.run_now("a"))
    told = capfd.readouterr().err
    assert "secret is [redacted]" in told
    assert "kanarienvogel" not in told
    for path in joined.directory.root.rglob("*"):
        assert not path.is_file() or b"kanarienvogel" not in path.read_bytes(), path


async def test_overrides_of_the_environment_reach_the_worker_as_parameters(joined, controller, tools):
    async with joined.running() as agent:
        await _deploy(controller, tools, "finish", environment={"overrides": {"a.batch_rows": "500", "b.x": "1"}})
        prepared = agent.bundles.prepare(agent.bundles.active.manifest.digest, "a")
        execution = agent.executions._new("a", "manual", "01", agent.clock.now())
        request = agent.running.request(execution, prepared)
    assert (request.parameters, request.limits.batch_rows) == ({"batch_rows": "500"}, 500)


async def test_workers_that_do_not_come_up_are_said_in_health(joined, controller, tools, monkeypatch):
    monkeypatch.setenv("SCRIPTED_WORKER", "broken")
    async with joined.running():
        await tools.until(lambda: controller.component("workers"), "health")
        assert controller.component("workers").last_error.code == "agent.worker_start_failed"


async def test_drain_lets_what_runs_finish_and_takes_nothing_new_also_after_a_restart(
    joined, controller, tools, tmp_path
):
    gate = tmp_path / "gate"
    async with joined.running() as agent:
        await _deploy(controller, tools, f"hang:{gate}")
        running = await agent.executions.run_now("a")
        await tools.until(lambda: agent.executions.running == 1, "runs")
        await controller.answer(controller.command(drain=agent_pb2.Drain()))
        refused = await controller.run("a")
        assert refused.status.code == "agent.draining"
        gate.touch()
        assert (await _end(agent, tools, running)).state is SUCCEEDED
    async with joined.running() as agent:
        assert controller.hellos[-1].draining
        await controller.answer(controller.command(drain=agent_pb2.Drain(resume=True)))
        assert (await controller.run("a")).status.code == ""
        assert not joined.directory.drained.exists()


async def test_a_clean_stop_waits_for_what_runs_and_says_goodbye(joined, controller, tools, tmp_path):
    gate = tmp_path / "gate"
    async with joined.running(drain_timeout_s=30.0) as agent:
        await _deploy(controller, tools, f"hang:{gate}")
        execution_id = await agent.executions.run_now("a")
        await tools.until(lambda: agent.journal.execution(execution_id).counts.read == 5, "first batch")
        agent.stop()
        assert agent.executions.running == 1
        gate.touch()
        await tools.until(lambda: controller.goodbyes, "goodbye")
    assert controller.goodbyes == ["drained"]
    states = [one.state for one in controller.heard("execution") if one.execution_id == execution_id]
    assert max(states) == types_pb2.EXECUTION_STATE_SUCCEEDED


async def test_a_part_that_ends_unexpectedly_ends_the_agent_with_a_code(joined, tools):
    async def defect():
        async with joined.running() as agent:
            agent.running.failed = RuntimeError("a defect")
            agent.placement._wake.set()
            await tools.until(lambda: agent._tasks.failed.is_set(), "noticed")

    with pytest.raises(DativeError) as ended:
        await defect()
    assert ended.value.code.name == "agent.task_failed"


async def test_the_next_agent_ends_workers_that_a_killed_one_left_behind(joined, tools):
    """The workers' lock is inherited: two attempts of one execution never run side by side."""
    from dative_atom.agent.lock import AgentLock
    from dative_atom.agent.worker import Worker

    first = AgentLock(joined.directory)
    await first.acquire()
    worker = await Worker.start(tools.WORKER, (first.workers_fd,))
    first.note_workers([worker.pid])
    first.release()  # as a kill does: the worker still holds its lock
    second = AgentLock(joined.directory)
    await second.acquire()
    await tools.until(lambda: not worker.alive, "ended")
    assert worker._process.returncode == -signal.SIGKILL
    second.release()
    await worker.kill()


async def test_two_agents_in_one_data_directory_are_refused_with_the_others_process_id(joined):
    async with joined.running():
        with pytest.raises(DativeError) as refused:
            async with joined.running():
                raise AssertionError("two agents ran")
    assert refused.value.code.name == "agent.data_dir_busy"
    assert str(os.getpid()) in refused.value.message


def test_the_agent_loads_neither_engine_nor_its_libraries():
    import subprocess

    # Of the language it knows which processes call which, and which fields are classified: files without a library.
    heavy = (
        "duckdb pyarrow pydantic sqlglot ruamel dative_atom.engine dative_atom.connectors dative_atom.documents "
        "dative.process.model dative.process.shapes dative.process.expression dative.process.load"
    )
    program = (
        "import sys, dative_atom.agent.agent, dative_atom.agent.cli, dative_atom.telemetry.otlp;"
        f"print([name for name in {heavy.split()!r} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


async def test_an_end_that_the_agent_writes_carries_the_token_and_is_refused_when_another_member_has_a_higher_one(
    joined, controller, tools
):
    async with joined.running() as agent:
        await controller.deploy({"a": tools.process_json("a")})
        execution = agent.executions._new("a", "manual", "01", agent.clock.now())
        agent.journal.plan(execution)
        agent.journal.begin(execution.execution_id, agent.clock.now(), fencing_token=7)
        with pytest.raises(DativeError) as refused:
            await agent.running.finish(execution, ExecutionState.CANCELLED, None, 6)
        assert refused.value.code.name == "molecule.fenced"
        await agent.running.finish(execution, ExecutionState.CANCELLED, None, 7)
        assert agent.journal.execution(execution.execution_id).state is ExecutionState.CANCELLED
