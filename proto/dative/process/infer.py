"""The type of an expression, and what about its types and arguments can not work.

Only what is clearly wrong for every document is said: an unknown type is `any` and fits everywhere, a text literal is
taken for what it is compared with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sqlglot import exp

from dative.errors import expression as codes
from dative.errors.base import Code
from dative.process import datatypes as types
from dative.process.datatypes import DataType, fits, joined
from dative.process.expression import Problem, field_name, literal_text, offset_of
from dative.process.findings import nearest
from dative.process.functions import FUNCTIONS, PROPERTIES, Function, Parameter, minor_units
from dative.process.scalars import is_time_zone

NUMBER_PRECISION = 38
NUMBER_SCALE = 6
CURRENCY_PRECISION = 38

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
_CURRENCY = re.compile(r"[A-Z]{3}")
_DIRECTIVE = re.compile(r"%(-?.|$)")
_OWN_PROPERTY = re.compile(r"(document|process|persisted)\.")
_DATE_DIRECTIVES = frozenset(["d", "m", "Y", "y", "b", "B", "a", "A", "j", "-d", "-m", "-y", "%"])
_TIME_DIRECTIVES = _DATE_DIRECTIVES | frozenset(["H", "I", "M", "S", "f", "p", "z", "-H", "-I", "-M", "-S", "g", "n"])
DATE_PARTS = frozenset(["year", "quarter", "month", "week", "day", "hour", "minute", "second", "millisecond"])


def property_key(name: str) -> str:
    """Under which key the type of a property that the process sets stands among the types of the fields."""
    return f"property:{name}"


def infer(tree: exp.Expr, fields: Mapping[str, DataType]) -> tuple[DataType, list[Problem]]:
    """The type of `tree` over fields of these types, and what can not work in it. tree: within the allow-list."""
    inference = _Inference(fields)
    return inference.of(tree), inference.problems


@dataclass(frozen=True)
class _Called:
    """A call as its function sees it."""

    arguments: list[exp.Expr]
    named: Mapping[str, exp.Expr]
    node: exp.Expr


class _Inference:
    def __init__(self, fields: Mapping[str, DataType]) -> None:
        self._fields = fields
        self.problems: list[Problem] = []

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
        )

    def _wrong(self, message: str, node: exp.Expr, code: Code = codes.WRONG_TYPE) -> None:
        self.problems.append(Problem(code, message, offset_of(node)))

    def _expect(self, wanted: str, node: exp.Expr, what: str) -> DataType:
        given = self.of(node)
        if not fits(wanted, given) and not (_is_text_literal(node) and wanted != "boolean"):
            self._wrong(f"{what} needs {_article(wanted)}, here it is {given}", node)
        return given

    def _cast(self, node: exp.Cast) -> DataType:
        self.of(node.this)
        target = node.to
        if target.this in (exp.DType.DECIMAL, exp.DType.BIGDECIMAL):
            sizes = [int(item.name) for item in target.expressions if item.name.isdigit()]
            precision, scale = (*sizes, 18, 3)[:2] if not sizes else (sizes[0], sizes[1] if len(sizes) > 1 else 0)
            if not 1 <= precision <= types.PRECISION_MAX or scale > precision:
                self._wrong(f"decimal({precision},{scale}): at most 38 digits, scale within them", node)
                return types.ANY
            return types.decimal(precision, scale)
        if target.this in _CASTS and not target.args.get("nested"):
            return _CASTS[target.this]
        self._wrong(f"{target.sql('duckdb')} is no type of a field", node, codes.NOT_ALLOWED)
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
                self._wrong(f"{kind} is compared with {given}", node)
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
                self._wrong(f"arithmetic needs numbers, here is {kind}; CAST it, or read it with number()", side)
        if isinstance(node, exp.Div):
            return types.DOUBLE
        if isinstance(node, exp.Mul) and left.kind == right.kind == "decimal":
            return types.decimal(min(left.precision + right.precision, types.PRECISION_MAX), left.scale + right.scale)
        return (joined(left, right) or types.ANY) if left.is_number and right.is_number else types.ANY

    def _date_arithmetic(self, node: exp.Expr, left: DataType, right: DataType) -> DataType:
        if left.is_temporal and right.is_temporal:
            if isinstance(node, exp.Add):
                self._wrong("two dates can not be added", node)
            return types.INTEGER if left.kind == right.kind == "date" else types.INTERVAL
        other = right if left.is_temporal else left
        if not (fits("integer", other) or other.kind == "interval"):
            self._wrong(f"to a date an interval or a number of days is added, here is {other}", node)
        return types.TIMESTAMP if "interval" in (left.kind, right.kind) else left if left.is_temporal else right

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
                self._wrong(f"{what} different types: {found} and {kind}", node)
                return types.ANY
            found = both
        return found or types.ANY

    def _extract(self, node: exp.Extract) -> DataType:
        if node.name.lower() not in DATE_PARTS | {"epoch", "isodow", "doy", "dow"}:
            self._wrong(f"{node.name} is no part of a date", node, codes.WRONG_ARGUMENTS)
        self._expect("any", node.expression, "EXTRACT")
        return types.INTEGER

    def _at_time_zone(self, node: exp.AtTimeZone) -> DataType:
        self._expect("temporal", node.this, "AT TIME ZONE")
        self._zone(node.args["zone"])
        return types.TIMESTAMP

    def _zone(self, node: exp.Expr) -> None:
        zone = literal_text(node)
        if zone is None or not is_time_zone(zone):
            self._wrong("a time zone is an IANA name in quotes: 'Europe/Paris'", node, codes.WRONG_ARGUMENTS)

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
        special = getattr(self, f"_result_{function.name}", None)
        if special is not None:
            result: DataType = special(_Called(positional, {item.this.name: item.expression for item in named}, node))
            return result
        return self._returned(function, bound, kinds)

    def _arity(self, function: Function, positional: list[exp.Expr], node: exp.Expr) -> bool:
        wanted = function.positional
        needed = sum(not (parameter.optional or parameter.variadic) for parameter in wanted)
        needed = max(needed, 1 if wanted and wanted[-1].variadic else 0)
        most = None if wanted and wanted[-1].variadic else len(wanted)
        if function.name in ("date", "timestamp") and len(positional) == 1:
            message = f"{function.name}() needs the format: {function.name}(field, '%m/%d/%Y')"
            self._wrong(message, node, codes.AMBIGUOUS_DATE)
            return False
        if len(positional) < needed or (most is not None and len(positional) > most):
            message = f"{function.name}() has {len(positional)} arguments; it is {function.signature}"
            self._wrong(message, node, codes.WRONG_ARGUMENTS)
            return False
        return True

    def _argument(self, function: Function, parameter: Parameter, node: exp.Expr) -> DataType:
        where = f"{parameter.name} of {function.name}()"
        if parameter.constant and not isinstance(node, exp.Literal):
            code = codes.UNBOUNDED if parameter.most is not None else codes.WRONG_ARGUMENTS
            self._wrong(f"{where} must be written out, it can not be computed", node, code)
            return types.ANY
        kind = self.of(node)
        if not fits(parameter.type, kind) and not (_is_text_literal(node) and parameter.type in _FROM_TEXT):
            self._wrong(f"{where} needs {_article(parameter.type)}, here it is {kind}", node)
        elif parameter.most is not None and int(node.name) > parameter.most:
            self._wrong(f"{where} is at most {parameter.most}", node, codes.UNBOUNDED)
        return kind

    def _named(self, function: Function, named: list[exp.Kwarg], node: exp.Expr) -> None:
        known, seen = function.named, set[str]()
        for item in named:
            name = item.this.name
            if name in seen:
                self._wrong(f"{name} is given twice", item, codes.WRONG_ARGUMENTS)
            seen.add(name)
            if name in known:
                self._argument(function, known[name], item.expression)
            elif "…" in known:
                self.of(item.expression)
            else:
                note = nearest(name, known) if known else "; it has no named arguments"
                self._wrong(f'{function.name}() has no argument "{name}"{note}', item, codes.WRONG_ARGUMENTS)
        for name, parameter in known.items():
            if name != "…" and not parameter.optional and name not in seen:
                self._wrong(f"{function.name}() needs {name} => …", node, codes.WRONG_ARGUMENTS)

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
                self._wrong(f"{function.name}() mixes {found} and {kind}", argument)
                return types.ANY
            found = both
        return found

    # Functions whose type follows from more than their signature.

    def _result_round(self, call: _Called) -> DataType:
        kind, digits = self.of(call.arguments[0]), call.arguments[1].name if len(call.arguments) > 1 else "0"
        if kind.kind != "decimal" or not digits.isdigit():
            return types.ANY if kind.kind == "decimal" else kind
        return types.decimal(kind.precision, min(int(digits), kind.scale))

    def _result_currency(self, call: _Called) -> DataType:
        self._plain_keys([*call.arguments[1:3], *([call.named["on"]] if "on" in call.named else [])])
        for argument in call.arguments[1:3]:
            code = literal_text(argument)
            if code is not None and not _CURRENCY.fullmatch(code):
                self._wrong(f"'{code[:20]}' is no currency code such as 'EUR'", argument, codes.WRONG_ARGUMENTS)
        target = literal_text(call.arguments[2])
        return types.decimal(CURRENCY_PRECISION, minor_units(target) if target else max(4, NUMBER_SCALE))

    def _plain_keys(self, keys: list[exp.Expr]) -> None:
        # Lookups are joins over the batch, all at once: the key of one can not wait for the answer of another.
        for key in keys:
            if any(call.name.lower() in ("xref", "currency") for call in key.find_all(exp.Anonymous)):
                message = "a lookup by a value that is itself looked up; compute that in a map before"
                self._wrong(message, key, codes.WRONG_ARGUMENTS)

    def _result_date(self, call: _Called) -> DataType:
        self._formats(call.arguments[1:], _DATE_DIRECTIVES)
        return types.DATE

    def _result_timestamp(self, call: _Called) -> DataType:
        self._formats(call.arguments[1:], _TIME_DIRECTIVES)
        if "zone" in call.named:
            self._zone(call.named["zone"])
        return types.TIMESTAMP

    def _formats(self, nodes: list[exp.Expr], known: frozenset[str]) -> None:
        for node in nodes:
            text = literal_text(node)
            if text is None:
                continue  # told as an argument that must be written out
            used = set(_DIRECTIVE.findall(text))
            for directive in sorted(used - known):
                self._wrong(f"%{directive} is no part of a format here", node, codes.WRONG_ARGUMENTS)
            used = {directive.lstrip("-") for directive in used}
            if not ({"d", "m"} <= used or {"d", "b"} <= used or {"d", "B"} <= used or "j" in used) or not used & {
                "Y",
                "y",
            }:
                message = f"the format '{text[:40]}' leaves day, month or year open"
                self._wrong(message, node, codes.AMBIGUOUS_DATE)

    def _result_number(self, call: _Called) -> DataType:
        scale = call.named.get("scale")
        digits = int(scale.name) if isinstance(scale, exp.Literal) and scale.name.isdigit() else NUMBER_SCALE
        if digits > 18:
            self._wrong("scale is 0..18", call.node, codes.WRONG_ARGUMENTS)
        return types.decimal(NUMBER_PRECISION, min(digits, 18))

    def _result_xref(self, call: _Called) -> DataType:
        keys = [name for name in call.named if name not in ("want", "missing")]
        if len(keys) != 1:
            message = f"xref() needs one key column, <column> => <expression>; it has {len(keys)}"
            self._wrong(message, call.node, codes.WRONG_ARGUMENTS)
        self._plain_keys([call.named[name] for name in keys])
        if literal_text(call.named.get("missing")) not in (None, "error", "null"):
            self._wrong("missing is 'error' or 'null'", call.node, codes.WRONG_ARGUMENTS)
        return types.TEXT

    def _result_property(self, call: _Called) -> DataType:
        name = literal_text(call.arguments[0])
        if name is not None and _OWN_PROPERTY.match(name) and name not in PROPERTIES:
            # Whether a step sets it is the validator's; its type comes with those of the fields.
            return self._fields.get(property_key(name), types.ANY)
        if name is not None and name not in PROPERTIES:
            self._wrong(f"no property '{name[:60]}'{nearest(name, PROPERTIES)}", call.node, codes.WRONG_ARGUMENTS)
        return types.parse_type(PROPERTIES[name][0]) if name in PROPERTIES else types.ANY


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
    if not point:
        return types.INTEGER if len(whole) < 19 else types.decimal(types.PRECISION_MAX, 0)
    return types.decimal(min(len(whole) + len(fraction), types.PRECISION_MAX), min(len(fraction), types.PRECISION_MAX))


def _is_text_literal(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and bool(node.is_string)


def _article(kind: str) -> str:
    return {"temporal": "a date or timestamp", "any": "a value", "integer": "an integer"}.get(kind, f"a {kind}")
