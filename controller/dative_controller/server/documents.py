"""One document's way, and what targets have of it: searching tracked keys, and receipts from the atom that ran them.

A key that is tracked by its hash can be searched only with the help of an atom, because only atoms have the key of the
hash; the value travels sealed to it, so this controller never reads it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from dative.errors import DativeError
from dative.errors import control as codes
from dative.errors.rpc import DENIED, INVALID
from dative.v1 import agent_pb2, control_pb2, types_pb2
from sqlalchemy import Connection

from dative_controller.reporting.find import Search, find
from dative_controller.reporting.index import key_bytes
from dative_controller.server.caller import Caller, caller
from dative_controller.server.choose import choose_atom, holder
from dative_controller.server.core import Core, page_size
from dative_controller.server.permissions import OPERATORS
from dative_controller.server.visible import visible_in
from dative_controller.store import commands, environments, fleet, reports, tracking
from dative_controller.store.tracking import Wanted


async def find_documents(core: Core, request: control_pb2.FindDocumentsRequest) -> control_pb2.FindDocumentsResponse:
    """Without a key: only which atoms can hash one. Errors: control.not_found, rpc.permission_denied, fleet.atom_offline."""
    who = caller()
    within = await core.database.read(lambda sql: visible_in(sql, who, request.environment))
    key = await _hashed(core, request) if request.sealed_key else key_bytes(request.key)
    if not key:
        return control_pb2.FindDocumentsResponse(hashers=await _hashers(core, who, within))
    search = Search(
        key,
        hashed=bool(request.sealed_key),
        name=request.field,
        wanted=Wanted(within, request.process, request.since.ToMilliseconds(), request.until.ToMilliseconds()),
        before=request.before,
        rows_max=page_size(request.page_size),
    )
    found = await find(core.database, search)
    hashers = [] if request.sealed_key else await _hashers(core, who, within)
    return control_pb2.FindDocumentsResponse(documents=found.documents, next_before=found.next_before, hashers=hashers)


async def _hashed(core: Core, request: control_pb2.FindDocumentsRequest) -> bytes:
    """What stands for the sealed value among hashed keys. Asked of the atom that it is sealed to; audited."""
    if request.key or not (request.environment and request.atom):
        raise DativeError("a sealed key is searched in one environment, with the atom it is sealed to", code=INVALID)
    row = await choose_atom(core, request.environment, molecule=None, atom=request.atom)
    caller().require(row.environment_id, OPERATORS)
    result = await core.commander.send(
        row,
        agent_pb2.Command(hash_key=agent_pb2.HashKey(sealed_value=request.sealed_key)),
        entry=core.entry("SearchClassifiedKey", f"{request.environment[:100]}/{row.atom_id}", request),
        request_id="",
        traceparent=caller().trace.traceparent,
    )
    if not result.hash_key.hash:
        raise DativeError(f"atom {row.name} gave no hash", code=codes.COMMAND_UNANSWERED)
    return bytes(result.hash_key.hash)


async def _hashers(core: Core, who: Caller, within: list[str] | None) -> list[control_pb2.Hasher]:
    """An atom for each environment with hashed keys that this caller may search."""

    def read(sql: Connection) -> list[control_pb2.Hasher]:
        names = {row.environment_id: row.name for row in environments.rows(sql)}
        found = []
        for environment_id in tracking.hashing(sql, within):
            if environment_id in names and _may_search(who, environment_id):
                atoms = [row for row in fleet.listed(sql, environment_id) if row.state == "approved" and row.connected]
                found.append(
                    control_pb2.Hasher(
                        environment=names[environment_id],
                        environment_id=environment_id,
                        atom=atoms[0].atom_id if atoms else "",
                        seal_public_key=atoms[0].seal_public_key if atoms else b"",
                    )
                )
        return found

    return await core.database.read(read)


def _may_search(who: Caller, environment_id: str) -> bool:
    try:
        who.require(environment_id, OPERATORS)
    except DativeError as denied:
        if denied.code is not DENIED:
            raise
        return False
    return True


async def read_receipts(
    core: Core, request: control_pb2.ControlReadReceiptsRequest
) -> AsyncIterator[control_pb2.ControlReadReceiptsResponse]:
    """An execution's receipts in bounded pieces, each fetched when the one before was taken.

    Errors: control.not_found, rpc.permission_denied, fleet.atom_offline, links.command_unanswered.
    """
    who = caller()

    def held(sql: Connection) -> tuple[types_pb2.Execution, fleet.AtomRow | None]:
        found = reports.find_execution(sql, request.execution_id)
        who.require(found.environment_id)
        return types_pb2.Execution.FromString(found.body), holder(sql, found.atom_id)

    execution, row = await core.database.read(held)
    if row is None:
        raise DativeError(f"the atom of execution {execution.execution_id} is gone", code=codes.ATOM_OFFLINE)
    yield control_pb2.ControlReadReceiptsResponse(execution=execution)
    after = ""
    while True:
        wanted = agent_pb2.ReadReceipts(execution_id=execution.execution_id, after=after)
        command = agent_pb2.Command(read_receipts=wanted)
        result = await core.commander.send(
            row,
            command,
            entry=core.entry("ReadReceipts", f"{execution.execution_id} {after}".rstrip(), request),
            request_id="",
            traceparent=who.trace.traceparent,
        )
        # The answer has been taken: keeping it would make a copy of the receipts here.
        await core.database.write(lambda sql, at=command.command_id: commands.drop(sql, at))  # type: ignore[misc]
        if result.read_receipts.parts:
            yield control_pb2.ControlReadReceiptsResponse(parts=result.read_receipts.parts)
        if not result.read_receipts.next or result.read_receipts.next == after:
            return
        after = result.read_receipts.next
