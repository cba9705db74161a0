"""Identities: which string is which, and how new ones are made.

ULIDs where order of making matters (keyset paging reads them newest first). An execution's id is made from its schedule
and planned time, so that a schedule fires once however many times it is tried. This file knows no clock but the one
passed in.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import NewType

from ulid import ULID

OrganizationId = NewType("OrganizationId", str)
EnvironmentId = NewType("EnvironmentId", str)
MoleculeId = NewType("MoleculeId", str)
AtomId = NewType("AtomId", str)
ProcessName = NewType("ProcessName", str)
StepId = NewType("StepId", str)
ConnectionName = NewType("ConnectionName", str)
ExecutionId = NewType("ExecutionId", str)
DeploymentId = NewType("DeploymentId", str)
DeadLetterId = NewType("DeadLetterId", str)
CommandId = NewType("CommandId", str)
BlobDigest = NewType("BlobDigest", str)  # "sha256:<64 hex>"
TraceId = NewType("TraceId", str)  # 32 hex digits
SpanId = NewType("SpanId", str)  # 16 hex digits


_CROCKFORD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789ABCDEFGHJKMNPQRSTVWXYZ")
"""From the alphabet of RFC 4648's base 32 to that of ULIDs."""


def new_id(now: datetime) -> str:
    """A fresh ULID stamped `now` (aware): 26 characters, sortable by time, 80 random bits."""
    return str(ULID.from_datetime(now))


def derived_id(at: datetime, *parts: str) -> str:
    """A ULID that the same `at` (aware) and parts always give: time from `at`, the other 80 bits from their SHA-256."""
    digest = hashlib.sha256("\x1f".join((at.isoformat(), *parts)).encode()).digest()
    milliseconds = int(at.timestamp() * 1000)
    return str(ULID(milliseconds.to_bytes(6, "big") + digest[:10]))


def document_ids(at: datetime, execution_id: ExecutionId, documents: Iterable[int]) -> list[str]:
    """ULIDs that the same `at` (aware), execution and document number always give; documents: 0 <= number < 2**64.

    Time from `at`; 64 bits from the SHA-256 of the execution and the number's block of 65,536; then its place in that
    block. So documents that are kept together lie together in an index, and are found in their order.
    """
    milliseconds = int(at.timestamp() * 1000).to_bytes(6, "big")
    blocks: dict[int, bytes] = {}
    made = []
    for document in documents:
        block = document >> 16
        if block not in blocks:
            named = "\x1f".join((at.isoformat(), execution_id, str(block)))
            blocks[block] = hashlib.sha256(named.encode()).digest()[:8]
        made.append(blocks[block] + (document & 0xFFFF).to_bytes(2, "big"))
    # Ten bytes are sixteen letters exactly, so all of them together read as each alone.
    letters = base64.b32encode(b"".join(made)).translate(_CROCKFORD).decode()
    moment = str(ULID(milliseconds + bytes(10)))[:10]
    return [moment + letters[start : start + 16] for start in range(0, len(letters), 16)]


def scheduled_execution_id(
    environment: EnvironmentId, process: ProcessName, schedule: str, planned_at: datetime
) -> ExecutionId:
    """The one id of the execution that `schedule` plans for `planned_at` (aware)."""
    return ExecutionId(derived_id(planned_at, environment, process, schedule))
