"""From an expression of the process language to DuckDB SQL, in two forms.

`fast` never fails for a document: casts become TRY_CAST, other steps that may fail stand in TRY, and every one of them
brings a `Fallible`: a cheap condition that says "the input was there and nothing came out". `strict` is the same
expression as it is written, which fails where it should; it is evaluated only for the documents that are suspect. The
fields of a document are columns of the view `batch`, which queries name b. What functions mean is written down in
`dative.process.catalog`; here is how they run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
from dative.errors import StopRun
from dative.errors import engine as codes
from dative.process.expression import ExpressionError, field_name, parse_expression
from dative.process.infer import NUMBER_SCALE
from sqlglot import exp

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine import dates, money
from dative_atom.engine.database import literal, quoted
from dative_atom.engine.lookup import Lookup, RateLookup, XrefLookup
from dative_atom.engine.running import DOCUMENT_PROPERTY, PERSISTED, START, column_of

_EVALUATION: Final = "expression.evaluation_failed"
_DATE: Final = "expression.date_unreadable"
_UNREADABLE: Final = "expression.number_unreadable"

# Strict operators and functions (null in, null out) that can fail for a value. Each stands in TRY in the fast form.
# What is not listed and fails all the same costs its batch the strict evaluation, never the documents.
_MAY_FAIL: Final = (exp.Add, exp.Sub, exp.Mul, exp.IntDiv, exp.Mod, exp.Neg)
_MAY_FAIL_NAMES: Final = frozenset(
    [
        "abs",
        "chr",
        "date_diff",
        "epoch_ms",
        "last_day",
        "make_date",
        "mod",
        "power",
        "round",
        "sqrt",
        "strftime",
        "url_decode",
    ]
)
_ASIDE: Final = "\x1f"
"""Begins the name of what stands beside a document's fields, so that it is none of theirs."""
_JSON_NAMES: Final = frozenset(["json_array_length", "json_extract", "json_extract_string"])
_NUMBER: Final = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)"


@dataclass(frozen=True)
class Fallible:
    """One place of an expression that can fail for a document.

    flag: SQL, true for a document that is suspect. subject: SQL of the value whose shape a person may see. text: the
    place as it is written in the process.
    """

    code: str
    flag: str
    subject: str
    text: str


@dataclass(frozen=True)
class Expression:
    """A compiled expression. field: set where it is nothing but a field of the document, which is then passed on."""

    fast: str
    strict: str
    fallibles: tuple[Fallible, ...] = ()
    field: str | None = None


@dataclass
class Scope:
    """What the expressions of one query share: parameters, properties, tables, and the lookups they make.

    properties: name -> SQL of its value. rates: the process' one rates table, None where there is not one.
    running: properties that the steps before set, and their types; own: their names in the execution, from those in the
    process; remembered: those of them that are read here.
    """

    parameters: Mapping[str, str]
    properties: Mapping[str, str]
    tables: frozenset[str]
    rates: str | None
    lookups: list[Lookup] = field(default_factory=list)
    running: Mapping[str, pa.DataType] = field(default_factory=dict)
    own: Callable[[str], str] = str
    remembered: dict[str, pa.DataType] = field(default_factory=dict)

    def compile(self, sql: str, where: str) -> Expression:
        """Compile one expression. where: "step to-customer, field phone". StopRun for what is not in the language."""
        try:
            tree = parse_expression(sql).tree
        except ExpressionError as error:
            raise StopRun(f"{where}: {error.message}", code=codes.COMPILE_FAILED, where=where) from error
        if isinstance(tree, exp.Column):
            return Expression(_column(tree), _column(tree), field=field_name(tree))
        fast = _Writer(self, where, strict=False)
        strict = _Writer(self, where, strict=True)
        return Expression(fast.sql(tree), strict.sql(tree), tuple(fast.fallibles))

    def xref(self, table: str, column: str, want: str, key: str) -> str:
        """The alias of that lookup, made once however often it is written."""
        for lookup in self.lookups:
            if isinstance(lookup, XrefLookup) and (lookup.table, lookup.column, lookup.want, lookup.key) == (
                table,
                column,
                want,
                key,
            ):
                return lookup.alias
        self.lookups.append(XrefLookup(f"{_ASIDE}xref {len(self.lookups)}", table, column, want, key))
        return self.lookups[-1].alias

    def rate(self, table: str, source: str, target: str, on: str | None) -> str:
        """The alias of that rate, made once."""
        for lookup in self.lookups:
            if isinstance(lookup, RateLookup) and (lookup.table, lookup.source, lookup.target, lookup.on) == (
                table,
                source,
                target,
                on,
            ):
                return lookup.alias
        self.lookups.append(RateLookup(f"{_ASIDE}rate {len(self.lookups)}", table, source, target, on))
        return self.lookups[-1].alias


def _refused(where: str, why: str) -> StopRun:
    return StopRun(f"{where}: the expression {why}", code=codes.COMPILE_FAILED, where=where)


def _column(column: exp.Column) -> str:
    return f"b.{quoted(field_name(column))}"


# Fails for the row it is evaluated for. It names the row, or DuckDB would compute it while planning, for all of them.
_FAILS: Final = f"CAST('!' || CAST(b.{quoted(DOCUMENT)} AS VARCHAR) AS INTEGER)"


class _Writer:
    """Writes one form of one expression. The fast form collects the fallible places on its way."""

    def __init__(self, scope: Scope, where: str, *, strict: bool) -> None:
        self.scope = scope
        self.where = where
        self.strict = strict
        self.fallibles: list[Fallible] = []

    def joined(self, node: exp.Expr, written: str) -> str:
        """SQL of what a lookup joins by: tolerant in both forms, because a join that fails would fail every document of
        its batch. written: the node's SQL in this form."""
        return _Writer(self.scope, self.where, strict=False).sql(node) if self.strict else written

    def sql(self, node: exp.Expr) -> str:
        """The SQL of a node, everything below it first."""
        if isinstance(node, exp.Column):
            return _column(node)
        name = node.name.lower() if isinstance(node, exp.Anonymous) else type(node).__name__.lower()
        own = _FUNCTIONS.get(name)
        return own(self, node) if own is not None else self._plain(node, name)

    def _plain(self, node: exp.Expr, name: str) -> str:
        parts = {
            key: [self._child(item) for item in value] if isinstance(value, list) else self._child(value)
            for key, value in node.args.items()
        }
        written = f"({type(node)(**parts).sql('duckdb')})"
        if isinstance(node, exp.Div):
            return self._division(node)
        if isinstance(node, _MAY_FAIL) or name in _MAY_FAIL_NAMES:
            operands = [
                self.sql(item) for item in node.iter_expressions() if not isinstance(item, exp.Literal | exp.Var)
            ]
            return self._may_fail(written, operands, node)
        if name in _JSON_NAMES:
            return self._json(written, self.sql(node.expressions[0]), node)
        return written

    def _child(self, value: object) -> object:
        # Types, units and literals are words of the syntax; everything else is written and put in its place as it is.
        syntax = exp.DataType | exp.Var | exp.Identifier | exp.Literal | exp.Boolean | exp.Null
        if not isinstance(value, exp.Expr) or isinstance(value, syntax):
            return value
        if isinstance(value, exp.If):  # an arm of CASE, no value of its own
            return exp.If(**{key: self._child(part) for key, part in value.args.items()})
        return exp.Var(this=self.sql(value))

    def _may_fail(self, written: str, operands: list[str], node: exp.Expr) -> str:
        if self.strict or not operands:
            return written
        tried = f"TRY({written})"
        present = " AND ".join(f"{operand} IS NOT NULL" for operand in operands)
        self._suspect(_EVALUATION, f"{present} AND {tried} IS NULL", operands[0], node)
        return tried

    def _json(self, written: str, value: str, node: exp.Expr) -> str:
        # Null is a common and right answer here, so it is the input that makes a document suspect.
        if self.strict:
            return written
        self._suspect(_EVALUATION, f"{value} IS NOT NULL AND NOT json_valid({value})", value, node)
        return f"TRY({written})"

    def _division(self, node: exp.Div) -> str:
        # DuckDB answers infinity, which no target and no accountant knows.
        above, below = self.sql(node.this), self.sql(node.expression)
        if self.strict:
            return _or_fail(f"({above} / {below})", f"{below} = 0")
        quotient = f"TRY({above} / NULLIF({below}, 0))"
        self._suspect(_EVALUATION, f"{above} IS NOT NULL AND {below} IS NOT NULL AND {quotient} IS NULL", below, node)
        return quotient

    def _suspect(self, code: str, flag: str, subject: str, node: exp.Expr) -> None:
        self.fallibles.append(Fallible(code, f"({flag})", subject, node.sql("duckdb", normalize_functions=False)))

    # Casts and the language's own functions.

    def cast(self, node: exp.Expr) -> str:
        value, target = self.sql(node.this), node.args["to"].sql("duckdb")
        if self.strict:
            return f"CAST({value} AS {target})"
        tried = f"TRY_CAST({value} AS {target})"
        self._suspect("expression.cast_failed", f"{value} IS NOT NULL AND {tried} IS NULL", value, node)
        return tried

    def date(self, node: exp.Expr) -> str:
        text, formats = self._read(node)
        return self._converted(text, dates.parsed(f"CAST({text} AS VARCHAR)", formats, "DATE"), _DATE, node)

    def timestamp(self, node: exp.Expr) -> str:
        text, formats = self._read(node)
        local = dates.parsed(f"CAST({text} AS VARCHAR)", formats, "TIMESTAMP")
        zone = self._named(node).get("zone")
        if zone is None:
            return self._converted(text, f"timezone('UTC', {local})", _DATE, node)
        # A time that a clock change skipped does not come back from the zone as it went in.
        instant = f"timezone({self.sql(zone)}, {local})"
        kept = f"CASE WHEN timezone({self.sql(zone)}, {instant}) = {local} THEN {instant} END"
        return self._converted(text, kept, _DATE, node)

    def _read(self, node: exp.Expr) -> tuple[str, list[str]]:
        value, *formats = self._positional(node)
        return self.sql(value), [format_.name for format_ in formats]

    def number(self, node: exp.Expr) -> str:
        text = self.sql(self._positional(node)[0])
        scale = self._named(node).get("scale")
        digits = int(scale.name) if scale is not None else NUMBER_SCALE
        plain = f"CAST({text} AS VARCHAR)"
        strictly = f"CASE WHEN regexp_full_match({plain}, {literal(_NUMBER)}) THEN {plain} END"
        return self._converted(text, f"TRY_CAST({strictly} AS DECIMAL(38, {digits}))", _UNREADABLE, node)

    def property_(self, node: exp.Expr) -> str:
        name = self._positional(node)[0].name
        return self.scope.properties[name] if name in self.scope.properties else f"b.{quoted(self._own_property(name))}"

    def _own_property(self, name: str) -> str:
        """The column of a property that the process sets: it travels along, or the session shows it."""
        if name.startswith(DOCUMENT_PROPERTY):
            return column_of(name)
        name = self.scope.own(name)
        if name not in self.scope.running and name.startswith(PERSISTED):
            # No step before sets it, so this one reads what former executions left.
            name = START + name.removeprefix(PERSISTED)
        elif name not in self.scope.running:
            raise _refused(self.where, f"reads the property {name}, which no step before sets")
        self.scope.remembered[name] = self.scope.running.get(name, pa.null())
        return column_of(name)

    def _converted(self, value: str, converted: str, code: str, node: exp.Expr) -> str:
        if self.strict:
            return _or_fail(converted, f"{value} IS NOT NULL AND {converted} IS NULL")
        self._suspect(code, f"{value} IS NOT NULL AND {converted} IS NULL", value, node)
        return converted

    def currency(self, node: exp.Expr) -> str:
        amount, source, target = self._positional(node)
        named = self._named(node)
        table = named["rates"].name if "rates" in named else self.scope.rates
        if table is None or table not in self.scope.tables:
            raise _refused(self.where, "converts currencies, and the process declares no table of kind rates for it")
        on = self.joined(named["on"], self.sql(named["on"])) if "on" in named else None
        from_, to = self.sql(source), self.sql(target)
        alias = self.scope.rate(table, self.joined(source, from_), self.joined(target, to), on)
        constant = target.this if isinstance(target, exp.Literal) else None
        value = self.sql(amount)
        exact = f"TRY_CAST({value} AS {money.AMOUNT})"
        rate = f"(CASE WHEN {from_} = {to} THEN CAST(1 AS DECIMAL(16, 10)) ELSE {quoted(alias)}.rate END)"
        converted = f"({money.rounded(f'({exact} * {rate})', to, constant)})"
        missing = f"{value} IS NOT NULL AND ({rate}) IS NULL"
        unreadable = f"{value} IS NOT NULL AND ({converted}) IS NULL"
        if self.strict:
            return _or_fail(converted, f"{value} IS NOT NULL AND ({converted}) IS NULL")
        pair = f"coalesce({from_}, '') || '/' || coalesce({to}, '')"
        self.fallibles.append(
            Fallible("expression.rate_missing", f"({missing})", pair, node.sql("duckdb", normalize_functions=False))
        )
        self._suspect(_UNREADABLE, unreadable, value, node)
        return converted

    def xref(self, node: exp.Expr) -> str:
        table = self._positional(node)[0]
        named = self._named(node)
        want, missing = named.pop("want", None), named.pop("missing", None)
        if table.name not in self.scope.tables or want is None or len(named) != 1:
            raise _refused(self.where, "looks up a table, a column and what it wants that are not declared so")
        column, key_node = next(iter(named.items()))
        if any(
            isinstance(inner, exp.Anonymous) and inner.name.lower() in ("xref", "currency") for inner in key_node.walk()
        ):
            raise _refused(self.where, "looks up by a value that is itself looked up; compute that in a map before")
        key = self.sql(key_node)
        alias = self.scope.xref(table.name, column, want.name, self.joined(key_node, key))
        found = f"{quoted(alias)}.v"
        if missing is not None and missing.name == "null":
            # A key that can not be computed is no missing row.
            return f"CASE WHEN {key} IS NOT NULL THEN {found} END" if self.strict else found
        if self.strict:
            return _or_fail(found, f"{key} IS NOT NULL AND {found} IS NULL")
        self._suspect("expression.lookup_missing", f"{key} IS NOT NULL AND {found} IS NULL", key, node)
        return found

    def param(self, node: exp.Expr) -> str:
        name = self._positional(node)[0].name
        if name not in self.scope.parameters:
            raise StopRun(
                f"{self.where}: the parameter {name} has no value", code=codes.PARAMETER_MISSING, where=self.where
            )
        return literal(self.scope.parameters[name])

    @staticmethod
    def _named(node: exp.Expr) -> dict[str, exp.Expr]:
        return {item.this.name: item.expression for item in node.expressions if isinstance(item, exp.Kwarg)}

    @staticmethod
    def _positional(node: exp.Expr) -> list[exp.Expr]:
        return [item for item in node.expressions if not isinstance(item, exp.Kwarg)]


def _or_fail(value: str, failed: str) -> str:
    """SQL of the value, failing for the rows for which `failed` is true. Both arms have the value's type."""
    return f"CASE WHEN {failed} AND {_FAILS} IS NULL THEN NULL ELSE {value} END"


_FUNCTIONS: Final[Mapping[str, Callable[[_Writer, exp.Expr], str]]] = {
    "cast": _Writer.cast,
    "date": _Writer.date,
    "timestamp": _Writer.timestamp,
    "number": _Writer.number,
    "currency": _Writer.currency,
    "xref": _Writer.xref,
    "param": _Writer.param,
    "property": _Writer.property_,
}
