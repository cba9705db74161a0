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

import sqlglot
from dative.errors import StopRun
from dative.errors import engine as codes
from sqlglot import exp

from dative_atom.engine import dates, money
from dative_atom.engine.database import literal, quoted
from dative_atom.engine.lookup import Lookup, RateLookup, XrefLookup

_EVALUATION: Final = "expression.evaluation_failed"

# Strict functions and operators (null in, null out) that can fail for a value. Each stands in TRY in the fast form.
_MAY_FAIL: Final = (exp.Add, exp.Sub, exp.Mul, exp.IntDiv, exp.Mod, exp.Neg, exp.Pow, exp.Abs, exp.StrToTime)
# Nodes that hold values back or choose between them: a missing result of theirs says nothing.
_CHOOSING: Final = (exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.Greatest, exp.Least)


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
    """What the expressions of one query share: parameters, tables, and the lookups they make.

    rates: the process' one rates table, None where there is not one.
    """

    parameters: Mapping[str, str]
    tables: frozenset[str]
    rates: str | None
    lookups: list[Lookup] = field(default_factory=list)

    def compile(self, sql: str, where: str) -> Expression:
        """Compile one expression. where: "step to-customer, field phone". StopRun for what is not in the language."""
        try:
            tree = sqlglot.parse_one(sql, read="duckdb")
        except sqlglot.errors.ParseError as error:
            raise _refused(where, "is not SQL") from error
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
        self.lookups.append(XrefLookup(f"xref {len(self.lookups)}", table, column, want, key))
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
        self.lookups.append(RateLookup(f"rate {len(self.lookups)}", table, source, target, on))
        return self.lookups[-1].alias


def field_name(column: exp.Column) -> str:
    """The field that a column names: Owner.Name is the field "Owner.Name"."""
    return ".".join(part.name for part in column.parts)


def arguments(node: exp.Expression) -> list[exp.Expression]:
    """The arguments of a call in the order in which they are written, named ones among them.

    sqlglot reads date() and timestamp() as its own nodes and files their arguments under other names.
    """
    if isinstance(node, exp.Anonymous):
        return list(node.expressions)
    named = [node.args.get(key) for key in ("this", "zone", "with_tz", "safe", "expression")]
    return [*(value for value in named if isinstance(value, exp.Expression)), *node.expressions]


def _refused(where: str, why: str) -> StopRun:
    return StopRun(f"{where}: the expression {why}", code=codes.COMPILE_FAILED, where=where)


def _column(column: exp.Column) -> str:
    return f"b.{quoted(field_name(column))}"


def _fails(reason: str) -> str:
    """SQL that always fails for the row it is evaluated for; `reason`, SQL of a string, keeps it from being folded."""
    return f"CAST('!' || coalesce(CAST({reason} AS VARCHAR), '') AS INTEGER)"


class _Writer:
    """Writes one form of one expression. The fast form collects the fallible places on its way."""

    def __init__(self, scope: Scope, where: str, *, strict: bool) -> None:
        self.scope = scope
        self.where = where
        self.strict = strict
        self.fallibles: list[Fallible] = []

    def sql(self, node: exp.Expression) -> str:
        """The SQL of a node, everything below it first."""
        if isinstance(node, exp.Column):
            return _column(node)
        name = node.name.lower() if isinstance(node, exp.Anonymous) else type(node).__name__.lower()
        own = _FUNCTIONS.get(name)
        if own is not None and (call := own(self, node)) is not None:
            return call
        return self._plain(node)

    def _plain(self, node: exp.Expression) -> str:
        parts: dict[str, object] = {}
        for key, value in node.args.items():
            parts[key] = [self._child(item) for item in value] if isinstance(value, list) else self._child(value)
        written = type(node)(**parts).sql("duckdb")
        if isinstance(node, exp.Div):
            return self._division(node, parts)
        if isinstance(node, exp.Anonymous) or isinstance(node, _MAY_FAIL):
            operands = [
                str(value) for value in self._values(parts) if isinstance(value, exp.Var) and not _is_literal(value)
            ]
            return self._may_fail(written, operands, node)
        return written

    def _child(self, value: object) -> object:
        if not isinstance(value, exp.Expression):
            return value
        # Data types, interval units and the like are words of the syntax, not values.
        if isinstance(value, exp.DataType | exp.Var | exp.Identifier | exp.Literal | exp.Boolean | exp.Null):
            return value
        return exp.Var(this=f"({self.sql(value)})" if isinstance(value, exp.Binary) else self.sql(value))

    @staticmethod
    def _values(parts: Mapping[str, object]) -> list[object]:
        flat: list[object] = []
        for value in parts.values():
            flat.extend(value if isinstance(value, list) else [value])
        return flat

    def _may_fail(self, written: str, operands: list[str], node: exp.Expression) -> str:
        if self.strict:
            return written
        tried = f"TRY({written})"
        if operands:
            present = " AND ".join(f"{operand} IS NOT NULL" for operand in operands)
            self._suspect(_EVALUATION, f"{present} AND {tried} IS NULL", operands[0], node)
        return tried

    def _division(self, node: exp.Div, parts: Mapping[str, object]) -> str:
        # DuckDB answers infinity, which no target and no accountant knows.
        above, below = f"({_text(parts['this'])})", f"({_text(parts['expression'])})"
        if self.strict:
            return f"CASE WHEN {below} = 0 THEN {_fails(below)} ELSE {above} / {below} END"
        quotient = f"TRY({above} / NULLIF({below}, 0))"
        self._suspect(_EVALUATION, f"{above} IS NOT NULL AND {below} IS NOT NULL AND {quotient} IS NULL", below, node)
        return quotient

    def _suspect(self, code: str, flag: str, subject: str, node: exp.Expression) -> None:
        self.fallibles.append(Fallible(code, f"({flag})", subject, node.sql("duckdb")))

    # The language's own functions. Each returns None for a call that is DuckDB's own function of the same name.

    def cast(self, node: exp.Expression) -> str:
        value, target = self.sql(node.this), node.args["to"].sql("duckdb")
        if self.strict:
            return f"CAST({value} AS {target})"
        tried = f"TRY_CAST({value} AS {target})"
        self._suspect("expression.cast_failed", f"{value} IS NOT NULL AND {tried} IS NULL", value, node)
        return tried

    def date(self, node: exp.Expression) -> str | None:
        return self._formatted(node, "DATE")

    def timestamp(self, node: exp.Expression) -> str | None:
        return self._formatted(node, "TIMESTAMP")

    def _formatted(self, node: exp.Expression, target: str) -> str | None:
        value, *rest = arguments(node)
        formats = [item.this for item in rest if isinstance(item, exp.Literal)]
        zone = self._named(node).get("zone")
        text = self.sql(value)
        if not formats:
            return self._converted(text, f"TRY_CAST({text} AS {target})", "expression.date_unreadable", node)
        parsed = dates.parsed(f"CAST({text} AS VARCHAR)", formats, target)
        if zone is not None and target == "TIMESTAMP":
            parsed = f"timezone({self.sql(zone)}, {parsed})"
        return self._converted(text, parsed, "expression.date_unreadable", node)

    def number(self, node: exp.Expression) -> str:
        value, *rest = arguments(node)
        text = self.sql(value)
        scale = next((item.this for item in rest if isinstance(item, exp.Literal) and not item.is_string), None)
        named = self._named(node)
        if (asked := named.get("scale")) is not None:
            scale = asked.name
        point = named["decimal"].name if "decimal" in named else "."
        return self._converted(
            text, _number(text, point, int(scale) if scale else 6), "expression.number_unreadable", node
        )

    def _converted(self, value: str, converted: str, code: str, node: exp.Expression) -> str:
        if self.strict:
            return _or_fail(converted, f"{value} IS NOT NULL AND {converted} IS NULL", value)
        self._suspect(code, f"{value} IS NOT NULL AND {converted} IS NULL", value, node)
        return converted

    def currency(self, node: exp.Expression) -> str:
        amount, source, target, *_ = arguments(node)
        named = self._named(node)
        table = named["rates"].name if "rates" in named else self.scope.rates
        if table is None or table not in self.scope.tables:
            raise _refused(self.where, "converts currencies, and the process declares no table of kind rates for it")
        on = self.sql(named["on"]) if "on" in named else None
        from_, to = self.sql(source), self.sql(target)
        alias = self.scope.rate(table, from_, to, on)
        constant = target.this if isinstance(target, exp.Literal) else None
        value = self.sql(amount)
        exact = f"TRY_CAST({value} AS {money.AMOUNT})"
        rate = f"CASE WHEN {from_} = {to} THEN CAST(1 AS DECIMAL(16, 10)) ELSE {quoted(alias)}.rate END"
        converted = money.rounded(f"({exact} * {rate})", to, constant)
        missing = f"{value} IS NOT NULL AND ({rate}) IS NULL"
        unreadable = f"{value} IS NOT NULL AND ({rate}) IS NOT NULL AND ({converted}) IS NULL"
        if self.strict:
            return _or_fail(converted, f"{value} IS NOT NULL AND ({converted}) IS NULL", value)
        pair = f"coalesce({from_}, '') || '/' || coalesce({to}, '')"
        self.fallibles.append(Fallible("expression.rate_missing", f"({missing})", pair, node.sql("duckdb")))
        self._suspect("expression.number_unreadable", unreadable, value, node)
        return converted

    def xref(self, node: exp.Expression) -> str:
        table, *_ = arguments(node)
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
        alias = self.scope.xref(table.name, column, want.name, key)
        found = f"{quoted(alias)}.v"
        if missing is not None and missing.name == "null":
            return found
        if self.strict:
            return _or_fail(found, f"{key} IS NOT NULL AND {found} IS NULL", key)
        self._suspect("expression.lookup_missing", f"{key} IS NOT NULL AND {found} IS NULL", key, node)
        return found

    def param(self, node: exp.Expression) -> str:
        name = arguments(node)[0].name
        if name not in self.scope.parameters:
            raise StopRun(
                f"{self.where}: the parameter {name} has no value", code=codes.PARAMETER_MISSING, where=self.where
            )
        return literal(self.scope.parameters[name])

    @staticmethod
    def _named(node: exp.Expression) -> dict[str, exp.Expression]:
        return {item.this.name: item.expression for item in arguments(node) if isinstance(item, exp.Kwarg)}


def _or_fail(value: str, failed: str, subject: str) -> str:
    """SQL of the value, failing for the rows for which `failed` is true. Both arms have the value's type."""
    return f"CASE WHEN {failed} AND {_fails(subject)} IS NULL THEN NULL ELSE {value} END"


def _text(part: object) -> str:
    return part.sql("duckdb") if isinstance(part, exp.Expression) else str(part)


def _is_literal(value: exp.Var) -> bool:
    return value.name.startswith("'")


def _number(text: str, point: str, scale: int) -> str:
    """SQL of a decimal read from a text. point: its decimal separator. A grouped number is none: 1,500 has two readings."""
    plain = f"trim(CAST({text} AS VARCHAR))"
    if point != ".":
        # A text that holds a point already is no number here: what it groups is not known.
        plain = f"CASE WHEN NOT contains({plain}, '.') THEN replace({plain}, {literal(point)}, '.') END"
    return f"TRY_CAST({plain} AS DECIMAL(38, {scale}))"


_FUNCTIONS: Final[Mapping[str, Callable[[_Writer, exp.Expression], str | None]]] = {
    "cast": _Writer.cast,
    "date": _Writer.date,
    "timestamp": _Writer.timestamp,
    "number": _Writer.number,
    "currency": _Writer.currency,
    "xref": _Writer.xref,
    "param": _Writer.param,
}
