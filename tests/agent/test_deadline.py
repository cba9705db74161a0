"""A worker that the agent starts lives on the agent's deadline."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from dative_atom.agent.health import Health
from dative_atom.agent.runner import Handle, Runner, WorkerSettings
from dative_atom.worker.deadline import LOST, Deadline
from dative_atom.worker.protocol import FENCED, RunExecution


async def test_a_worker_inherits_the_deadline_and_lives_on_when_an_execution_is_fenced(
    hand_clock: Any, tmp_path: Path
) -> None:
    deadline = Deadline.make()
    settings = WorkerSettings(
        slots=1, warm=1, warm_for_s=60.0, executions_max=10, stall_s=600.0, deadline_fd=deadline.fd
    )
    runner = Runner(settings, Health(hand_clock), hand_clock)
    request = RunExecution("01X", "none.json", {}, [], "env", "test", str(tmp_path / "journal.db"), fencing_token=7)
    try:
        deadline.publish(LOST)
        fenced = await runner.execute(request, Handle(), lambda _: None)
        assert (fenced.state, fenced.failure["code"]) == (FENCED, "molecule.fenced")
        pids = runner.pids
        deadline.publish(math.inf)
        unknown = await runner.execute(request, Handle(), lambda _: None)
        assert unknown.failure["code"] == "journal.unknown_execution", "it went as far as the journal"
        assert runner.pids == pids
    finally:
        await runner.stop()
        deadline.close()
