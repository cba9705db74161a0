"""A document by the value of any tracked key: the index names the parts that can hold it, each is opened and looked at.

Newest first, as parts arrived. A page ends with a token that the next one goes on from, so nothing is shown twice and
nothing is left out, however many documents share the key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dative.errors import DativeError
from dative.errors.rpc import INVALID
from dative.v1 import control_pb2
from sqlalchemy import Connection, Row

from dative_controller.reporting import index
from dative_controller.store import dead_letters, tracking
from dative_controller.store.database import Database
from dative_controller.store.tracking import Wanted
from dative_controller.telemetry.log import log

if TYPE_CHECKING:
    import pyarrow as pa

PARTS_AT_ONCE = 16
PARTS_MAX = 2_048
"""Opened for one page; at this bound the page ends early and its token says where to go on."""


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for. key: its bytes; hashed: they are a hash that an atom made. name: of the tracked field, "" is any.

    before: the token of the page before; "" is the first.
    """

    key: bytes
    hashed: bool = False
    name: str = ""
    wanted: Wanted = field(default_factory=Wanted)
    before: str = ""
    rows_max: int = 50


@dataclass(slots=True)
class Found:
    """A page. next_before: the token of the next one; "" when this was the last."""

    documents: list[control_pb2.FoundDocument] = field(default_factory=list)
    next_before: str = ""


async def find(database: Database, search: Search) -> Found:
    """The page. Errors: rpc.invalid_argument for a token that is none."""
    before = _token(search.before)
    numbers = await database.read(lambda sql: _candidates(sql, search.key, before))
    found = Found()
    for start in range(0, min(len(numbers), PARTS_MAX), PARTS_AT_ONCE):
        some = numbers[start : start + PARTS_AT_ONCE]
        rows = await database.read(lambda sql, of=some: tracking.parts(sql, of, search.wanted))  # type: ignore[misc]
        # One more than the page holds says that there is a next one.
        room = search.rows_max + 1 - len(found.documents)
        found.documents += await asyncio.to_thread(_read, rows, search, before, room)
        if len(found.documents) > search.rows_max:
            del found.documents[search.rows_max :]
            last = found.documents[-1]
            found.next_before = f"{last.part_number}.{last.document}"
            break
    else:
        if len(numbers) > PARTS_MAX:
            found.next_before = f"{numbers[PARTS_MAX]}.{_NO_DOCUMENT}"
    await _add_reasons(database, found.documents)
    return found


_NO_DOCUMENT = (1 << 64) - 1
"""Above every document's number: a token with it begins with all of its part."""


def _token(text: str) -> tuple[int, int] | None:
    """(part, document) of a token: what comes before it is wanted."""
    if not text:
        return None
    number, _, document = text.partition(".")
    if not (number.isdecimal() and document.isdecimal()) or len(text) > 48:
        raise DativeError(f"{text[:48]!r} is no token of a page", code=INVALID)
    return int(number), int(document)


def _candidates(sql: Connection, key: bytes, before: tuple[int, int] | None) -> list[int]:
    """Numbers of the parts that can hold the key, newest first."""
    hash_ = index.hash_of(key)
    numbers = set(tracking.fresh_numbers(sql))
    for page in tracking.pages_for(sql, hash_):
        numbers.update(index.numbers(page, hash_))
    return sorted((number for number in numbers if before is None or number <= before[0]), reverse=True)


def _read(
    rows: Sequence[Row[Any]], search: Search, before: tuple[int, int] | None, rows_max: int
) -> list[control_pb2.FoundDocument]:
    """The documents of these parts that have the key, newest first."""
    import pyarrow as pa

    found: list[control_pb2.FoundDocument] = []
    for row in rows:
        below = before[1] if before is not None and row.number == before[0] else None
        try:
            found.extend(_matches(row, search, below, rows_max - len(found)))
        except (pa.ArrowException, UnicodeError, KeyError) as broken:
            log.warning("tracked.unreadable", execution_id=row.execution_id, batch=row.batch, error=str(broken))
        if len(found) >= rows_max:
            break
    return found


def _matches(row: Row[Any], search: Search, below: int | None, rows_max: int) -> Iterator[control_pb2.FoundDocument]:
    import pyarrow as pa
    import pyarrow.compute as pc

    schema = pa.ipc.open_stream(row.body).schema
    keys = _key_columns(schema, search)
    if not keys:
        return
    # The keys alone are decompressed first: most parts that a hash names hold the key, fresh ones mostly do not.
    options = pa.ipc.IpcReadOptions(included_fields=[schema.get_field_index(name) for name in keys])
    table = pa.ipc.open_stream(row.body, options=options).read_all()
    mask = None
    for name in keys:
        wanted = pa.scalar(search.key).cast(table[name].type)
        equal = pc.fill_null(pc.equal(table[name], wanted), False)
        mask = equal if mask is None else pc.or_(mask, equal)
    places = pc.indices_nonzero(mask)
    if not len(places):
        return
    matches = pa.ipc.open_stream(row.body).read_all().take(places).sort_by([("document", "descending")])
    if below is not None:
        matches = matches.filter(pc.less(matches["document"], pa.scalar(below, pa.uint64())))
    for match in matches.slice(0, rows_max).to_pylist():
        yield _shown(row, match)


def _key_columns(schema: pa.Schema, search: Search) -> list[str]:
    """Columns of the part that the key is compared with: a hash only with hashes, a value only with values."""
    import pyarrow as pa

    prefix = "hash." if search.hashed else "key."
    names = [f"{prefix}{search.name}"] if search.name else schema.names
    return [
        name
        for name in names
        if name.startswith(prefix)
        and name in schema.names
        and (not search.hashed or schema.field(name).type == pa.binary(len(search.key)))
    ]


def _shown(row: Row[Any], match: dict[str, Any]) -> control_pb2.FoundDocument:
    keys = {name.partition(".")[2]: str(match[name]) for name in match if name.startswith("key.") and match[name]}
    hashed = [name.partition(".")[2] for name in match if name.startswith("hash.") and match[name] is not None]
    shown = control_pb2.FoundDocument(
        execution_id=row.execution_id,
        environment_id=row.environment_id,
        process=row.process,
        process_version=row.process_version,
        attempt=row.attempt,
        batch=row.batch,
        atom_id=row.atom_id,
        document=match["document"],
        outcome=match.get("outcome") or "",
        step=match.get("step") or "",
        target=match.get("target") or "",
        effect=match.get("effect") or "",
        code=match.get("code") or "",
        trace_id=row.trace_id or "",
        keys=keys,
        hashed_keys=hashed,
        part_number=row.number,
    )
    shown.at.FromMilliseconds(row.settled_ms)
    return shown


async def _add_reasons(database: Database, found: Sequence[control_pb2.FoundDocument]) -> None:
    """Why a dead-lettered one could not go on, from its dead letter."""
    dead = [(one.execution_id, one.document) for one in found if one.outcome == "dead_lettered"]
    if not dead:
        return
    letters = await database.read(lambda sql: dead_letters.of_documents(sql, dead))
    for document in found:
        letter = letters.get((document.execution_id, document.document))
        if letter is not None:
            document.reason, document.dead_letter_id, document.code = letter.reason, letter.dead_letter_id, letter.code
