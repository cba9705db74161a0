"""Receipts as people and other programs read them: one line per document and target, from the records that atoms keep.

Both programs print them, the atom from its journal and `dative` from what an atom sends; the form is the same, so that
a third program can compare either with the target. pyarrow is imported where a record is read: both programs have it,
the process language alone does not need it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, Final

from dative.errors import DativeError
from dative.errors.journal import RECEIPTS_BROKEN
from dative.v1 import agent_pb2

FORMATS: Final = ("table", "csv", "jsonl")
COLUMNS: Final = (
    "at",
    "execution",
    "process",
    "version",
    "batch",
    "attempt",
    "step",
    "document",
    "made",
    "outcome",
    "code",
    "target",
    "fencing_token",
)
"""made: the number of a document that a step made of this one.
In CSV "key.<field>" and "hash.<field>" (hex) columns follow; in JSON they are the objects `keys` and `hashed`."""
RECORD_BYTES_MAX: Final = 8 << 20
"""Of one record; atoms cut them long before. A larger one is refused with journal.receipts_broken."""
_WIDTHS_FROM: Final = 200
_TABLE: Final = ("at", "step", "document", "outcome", "code", "target", "batch", "attempt", "keys")

Receipt = dict[str, Any]


@dataclass(frozen=True)
class About:
    """Whose receipts they are."""

    execution_id: str
    process: str
    process_version: int


def whole(parts: Iterable[agent_pb2.ReceiptPart]) -> Iterator[agent_pb2.ReceiptPart]:
    """Records put together again from their pieces, in order. Errors: journal.receipts_broken."""
    head: agent_pb2.ReceiptPart | None = None
    data = bytearray()
    for part in parts:
        if part.offset != len(data) or part.size > RECORD_BYTES_MAX or (head and head.sequence != part.sequence):
            raise DativeError(f"record {part.sequence} came in another order than it was cut", code=RECEIPTS_BROKEN)
        head = part if head is None else head
        data += part.data
        if len(data) < part.size:
            continue
        found = agent_pb2.ReceiptPart()
        found.CopyFrom(head)
        found.data = bytes(data)
        yield found
        head, data = None, bytearray()
    if head is not None:
        raise DativeError(f"record {head.sequence} ends in its middle", code=RECEIPTS_BROKEN)


def receipts(about: About, record: agent_pb2.ReceiptPart) -> Iterator[Receipt]:
    """The receipts of a whole record, in the order of COLUMNS. Errors: journal.receipts_broken."""
    import pyarrow as pa

    try:
        table = pa.ipc.open_stream(record.data).read_all()
    except pa.ArrowException as broken:
        raise DativeError(f"record {record.sequence} can not be read", code=RECEIPTS_BROKEN) from broken
    at = datetime.fromtimestamp(record.settled_at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    keys = {name: name.partition(".")[2] for name in table.column_names if name.startswith("key.")}
    hashes = {name: name.partition(".")[2] for name in table.column_names if name.startswith("hash.")}
    shared = "effect" in table.column_names
    for row in table.to_pylist():
        # Rows that a batch's receipts share with its tracked documents: what came to no target is no receipt.
        outcome = row["effect"] if shared else row["outcome"]
        if outcome is None:
            continue
        yield {
            "at": at,
            "execution": about.execution_id,
            "process": about.process,
            "version": about.process_version,
            "batch": record.batch,
            "attempt": record.attempt,
            "step": row["step"] if shared and outcome == "parked" else record.step,
            "document": row["document"],
            "made": row.get("made"),
            "outcome": outcome,
            "code": row["code"],
            "target": row["target"],
            "fencing_token": record.fencing_token,
            "keys": {field: row[name] for name, field in keys.items()},
            "hashed": {field: row[name].hex() if row[name] is not None else None for name, field in hashes.items()},
        }


def lines(found: Iterable[Receipt], form: str) -> Iterator[str]:
    """Text lines without their end. form: of FORMATS."""
    if form == "jsonl":
        return (json.dumps(receipt, ensure_ascii=False) for receipt in found)
    return _csv(found) if form == "csv" else _table(found)


def _csv(found: Iterable[Receipt]) -> Iterator[str]:
    names: list[str] = []
    for receipt in found:
        flat = {name: receipt[name] for name in COLUMNS}
        flat |= {f"key.{field}": value for field, value in receipt["keys"].items()}
        flat |= {f"hash.{field}": value for field, value in receipt["hashed"].items()}
        if not names:
            names = list(flat)
            yield _csv_line(names)
        yield _csv_line([flat.get(name) for name in names])


def _csv_line(values: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(["" if value is None else value for value in values])
    return text.getvalue()


def _table(found: Iterable[Receipt]) -> Iterator[str]:
    """Columns as wide as the first receipts need; what is longer later stands out of line."""
    rows = (_cells(receipt) for receipt in found)
    first = list(islice(rows, _WIDTHS_FROM))
    if not first:
        return
    widths = [max(len(row[index]) for row in [list(_TABLE), *first]) for index in range(len(_TABLE))]
    for row in chain([list(_TABLE)], first, rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _cells(receipt: Mapping[str, Any]) -> list[str]:
    keys = " ".join(f"{field}={value}" for field, value in receipt["keys"].items() if value is not None)
    return [keys if name == "keys" else str(value if (value := receipt[name]) is not None else "") for name in _TABLE]
