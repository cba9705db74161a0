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
from dative.process.chains import NONE, Chains
from dative.process.datatypes import DataType
from dative.process.expression import ExpressionError, parse_expression
from dative.process.infer import infer
from dative.process.problems import field_name
from dative.process.results import NUMBER_SCALE
from sqlglot import exp

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.evaluation import calls, dates, outside
from dative_atom.engine.evaluation.database import literal, quoted
from dative_atom.engine.evaluation.lookup import Lookup, RateLookup, XrefLookup
from dative_atom.engine.evaluation.sets import Lifted
from dative_atom.engine.making.cache import CacheLookup, CacheSpec

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
    """A compiled expression. field: set where it is nothing but a field of the document, which is then passed on.

    certain: a document that is suspect fails, so that nothing has to be evaluated again to know it.
    """

    fast: str
    strict: str
    fallibles: tuple[Fallible, ...] = ()
    field: str | None = None
    certain: bool = False


@dataclass
class Scope:
    """What the expressions of one query share: parameters, properties, tables, and the lookups they make.

    properties: name -> SQL of its value. rates: the process' one rates table, None where there is not one. chains: its
    own functions. types: of the fields, where they are known. each: the expressions are those of a list's items. columns: of
    the batch, in lower case, where they are known.
    running: properties that the steps before set, and their types; own: their names in the execution, from those in the
    process; remembered: those of them that are read here. caches: that the steps before fill; cached: what is looked up in
    them here.
    """

    parameters: Mapping[str, str]
    properties: Mapping[str, str]
    tables: frozenset[str]
    rates: str | None
    chains: Chains = field(default_factory=lambda: NONE)
    types: Mapping[str, DataType] = field(default_factory=dict)
    each: bool = False
    columns: frozenset[str] = frozenset()
    lookups: list[Lookup] = field(default_factory=list)
    running: Mapping[str, pa.DataType] = field(default_factory=dict)
    own: Callable[[str], str] = str
    remembered: dict[str, pa.DataType] = field(default_factory=dict)
    caches: Mapping[str, CacheSpec] = field(default_factory=dict)
    cached: list[CacheLookup] = field(default_factory=list)
    lifted: list[Lifted] = field(default_factory=list)

    def cached_column(self, cache: str, spec: CacheSpec, written: str, key: str, want: str) -> str:
        """The name of the column of that lookup, made once however often it is written: by the form that never fails."""
        for lookup in self.cached:
            if (lookup.cache, lookup.written, lookup.want) == (cache, written, want):
                return lookup.column
        schema, key_field = spec.schema, spec.key[0]
        column = f"_cache {len(self.cached)}"
        types = (schema.field(key_field).type, schema.field(want).type)
        self.cached.append(CacheLookup(column, cache, key_field, written, key, want, *types))
        return column

    def compile(self, sql: str, where: str) -> Expression:
        """Compile one expression. where: "step to-customer, field phone". StopRun for what is not in the language."""
        try:
            tree = parse_expression(sql, chains=self.chains).tree
        except ExpressionError as error:
            raise StopRun(f"{where}: {error.message}", code=codes.COMPILE_FAILED, where=where) from error
        if isinstance(tree, exp.Column):
            written = self.column(field_name(tree))
            plain = written == f"b.{quoted(field_name(tree))}"
            return Expression(written, written, field=field_name(tree) if plain else None)
        fast = Writer(self, where, strict=False)
        strict = Writer(self, where, strict=True)
        return Expression(fast.sql(tree), strict.sql(tree), tuple(fast.fallibles), certain=_certain(tree))

    def column(self, name: str) -> str:
        """SQL of a field: a column, or for a path into a struct the column it begins with and the way from there."""
        parts = name.split(".")
        if name.lower() not in self.columns:
            for length in range(len(parts) - 1, 0, -1):
                head = ".".join(parts[:length])
                if head.lower() in self.columns:
                    return ".".join([f"b.{quoted(head)}", *(quoted(part) for part in parts[length:])])
        return f"b.{quoted(name)}"

    def lift(self, lifted: Lifted) -> str:
        """SQL of a value that is computed for all documents before the query runs; made once however often it is written."""
        if lifted not in self.lifted:
            self.lifted.append(lifted)
        return f"b.{quoted(f'_set {self.lifted.index(lifted)}')}"

    def xref(self, table: str, column: tuple[str, ...], want: str, key: str) -> str:
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


# Fails for the row it is evaluated for. It names the row, or DuckDB would compute it while planning, for all of them.
_FAILS: Final = f"CAST('!' || CAST(b.{quoted(DOCUMENT)} AS VARCHAR) AS INTEGER)"


class Writer:
    """Writes one form of one expression. The fast form collects the fallible places on its way."""

    def __init__(self, scope: Scope, where: str, *, strict: bool) -> None:
        self.scope = scope
        self.where = where
        self.strict = strict
        self.fallibles: list[Fallible] = []

    def joined(self, node: exp.Expr, written: str) -> str:
        """SQL of what a lookup joins by: tolerant in both forms, because a join that fails would fail every document of
        its batch. written: the node's SQL in this form."""
        return self.tolerant().sql(node) if self.strict else written

    def tolerant(self) -> Writer:
        """A writer of the fast form, this one where it is that; what it finds suspect is known already."""
        return Writer(self.scope, self.where, strict=False) if self.strict else self

    def type_of(self, node: exp.Expr) -> DataType:
        """The type of a node, `any` where it is not known."""
        return infer(node, self.scope.types)[0]

    def sql(self, node: exp.Expr) -> str:
        """The SQL of a node, everything below it first."""
        if isinstance(node, exp.Column):
            return self.scope.column(field_name(node))
        name = node.name.lower() if isinstance(node, exp.Anonymous) else type(node).__name__.lower()
        own = _FUNCTIONS.get(name) or calls.CALLS.get(name) or outside.CALLS.get(name)
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
            return self.may_fail(written, operands, node)
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

    def may_fail(self, written: str, operands: list[str], node: exp.Expr) -> str:
        if self.strict or not operands:
            return written
        tried = f"TRY({written})"
        present = " AND ".join(f"{operand} IS NOT NULL" for operand in operands)
        self.suspect(_EVALUATION, f"{present} AND {tried} IS NULL", operands[0], node)
        return tried

    def _json(self, written: str, value: str, node: exp.Expr) -> str:
        # Null is a common and right answer here, so it is the input that makes a document suspect.
        if self.strict:
            return written
        self.suspect(_EVALUATION, f"{value} IS NOT NULL AND NOT json_valid({value})", value, node)
        return f"TRY({written})"

    def _division(self, node: exp.Div) -> str:
        # DuckDB answers infinity, which no target and no accountant knows.
        above, below = self.sql(node.this), self.sql(node.expression)
        if self.strict:
            return self.or_fail(f"({above} / {below})", f"{below} = 0")
        quotient = f"TRY({above} / NULLIF({below}, 0))"
        self.suspect(_EVALUATION, f"{above} IS NOT NULL AND {below} IS NOT NULL AND {quotient} IS NULL", below, node)
        return quotient

    def suspect(self, code: str, flag: str, subject: str, node: exp.Expr) -> None:
        self.fallibles.append(Fallible(code, f"({flag})", subject, node.sql("duckdb", normalize_functions=False)))

    # Casts and the language's own functions.

    def cast(self, node: exp.Expr) -> str:
        value, target = self.sql(node.this), node.args["to"].sql("duckdb")
        if self.strict:
            return f"CAST({value} AS {target})"
        tried = f"TRY_CAST({value} AS {target})"
        self.suspect("expression.cast_failed", f"{value} IS NOT NULL AND {tried} IS NULL", value, node)
        return tried

    def date(self, node: exp.Expr) -> str:
        text, formats = self._read(node)
        return self.converted(text, dates.parsed(f"CAST({text} AS VARCHAR)", formats, "DATE"), _DATE, node)

    def timestamp(self, node: exp.Expr) -> str:
        text, formats = self._read(node)
        local = dates.parsed(f"CAST({text} AS VARCHAR)", formats, "TIMESTAMP")
        named = {name: item.name for name, item in self.named(node).items()}
        if "zone" not in named:
            return self.converted(text, f"timezone('UTC', {local})", _DATE, node)
        instant = dates.instant(local, named["zone"], named.get("gap", "error"), named.get("fold", "later"))
        return self.converted(text, instant, _DATE, node)

    def _read(self, node: exp.Expr) -> tuple[str, list[str]]:
        value, *formats = self.positional(node)
        return self.sql(value), [format_.name for format_ in formats]

    def number(self, node: exp.Expr) -> str:
        text = self.sql(self.positional(node)[0])
        scale = self.named(node).get("scale")
        digits = int(scale.name) if scale is not None else NUMBER_SCALE
        plain = f"CAST({text} AS VARCHAR)"
        strictly = f"CASE WHEN regexp_full_match({plain}, {literal(_NUMBER)}) THEN {plain} END"
        return self.converted(text, f"TRY_CAST({strictly} AS DECIMAL(38, {digits}))", _UNREADABLE, node)

    def converted(self, value: str, converted: str, code: str, node: exp.Expr) -> str:
        if self.strict:
            return self.or_fail(converted, f"{value} IS NOT NULL AND {converted} IS NULL")
        self.suspect(code, f"{value} IS NOT NULL AND {converted} IS NULL", value, node)
        return converted

    def refused(self, why: str) -> StopRun:
        """What is written is not what the process declares. why: goes on after "the expression"."""
        return StopRun(f"{self.where}: the expression {why}", code=codes.COMPILE_FAILED, where=self.where)

    @staticmethod
    def or_fail(value: str, failed: str) -> str:
        """SQL of the value, failing for the rows for which `failed` is true. Both arms have the value's type."""
        return f"CASE WHEN {failed} AND {_FAILS} IS NULL THEN NULL ELSE {value} END"

    @staticmethod
    def named(node: exp.Expr) -> dict[str, exp.Expr]:
        return {item.this.name: item.expression for item in node.expressions if isinstance(item, exp.Kwarg)}

    @staticmethod
    def positional(node: exp.Expr) -> list[exp.Expr]:
        return [item for item in node.expressions if not isinstance(item, exp.Kwarg)]


def _certain(node: exp.Expr) -> bool:
    """Nothing here is conditional, and every place that can fail fails exactly where its flag says so: conversions of
    fields, and conversions of those. Evaluating a failure strictly costs 30 µs, ten times the document."""
    if isinstance(node, exp.Column | exp.Literal):
        return True
    if type(node) is exp.Cast:
        return _certain(node.this)
    if not isinstance(node, exp.Anonymous) or node.name.lower() not in ("date", "timestamp", "number", "currency"):
        return False
    value, *others = (item.expression if isinstance(item, exp.Kwarg) else item for item in node.expressions)
    return _certain(value) and all(isinstance(other, exp.Column | exp.Literal) for other in others)


_FUNCTIONS: Final[Mapping[str, Callable[[Writer, exp.Expr], str]]] = {
    "cast": Writer.cast,
    "date": Writer.date,
    "timestamp": Writer.timestamp,
    "number": Writer.number,
}
