"""A worker that does as the process' label `behaviour` says: finish, crash, hang, ignore a cancel, tell a secret.

Speaks `dative_atom.worker.protocol` and writes the real journal, so that the agent can not tell it from the engine's.
"""

import json
import os
import select
import signal
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from dative.clock import SystemClock
from dative.v1 import telemetry_pb2, types_pb2
from dative_atom.journal.contract import Counts, ExecutionState, Settlement
from dative_atom.journal.sqlite import SqliteJournal
from dative_atom.worker.protocol import (
    CancelExecution,
    CheckConnection,
    Checks,
    DryRan,
    DryRun,
    Finished,
    LookSteps,
    Progress,
    Ready,
    Rehearse,
    Rehearsed,
    RunExecution,
    Shutdown,
    StepFields,
    StepLook,
    StepsLooked,
    ToWorker,
    frame,
)

decoder = msgspec.msgpack.Decoder(ToWorker)


class Wire:
    def __init__(self, descriptor: int) -> None:
        self.socket = socket.socket(fileno=descriptor)

    def send(self, message) -> None:
        self.socket.sendall(frame(message))

    def receive(self, timeout_s: float | None = None):
        """The next message; None after the timeout; the program ends with the agent."""
        if timeout_s is not None and not select.select([self.socket], [], [], timeout_s)[0]:
            return None
        head = self._exactly(4)
        return decoder.decode(self._exactly(int.from_bytes(head, "big")))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                os._exit(0)
            data += part
        return data


def settle(journal: SqliteJournal, execution, rows: int) -> Counts:
    resume = journal.resume(execution.execution_id)
    return journal.settle(
        Settlement(
            execution_id=execution.execution_id,
            stream=execution.stream,
            batch=resume.batch,
            position=json.dumps({"at": resume.document + rows}).encode(),
            documents_end=resume.document + rows,
            counts=Counts(read=rows, written=rows, batches=1),
        )
    )


def report(journal: SqliteJournal, execution, state: types_pb2.ExecutionState) -> None:
    message = types_pb2.Execution(
        execution_id=execution.execution_id,
        process=execution.process,
        trigger=execution.trigger,
        state=state,
        attempt=execution.attempt,
        trace_id=execution.trace_id,
    )
    message.planned_at.FromDatetime(execution.planned_at)
    message.counts.read = execution.counts.read
    journal.report("execution", telemetry_pb2.Record(execution=message).SerializeToString())


def retried(wire: Wire, journal: SqliteJournal, execution, behaviour: str, argument: str) -> None:
    """A retry: every letter's document is written, and its name noted in the file `argument`; or it fails."""
    if behaviour == "fail":
        failure = {"code": "connector.unavailable", "message": "it is away", "where": "erp", "next": ""}
        done = journal.finish(execution.execution_id, ExecutionState.FAILED, datetime.now(UTC), failure)
        report(journal, done, types_pb2.EXECUTION_STATE_FAILED)
        wire.send(Finished(execution.execution_id, "failed", {}, failure))
        return
    if behaviour == "crash" and execution.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    letters = list(execution.retry_of)
    journal.settle(
        Settlement(
            execution_id=execution.execution_id,
            stream=execution.stream,
            batch=0,
            position=None,
            documents_end=len(letters),
            counts=Counts(read=len(letters), written=len(letters), batches=1),
            resolved=letters,
        )
    )
    if argument:
        with open(argument, "a") as file:
            file.write(json.dumps([datetime.now(UTC).timestamp(), letters]) + "\n")
    done = journal.finish(execution.execution_id, ExecutionState.SUCCEEDED, datetime.now(UTC), None)
    report(journal, done, types_pb2.EXECUTION_STATE_SUCCEEDED)
    wire.send(Finished(execution.execution_id, "succeeded", {"read": len(letters)}))


def rehearse(wire: Wire, request: Rehearse) -> None:
    """As if the document reached one target; a field "crash" takes the worker down."""
    fields = json.loads(request.fields)
    if "crash" in fields.values():
        os._exit(7)
    outcome = {"ends": "written", "step": "upsert", "targets": [{"step": "upsert", "document": fields}]}
    wire.send(Rehearsed(request.request_id, json.dumps(outcome).encode()))


def fields_of(step: StepLook) -> StepFields:
    """A system whose fields are what it was asked with; the table "crash" takes the worker down, "hang" never answers."""
    options = json.loads(step.options)
    if options.get("table") == "crash":
        os._exit(7)
    if options.get("table") == "hang":
        time.sleep(600)  # until it is killed
    if options.get("table") == "wide":
        return StepFields(step.step, [(f"{number}-{'é' * 100}", "text") for number in range(2000)])
    if options.get("table") == "away":
        return StepFields(step.step, None, "connector.unavailable", "no answer of " + step.binding.settings["url"])
    return StepFields(step.step, [(name, f"{step.operation}: {options[name]}") for name in sorted(options)])


def run(wire: Wire, request: RunExecution) -> None:
    journal = SqliteJournal(Path(request.journal), SystemClock())
    execution = journal.begin(request.execution_id, datetime.now(UTC), "a" * 32)
    process = json.loads(Path(request.artifacts[request.process]).read_bytes())
    behaviour, _, argument = process["metadata"]["labels"].get("behaviour", "finish").partition(":")
    if execution.retry_of:
        retried(wire, journal, execution, behaviour, argument)
        journal.close()
        return
    report(journal, execution, types_pb2.EXECUTION_STATE_RUNNING)
    settle(journal, execution, 5)
    wire.send(Progress(request.execution_id, {"read": 5}))
    state = ExecutionState.SUCCEEDED
    if behaviour == "crash" and execution.attempt <= int(argument):
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "exit" and execution.attempt <= int(argument):
        os._exit(7)
    if behaviour == "asked":
        Path(argument).write_text(json.dumps({"allows": request.allows, "artifacts": sorted(request.artifacts)}))
    if behaviour == "tell":
        print("secret is", request.bindings[0].secrets["password"], file=sys.stderr, flush=True)
    if behaviour == "hang":
        while True:
            message = wire.receive(0.05)
            if isinstance(message, CancelExecution):
                state = ExecutionState.CANCELLED
                break
            if argument and Path(argument).exists():
                break
    if behaviour == "stubborn":
        time.sleep(3600)
    counts = settle(journal, execution, 5)
    done = journal.finish(request.execution_id, state, datetime.now(UTC), None)
    report(journal, done, types_pb2.EXECUTION_STATE_SUCCEEDED)
    journal.close()
    wire.send(Finished(request.execution_id, state.value, {"read": counts.read}))


def main() -> None:
    if os.environ.get("SCRIPTED_WORKER") == "broken":
        sys.exit(3)
    wire = Wire(int(sys.argv[sys.argv.index("--fd") + 1]))
    wire.send(Ready(os.getpid()))
    while True:
        message = wire.receive()
        if isinstance(message, RunExecution):
            run(wire, message)
        elif isinstance(message, CheckConnection):
            found = message.binding.settings.get("url", "")
            wire.send(Checks(message.request_id, [("dns", True, found), ("login", bool(message.binding.secrets), "")]))
        elif isinstance(message, Rehearse):
            rehearse(wire, message)
        elif isinstance(message, DryRun):
            shown = {"step": "upsert", "outcome": "change", "after": dict(message.execution.parameters), "before": None}
            counts = {"read": message.documents_max, "written": 1, "filtered": 0, "dead_lettered": 0}
            outcome = {"documents": [shown] * message.shown_max, "counts": counts}
            wire.send(DryRan(message.request_id, json.dumps(outcome).encode()))
        elif isinstance(message, LookSteps):
            wire.send(StepsLooked(message.request_id, [fields_of(step) for step in message.steps]))
        elif isinstance(message, Shutdown):
            return


main()
