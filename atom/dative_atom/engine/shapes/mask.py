"""mask: makes classified values unreadable before they go on.

hash, token and date_shift are computed with HMAC-SHA-256 under the environment's mask key (`dative.secrets.mask_keys`),
each kind with a key of its own, so that the same value gives the same token in every execution and joins still work. What
a token hides is kept sealed in the vault; a hash is one way. Sources: RFC 2104; for zip3, year and age 45 CFR
164.514(b)(2)(i)(B) and (C), and the guidance of the Department of Health and Human Services of 2012 for the list of ZIP3.
"""

from __future__ import annotations

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
from dative_atom.engine.evaluation.database import quoted
from dative_atom.engine.evaluation.expression import Expression
from dative_atom.engine.evaluation.query import Query
from dative_atom.engine.plan import Context, KeepTokens
from dative_atom.engine.routing import Flow

REDACTED: Final = "***"
AGE_MAX: Final = 90
"""Ages over 89 are one category, "90 or older"; years that would tell such an age are one year."""
SMALL_ZIP3: Final = (
    "036", "059", "063", "102", "203", "556", "692", "790", "821", "823", "830", "831", "878", "879", "884", "890", "893",
)  # fmt: skip
"""Areas of at most 20,000 people by the census of 2000: they become 000."""
_BLOCK_BYTES: Final = 64
TOKEN_DIGITS: Final = 20
"""80 bits: among a billion values the chance that two share a token is one in two million."""
_TEXT_OF: Final = "\x00text of "
"""Begins the name of a column that exists only between the query and the vault."""


@dataclass(frozen=True)
class Mask:
    """Replaces or drops fields; the others pass untouched, in the same memory. tokens: the fields that get a token."""

    step: StepId
    query: Query
    masked: tuple[str, ...]
    tokens: tuple[str, ...]
    keep_tokens: KeepTokens
    schema: pa.Schema
    verb: str = "mask"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        evaluation = self.query.evaluate(flow.session, batch)
        names = (*self.masked, *(_TEXT_OF + name for name in self.tokens))
        computed = dict(zip(names, evaluation.columns, strict=True))
        for name in self.tokens:
            self.keep_tokens(computed[name], computed[_TEXT_OF + name])
        columns = [computed[name] if name in computed else batch.column(name) for name in self.schema.names]
        flow.masked.append(batch.column(DOCUMENT))
        return flow.failures(self.step, pa.RecordBatch.from_arrays(columns, schema=self.schema), evaluation.failures)


def compile_mask(at: Arrival) -> Mask:
    """Fields that do not exist here are none of this document's secrets: a mask may name fields of both arms before.

    StopRun masks.key_missing where a mask needs the environment's key and it has none.
    """
    schema, context = at.schema, at.context
    asked = {name: parse_mask(text) for name, text in at.settings(MaskSettings).fields.items() if name in schema.names}
    kept = [item for item in schema if asked.get(item.name, MaskSpec("redact")).kind != "drop"]
    masked = tuple(item.name for item in kept if item.name in asked)
    tokens = tuple(name for name in masked if asked[name].kind == "token")
    outputs = [(name, _expression(name, asked[name], schema, context)) for name in masked]
    outputs += [(_TEXT_OF + name, _text_of(name, schema)) for name in tokens]
    query = Query(outputs, context.scope(), context.tables)
    context.queries.append(query)
    types = dict(zip(masked, query.types(context.session, no_rows(schema)), strict=False))
    out = pa.schema([item.with_type(types[item.name]) if item.name in types else item for item in kept])
    return Mask(at.id, query, masked, tokens, context.keep_tokens, out)


@dataclass(frozen=True)
class _Value:
    """A value to be masked.

    sql: the column; text: the column as text; number: of the mask; subject: SQL of the text whose shift a date gets,
    empty for the value itself; year: of the execution; key: purpose -> key of the environment.
    """

    sql: str
    number: int
    type: pa.DataType
    subject: str
    year: int
    key: Callable[[str], bytes]

    @property
    def text(self) -> str:
        return f"CAST({self.sql} AS VARCHAR)"

    @property
    def date(self) -> str:
        """The value as a date or timestamp; null where it is text and none."""
        return self.sql if pa.types.is_temporal(self.type) else f"TRY_CAST({self.sql} AS DATE)"


def _expression(name: str, mask: MaskSpec, schema: pa.Schema, context: Context) -> Expression:
    # A subject that these documents do not have leaves no shift to choose, and so no date.
    known = mask.subject in schema.names
    subject = (f"CAST(b.{quoted(mask.subject)} AS VARCHAR)" if known else "NULL") if mask.subject else ""
    value = _Value(
        f"b.{quoted(name)}",
        mask.number,
        schema.field(name).type,
        subject,
        context.started_at.year,
        context.mask_keys.key,
    )
    sql = _MASKS[mask.kind](value)
    # Total functions all of them: nothing here can fail for a value.
    return Expression(sql, sql)


def _text_of(name: str, schema: pa.Schema) -> Expression:
    """What the vault keeps: the very text that the token was made of; a column of text is passed on as it is."""
    sql = f"CAST(b.{quoted(name)} AS VARCHAR)"
    return Expression(sql, sql, field=name if pa.types.is_string(schema.field(name).type) else None)


def _redact(value: _Value) -> str:
    if pa.types.is_string(value.type) or pa.types.is_large_string(value.type):
        return f"CASE WHEN {value.sql} IS NOT NULL THEN '{REDACTED}' END"
    return f"CASE WHEN false THEN {value.sql} END"


def _keep_first(value: _Value) -> str:
    return _kept(value, f"left({value.text}, {value.number}) || {_stars(value)}")


def _keep_last(value: _Value) -> str:
    return _kept(value, f"{_stars(value)} || right({value.text}, {value.number})")


def _kept(value: _Value, sql: str) -> str:
    # A value that is not longer than what is kept would stand there whole: it becomes stars altogether.
    length = f"length({value.text})"
    return f"CASE WHEN {length} > {value.number} THEN {sql} ELSE repeat('*', {length}) END"


def _stars(value: _Value) -> str:
    return f"repeat('*', length({value.text}) - {value.number})"


def _hash(value: _Value) -> str:
    return _hmac(value.text, value.key("hash"))


def _token(value: _Value) -> str:
    return f"'tok_' || left({_hmac(value.text, value.key('token'))}, {TOKEN_DIGITS})"


def _date_shift(value: _Value) -> str:
    # The shift follows from the value, or from its subject, 1 to `number` days to either side: the same in every
    # execution, and the same for all dates of one subject, so that the days between them stay.
    drawn = f"CAST('0x' || left({_hmac(value.subject or value.text, value.key('date_shift'))}, 7) AS BIGINT)"
    sign = f"CASE WHEN ({drawn} // {value.number}) % 2 = 0 THEN 1 ELSE -1 END"
    days = f"CAST((1 + {drawn} % {value.number}) * ({sign}) AS INTEGER)"
    if pa.types.is_date(value.type):
        return f"{value.sql} + {days}"
    if pa.types.is_timestamp(value.type):
        return f"{value.sql} + to_days({days})"
    return f"strftime({value.date} + {days}, '%Y-%m-%d')"


def _zip3(value: _Value) -> str:
    """The first three digits of a US ZIP code, 000 for a small area and for what is no ZIP code."""
    text = f"lpad({value.text}, 5, '0')" if pa.types.is_integer(value.type) else f"trim({value.text})"
    small = ", ".join(f"'{area}'" for area in SMALL_ZIP3)
    whole = f"regexp_full_match({text}, '[0-9]{{5}}([- ]?[0-9]{{4}})?')"
    told = f"{whole} AND left({text}, 3) NOT IN ({small})"
    return f"CASE WHEN {value.sql} IS NULL THEN NULL WHEN {told} THEN left({text}, 3) ELSE '000' END"


def _year(value: _Value) -> str:
    """The year of a date; years of 90 and more years ago are one."""
    return f"greatest(year({value.date}), CASE WHEN {value.date} IS NOT NULL THEN {value.year - AGE_MAX} END)"


def _age(value: _Value) -> str:
    """Whole years, 90 for everybody of 90 and more."""
    number = f"CAST(floor(TRY_CAST({value.text} AS DOUBLE)) AS HUGEINT)"
    return f"CASE WHEN TRY({number}) IS NOT NULL THEN CAST(least(TRY({number}), {AGE_MAX}) AS BIGINT) END"


def _hmac(text: str, key: bytes) -> str:
    """SQL of the HMAC-SHA-256 of a text in hex. Source: RFC 2104."""
    own = key.ljust(_BLOCK_BYTES, b"\0")
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
    "zip3": _zip3,
    "year": _year,
    "age": _age,
}
