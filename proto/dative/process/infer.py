"""The type of an expression, and what about its types and arguments can not work.

Only what is clearly wrong for every document is said: an unknown type is `any` and fits everywhere, a text literal is
taken for what it is compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from sqlglot import exp

from dative.errors import expression as codes
from dative.errors.base import Code
from dative.process import datatypes as types
from dative.process.datatypes import DataType, fits, joined
from dative.process.findings import nearest
from dative.process.functions import FUNCTIONS, Function, Parameter
from dative.process.problems import Problem, field_name, literal_text, offset_of
from dative.process.results import Called, Results, parameter_key, property_key
from dative.process.scalars import is_time_zone

_CASTS: dict[exp.DType, DataType] = {
    exp.DType.TEXT: types.TEXT,
    exp.DType.VARCHAR: types.TEXT,
    exp.DType.CHAR: types.TEXT,
    exp.DType.TINYINT: types.INTEGER,
    exp.DType.SMALLINT: types.INTEGER,
    exp.DType.INT: types.INTEGER,
    exp.DType.BIGINT: types.INTEGER,
    exp.DType.DOUBLE: types.DOUBLE,
    exp.DType.BOOLEAN: types.BOOLEAN,
    exp.DType.DATE: types.DATE,
    exp.DType.TIMESTAMP: types.TIMESTAMP,
    exp.DType.TIMESTAMPNTZ: types.TIMESTAMP,
    exp.DType.TIMESTAMPTZ: types.TIMESTAMP,
    exp.DType.TIME: types.TIME,
    exp.DType.JSON: types.JSON,
    exp.DType.BLOB: types.BINARY,
}
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ)
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod)
DATE_PARTS = frozenset(["year", "quarter", "month", "week", "day", "hour", "minute", "second", "millisecond"])


def infer(tree: exp.Expr, fields: Mapping[str, DataType]) -> tuple[DataType, list[Problem]]:
    """The type of `tree` over fields of these types, and what can not work in it. tree: within the allow-list."""
    inference = _Inference(fields)
    return inference.of(tree), inference.problems


class _Inference(Results):
    def __init__(self, fields: Mapping[str, DataType]) -> None:
        self._fields = fields
        self.problems: list[Problem] = []

    def given(self, node: exp.Expr) -> bool:
        return isinstance(node, exp.Column) and parameter_key(field_name(node)) in self._fields

    def property_type(self, name: str) -> DataType:
        return self._fields.get(property_key(name), types.ANY)

    def of(self, node: exp.Expr | None) -> DataType:
        if node is None:
            return types.ANY
        for kinds, rule in self._rules():
            if isinstance(node, kinds):
                return rule(node)
        return types.ANY

    def _rules(self) -> Iterable[tuple[type | tuple[type, ...], Callable[..., DataType]]]:
        return (
            (exp.Column, lambda node: self._fields.get(field_name(node), types.ANY)),
            (exp.Literal, _literal),
            (exp.Boolean, lambda _: types.BOOLEAN),
            (exp.Paren, lambda node: self.of(node.this)),
            (exp.Anonymous, self._call),
            (exp.Cast, self._cast),
            ((exp.And, exp.Or), self._logic),
            (exp.Not, self._logic),
            ((*_COMPARISONS, exp.Between, exp.In), self._comparison),
            ((exp.Like, exp.ILike), self._like),
            (exp.Escape, lambda node: self.of(node.this)),
            (exp.Is, self._is),
            (_ARITHMETIC, self._arithmetic),
            (exp.Neg, self._negative),
            (exp.DPipe, self._pipe),
            (exp.Case, self._case),
            (exp.If, lambda node: self._branches([node], node.args.get("false"))),
            (exp.Interval, lambda _: types.INTERVAL),
            (exp.Extract, self._extract),
            (exp.AtTimeZone, self._at_time_zone),
            (exp.Array, self._list),
        )

    def wrong(self, message: str, node: exp.Expr, code: Code = codes.WRONG_TYPE) -> None:
        self.problems.append(Problem(code, message, offset_of(node)))

    def _expect(self, wanted: str, node: exp.Expr, what: str) -> DataType:
        given = self.of(node)
        if not fits(wanted, given) and not (_is_text_literal(node) and wanted != "boolean"):
            self.wrong(f"{what} needs {_article(wanted)}, here it is {given}", node)
        return given

    def _cast(self, node: exp.Cast) -> DataType:
        self.of(node.this)
        target = node.to
        if target.this in (exp.DType.DECIMAL, exp.DType.BIGDECIMAL):
            sizes = [int(item.name) for item in target.expressions if item.name.isdigit()]
            precision, scale = (*sizes, 18, 3)[:2] if not sizes else (sizes[0], sizes[1] if len(sizes) > 1 else 0)
            if not 1 <= precision <= types.PRECISION_MAX or scale > precision:
                self.wrong(f"decimal({precision},{scale}): at most 38 digits, scale within them", node)
                return types.ANY
            return types.decimal(precision, scale)
        if target.this in _CASTS and not target.args.get("nested"):
            return _CASTS[target.this]
        self.wrong(f"{target.sql('duckdb')} is no type of a field", node, codes.NOT_ALLOWED)
        return types.ANY

    def _logic(self, node: exp.Expr) -> DataType:
        for side in node.iter_expressions():
            self._expect("boolean", side, node.key.upper())
        return types.BOOLEAN

    def _comparison(self, node: exp.Expr) -> DataType:
        first = node.this
        kind = self.of(first)
        for other in (item for item in node.iter_expressions() if item is not first):
            given = self.of(other)
            if _is_text_literal(other) or _is_text_literal(first):
                continue
            if joined(kind, given) is None:
                self.wrong(f"{kind} is compared with {given}", node)
        return types.BOOLEAN

    def _like(self, node: exp.Expr) -> DataType:
        for side in node.iter_expressions():
            self._expect("text", side, "LIKE")
        return types.BOOLEAN

    def _is(self, node: exp.Is) -> DataType:
        self.of(node.this)
        return types.BOOLEAN

    def _arithmetic(self, node: exp.Expr) -> DataType:
        left, right = self.of(node.this), self.of(node.expression)
        if isinstance(node, exp.Add | exp.Sub) and (left.is_temporal or right.is_temporal):
            return self._date_arithmetic(node, left, right)
        for side, kind in ((node.this, left), (node.expression, right)):
            if not fits("number", kind) and kind.kind != "interval":
                self.wrong(f"arithmetic needs numbers, here is {kind}; CAST it, or read it with number()", side)
        if isinstance(node, exp.Div):
            return types.DOUBLE
        if isinstance(node, exp.Mul) and _is_product_sized(left, right):
            return types.decimal(min(left.precision + right.precision, types.PRECISION_MAX), left.scale + right.scale)
        return (joined(left, right) or types.ANY).unsized if left.is_number and right.is_number else types.ANY

    def _date_arithmetic(self, node: exp.Expr, left: DataType, right: DataType) -> DataType:
        if left.is_temporal and right.is_temporal:
            if isinstance(node, exp.Add):
                self.wrong("two dates can not be added", node)
            return types.INTEGER if left.kind == right.kind == "date" else types.INTERVAL
        other = right if left.is_temporal else left
        if not (fits("integer", other) or other.kind == "interval"):
            self.wrong(f"to a date an interval or a number of days is added, here is {other}", node)
        return types.TIMESTAMP if "interval" in (left.kind, right.kind) else left if left.is_temporal else right

    def _list(self, node: exp.Array) -> DataType:
        return types.list_of(self._joined(node.expressions, "the items are of"))

    def _negative(self, node: exp.Neg) -> DataType:
        return self._expect("number", node.this, "the minus sign")

    def _pipe(self, node: exp.DPipe) -> DataType:
        self.of(node.this)
        self.of(node.expression)
        return types.TEXT

    def _case(self, node: exp.Case) -> DataType:
        if node.this is not None:
            self.of(node.this)
        return self._branches(node.args["ifs"], node.args.get("default"), conditions=node.this is None)

    def _branches(self, branches: list[exp.If], default: exp.Expr | None, *, conditions: bool = True) -> DataType:
        results = [default] if default is not None else []
        for branch in branches:
            if conditions:
                self._expect("boolean", branch.this, "a condition")
            else:
                self.of(branch.this)
            results.append(branch.args["true"])
        return self._joined(results, "the branches give")

    def _joined(self, nodes: list[exp.Expr], what: str) -> DataType:
        found: DataType | None = None
        for node in nodes:
            kind = self.of(node)
            if isinstance(node, exp.Null):
                continue
            both = kind if found is None else joined(found, kind)
            if both is None:
                self.wrong(f"{what} different types: {found} and {kind}", node)
                return types.ANY
            found = both
        return found or types.ANY

    def _extract(self, node: exp.Extract) -> DataType:
        if node.name.lower() not in DATE_PARTS | {"epoch", "isodow", "doy", "dow"}:
            self.wrong(f"{node.name} is no part of a date", node, codes.WRONG_ARGUMENTS)
        self._expect("any", node.expression, "EXTRACT")
        return types.INTEGER

    def _at_time_zone(self, node: exp.AtTimeZone) -> DataType:
        self._expect("temporal", node.this, "AT TIME ZONE")
        self.zone(node.args["zone"])
        return types.TIMESTAMP

    def zone(self, node: exp.Expr) -> None:
        if self.given(node):
            return
        zone = literal_text(node)
        if zone is None or not is_time_zone(zone):
            self.wrong("a time zone is an IANA name in quotes: 'Europe/Paris'", node, codes.WRONG_ARGUMENTS)

    # Calls.

    def _call(self, node: exp.Anonymous) -> DataType:
        function = FUNCTIONS[node.name.lower()]
        positional = [item for item in node.expressions if not isinstance(item, exp.Kwarg)]
        named = [item for item in node.expressions if isinstance(item, exp.Kwarg)]
        if not self._arity(function, positional, node):
            return types.ANY
        bound = list(_bound(function, positional))
        kinds = {id(argument): self._argument(function, parameter, argument) for parameter, argument in bound}
        self._named(function, named, node)
        special = getattr(self, f"result_{function.name}", None)
        if special is not None:
            result: DataType = special(Called(positional, {item.this.name: item.expression for item in named}, node))
            return result
        return self._returned(function, bound, kinds)

    def _arity(self, function: Function, positional: list[exp.Expr], node: exp.Expr) -> bool:
        wanted = function.positional
        needed = sum(not (parameter.optional or parameter.variadic) for parameter in wanted)
        needed = max(needed, 1 if wanted and wanted[-1].variadic else 0)
        most = None if wanted and wanted[-1].variadic else len(wanted)
        if function.name in ("date", "timestamp") and len(positional) == 1:
            message = f"{function.name}() needs the format: {function.name}(field, '%m/%d/%Y')"
            self.wrong(message, node, codes.AMBIGUOUS_DATE)
            return False
        if len(positional) < needed or (most is not None and len(positional) > most):
            message = f"{function.name}() has {len(positional)} arguments; it is {function.signature}"
            self.wrong(message, node, codes.WRONG_ARGUMENTS)
            return False
        return True

    def _argument(self, function: Function, parameter: Parameter, node: exp.Expr) -> DataType:
        where = f"{parameter.name} of {function.name}()"
        if parameter.constant and not isinstance(node, exp.Literal) and not self.given(node):
            code = codes.UNBOUNDED if parameter.most is not None else codes.WRONG_ARGUMENTS
            self.wrong(f"{where} must be written out, it can not be computed", node, code)
            return types.ANY
        kind = self.of(node)
        if not fits(parameter.type, kind) and not (_is_text_literal(node) and parameter.type in _FROM_TEXT):
            self.wrong(f"{where} needs {_article(parameter.type)}, here it is {kind}", node)
        elif parameter.most is not None and not self.given(node) and int(node.name) > parameter.most:
            self.wrong(f"{where} is at most {parameter.most}", node, codes.UNBOUNDED)
        return kind

    def _named(self, function: Function, named: list[exp.Kwarg], node: exp.Expr) -> None:
        known, seen = function.named, set[str]()
        for item in named:
            name = item.this.name
            if name in seen:
                self.wrong(f"{name} is given twice", item, codes.WRONG_ARGUMENTS)
            seen.add(name)
            if name in known:
                self._argument(function, known[name], item.expression)
            elif "…" in known:
                self.of(item.expression)
            else:
                note = nearest(name, known) if known else "; it has no named arguments"
                self.wrong(f'{function.name}() has no argument "{name}"{note}', item, codes.WRONG_ARGUMENTS)
        for name, parameter in known.items():
            if name != "…" and not parameter.optional and name not in seen:
                self.wrong(f"{function.name}() needs {name} => …", node, codes.WRONG_ARGUMENTS)

    def _returned(
        self, function: Function, bound: list[tuple[Parameter, exp.Expr]], kinds: Mapping[int, DataType]
    ) -> DataType:
        if function.returns == "number":
            return types.ANY
        if not function.returns.startswith("@"):
            return types.parse_type(function.returns)
        name = function.returns[1:]
        arguments = [argument for parameter, argument in bound if parameter.name == name]
        if function.name == "ifnull":
            arguments = [argument for _, argument in bound]
        # Their problems are told already: the types are joined from what is known.
        given = [kinds[id(argument)] for argument in arguments if not isinstance(argument, exp.Null)]
        found = given[0] if given else types.ANY
        for argument, kind in zip(arguments[1:], given[1:], strict=False):
            both = joined(found, kind)
            if both is None:
                self.wrong(f"{function.name}() mixes {found} and {kind}", argument)
                return types.ANY
            found = both
        return found


_FROM_TEXT = frozenset(("date", "timestamp", "temporal", "json", "binary", "time"))


def _bound(function: Function, arguments: list[exp.Expr]) -> Iterable[tuple[Parameter, exp.Expr]]:
    wanted = function.positional
    for index, argument in enumerate(arguments):
        yield wanted[min(index, len(wanted) - 1)], argument


def _literal(node: exp.Literal) -> DataType:
    if node.is_string:
        return types.TEXT
    if "e" in node.name.lower():
        return types.DOUBLE
    whole, point, fraction = node.name.partition(".")
    digits = len(whole.lstrip("0"))
    if not point:
        is_integer = digits < types.INTEGER_DIGITS
        return DataType("integer", max(digits, 1)) if is_integer else types.decimal(types.PRECISION_MAX, 0)
    scale = min(len(fraction), types.PRECISION_MAX)
    return types.decimal(max(min(digits + scale, types.PRECISION_MAX), 1), scale)


def _is_product_sized(left: DataType, right: DataType) -> bool:
    """Whether the digits of a product follow: decimals, or one and an integer that is written out."""
    return "decimal" in (left.kind, right.kind) and all(
        kind.kind == "decimal" or (kind.kind == "integer" and kind.precision) for kind in (left, right)
    )


def _is_text_literal(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and bool(node.is_string)


def _article(kind: str) -> str:
    return {"temporal": "a date or timestamp", "any": "a value", "integer": "an integer"}.get(kind, f"a {kind}")
