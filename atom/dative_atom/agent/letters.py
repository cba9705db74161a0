"""Commands about dead letters: show, edit, retry, discard, assign, expire. What each may do is decided in the journal.

Documents cross to a person only sealed to a key of theirs; classified fields come masked unless they are revealed, and
that is written down with the letter first.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Container, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from dative.errors import DativeError, from_status
from dative.errors.agent import WORKER_CRASHED
from dative.errors.dead_letters import NOTHING_SELECTED, PAYLOAD_GONE, RATE_INVALID, REASON_MISSING
from dative.errors.journal import UNKNOWN_DEAD_LETTER
from dative.errors.rpc import INVALID
from dative.ids import DeadLetterId
from dative.secrets import SealKey, open_sealed, seal, seal_info
from dative.v1 import agent_pb2, types_pb2
from dative.waiting import WaitingClock
from google.protobuf.timestamp_pb2 import Timestamp

from dative_atom.agent import vault
from dative_atom.agent.books import Books
from dative_atom.agent.bundles import Bundles
from dative_atom.agent.executions import Executions
from dative_atom.agent.retries import CHUNK_MAX, RATE_MAX_PER_S, Retries, chunk_of
from dative_atom.agent.runner import Runner
from dative_atom.agent.worker import WorkerLost
from dative_atom.journal.dead_letters import letter_message
from dative_atom.journal.letters import DeadLetter, LetterChange, Retry, Selection
from dative_atom.worker.protocol import Rehearse

IDS_MAX = 1000
TEXT_MAX = 500
"""Characters of a reason and of an assignee."""
PAYLOAD_BYTES_MAX = 512 * 1024
"""Of a document that is shown; the longest fields of a larger one are cut, and said to be."""
SHOWN_CHARACTERS = (2000, 100, 10)
REHEARSED_WITHIN_S = 25.0
MASKED = "***"
PAYLOAD_PURPOSE = "dative/dead-letter/v1"
REPAIR_PURPOSE = "dative/dead-letter-repair/v1"

Result = agent_pb2.CommandResult
Handler = Callable[[agent_pb2.Command], Awaitable[Result]]


class LetterCommands:
    """handlers: command kind -> what carries it out. written: set when there is something new for the controller."""

    def __init__(
        self,
        books: Books,
        bundles: Bundles,
        executions: Executions,
        retries: Retries,
        runner: Runner,
        seal_key: SealKey,
        clock: WaitingClock,
        written: asyncio.Event,
    ) -> None:
        self._books, self._journal = books, books.journal
        self._bundles = bundles
        self._executions = executions
        self._retries = retries
        self._runner = runner
        self._seal_key = seal_key
        self._clock = clock
        self._written = written
        self.handlers: dict[str, Handler] = {
            "retry_dead_letters": self._retry,
            "show_dead_letter": self._show,
            "repair_dead_letter": self._repair,
            "discard_dead_letters": self._discard,
            "assign_dead_letters": self._assign,
            "expire_dead_letters": self._expire,
        }

    # ---- one ----------------------------------------------------------------------------------------------------

    async def _show(self, command: agent_pb2.Command) -> Result:
        wanted = command.show_dead_letter
        identity = DeadLetterId(wanted.dead_letter_id)
        letter = await self._letter(identity)
        if not letter.payload_bytes:
            raise DativeError(f"the document of {identity} is gone, it is {letter.state}", code=PAYLOAD_GONE)
        classified = self._classified(letter)
        if wanted.reveal and classified:
            await self._check_reader(wanted.reader_public_key)
            # On record before anybody has seen it.
            await self._books.run(self._journal.revealed, identity, command.actor)
            self._written.set()
            letter = await self._letter(identity)
        hidden = () if wanted.reveal else classified
        shown = {name: MASKED if name in hidden else value for name, value in letter.parked.payload.items()}
        shown, abridged = await asyncio.to_thread(abridge, shown)
        body = json.dumps(shown, ensure_ascii=False).encode()
        return Result(
            show_dead_letter=agent_pb2.ShowDeadLetterResult(
                dead_letter=self._message(letter),
                sealed_payload=seal(body, wanted.reader_public_key, seal_info(PAYLOAD_PURPOSE, identity)),
                classified=classified,
                abridged=abridged,
            )
        )

    async def _repair(self, command: agent_pb2.Command) -> Result:
        wanted = command.repair_dead_letter
        identity = DeadLetterId(wanted.dead_letter_id)
        fields = _fields(open_sealed(wanted.sealed_fields, self._seal_key, seal_info(REPAIR_PURPOSE, identity)))
        if wanted.dry_run:
            return await self._rehearse(command, fields)
        letter = await self._books.run(
            self._journal.repair,
            identity,
            fields,
            actor=command.actor,
            expected_revision=wanted.expected_revision,
        )
        self._written.set()
        return Result(repair_dead_letter=agent_pb2.RepairDeadLetterResult(revision=letter.revision))

    async def _rehearse(self, command: agent_pb2.Command, fields: Mapping[str, Any]) -> Result:
        """Where the edited document would end, sealed to who asked: targets' input holds its values."""
        wanted = command.repair_dead_letter
        identity = DeadLetterId(wanted.dead_letter_id)
        letter = await self._books.run(
            self._journal.check_repair, identity, fields, expected_revision=wanted.expected_revision
        )
        if wanted.reveal and self._classified(letter):
            await self._check_reader(wanted.reader_public_key)
            await self._books.run(self._journal.revealed, identity, command.actor)
            self._written.set()
        outcome = await self._rehearsed(command.command_id, letter, fields, reveal=wanted.reveal)
        outcome["targets"] = [
            {**target, "document": abridge(target["document"], PAYLOAD_BYTES_MAX // max(len(outcome["targets"]), 1))[0]}
            for target in outcome["targets"]
        ]
        body = json.dumps(outcome, ensure_ascii=False).encode()
        sealed = seal(body, wanted.reader_public_key, seal_info(PAYLOAD_PURPOSE, identity))
        return Result(
            repair_dead_letter=agent_pb2.RepairDeadLetterResult(revision=letter.revision, sealed_outcome=sealed)
        )

    async def _check_reader(self, key: bytes) -> None:
        """Where the signed bundle names readers of the vault, classified fields are sealed to these alone.

        Where it names none, whoever the controller entitles may read. Errors: vault.not_entitled.
        """
        readers = (await asyncio.to_thread(self._bundles.vault))[1] if self._bundles.active is not None else {}
        if readers:
            vault.admitted(readers, key)

    async def _rehearsed(
        self, request_id: str, letter: DeadLetter, fields: Mapping[str, Any], *, reveal: bool
    ) -> dict[str, Any]:
        stream, execution = await self._executions.rehearsal(letter.process)
        request = Rehearse(
            request_id, execution, stream, letter.dead_letter_id, json.dumps(fields).encode(), reveal=reveal
        )
        try:
            answer = await self._runner.rehearse(request, REHEARSED_WITHIN_S)
        except (WorkerLost, TimeoutError) as lost:
            raise DativeError(f"the dry run of {letter.process} did not end: {lost}", code=WORKER_CRASHED) from lost
        if answer.failure:
            failed = answer.failure
            raise from_status(failed["code"], failed["message"], failed["where"], failed["next"])
        outcome: dict[str, Any] = json.loads(answer.outcome)
        return outcome

    # ---- many ---------------------------------------------------------------------------------------------------

    async def _retry(self, command: agent_pb2.Command) -> Result:
        wanted = command.retry_dead_letters
        matching = wanted.matching
        if wanted.dead_letter_ids:
            matching = types_pb2.DeadLetterSelection(dead_letter_ids=wanted.dead_letter_ids)
        if not 0 <= wanted.rate_per_s <= RATE_MAX_PER_S or wanted.chunk > CHUNK_MAX:
            raise DativeError(
                f"{wanted.rate_per_s:g}/s in chunks of {wanted.chunk}; at most {RATE_MAX_PER_S:g}/s and {CHUNK_MAX}",
                code=RATE_INVALID,
            )
        selection = self._selection(matching)
        counts = await self._books.run(self._journal.count_letters, selection)
        retries = [
            Retry(
                retry_id=f"{command.command_id}.{process}",
                process=process,
                selection=selection,
                actor=command.actor,
                created_at=self._clock.now(),
                command_id=command.command_id,
                traceparent=command.traceparent,
                rate_per_s=wanted.rate_per_s,
                chunk=chunk_of(wanted.rate_per_s, wanted.chunk),
            )
            for process in counts
        ]
        for retry in retries:
            self._executions.check_retry(retry)
        first = [await self._retries.start(retry) for retry in retries]
        self._written.set()
        return Result(
            retry_dead_letters=agent_pb2.RetryDeadLettersResult(
                execution_ids=[one for one in first if one is not None],
                retry_ids=[retry.retry_id for retry in retries],
                dead_letters=sum(counts.values()),
            )
        )

    async def _discard(self, command: agent_pb2.Command) -> Result:
        wanted = command.discard_dead_letters
        if not wanted.reason.strip():
            raise DativeError("no reason was given", code=REASON_MISSING)
        change = LetterChange("discard", command.actor, reason=wanted.reason.strip()[:TEXT_MAX])
        return await self._change(wanted.selection, change)

    async def _assign(self, command: agent_pb2.Command) -> Result:
        wanted = command.assign_dead_letters
        change = LetterChange("assign", command.actor, assignee=wanted.assignee.strip()[:TEXT_MAX])
        return await self._change(wanted.selection, change)

    async def _expire(self, command: agent_pb2.Command) -> Result:
        wanted = command.expire_dead_letters
        keep_s = wanted.keep.ToTimedelta().total_seconds() if wanted.HasField("keep") else 0.0
        change = LetterChange("keep" if keep_s > 0 else "expire", command.actor, keep_s=keep_s)
        return await self._change(wanted.selection, change)

    async def _change(self, wanted: types_pb2.DeadLetterSelection, change: LetterChange) -> Result:
        """Step by step to the end of the selection; letters that are parked meanwhile are not in it."""
        selection = self._selection(wanted)
        if not selection.ids and selection.created_before is None:
            selection = replace(selection, created_before=self._clock.now())
        changed, after, more = 0, "", True
        while more:
            count, after = await self._books.run(self._journal.change_letters, selection, change, after=after)
            changed, more = changed + count, bool(after)
        self._written.set()
        return Result(change_dead_letters=agent_pb2.ChangeDeadLettersResult(dead_letters=changed))

    def _selection(self, wanted: types_pb2.DeadLetterSelection) -> Selection:
        """Errors: rpc.invalid_argument for too many ids, dead_letters.nothing_selected for none of anything."""
        ids = tuple(DeadLetterId(one) for one in dict.fromkeys(wanted.dead_letter_ids))
        if len(ids) > IDS_MAX:
            raise DativeError(f"{len(ids)} dead letters are named; {IDS_MAX} can be at once", code=INVALID)
        selection = Selection(
            ids=ids,
            queue=wanted.queue,
            process=wanted.process,
            code=wanted.code,
            assignee=wanted.assignee,
            execution_id=wanted.execution_id,
            created_after=_moment(wanted, "created_after"),
            created_before=_moment(wanted, "created_before"),
        )
        if selection == Selection() and not wanted.all:
            raise DativeError("which dead letters?", code=NOTHING_SELECTED)
        return selection

    # ---- reading ------------------------------------------------------------------------------------------------

    async def _letter(self, dead_letter_id: DeadLetterId) -> DeadLetter:
        found = await self._books.run(self._journal.dead_letter, dead_letter_id)
        if found is None:
            raise DativeError(f"no dead letter {dead_letter_id} is on this atom", code=UNKNOWN_DEAD_LETTER)
        return found

    def _classified(self, letter: DeadLetter) -> list[str]:
        """Fields that were protected when it was parked, or are by now: a later version may know better."""
        active = self._bundles.active
        content = active.processes.get(letter.process) if active else None
        today: Container[str] = content.classified if content else ()
        then = letter.parked.classified
        return [name for name in letter.parked.payload if name in then or name in today]

    def _message(self, letter: DeadLetter) -> types_pb2.DeadLetter:
        message = letter_message(letter)
        message.environment_id = self._bundles.identity.environment_id
        message.atom_id = self._bundles.identity.atom_id
        return message


def abridge(payload: Mapping[str, Any], bytes_max: int = PAYLOAD_BYTES_MAX) -> tuple[dict[str, Any], list[str]]:
    """The payload with its longest fields cut until it has at most `bytes_max`, and which they are.

    Errors: rpc.invalid_argument for so many fields that even cut ones do not fit.
    """
    texts = {name: json.dumps(value, ensure_ascii=False) for name, value in payload.items()}
    sizes = {name: _bytes(name, value) for name, value in payload.items()}
    total, shown, cut = sum(sizes.values()), dict(payload), dict[str, None]()
    for characters in SHOWN_CHARACTERS:
        for name in sorted(sizes, key=lambda name: -sizes[name]):
            if total <= bytes_max or len(texts[name]) <= characters:
                break
            shown[name] = f"{texts[name][:characters]}… ({len(texts[name])} characters)"
            size = _bytes(name, shown[name])
            total, sizes[name] = total - sizes[name] + size, size
            cut[name] = None
    if total > bytes_max:
        raise DativeError(f"the document has {len(payload)} fields, too many to be shown", code=INVALID)
    return shown, list(cut)


def _bytes(name: str, value: Any) -> int:
    """Of one field in the JSON of its document."""
    return len(json.dumps({name: value}, ensure_ascii=False).encode())


def _moment(wanted: types_pb2.DeadLetterSelection, name: str) -> datetime | None:
    value: Timestamp = getattr(wanted, name)
    return value.ToDatetime(UTC) if wanted.HasField(name) else None


def _fields(data: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(data)
    except ValueError as broken:
        raise DativeError("the repaired fields are no JSON", code=INVALID) from broken
    if not isinstance(fields, dict) or not fields:
        raise DativeError("the repaired fields are no JSON object of field and value", code=INVALID)
    return fields
