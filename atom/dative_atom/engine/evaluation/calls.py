"""How the functions of the language that are no functions of the database are written in its SQL.

One function each: (writer, node) -> SQL. What they mean stands in `dative.process.library`. In the fast form nothing
fails: a value that can not be made is null, and the writer is told by which sign it is known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from dative.process import kana as tables
from dative.process.datatypes import ANY, DataType, parse_type
from dative.process.patterns import NumberPattern, number_pattern
from dative.process.results import CALENDAR_PARTS
from sqlglot import exp

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.evaluation import money
from dative_atom.engine.evaluation.database import literal, quoted
from dative_atom.engine.evaluation.rounding import EXACT, HALF_EVEN, to_digits
from dative_atom.engine.evaluation.sets import PARENT, Lifted

if TYPE_CHECKING:
    from dative_atom.engine.evaluation.expression import Writer

_UNREADABLE: Final = "expression.number_unreadable"
_EVALUATION: Final = "expression.evaluation_failed"

# Numbers.


def _mode(writer: Writer, node: exp.Expr) -> str:
    rounding = writer.named(node).get("rounding")
    return rounding.name if rounding is not None else HALF_EVEN


def precision(writer: Writer, node: exp.Expr) -> str:
    value, digits = writer.positional(node)
    given, scale = writer.sql(value), int(digits.name)
    rounded = to_digits(f"TRY_CAST({given} AS {EXACT})", scale, _mode(writer, node))
    return writer.converted(given, f"TRY_CAST({rounded} AS DECIMAL(38, {scale}))", _UNREADABLE, node)


def round_currency(writer: Writer, node: exp.Expr) -> str:
    amount, currency = writer.positional(node)
    given = writer.sql(amount)
    constant = currency.this if isinstance(currency, exp.Literal) else None
    exact = f"TRY_CAST({given} AS {EXACT})"
    rounded = money.rounded(exact, writer.sql(currency), constant, _mode(writer, node))
    # Without a currency there is no number of digits: it is no amount of any.
    known = f"CASE WHEN {writer.sql(currency)} IS NOT NULL THEN {rounded} END"
    return writer.converted(given, f"({known})", _UNREADABLE, node)


def number_format(writer: Writer, node: exp.Expr) -> str:
    value, written = writer.positional(node)
    named = {name: item.name for name, item in writer.named(node).items()}
    pattern = number_pattern(written.name)
    given = writer.sql(value)
    rounded = to_digits(f"TRY_CAST({given} AS {EXACT})", pattern.fraction[1], _mode(writer, node))
    digits = f"CAST(abs({rounded}) AS VARCHAR)"
    text = (
        f"CASE WHEN {rounded} < 0 THEN '-' ELSE '' END || {literal(pattern.before)}"
        f" || {_whole(digits, pattern, named.get('group', ','))}"
        f" || {_fraction(digits, pattern, named.get('decimal', '.'))} || {literal(pattern.after)}"
    )
    return writer.converted(given, f"({text})", _UNREADABLE, node)


def _whole(digits: str, pattern: NumberPattern, group: str) -> str:
    whole = f"split_part({digits}, '.', 1)"
    if pattern.whole == 0:
        whole = f"CASE WHEN {whole} = '0' THEN '' ELSE {whole} END"
    elif pattern.whole > 1:
        whole = f"lpad({whole}, CAST(greatest(length({whole}), {pattern.whole}) AS INTEGER), '0')"
    if not pattern.grouped:
        return f"({whole})"
    grouped = f"reverse(regexp_replace(reverse({whole}), '([0-9]{{3}})', '\\1,', 'g'))"
    return f"replace(ltrim({grouped}, ','), ',', {literal(group)})"


def _fraction(digits: str, pattern: NumberPattern, decimal: str) -> str:
    always, most = pattern.fraction
    if most == 0:
        return "''"
    fraction = f"split_part({digits}, '.', 2)"
    if always < most:
        fraction = f"left({fraction}, {always}) || rtrim(substring({fraction}, {always + 1}), '0')"
    return f"CASE WHEN {fraction} = '' THEN '' ELSE {literal(decimal)} || {fraction} END"


# Dates.

_INTERVALS: Final = {
    "year": "to_years({0})",
    "quarter": "to_months(3 * {0})",
    "month": "to_months({0})",
    "week": "to_days(7 * {0})",
    "day": "to_days({0})",
    "hour": "to_hours({0})",
    "minute": "to_minutes({0})",
    "second": "to_seconds({0})",
}


def date_add(writer: Writer, node: exp.Expr) -> str:
    value, amount, part = writer.positional(node)
    given, count = writer.sql(value), writer.sql(amount)
    step = _INTERVALS[part.name].format(f"CAST({count} AS INTEGER)")
    zone = writer.named(node).get("zone")
    if zone is not None and part.name in CALENDAR_PARTS:
        at = literal(zone.name)
        moved = f"timezone({at}, timezone({at}, CAST({given} AS TIMESTAMPTZ)) + {step})"
    else:
        moved = f"({given} + {step})"
    if writer.type_of(node).kind == "date":
        moved = f"CAST({moved} AS DATE)"
    tried = moved if writer.strict else f"TRY({moved})"
    # Years of five digits are none to most targets, nor to Python.
    within = f"CASE WHEN year({tried}) BETWEEN 1 AND 9999 THEN {tried} END"
    return writer.converted(f"CASE WHEN {count} IS NOT NULL THEN {given} END", within, _EVALUATION, node)


def local_date(writer: Writer, node: exp.Expr) -> str:
    value, zone = writer.positional(node)
    return f"CAST(timezone({literal(zone.name)}, CAST({writer.sql(value)} AS TIMESTAMPTZ)) AS DATE)"


def format_timestamp(writer: Writer, node: exp.Expr) -> str:
    value, format_ = writer.positional(node)
    given, zone = writer.sql(value), writer.named(node).get("zone")
    local = f"timezone({literal(zone.name if zone is not None else 'UTC')}, CAST({given} AS TIMESTAMPTZ))"
    return writer.may_fail(f"strftime({local}, {writer.sql(format_)})", [given], node)


def today(writer: Writer, node: exp.Expr) -> str:
    zone = writer.named(node).get("zone")
    started = writer.scope.properties["execution.started_at"]
    return f"CAST(timezone({literal(zone.name if zone is not None else 'UTC')}, {started}) AS DATE)"


# Texts and lists.


def kana(writer: Writer, node: exp.Expr) -> str:
    value, form = writer.positional(node)
    # Composed first: a voiced sound may come as two characters.
    text = f"nfc_normalize({writer.sql(value)})"
    if form.name == "katakana":
        return _translated(text, tables.HIRAGANA, tables.KATAKANA)
    if form.name == "hiragana":
        return _translated(text, tables.KATAKANA, tables.HIRAGANA)
    for half, full in tables.PAIRS:
        old, new = (half, full) if form.name == "full" else (full, half)
        text = f"replace({text}, {literal(old)}, {literal(new)})"
    old, new = (tables.HALF, tables.FULL) if form.name == "full" else (tables.FULL, tables.HALF)
    return _translated(text, old, new)


def _translated(text: str, old: str, new: str) -> str:
    return f"translate({text}, {literal(old)}, {literal(new)})"


def _renamed(pattern: str) -> Callable[[Writer, exp.Expr], str]:
    return lambda writer, node: pattern.format(*(writer.sql(item) for item in writer.positional(node)))


def pluck(writer: Writer, node: exp.Expr) -> str:
    value, field = writer.positional(node)
    return f"list_transform({writer.sql(value)}, lambda item: item.{quoted(field.name)})"


_SQL_TYPES: Final = {
    "integer": "BIGINT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
    "time": "TIME",
    "json": "JSON",
}


def parse_json(writer: Writer, node: exp.Expr) -> str:
    value, written = writer.positional(node)
    given, kind = f"NULLIF(trim({writer.sql(value)}), 'null')", parse_type(written.name)
    # As texts first: the database's own reading makes NULL of a value of another type, a cast of it fails.
    texts = f"from_json({given}, {literal(json.dumps(_texts(kind)))})"
    read = f"CAST({texts} AS {_sql_type(kind)})"
    return writer.converted(given, read if writer.strict else f"TRY({read})", _EVALUATION, node)


def _texts(kind: DataType) -> Any:
    """The type's structure as DuckDB's JSON functions write it, all its values texts."""
    if kind.kind == "list":
        return [_texts(kind.item or ANY)]
    return {name: _texts(inner) for name, inner in kind.fields} if kind.kind == "struct" else "VARCHAR"


def _sql_type(kind: DataType) -> str:
    if kind.kind == "list":
        return f"{_sql_type(kind.item or ANY)}[]"
    if kind.kind == "struct":
        return f"STRUCT({', '.join(f'{quoted(name)} {_sql_type(inner)}' for name, inner in kind.fields)})"
    if kind.kind == "decimal":
        return f"DECIMAL({kind.precision}, {kind.scale})"
    return _SQL_TYPES.get(kind.kind, "VARCHAR")


# Over several documents.


def _window(writer: Writer, node: exp.Expr, function: str, *, running: bool) -> str:
    by = writer.named(node).get("by")
    parts = [
        *([f"b.{quoted(PARENT)}"] if writer.scope.each else []),
        *([writer.sql(by)] if by is not None else []),
    ]
    partition = f"PARTITION BY {', '.join(parts)}" if parts else ""
    order = f"ORDER BY b.{quoted(DOCUMENT)} ROWS UNBOUNDED PRECEDING" if running else ""
    return f"{function} OVER ({partition} {order})"


def _line_number(writer: Writer, node: exp.Expr) -> Lifted:
    return Lifted(_window(writer, node, "row_number()", running=True))


def _running_total(writer: Writer, node: exp.Expr) -> Lifted:
    return Lifted(_window(writer, node, f"sum({writer.sql(writer.positional(node)[0])})", running=True))


def _group_total(writer: Writer, node: exp.Expr) -> Lifted:
    return Lifted(_window(writer, node, f"sum({writer.sql(writer.positional(node)[0])})", running=False))


def _group_count(writer: Writer, node: exp.Expr) -> Lifted:
    return Lifted(_window(writer, node, "count(*)", running=False))


def _sequence(writer: Writer, node: exp.Expr) -> Lifted:
    name, key = writer.positional(node)[0].name, writer.named(node).get("key")
    sql = f"CAST({writer.sql(key)} AS VARCHAR)" if key is not None else ""
    return Lifted(sql, name, "" if key is not None else f"{writer.where} {id(node)}")


def _over_documents(writer: Writer, node: exp.Expr) -> str:
    lifted = _LIFTED[node.name.lower()]
    column = writer.scope.lift(lifted(writer.tolerant(), node))
    if not writer.strict:
        return column
    # It is computed before, tolerantly: an argument that fails must still fail its document.
    for item in (*writer.positional(node), *writer.named(node).values()):
        if not isinstance(item, exp.Literal):
            column = f"coalesce(CASE WHEN ({writer.sql(item)}) IS NULL THEN {column} END, {column})"
    return column


_LIFTED: Final[Mapping[str, Callable[[Writer, exp.Expr], Lifted]]] = {
    "line_number": _line_number,
    "running_total": _running_total,
    "group_total": _group_total,
    "group_count": _group_count,
    "sequence": _sequence,
}

CALLS: Final[Mapping[str, Callable[[Writer, exp.Expr], str]]] = {
    "precision": precision,
    "round_currency": round_currency,
    "number_format": number_format,
    "date_add": date_add,
    "local_date": local_date,
    "format_timestamp": format_timestamp,
    "today": today,
    "kana": kana,
    "pluck": pluck,
    "parse_json": parse_json,
    "list_count": _renamed("len({0})"),
    "list_get": _renamed("list_extract({0}, {1})"),
    "list_join": _renamed("array_to_string({0}, {1})"),
    "list_distinct": _renamed("list_sort(list_distinct({0}))"),
    **dict.fromkeys(_LIFTED, _over_documents),
}
