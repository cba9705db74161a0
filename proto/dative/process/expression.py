"""One SQL expression: parsed, held to the allow-list, its fields and own functions found.

The parser is DuckDB's dialect in sqlglot with its table of functions emptied: every call arrives under the name that
was written, so that the name that is checked is the name that runs. What runs is printed again from this tree, never
the text. Types are in `infer`; which fields and tables there are is the validator's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.parsers.duckdb import DuckDBParser
from sqlglot.tokenizer_core import Token, TokenType

from dative.errors import expression as codes
from dative.errors.base import Code, DativeError
from dative.process import chains as chain_words
from dative.process.chains import Chains
from dative.process.datatypes import ANY, DataType
from dative.process.findings import nearest
from dative.process.forbidden import why_forbidden
from dative.process.functions import FUNCTIONS
from dative.process.problems import Problem, field_name, literal_text, offset_of

LENGTH_MAX = 4000
TOKENS_MAX = 1500
NESTING_MAX = 20
DEPTH_MAX = 60
GROWING_MAX = 4
"""How deep replace() may stand in replace(): each can multiply the length by that of its replacement."""


class _Parser(DuckDBParser):
    # Emptied on purpose: typed nodes would rename, reorder and rewrite what was written.
    FUNCTIONS: ClassVar[dict[str, Any]] = {}
    # A word of statements elsewhere, a function here.
    FUNC_TOKENS: ClassVar[set[TokenType]] = {*DuckDBParser.FUNC_TOKENS, TokenType.CACHE}
    FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
        name: parser
        for name, parser in DuckDBParser.FUNCTION_PARSERS.items()
        if name in ("CAST", "TRY_CAST", "EXTRACT")
    }


class ExpressionDialect(DuckDB):
    """DuckDB's dialect, whose calls all stay calls under the name that was written."""

    Parser = _Parser


_DIALECT = ExpressionDialect()

_ALLOWED: frozenset[type[exp.Expr]] = frozenset(
    (
        exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Anonymous, exp.Kwarg, exp.Var, exp.Paren,
        exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ,
        exp.Is, exp.In, exp.Between, exp.Like, exp.ILike, exp.Escape, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv,
        exp.Mod, exp.Neg, exp.DPipe, exp.Case, exp.If, exp.Cast, exp.TryCast, exp.DataType, exp.DataTypeParam,
        exp.Interval, exp.Extract, exp.AtTimeZone, exp.Array,
    )
)  # fmt: skip

_NOT_SCALAR = (
    exp.Query, exp.Subquery, exp.Exists, exp.Any, exp.All, exp.Window, exp.Filter, exp.Order, exp.Distinct,
    exp.Star, exp.Command, exp.DDL, exp.DML, exp.From, exp.Where, exp.Lambda,
)  # fmt: skip

_UNARY = frozenset((TokenType.NOT, TokenType.DASH, TokenType.PLUS, TokenType.TILDE))
_OPENING = frozenset((TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.CASE))
_CLOSING = frozenset((TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.END))


@dataclass(eq=False)
class ExpressionError(DativeError):
    """The expression is not in the language; `problems` holds everything that is wrong with it."""

    default_code: ClassVar[Code] = codes.SYNTAX
    problems: tuple[Problem, ...] = field(default=(), kw_only=True)


@dataclass(frozen=True)
class OwnCall:
    """A call of a function that the engine compiles itself.

    node: the place in `Expression.tree`, to be replaced. arguments: the positional ones, a table's name and other
    literals included. named: those with =>. For xref the key columns are the named ones but `want` and `missing`.
    """

    name: str
    node: exp.Anonymous
    arguments: tuple[exp.Expr, ...]
    named: Mapping[str, exp.Expr]

    @property
    def table(self) -> str | None:
        """The table it names; None for currency() without `rates`, which takes the process' only rates table."""
        if self.name in ("xref", "lookup", "sequence"):
            return literal_text(self.arguments[0]) if self.arguments else None
        return literal_text(self.named["rates"]) if self.name == "currency" and "rates" in self.named else None

    def key_fields(self) -> frozenset[str]:
        """The fields that its keys are made of: the key of a sequence, the columns of a lookup."""
        nodes = self.columns().values()
        return frozenset(field_name(column) for node in nodes for column in node.find_all(exp.Column))

    def columns(self) -> dict[str, exp.Expr]:
        """Key -> expression: of a sequence `key`, of xref and lookup the columns that find the row."""
        return {name: node for name, node in self.named.items() if name not in ("want", "missing")}


@dataclass(frozen=True)
class Expression:
    """One checked expression.

    tree: to be printed with `.sql(dialect="duckdb")` after own calls were replaced and columns renamed; copy it first.
    fields: every field it reads, relationships with dots. calls: own functions, inner ones before those around them.
    type: what it gives, `any` where that is not known. constant: it reads no field.
    """

    sql: str
    tree: exp.Expr
    fields: frozenset[str]
    functions: frozenset[str]
    calls: tuple[OwnCall, ...]
    type: DataType = ANY

    @property
    def properties(self) -> frozenset[str]:
        """The names that it reads with property(), as far as they are written out."""
        names = (literal_text(call.arguments[0]) for call in self.calls if call.name == "property" and call.arguments)
        return frozenset(name for name in names if name is not None)

    @property
    def constant(self) -> bool:
        return not self.fields


def parse_expression(
    sql: str, types: Mapping[str, DataType] | None = None, chains: Chains = chain_words.NONE
) -> Expression:
    """The expression in `sql`. types: of the fields it may read; fields that are not among them are `any`.

    chains: the process' own functions, put in place. Raises ExpressionError with everything that is wrong with it.
    Whether the fields exist is not looked at.
    """
    expression, problems = read_expression(sql, types, chains)
    if expression is None or problems:
        first = problems[0]
        message = f"{first.message} in: {sql[:200]}"
        raise ExpressionError(message, code=first.code, problems=tuple(problems))
    return expression


def read_expression(
    sql: str, types: Mapping[str, DataType] | None = None, chains: Chains = chain_words.NONE
) -> tuple[Expression | None, list[Problem]]:
    """`parse_expression` for those who collect findings: never raises; the expression is None when it has no tree."""
    from dative.process.infer import infer  # below this file, and it needs its words

    try:
        tree = parsed(sql)
        if isinstance(tree, Problem):
            return None, [tree]
        problems = list(_forbidden(tree, chains))
        if chains and not problems:
            problems = chain_words.argument_problems(tree, chains, types or {})
            tree, grown = chain_words.expanded(tree, chains)
            problems += grown or list(_forbidden(tree, chains))
            if _depth(tree) > DEPTH_MAX:
                return None, [Problem(codes.TOO_DEEP, f"nested deeper than {DEPTH_MAX} when its functions are put in")]
        fields = frozenset(field_name(column) for column in tree.find_all(exp.Column))
        calls = tuple(_own_calls(tree))
        names = frozenset(call.name.lower() for call in tree.find_all(exp.Anonymous))
        kind, type_problems = (ANY, []) if problems else infer(tree, types or {})
    except RecursionError:
        # The limits above keep well away from it; if a construct slips through, it is a finding and no crash.
        return None, [Problem(codes.TOO_DEEP, "the expression is nested too deep")]
    return Expression(sql, tree, fields, names, calls, kind), [*problems, *type_problems]


def parsed(sql: str) -> exp.Expr | Problem:
    """The tree of one expression within the bounds, nothing of it checked yet; or what keeps it from being one."""
    if not sql.strip():
        return Problem(codes.SYNTAX, "the expression is empty")
    if len(sql) > LENGTH_MAX:
        return Problem(codes.TOO_LONG, f"{len(sql):,} characters; an expression has at most {LENGTH_MAX:,}")
    try:
        tokens = _DIALECT.tokenize(sql)
    except (SqlglotError, ValueError, IndexError) as broken:
        return Problem(codes.SYNTAX, f"not SQL: {_first_line(broken)}")
    problem = _limits(tokens)
    return problem if problem is not None else _tree(tokens, sql)


def _limits(tokens: list[Token]) -> Problem | None:
    """Bounds on what the parser would recurse over, before it does."""
    if not tokens:
        return Problem(codes.SYNTAX, "the expression holds nothing but a comment")
    if len(tokens) > TOKENS_MAX:
        return Problem(codes.TOO_LONG, f"{len(tokens):,} words and signs; an expression has at most {TOKENS_MAX:,}")
    nesting = unary = 0
    for token in tokens:
        if token.token_type == TokenType.SEMICOLON:
            return Problem(codes.NOT_SCALAR, "a semicolon: an expression is one value, no statement", token.start)
        nesting += (token.token_type in _OPENING) - (token.token_type in _CLOSING)
        unary = unary + 1 if token.token_type in _UNARY else 0
        if nesting > NESTING_MAX or unary > NESTING_MAX:
            return Problem(codes.TOO_DEEP, f"nested deeper than {NESTING_MAX}", token.start)
    return None


def _tree(tokens: list[Token], sql: str) -> exp.Expr | Problem:
    try:
        found = _DIALECT.parser().parse_into(exp.Condition, tokens, sql)
    except ParseError as broken:
        return _syntax(broken, tokens, sql)
    except (SqlglotError, ValueError, TypeError, AttributeError, IndexError, KeyError) as broken:
        # Hostile text can trip the parser in ways that are not its own error.
        return Problem(codes.SYNTAX, f"not SQL: {_first_line(broken)}")
    tree = found[0] if found else None
    if tree is None or len(found) != 1:
        return Problem(codes.SYNTAX, "not one SQL expression")
    if _depth(tree) > DEPTH_MAX:
        return Problem(codes.TOO_DEEP, f"nested deeper than {DEPTH_MAX}; concat() and IN take many values at once")
    for node in tree.walk():
        node.comments = None
    return tree


_STATEMENTS = frozenset(
    [
        "SELECT",
        "INSERT",
        "UPDATE",
        "DELETE",
        "DROP",
        "CREATE",
        "ALTER",
        "ATTACH",
        "DETACH",
        "COPY",
        "PRAGMA",
        "SET",
        "INSTALL",
        "LOAD",
        "CALL",
        "EXPORT",
        "IMPORT",
        "WITH",
        "EXECUTE",
        "PREPARE",
        "TRUNCATE",
        "VACUUM",
    ]
)


def _syntax(broken: ParseError, tokens: list[Token], sql: str) -> Problem:
    if len(tokens) > 1 and tokens[0].text.upper() in _STATEMENTS:
        return Problem(codes.NOT_SCALAR, f"{tokens[0].text.upper()} is a statement; an expression is one value", 0)
    detail = broken.errors[0] if broken.errors else {}
    offset = None
    if detail.get("highlight") and detail.get("start_context") is not None:
        offset = sql.rfind(detail["start_context"] + detail["highlight"])
        offset = offset + len(detail["start_context"]) if offset >= 0 else None
    near = f' near "{detail["highlight"]}"' if detail.get("highlight") else ""
    return Problem(codes.SYNTAX, f"not SQL: {detail.get('description', 'unreadable').rstrip('.')}{near}", offset)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["unreadable"])[0][:120]


def _depth(tree: exp.Expr) -> int:
    # With a list of our own: this is what keeps the recursive walks that follow within bounds.
    deepest, waiting = 0, [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        deepest = max(deepest, depth)
        waiting.extend((child, depth + 1) for child in node.iter_expressions())
    return deepest


def _forbidden(tree: exp.Expr, chains: Chains) -> Iterator[Problem]:
    # What is inside a node that is refused would only be told again.
    for node in tree.walk(bfs=False, prune=lambda inner: type(inner) not in _ALLOWED):
        if isinstance(node, exp.Anonymous):
            if node.name.lower() not in chains:
                yield from _forbidden_call(node, chains)
        elif isinstance(node, _NOT_SCALAR):
            yield Problem(codes.NOT_SCALAR, f"{_kind(node)} is not one value of one document", offset_of(node))
        elif type(node) not in _ALLOWED:
            yield Problem(codes.NOT_ALLOWED, _not_allowed(node), offset_of(node))
        elif isinstance(node, exp.In) and not node.expressions:
            yield Problem(codes.NOT_ALLOWED, "IN needs a list in parentheses", offset_of(node))


def _forbidden_call(node: exp.Anonymous, chains: Chains) -> Iterator[Problem]:
    name = node.name.lower()
    function = FUNCTIONS.get(name)
    if function is None:
        reason = why_forbidden(name)
        if reason:
            message = f"{name}() is not in the language: {reason}"
            yield Problem(codes.FORBIDDEN_FUNCTION, message, offset_of(node))
        else:
            yield Problem(
                codes.UNKNOWN_FUNCTION,
                f"unknown function {name[:60]}(){nearest(name, (*FUNCTIONS, *chains))}",
                offset_of(node),
            )
    elif function.grows and _growing_around(node) >= GROWING_MAX:
        message = f"{name}() stands in {GROWING_MAX} others like it: each can multiply the length"
        yield Problem(codes.UNBOUNDED, message, offset_of(node))


def _growing_around(node: exp.Expr) -> int:
    count, parent = 0, node.parent
    while parent is not None:
        if isinstance(parent, exp.Anonymous) and parent.name.lower() in FUNCTIONS:
            count += FUNCTIONS[parent.name.lower()].grows
        parent = parent.parent
    return count


def _kind(node: exp.Expr) -> str:
    names: dict[type[exp.Expr], str] = {
        exp.Star: "*",
        exp.Window: "OVER",
        exp.Lambda: "a lambda",
        exp.Order: "ORDER BY",
    }
    return names.get(type(node)) or ("a subquery" if isinstance(node, exp.Query | exp.Exists) else node.key.upper())


def _not_allowed(node: exp.Expr) -> str:
    if isinstance(node, exp.Placeholder | exp.Parameter):
        return "binds belong into `where`; an expression reads param('name')"
    if isinstance(node, exp.Alias):
        return "AS names nothing here: the map's key is the name"
    if isinstance(node, exp.CurrentDate | exp.CurrentTimestamp | exp.CurrentTime):
        return "the time changes between a run and its retry; use property('execution.started_at')"
    return f"{node.key.upper()} is not in the language"


def _own_calls(tree: exp.Expr) -> Iterator[OwnCall]:
    found = [node for node in tree.walk(bfs=False) if isinstance(node, exp.Anonymous)]
    for node in reversed(found):
        function = FUNCTIONS.get(node.name.lower())
        if function is not None and function.own:
            arguments = tuple(item for item in node.expressions if not isinstance(item, exp.Kwarg))
            named = {item.this.name: item.expression for item in node.expressions if isinstance(item, exp.Kwarg)}
            yield OwnCall(function.name, node, arguments, named)
