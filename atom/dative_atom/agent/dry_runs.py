"""The command of a dry run: what would an execution of this process change, now, on this atom?

It runs beside the executions on a worker of its own and is known to no journal. Its answer holds values of documents, so
it crosses sealed to a key of who asked; classified values were left out before.
"""

from __future__ import annotations

import json
from typing import Any

from dative.dry_run import PURPOSE
from dative.errors import DativeError, from_status
from dative.errors.agent import WORKER_CRASHED
from dative.errors.dry_run import TOO_SLOW
from dative.errors.rpc import INVALID
from dative.secrets import seal, seal_info
from dative.v1 import agent_pb2

from dative_atom.agent.executions import Executions
from dative_atom.agent.runner import Runner
from dative_atom.agent.worker import WorkerLost
from dative_atom.worker.protocol import DryRun

WITHIN_S = 25.0
"""Below the controller's patience with a command."""
DOCUMENTS_MAX = 100_000
SHOWN_MAX = 1000
ANSWER_BYTES_MAX = 512 * 1024


class DryRuns:
    """Carries the command out."""

    def __init__(self, executions: Executions, runner: Runner) -> None:
        self._executions, self._runner = executions, runner

    async def carry_out(self, command: agent_pb2.Command) -> agent_pb2.CommandResult:
        """Errors: rpc.invalid_argument, dry_run.too_slow, agent.worker_crashed, and what the worker answers."""
        wanted = command.dry_run
        if not (0 < wanted.documents_max <= DOCUMENTS_MAX and wanted.shown_max <= SHOWN_MAX):
            raise DativeError(f"documents 1..{DOCUMENTS_MAX}, shown at most {SHOWN_MAX}", code=INVALID)
        _, execution = await self._executions.rehearsal(wanted.process, dict(wanted.parameters))
        request = DryRun(command.command_id, execution, wanted.shown_max, wanted.documents_max)
        try:
            answer = await self._runner.dry_run(request, WITHIN_S)
        except TimeoutError as late:
            raise DativeError(
                f"the dry run of {wanted.process} took more than {WITHIN_S:.0f} s", code=TOO_SLOW
            ) from late
        except WorkerLost as lost:
            raise DativeError(f"the dry run of {wanted.process} did not end: {lost}", code=WORKER_CRASHED) from lost
        if answer.failure:
            failed = answer.failure
            raise from_status(failed["code"], failed["message"], failed["where"], failed["next"])
        body = json.dumps(fitting(json.loads(answer.outcome)), ensure_ascii=False).encode()
        sealed = seal(body, wanted.reader_public_key, seal_info(PURPOSE, wanted.process))
        return agent_pb2.CommandResult(dry_run=agent_pb2.DryRunResult(sealed_outcome=sealed))


def fitting(outcome: dict[str, Any]) -> dict[str, Any]:
    """The outcome with as many documents as an answer may carry; what is left out is counted in it anyway."""
    documents, room = [], ANSWER_BYTES_MAX
    for document in outcome["documents"]:
        room -= len(json.dumps(document))
        if room < 0:
            break
        documents.append(document)
    return {**outcome, "documents": documents}
