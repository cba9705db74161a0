"""DeadLetterService: what waits, why, its document sealed to who asks; and what people do with it, at the atoms.

The controller knows what atoms reported and decides nothing about a letter: the atom that holds it does, and answers with
a coded error when it is in another state by then. Every command is audited before it is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

import grpc.aio
from dative.errors import DativeError
from dative.errors import control as codes
from dative.errors.dead_letters import NOTHING_SELECTED, REASON_MISSING
from dative.errors.rpc import INVALID
from dative.v1 import agent_pb2, control_pb2, control_pb2_grpc, types_pb2
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Connection

from dative_controller.server.caller import caller
from dative_controller.server.choose import holder
from dative_controller.server.core import Core, page_size
from dative_controller.server.permissions import OPERATORS, REVEALERS
from dative_controller.server.visible import visible_in
from dative_controller.store import dead_letters, fleet, reports

Context = grpc.aio.ServicerContext[Any, Any]
Selection = types_pb2.DeadLetterSelection
IDS_MAX: Final = 10_000
PER_COMMAND_MAX: Final = 1_000
KEY_BYTES: Final = 32
MANY_TIMEOUT: Final = timedelta(minutes=2)
"""A filter may fit a hundred thousand letters; an atom changes some thousands of them a second."""
ALL: Final = "all"


class DeadLetterServicer(control_pb2_grpc.DeadLetterServiceServicer):
    def __init__(self, core: Core) -> None:
        self._core = core

    # ---- looking ------------------------------------------------------------------------------------------------

    async def ListDeadLetters(  # noqa: N802
        self, request: control_pb2.ListDeadLettersRequest, _context: Context
    ) -> control_pb2.ListDeadLettersResponse:
        who = caller()
        state = request.state or "waiting"
        if state != ALL and state not in dead_letters.STATES:
            known = ", ".join((*dead_letters.STATES, ALL))
            raise DativeError(f"no state {state!r}; there are {known}", code=INVALID)

        def read(sql: Connection) -> tuple[list[types_pb2.DeadLetter], str]:
            execution = reports.find_execution(sql, request.execution_id) if request.execution_id else None
            wanted = dead_letters.Wanted(
                environments=visible_in(sql, who, request.environment),
                state="" if state == ALL else state,
                queue=request.queue,
                process=request.process,
                code=request.code,
                assignee=request.assignee,
                execution_id=execution.execution_id if execution else "",
                created_after_ms=_milliseconds(request, "created_after"),
                created_before_ms=_milliseconds(request, "created_before"),
            )
            return dead_letters.page(
                sql, wanted, before=request.before_dead_letter_id, rows_max=page_size(request.page_size)
            )

        found, more = await self._core.database.read(read)
        return control_pb2.ListDeadLettersResponse(dead_letters=found, next_before_dead_letter_id=more)

    async def GetDeadLetter(  # noqa: N802
        self, request: control_pb2.GetDeadLetterRequest, _context: Context
    ) -> control_pb2.GetDeadLetterResponse:
        """With a reader's key the payload is fetched from the atom, sealed to that key, and that is audited."""
        letter, row = await self._held(request.dead_letter_id)
        answer = control_pb2.GetDeadLetterResponse(dead_letter=letter, seal_public_key=row.seal_public_key)
        if not request.reader_public_key and not request.reveal:
            return answer
        _check_reader(letter, request.reader_public_key, reveal=request.reveal)
        show = agent_pb2.ShowDeadLetter(
            dead_letter_id=letter.dead_letter_id, reader_public_key=request.reader_public_key, reveal=request.reveal
        )
        action = "RevealDeadLetter" if request.reveal else "ShowDeadLetter"
        command = agent_pb2.Command(show_dead_letter=show)
        shown = (await self._send(row, command, action, letter.dead_letter_id, request, "")).show_dead_letter
        answer.sealed_payload = shown.sealed_payload
        answer.classified.extend(shown.classified)
        answer.abridged.extend(shown.abridged)
        if shown.dead_letter.revision > letter.revision:
            # The atom knows what it has not reported yet.
            answer.dead_letter.CopyFrom(shown.dead_letter)
        return answer

    # ---- one ----------------------------------------------------------------------------------------------------

    async def RepairDeadLetter(  # noqa: N802
        self, request: control_pb2.ControlRepairDeadLetterRequest, _context: Context
    ) -> control_pb2.ControlRepairDeadLetterResponse:
        letter, row = await self._held(request.dead_letter_id)
        if request.dry_run:
            _check_reader(letter, request.reader_public_key, reveal=request.reveal)
        repair = agent_pb2.RepairDeadLetter(
            dead_letter_id=letter.dead_letter_id,
            sealed_fields=request.sealed_fields,
            expected_revision=request.expected_revision,
            dry_run=request.dry_run,
            reader_public_key=request.reader_public_key,
            reveal=request.reveal,
        )
        action = "RehearseDeadLetter" if request.dry_run else "RepairDeadLetter"
        command = agent_pb2.Command(repair_dead_letter=repair)
        result = await self._send(row, command, action, letter.dead_letter_id, request, request.request_id)
        done = result.repair_dead_letter
        return control_pb2.ControlRepairDeadLetterResponse(revision=done.revision, sealed_outcome=done.sealed_outcome)

    # ---- many ---------------------------------------------------------------------------------------------------

    async def RetryDeadLetters(  # noqa: N802
        self, request: control_pb2.ControlRetryDeadLettersRequest, _context: Context
    ) -> control_pb2.ControlRetryDeadLettersResponse:
        """The named ones, or all waiting ones that match, each atom's by itself."""
        selection = Selection()
        selection.CopyFrom(request.matching)
        selection.dead_letter_ids.extend(request.dead_letter_ids)
        selection.process = selection.process or request.process
        selection.code = selection.code or request.code

        def command(part: Selection) -> agent_pb2.Command:
            retry = agent_pb2.RetryDeadLetters(
                dead_letter_ids=part.dead_letter_ids,
                matching=None if part.dead_letter_ids else part,
                rate_per_s=request.rate_per_s,
                chunk=request.chunk,
            )
            return agent_pb2.Command(retry_dead_letters=retry)

        answer = control_pb2.ControlRetryDeadLettersResponse()
        for result in await self._each("RetryDeadLetters", request, selection, command):
            done = result.retry_dead_letters
            answer.execution_ids.extend(done.execution_ids)
            answer.retry_ids.extend(done.retry_ids)
            answer.dead_letters += done.dead_letters
        return answer

    async def DiscardDeadLetters(  # noqa: N802
        self, request: control_pb2.ControlDiscardDeadLettersRequest, _context: Context
    ) -> control_pb2.ControlChangeDeadLettersResponse:
        if not request.reason.strip():
            raise DativeError("no reason was given", code=REASON_MISSING)

        def command(part: Selection) -> agent_pb2.Command:
            discard = agent_pb2.DiscardDeadLetters(selection=part, reason=request.reason)
            return agent_pb2.Command(discard_dead_letters=discard)

        return _changed(await self._each("DiscardDeadLetters", request, request.selection, command))

    async def AssignDeadLetters(  # noqa: N802
        self, request: control_pb2.ControlAssignDeadLettersRequest, _context: Context
    ) -> control_pb2.ControlChangeDeadLettersResponse:
        def command(part: Selection) -> agent_pb2.Command:
            assign = agent_pb2.AssignDeadLetters(selection=part, assignee=request.assignee)
            return agent_pb2.Command(assign_dead_letters=assign)

        return _changed(await self._each("AssignDeadLetters", request, request.selection, command))

    async def ExpireDeadLetters(  # noqa: N802
        self, request: control_pb2.ControlExpireDeadLettersRequest, _context: Context
    ) -> control_pb2.ControlChangeDeadLettersResponse:
        def command(part: Selection) -> agent_pb2.Command:
            expire = agent_pb2.ExpireDeadLetters(selection=part)
            if request.HasField("keep"):
                expire.keep.CopyFrom(request.keep)
            return agent_pb2.Command(expire_dead_letters=expire)

        return _changed(await self._each("ExpireDeadLetters", request, request.selection, command))

    async def _each(
        self, action: str, request: Any, selection: Selection, command: Callable[[Selection], agent_pb2.Command]
    ) -> list[agent_pb2.CommandResult]:
        """Send the command to every atom that holds some of the selection.

        The same request id again goes on where it stopped: each part is a command with an id of its own. Errors: what
        an atom answers, with what was done before it.
        """
        results: list[agent_pb2.CommandResult] = []
        for number, (row, part) in enumerate(await self._parts(request.environment, selection)):
            what = f"{row.atom_id}: {_described(part)}"
            part_id = f"{request.request_id}/{number}" if request.request_id else ""
            try:
                results.append(await self._send(row, command(part), action, what, request, part_id, MANY_TIMEOUT))
            except DativeError as refused:
                if results:
                    refused.message = f"{len(results)} atoms did it, {row.name} did not: {refused.message}"
                raise
        return results

    async def _parts(self, environment: str, selection: Selection) -> list[tuple[fleet.AtomRow, Selection]]:
        """Which atom is asked for what. Errors: dead_letters.nothing_selected, rpc.invalid_argument."""
        who = caller()
        if len(selection.dead_letter_ids) > IDS_MAX:
            raise DativeError(f"{len(selection.dead_letter_ids)} ids are named, {IDS_MAX} can be", code=INVALID)
        if selection == Selection():
            raise DativeError("which dead letters?", code=NOTHING_SELECTED)
        if not selection.dead_letter_ids and not environment:
            raise DativeError("a filter needs an environment", code=INVALID)

        def read(sql: Connection) -> list[tuple[fleet.AtomRow, Selection]]:
            if selection.dead_letter_ids:
                return [(_atom(sql, at), part) for at, part in _named(sql, selection.dead_letter_ids, who.require)]
            exact = Selection()
            exact.CopyFrom(selection)
            if exact.execution_id:
                # A person gives a prefix; an atom knows whole ids only.
                exact.execution_id = reports.find_execution(sql, exact.execution_id).execution_id
            wanted = dead_letters.Wanted(
                environments=visible_in(sql, who, environment),
                queue=selection.queue,
                process=selection.process,
                code=selection.code,
                assignee=selection.assignee,
                execution_id=exact.execution_id,
                created_after_ms=_milliseconds(selection, "created_after"),
                created_before_ms=_milliseconds(selection, "created_before"),
            )
            return [(_atom(sql, at), exact) for at in dead_letters.atoms(sql, wanted)]

        return await self._core.database.read(read)

    # ---- atoms --------------------------------------------------------------------------------------------------

    async def _send(
        self,
        row: fleet.AtomRow,
        command: agent_pb2.Command,
        action: str,
        what: str,
        request: Message,
        request_id: str,
        timeout: timedelta | None = None,
    ) -> agent_pb2.CommandResult:
        return await self._core.commander.send(
            row,
            command,
            entry=self._core.entry(action, what, request),
            request_id=request_id,
            traceparent=caller().trace.traceparent,
            timeout=timeout,
        )

    async def _held(self, wanted: str) -> tuple[types_pb2.DeadLetter, fleet.AtomRow]:
        """The dead letter and the atom that holds its payload."""
        who = caller()

        def read(sql: Connection) -> tuple[types_pb2.DeadLetter, fleet.AtomRow]:
            row = dead_letters.find(sql, wanted)
            who.require(row.environment_id)
            return types_pb2.DeadLetter.FromString(row.body), _atom(sql, row.atom_id)

        return await self._core.database.read(read)


def _named(
    sql: Connection, ids: Sequence[str], require: Callable[[str], None]
) -> list[tuple[str, types_pb2.DeadLetterSelection]]:
    """(atom, its part of the named letters), at most PER_COMMAND_MAX in each."""
    by_atom: dict[str, dict[str, None]] = {}
    for wanted in ids:
        row = dead_letters.find(sql, wanted)
        require(row.environment_id)
        by_atom.setdefault(row.atom_id, {})[row.dead_letter_id] = None
    return [
        (atom_id, Selection(dead_letter_ids=list(held)[start : start + PER_COMMAND_MAX]))
        for atom_id, held in by_atom.items()
        for start in range(0, len(held), PER_COMMAND_MAX)
    ]


def _atom(sql: Connection, atom_id: str) -> fleet.AtomRow:
    row = holder(sql, atom_id)
    if row is None:
        raise DativeError(f"the atom {atom_id}, which holds it, is gone", code=codes.ATOM_OFFLINE)
    return row


def _check_reader(letter: types_pb2.DeadLetter, key: bytes, *, reveal: bool) -> None:
    """Who may be shown a document. Errors: rpc.permission_denied, rpc.invalid_argument."""
    caller().require(letter.environment_id, REVEALERS if reveal else OPERATORS)
    if len(key) != KEY_BYTES:
        raise DativeError(f"reader_public_key must be {KEY_BYTES} bytes", code=INVALID)


def _changed(results: Sequence[agent_pb2.CommandResult]) -> control_pb2.ControlChangeDeadLettersResponse:
    count = sum(result.change_dead_letters.dead_letters for result in results)
    return control_pb2.ControlChangeDeadLettersResponse(dead_letters=count)


def _described(part: types_pb2.DeadLetterSelection) -> str:
    """For the audit log: which letters, in a line."""
    if part.dead_letter_ids:
        first = part.dead_letter_ids[0]
        return first if len(part.dead_letter_ids) == 1 else f"{first} and {len(part.dead_letter_ids) - 1} more"
    said = [f"{item.name}={getattr(part, item.name)}" for item, _ in part.ListFields() if item.message_type is None]
    said += [f"{item.name}={value.ToJsonString()}" for item, value in part.ListFields() if item.message_type]
    return ", ".join(said)[:200]


def _milliseconds(message: Any, name: str) -> int:
    value: Timestamp = getattr(message, name)
    return value.ToMilliseconds() if message.HasField(name) else 0
