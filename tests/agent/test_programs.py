"""The programs as an installer types them: join, run, status, drain, leave; killed with SIGKILL and started again."""

import asyncio
import json
import os
import signal
import sys
import time

import pytest
from dative.errors import ConfigError
from dative_atom.agent.config import load

PROGRAM = (sys.executable, "-m", "dative_atom.agent")
AGENT = """
import asyncio, json, sys
from dative_atom.agent.agent import Agent
from dative_atom.agent.config import Config
async def main():
    agent = await Agent.open(Config(data_dir=sys.argv[1], disk_free_min_mb=0), worker_command=json.loads(sys.argv[2]))
    agent.stop_on_signals()
    await agent.run()
asyncio.run(main())
"""


async def _call(*arguments, stdin=b"", **more):
    process = await asyncio.create_subprocess_exec(*PROGRAM, *arguments, stdin=-1, stdout=-1, stderr=-1, **more)
    out, err = await process.communicate(stdin)
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
async def start(tools, tmp_path):
    """Starts a real agent process with scripted workers; ends what a test left."""
    started = []

    async def begin(directory):
        with open(tmp_path / "agent.log", "ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", AGENT, str(directory.root), json.dumps(tools.WORKER), stderr=log, stdout=log
            )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.end_to_end
async def test_join_run_status_drain_stop_and_leave(controller, tools, tmp_path):
    """The installer's journey, with the program's own workers' place left to scripted ones only where they must run."""
    place, where = tmp_path / "atom", ("--data-dir", str(tmp_path / "atom"))
    way = ("--controller", controller.address, "--ca-pin", controller.ca.pin)
    code, out, _ = await _call("doctor", *way, *where)
    assert (code, out.count("ok ")) == (0, 7), out
    code, out, err = await _call("join", *way, *where, "--name", "hq-9", stdin=controller.invite().encode())
    assert (code, out.splitlines()[0]) == (0, "joined as hq-9 in environment prod, molecule default"), err
    code, out, _ = await _call("join", *way, *where, "-o", "json")
    assert (code, json.loads(out)["already_joined"]) == (0, True)
    begun = time.monotonic()
    process = await asyncio.create_subprocess_exec(*PROGRAM, "run", *where, "--warm", "0", stderr=-3)
    await tools.until(lambda: controller.hellos, "hello")
    assert time.monotonic() - begun < 15  # measured far below; a bound for a loaded machine
    code, out, _ = await _call("status", *where, "-o", "json")
    found = json.loads(out)
    assert (found["connected"], found["running_executions"], found["atom"]) == (True, 0, "hq-9")
    assert found["rss_bytes"] < 120 << 20
    code, out, _ = await _call("drain", *where)
    assert (code, out.strip()) == (0, "hq-9 draining, 0 executions run")
    code, _, err = await _call("leave", *where)
    assert code == 6
    assert "agent.still_running" in err
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert controller.goodbyes == ["drained"]
    code, out, _ = await _call("status", *where)
    assert code == 6
    assert "not running" in out
    code, out, err = await _call("leave", *where)
    assert (code, out.strip()) == (0, "left: the keys of hq-9 are gone from this host"), err
    assert not (place / "identity.json").exists()
    assert not (place / "atom.pem").exists()


@pytest.mark.end_to_end
async def test_an_agent_that_is_killed_goes_on_where_it_stood(joined, controller, tools, start, tmp_path):
    gate = tmp_path / "gate"
    process = await start(joined.directory)
    await tools.until(lambda: controller.hellos, "hello")
    await controller.deploy({"a": tools.process_json("a", f"hang:{gate}")})
    running = (await controller.run("a")).run_process.execution_id
    waiting = (await controller.run("a")).run_process.execution_id
    await tools.until(lambda: 2 in _states(controller, running), "running")
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    gate.touch()
    await start(joined.directory)
    await tools.until(lambda: 3 in _states(controller, running) and 3 in _states(controller, waiting), "both ended")
    attempts = {one.execution_id: one.attempt for one in controller.heard("execution") if one.state == 3}
    assert attempts == {running: 2, waiting: 1}
    assert controller.hellos[-1].observed.generation == 1
    (records,) = controller.records.values()
    ended = [record for record in records if record.execution.state == 3]
    assert len(ended) == 2


def _states(controller, execution_id):
    return {one.state for one in controller.heard("execution") if one.execution_id == execution_id}


@pytest.mark.end_to_end
async def test_an_error_says_what_why_next_and_its_code(controller, tools, tmp_path):
    where = ("--data-dir", str(tmp_path / "atom"))
    code, out, err = await _call("run", *where)
    assert (code, out) == (6, "")
    assert [line.split(":")[0] for line in err.splitlines()] == ["error", "why", "next", "code"]
    wrong = tools.Authority().pin
    code, out, err = await _call(
        "join", "--controller", controller.address, "--ca-pin", wrong, *where, stdin=controller.invite().encode()
    )
    assert code == 6
    assert "agent.ca_pin_mismatch" in err
    assert controller.enrolments == []
    code, out, _ = await _call("doctor", "--controller", controller.address, "--ca-pin", wrong, *where)
    assert code == 1
    assert 'INSPECTED by "Dative test CA"' in out
    code, out, _ = await _call("doctor", "--controller", "localhost:1", *where, "-o", "json")
    failed = [one for one in json.loads(out)["checks"] if not one["ok"]]
    assert [one["name"] for one in failed] == ["tcp"]
    assert failed[0]["fix"]


@pytest.mark.end_to_end
async def test_a_unit_file_is_printed_and_nothing_else_done(tmp_path):
    code, out, _ = await _call(
        "join", "--controller", "x:1", "--ca-pin", "y", "--print-unit", "--data-dir", str(tmp_path / "atom")
    )
    assert code == 0
    assert f"ExecStart={sys.executable} -m dative_atom.agent run --data-dir {tmp_path / 'atom'}" in out
    assert not (tmp_path / "atom").exists()


def test_settings_come_from_file_environment_and_flags_in_that_order(tmp_path):
    file = tmp_path / "atom.yaml"
    file.write_text("slots: 3\nwarm: 2\nlabels: {site: hq}\n")
    environ = {"DATIVE_ATOM_SLOTS": "5", "DATIVE_ATOM_DATA_DIR": "/srv/atom", "OTHER": "x"}
    found = load({"slots": None, "warm": 1}, file=file, environ=environ)
    assert (found.slots, found.warm, found.data_dir, found.labels) == (5, 1, "/srv/atom", {"site": "hq"})


CONFIGS = [
    ("slotz: 3", {}, "did you mean slots?"),
    ("slots: 0", {}, "slots"),
    ("slots: many", {}, "slots"),
    ("slots: 1\nwarm: 4", {}, "warm 4 must not be above slots 1"),
    ("[1, 2]", {}, "must be a mapping"),
    ("a: [", {}, "is not YAML"),
    ("", {"DATIVE_ATOM_SLOT": "1"}, "did you mean slots?"),
]


@pytest.mark.parametrize(("text", "environ", "says"), CONFIGS)
def test_a_configuration_that_does_not_fit_is_refused_whole(tmp_path, text, environ, says):
    file = tmp_path / "atom.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load({}, file=file, environ=environ)
    assert says in refused.value.message
