"""What an execution is given beyond its own process: the files of what it calls, and what the atom allows."""

import json

import pytest

CALL = {"id": "call", "verb": "process_call", "settings": {"shape": "process_call", "process": "sub"}}


@pytest.mark.parametrize(
    ("config", "environment", "allows"),
    [
        ({}, ["scripts", "command:/bin/x"], []),
        ({"allow_scripts": True, "allow_commands": ["/bin/x"]}, [], []),
        ({"allow_scripts": True, "allow_commands": ["/bin/x"]}, ["scripts", "command:/bin/y"], ["scripts"]),
        ({"allow_scripts": True, "allow_commands": ["/bin/x"]}, ["command:/bin/x"], ["command:/bin/x"]),
    ],
)
async def test_a_worker_is_told_what_atom_and_environment_both_allow_and_given_the_files_of_called_processes(
    joined, controller, tools, tmp_path, config, environment, allows
):
    told = tmp_path / "told.json"
    async with joined.running(**config) as agent:
        calling = tools.process_json("a", f"asked:{told}", steps=[CALL])
        await controller.deploy({"a": calling, "sub": tools.process_json("sub")}, environment={"allows": environment})
        execution_id = await agent.executions.run_now("a")
        await tools.until(lambda: agent.journal.execution(execution_id).state.final, "end")
    given = json.loads(told.read_text())
    assert given["allows"] == allows
    assert {"a.json", "sub.json"} <= set(given["artifacts"])
