"""What an expression asks that its document does not hold: parameters, properties, rates, tables and caches.

One function each: (writer, node) -> SQL, as in `calls`. A lookup is a column or a join that the query sets beside its
batch, so that N documents are never N lookups; a miss is an error of its document alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import pyarrow as pa
from dative.errors import StopRun
from dative.errors import engine as codes
from sqlglot import exp

from dative_atom.engine.evaluation import money
from dative_atom.engine.evaluation.database import literal, quoted
from dative_atom.engine.evaluation.rounding import HALF_EVEN
from dative_atom.engine.evaluation.rows import KEY_SEPARATOR
from dative_atom.engine.making.running import DOCUMENT_PROPERTY, PERSISTED, START, column_of

if TYPE_CHECKING:
    from dative_atom.engine.evaluation.expression import Writer

_UNREADABLE: Final = "expression.number_unreadable"
_MISSING: Final = "expression.lookup_missing"
_LOOKED_UP: Final = ("xref", "lookup", "currency", "cache")


def param(writer: Writer, node: exp.Expr) -> str:
    name = writer.positional(node)[0].name
    if name not in writer.scope.parameters:
        raise StopRun(
            f"{writer.where}: the parameter {name} has no value", code=codes.PARAMETER_MISSING, where=writer.where
        )
    return literal(writer.scope.parameters[name])


def property_(writer: Writer, node: exp.Expr) -> str:
    name = writer.positional(node)[0].name
    return (
        writer.scope.properties[name] if name in writer.scope.properties else f"b.{quoted(_own_property(writer, name))}"
    )


def _own_property(writer: Writer, name: str) -> str:
    """The column of a property that the process sets: it travels along, or the session shows it."""
    if name.startswith(DOCUMENT_PROPERTY):
        return column_of(name)
    name = writer.scope.own(name)
    if name not in writer.scope.running and name.startswith(PERSISTED):
        # No step before sets it, so this one reads what former executions left.
        name = START + name.removeprefix(PERSISTED)
    elif name not in writer.scope.running:
        raise writer.refused(f"reads the property {name}, which no step before sets")
    writer.scope.remembered[name] = writer.scope.running.get(name, pa.null())
    return column_of(name)


def currency(writer: Writer, node: exp.Expr) -> str:
    amount, source, target = writer.positional(node)
    named = writer.named(node)
    table = named["rates"].name if "rates" in named else writer.scope.rates
    if table is None or table not in writer.scope.tables:
        raise writer.refused("converts currencies, and the process declares no table of kind rates for it")
    on = writer.joined(named["on"], writer.sql(named["on"])) if "on" in named else None
    from_, to = writer.sql(source), writer.sql(target)
    alias = writer.scope.rate(table, writer.joined(source, from_), writer.joined(target, to), on)
    constant = target.this if isinstance(target, exp.Literal) else None
    value = writer.sql(amount)
    exact = f"TRY_CAST({value} AS {money.AMOUNT})"
    rate = f"(CASE WHEN {from_} = {to} THEN CAST(1 AS DECIMAL(16, 10)) ELSE {quoted(alias)}.rate END)"
    mode = named["rounding"].name if "rounding" in named else HALF_EVEN
    converted = f"({money.rounded(f'({exact} * {rate})', to, constant, mode)})"
    missing = f"{value} IS NOT NULL AND ({rate}) IS NULL"
    unreadable = f"{value} IS NOT NULL AND ({converted}) IS NULL"
    if writer.strict:
        return writer.or_fail(converted, f"{value} IS NOT NULL AND ({converted}) IS NULL")
    pair = f"coalesce({from_}, '') || '/' || coalesce({to}, '')"
    writer.suspect("expression.rate_missing", missing, pair, node)
    writer.suspect(_UNREADABLE, unreadable, value, node)
    return converted


def xref(writer: Writer, node: exp.Expr) -> str:
    table = writer.positional(node)[0]
    named = writer.named(node)
    want, missing = named.pop("want", None), named.pop("missing", None)
    if table.name not in writer.scope.tables or want is None or not named:
        raise writer.refused("looks up a table, a column and what it wants that are not declared so")
    if any(
        isinstance(inner, exp.Anonymous) and inner.name.lower() in _LOOKED_UP
        for key_node in named.values()
        for inner in key_node.walk()
    ):
        raise writer.refused("looks up by a value that is itself looked up; compute that in a map before")
    key = lookup_key([writer.sql(key_node) for key_node in named.values()])
    by = lookup_key([writer.joined(key_node, writer.sql(key_node)) for key_node in named.values()])
    alias = writer.scope.xref(table.name, tuple(named), want.name, by)
    found = f"{quoted(alias)}.v"
    if missing is not None and missing.name == "null":
        # A key that can not be computed is no missing row.
        return f"CASE WHEN {key} IS NOT NULL THEN {found} END" if writer.strict else found
    if writer.strict:
        return writer.or_fail(found, f"{key} IS NOT NULL AND {found} IS NULL")
    writer.suspect(_MISSING, f"{key} IS NOT NULL AND {found} IS NULL", key, node)
    return found


def lookup_key(parts: list[str]) -> str:
    """SQL of the one text that several key columns are looked up by; NULL where one of them is."""
    if len(parts) == 1:
        return parts[0]
    present = " AND ".join(f"{part} IS NOT NULL" for part in parts)
    texts = f" || {literal(KEY_SEPARATOR)} || ".join(f"CAST({part} AS VARCHAR)" for part in parts)
    return f"CASE WHEN {present} THEN {texts} END"


def cache(writer: Writer, node: exp.Expr) -> str:
    """A column that is set beside the batch before the query, like a picked row of a table."""
    name, named = writer.positional(node)[0].name, writer.named(node)
    own = writer.scope.own(name)
    spec, want = writer.scope.caches.get(own), named["want"].name if "want" in named else ""
    if spec is None or len(spec.key) != 1 or want not in spec.schema.names or "key" not in named:
        raise writer.refused(f"reads a cache {name} that no step before fills so")
    key = writer.sql(named["key"])
    place = quoted(writer.scope.cached_column(own, spec, named["key"].sql("duckdb"), key, want))
    found = f"(b.{place}).v"
    if "missing" in named and named["missing"].name == "null":
        return found
    missed = f"{key} IS NOT NULL AND b.{place} IS NULL"
    if writer.strict:
        return writer.or_fail(found, missed)
    writer.suspect(_MISSING, missed, key, node)
    return found


CALLS: Final[Mapping[str, Callable[[Writer, exp.Expr], str]]] = {
    "param": param,
    "property": property_,
    "currency": currency,
    "xref": xref,
    "lookup": xref,
    "cache": cache,
}
