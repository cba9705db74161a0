"""mask: makes classified values unreadable before they go on.

hash and token are HMAC-SHA-256 under a key of the environment, so that the same value gives the same token in every
execution and joins still work. Without a secret of its own the environment's key is derived from its id: that keeps
environments apart and stops tables of precomputed hashes, but who knows the id can try out values. Source of the
construction: RFC 2104.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from dative.ids import StepId
from dative.process.scalars import Mask as MaskSpec
from dative.process.scalars import parse_mask
from dative.process.shapes import MaskSettings

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.arrival import Arrival, no_rows
from dative_atom.engine.database import quoted
from dative_atom.engine.expression import Expression
from dative_atom.engine.query import Query
from dative_atom.engine.routing import Flow
from dative_atom.keys import environment_key

__all__ = ["Mask", "compile_mask", "environment_key"]

REDACTED: Final = "***"
_BLOCK_BYTES: Final = 64
TOKEN_DIGITS: Final = 20
"""80 bits: among a billion values the chance that two share a token is one in two million."""


@dataclass(frozen=True)
class Mask:
    """Replaces or drops fields; the others pass untouched, in the same memory."""

    step: StepId
    query: Query
    masked: tuple[str, ...]
    schema: pa.Schema
    verb: str = "mask"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        evaluation = self.query.evaluate(flow.session, batch)
        replaced = dict(zip(self.masked, evaluation.columns, strict=True))
        columns = [replaced[name] if name in replaced else batch.column(name) for name in self.schema.names]
        flow.masked.append(batch.column(DOCUMENT))
        return flow.failures(self.step, pa.RecordBatch.from_arrays(columns, schema=self.schema), evaluation.failures)


def compile_mask(at: Arrival) -> Mask:
    """Fields that do not exist here are none of this document's secrets: a mask may name fields of both arms before."""
    schema, context = at.schema, at.context
    asked = {name: parse_mask(text) for name, text in at.settings(MaskSettings).fields.items() if name in schema.names}
    kept = [item for item in schema if asked.get(item.name, MaskSpec("redact")).kind != "drop"]
    masked = tuple(item.name for item in kept if item.name in asked)
    outputs = [(name, _expression(name, asked[name], schema.field(name).type, context.mask_key)) for name in masked]
    query = Query(outputs, context.scope(), context.tables)
    context.queries.append(query)
    types = dict(zip(masked, query.types(context.session, no_rows(schema)), strict=True))
    return Mask(
        at.id,
        query,
        masked,
        pa.schema([item.with_type(types[item.name]) if item.name in types else item for item in kept]),
    )


@dataclass(frozen=True)
class _Value:
    """A value to be masked. sql: the column; text: the column as text; number: of the mask; key: of the environment."""

    sql: str
    number: int
    type: pa.DataType
    key: bytes

    @property
    def text(self) -> str:
        return f"CAST({self.sql} AS VARCHAR)"


def _expression(name: str, mask: MaskSpec, type_: pa.DataType, key: bytes) -> Expression:
    sql = _MASKS[mask.kind](_Value(f"b.{quoted(name)}", mask.number, type_, key))
    # Total functions all of them: nothing here can fail for a value.
    return Expression(sql, sql)


def _redact(value: _Value) -> str:
    if pa.types.is_string(value.type) or pa.types.is_large_string(value.type):
        return f"CASE WHEN {value.sql} IS NOT NULL THEN '{REDACTED}' END"
    return f"CASE WHEN false THEN {value.sql} END"


def _keep_first(value: _Value) -> str:
    return f"left({value.text}, {value.number}) || repeat('*', greatest(length({value.text}) - {value.number}, 0))"


def _keep_last(value: _Value) -> str:
    return f"repeat('*', greatest(length({value.text}) - {value.number}, 0)) || right({value.text}, {value.number})"


def _hash(value: _Value) -> str:
    return _hmac(value.text, value.key, "hash")


def _token(value: _Value) -> str:
    return f"'tok_' || left({_hmac(value.text, value.key, 'token')}, {TOKEN_DIGITS})"


def _date_shift(value: _Value) -> str:
    # The shift follows from the value, 1 to `number` days to either side, so that it is the same in every execution.
    drawn = f"CAST('0x' || left({_hmac(value.text, value.key, 'date_shift')}, 7) AS BIGINT)"
    sign = f"CASE WHEN ({drawn} // {value.number}) % 2 = 0 THEN 1 ELSE -1 END"
    days = f"CAST((1 + {drawn} % {value.number}) * ({sign}) AS INTEGER)"
    if pa.types.is_date(value.type):
        return f"{value.sql} + {days}"
    if pa.types.is_timestamp(value.type):
        return f"{value.sql} + to_days({days})"
    return f"strftime(TRY_CAST({value.sql} AS DATE) + {days}, '%Y-%m-%d')"


def _hmac(text: str, key: bytes, purpose: str) -> str:
    """SQL of the HMAC-SHA-256 of a text in hex. Each kind of mask has a key of its own, made from the environment's."""
    own = hashlib.sha256(key + b"\x1f" + purpose.encode()).digest().ljust(_BLOCK_BYTES, b"\0")
    inner, outer = (_blob(bytes(byte ^ pad for byte in own)) for pad in (0x36, 0x5C))
    return f"sha256({outer} || unhex(sha256({inner} || encode({text}))))"


def _blob(data: bytes) -> str:
    return "'" + "".join(f"\\x{byte:02X}" for byte in data) + "'::BLOB"


_MASKS: Final[Mapping[str, Callable[[_Value], str]]] = {
    "redact": _redact,
    "keep_first": _keep_first,
    "keep_last": _keep_last,
    "hash": _hash,
    "token": _token,
    "date_shift": _date_shift,
}
