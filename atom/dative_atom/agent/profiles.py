"""The command of a look at the fields that some steps' systems have now: names and types, no document.

The steps may be of a process that nobody signed yet, so they choose little: a connection of the verified environment, an
operation of its connector, and names of tables and objects. Invariant 3: a text of SQL is executed only when the very
same text stands in the verified process of that name.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from dative.errors import DativeError
from dative.errors.agent import WORKER_CRASHED
from dative.errors.profiles import OTHER_CONNECTOR, TOO_LARGE, TOO_SLOW, UNVERIFIED
from dative.errors.rpc import INVALID
from dative.v1 import agent_pb2

from dative_atom.agent.bundles import Bundles
from dative_atom.agent.log import redactor
from dative_atom.agent.runner import Runner
from dative_atom.agent.worker import WorkerLost
from dative_atom.worker.protocol import LookSteps, StepFields, StepLook

WITHIN_S: Final = 20.0
"""Below the controller's patience with a command."""
STEPS_MAX: Final = 100
OPTIONS_BYTES_MAX: Final = 64 * 1024
STEP_WITHIN_S: Final = 5.0
"""What every step has at least, as long as there is time: one system that is away leaves the others theirs."""
ANSWER_BYTES_MAX: Final = 768 * 1024
"""Of all steps together, well below what one message may have; those behind the bound are told so."""
REASON_CHARACTERS_MAX: Final = 1000


class Profiles:
    """Carries the command out."""

    def __init__(self, bundles: Bundles, runner: Runner, within_s: float = WITHIN_S) -> None:
        self._bundles, self._runner, self._within_s = bundles, runner, within_s

    async def carry_out(self, command: agent_pb2.Command) -> agent_pb2.CommandResult:
        """Errors: rpc.invalid_argument; what one step lacks is its own answer."""
        wanted = command.profile_steps
        if not 0 < len(wanted.steps) <= STEPS_MAX:
            raise DativeError(f"1..{STEPS_MAX} steps", code=INVALID)
        looks, refused = await asyncio.to_thread(self._looks, wanted)
        found = {**refused, **await self._look(command.command_id, looks)}
        steps = list(_within_bound(_told(found[one.step]) for one in wanted.steps))
        return agent_pb2.CommandResult(profile_steps=agent_pb2.ProfileStepsResult(steps=steps))

    async def _look(self, request_id: str, looks: list[StepLook]) -> dict[str, StepFields]:
        """Step by step, each with its share of the time: a system that hangs or a worker that dies is one answer."""
        found: dict[str, StepFields] = {}
        time = asyncio.get_running_loop().time  # as `asyncio.timeout` goes by
        end = time() + self._within_s
        for number, one in enumerate(looks):
            left = max(0.0, end - time())
            within_s = max(left / (len(looks) - number), min(left, STEP_WITHIN_S))
            found[one.step] = await self._look_at(LookSteps(request_id, [one]), within_s)
        return found

    async def _look_at(self, request: LookSteps, within_s: float) -> StepFields:
        step = request.steps[0].step
        try:
            return (await self._runner.look(request, within_s)).steps[0]
        except TimeoutError:
            return StepFields(step, None, TOO_SLOW.name, f"no answer within {within_s:.0f} s")
        except WorkerLost as lost:
            return StepFields(step, None, WORKER_CRASHED.name, f"the look at the fields did not end: {lost}")

    def _looks(self, wanted: agent_pb2.ProfileSteps) -> tuple[list[StepLook], dict[str, StepFields]]:
        looks, refused = [], {}
        for question in wanted.steps:
            try:
                looks.append(self._one(wanted.process, question))
            except DativeError as error:
                refused[question.step] = StepFields(question.step, None, error.code.name, error.message)
        return looks, refused

    def _one(self, process: str, question: agent_pb2.StepQuestion) -> StepLook:
        options = _options(question)
        if "sql" in options and options["sql"] not in self._verified_sql(process):
            raise DativeError(f"{question.step} reads by SQL that is not deployed here", code=UNVERIFIED)
        binding = self._bundles.binding(question.connection)
        connector, _, operation = question.operation.partition(".")
        if binding.connector != connector:
            raise DativeError(f"{question.connection} is a {binding.connector} here", code=OTHER_CONNECTOR)
        return StepLook(question.step, operation, json.dumps(options).encode(), binding)

    def _verified_sql(self, process: str) -> set[str]:
        definition = self._bundles.definition(process)
        return set(_texts(json.loads(definition), "sql")) if definition is not None else set()


def _options(question: agent_pb2.StepQuestion) -> dict[str, Any]:
    try:
        options = json.loads(question.options) if len(question.options) <= OPTIONS_BYTES_MAX else None
    except (ValueError, RecursionError):
        options = None
    if not isinstance(options, dict):
        raise DativeError(
            f"the options of {question.step} are no JSON object in {OPTIONS_BYTES_MAX} bytes", code=INVALID
        )
    # The only other text of an operation that a system would read as its language has nothing to do with fields.
    options.pop("where", None)
    return options


def _texts(value: Any, key: str) -> Iterator[str]:
    """Every text that stands under that key. The depth of a verified process is bounded."""
    for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if name == key and isinstance(inner, str):
            yield inner
        elif isinstance(inner, dict | list):
            yield from _texts(inner, key)


def _told(found: StepFields) -> agent_pb2.StepProfile:
    fields = [agent_pb2.ProfileField(name=name, type=kind) for name, kind in found.fields or ()]
    reason = redactor.redact(found.reason)[:REASON_CHARACTERS_MAX]
    return agent_pb2.StepProfile(step=found.step, fields=fields, code=found.code, reason=reason)


def _within_bound(steps: Iterable[agent_pb2.StepProfile]) -> Iterator[agent_pb2.StepProfile]:
    room = ANSWER_BYTES_MAX
    for step in steps:
        size = step.ByteSize()
        if size > room:
            full = StepFields(step.step, None, TOO_LARGE.name, "the steps before it filled the answer")
            yield _told(full)
        else:
            room -= size
            yield step
