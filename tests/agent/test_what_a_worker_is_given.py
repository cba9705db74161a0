"""What an execution is given beyond its own process: the files of what it calls, and what the atom allows."""

import json

import pytest

CALL = {"id": "call", "verb": "process_call", "settings": {"shape": "process_call", "process": "sub"}}


@pytest.mark.parametrize(
    ("config", "allows"),
    [
        ({}, []),
        ({"allow_scripts": True}, ["scripts"]),
        ({"allow_commands": ["/bin/x"]}, ["command:/bin/x"]),
    ],
)
async def test_a_worker_is_told_what_the_atom_allows_and_given_the_files_of_called_processes(
    joined, controller, tools, tmp_path, config, allows
):
    told = tmp_path / "told.json"
    async with joined.running(**config) as agent:
        calling = tools.process_json("a", f"asked:{told}", steps=[CALL])
        await controller.deploy({"a": calling, "sub": tools.process_json("sub")})
        execution_id = await agent.executions.run_now("a")
        await tools.until(lambda: agent.journal.execution(execution_id).state.final, "end")
    given = json.loads(told.read_text())
    assert given["allows"] == allows
    assert {"a.json", "sub.json"} <= set(given["artifacts"])
