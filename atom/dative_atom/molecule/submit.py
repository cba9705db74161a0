"""What any member may write of an execution, leader or not: that there is one, and that somebody wants its end."""

from __future__ import annotations

import msgspec

from dative_atom.molecule.claim import TRIES_MAX, item_of
from dative_atom.molecule.coordination import Ambiguous, Compare, Coordination, Get, Put, Unavailable
from dative_atom.molecule.keys import Keys
from dative_atom.molecule.values import VERSION, ExecutionKind, ExecutionValue, decode, encode


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that the journal holds already. Fields: see `values.ExecutionValue`."""

    execution_id: str
    stream: str
    at_ms: int
    digest: str = ""
    process: str = ""
    kind: ExecutionKind = "job"
    of: str = ""
    partition: str = ""


async def submit(coordination: Coordination, keys: Keys, submission: Submission) -> bool:
    """Let it wait for a member. False: it was there. An answer that was lost is read back; again is fine.

    Errors: Unavailable, molecule.coordination_full, molecule.coordination_refused, molecule.name_invalid.
    """
    key = keys.execution(submission.execution_id)
    fields = {name: getattr(submission, name) for name in submission.__struct_fields__ if name != "execution_id"}
    body = encode(ExecutionValue(v=VERSION, state="P", **fields), key)
    return await _put_once(coordination, Compare.absent(key), Put(key, body), f"submit {submission.execution_id}")


async def cancel(coordination: Coordination, keys: Keys, execution_id: str) -> bool:
    """Ask for its end, wherever it is. False: there is no such execution. Errors: as `submit`."""
    key = keys.execution(execution_id)
    for _ in range(TRIES_MAX):
        found = await coordination.transact([Compare.absent(keys.prefix)], [Get(key)])
        item = item_of(found, key)
        if item is None:
            return False
        value = decode(ExecutionValue, item.value, key)
        if value.cancel:
            return True
        body = msgspec.structs.replace(value, cancel=True)
        try:
            await coordination.transact([Compare.unchanged(key, item.mod_revision)], [Put(key, encode(body, key))])
        except Ambiguous:
            continue
    raise Unavailable(f"cancel {execution_id}: it changed {TRIES_MAX} times meanwhile", where=execution_id)


async def _put_once(coordination: Coordination, compare: Compare, put: Put, what: str) -> bool:
    for _ in range(TRIES_MAX):
        try:
            return (await coordination.transact([compare], [put])).held
        except Ambiguous:
            found = await coordination.transact([Compare.absent(put.key)], [], [Get(put.key)])
            item = item_of(found, put.key)
            if item is not None:
                return item.value == put.value
    raise Unavailable(f"{what}: no answer in {TRIES_MAX} tries", where=put.key)
