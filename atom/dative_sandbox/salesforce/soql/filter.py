"""Turns a condition into a function from a record to true or false, having checked it against the schema.

Records hold dates and times as text whose order is their order, so a comparison is one comparison of two plain values.
A condition over groups (HAVING) is the same thing over a group's row, with its own way to find a value.
"""

import operator
from collections.abc import Callable
from typing import Any

from dative_sandbox.salesforce.errors import ApiError
from dative_sandbox.salesforce.ids import to_id18
from dative_sandbox.salesforce.org import Org
from dative_sandbox.salesforce.schema import NUMBERS, Field, ObjectType, Row
from dative_sandbox.salesforce.soql.lexer import like_pattern, query_error, unescape
from dative_sandbox.salesforce.soql.periods import literal_time, span
from dative_sandbox.salesforce.soql.resolve import Getter, find_object, resolve
from dative_sandbox.salesforce.soql.tree import (
    Aggregate,
    Combined,
    Comparison,
    Condition,
    Literal,
    Membership,
    Path,
    Query,
    SemiJoin,
)

Predicate = Callable[[Row], bool]
Find = Callable[[Path | Aggregate], tuple[Field, Getter]]
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class FilterCompiler:
    """Compiles the conditions of one query. timezone: the running user's, for date literals."""

    def __init__(self, org: Org, query: Query, kind: ObjectType, timezone: str, find: Find | None = None) -> None:
        self.org, self.query, self.kind, self.timezone = org, query, kind, timezone
        self.find = find or self._find

    def compile(self, condition: Condition) -> Predicate:
        """ApiError 400: INVALID_FIELD for an unknown or unfilterable field or a literal of the wrong type."""
        if isinstance(condition, Combined):
            return self._combined(condition)
        if isinstance(condition, SemiJoin):
            return self._semi_join(condition)
        found, get = self.find(condition.left)
        self._check_filterable(found)
        if isinstance(condition, Membership):
            return self._membership(condition, found, get)
        return self._comparison(condition, found, get)

    def _find(self, left: Path | Aggregate) -> tuple[Field, Getter]:
        if isinstance(left, Aggregate):
            message = "Aggregate expressions are only allowed in HAVING"
            raise query_error(self.query.text, left.at, message)
        resolved = resolve(self.org, self.query, self.kind, left)
        return resolved.field, resolved.get

    def _check_filterable(self, found: Field) -> None:
        if not found.filterable:
            raise ApiError(400, "INVALID_FIELD", f"field '{found.name}' can not be filtered in a query call")

    def _combined(self, condition: Combined) -> Predicate:
        parts = [self.compile(operand) for operand in condition.operands]
        if condition.operator == "NOT":
            inner = parts[0]
            return lambda row: not inner(row)
        if len(parts) == 2:
            first, second = parts
            if condition.operator == "AND":
                return lambda row: first(row) and second(row)
            return lambda row: first(row) or second(row)
        if condition.operator == "AND":
            return lambda row: all(part(row) for part in parts)
        return lambda row: any(part(row) for part in parts)

    def _comparison(self, condition: Comparison, found: Field, get: Getter) -> Predicate:
        literal, sign = condition.value, condition.operator
        if literal.kind == "null":
            return _null_test(sign, get, self.query, condition)
        if sign == "LIKE":
            if (
                found.type in ("id", "reference")
                or found.type in NUMBERS
                or found.type in ("boolean", "date", "datetime")
            ):
                raise ApiError(400, "INVALID_QUERY_FILTER_OPERATOR", f"invalid operator on {found.type} field")
            matches = like_pattern(self.query.text, literal.token).fullmatch
            return lambda row: (value := get(row)) is not None and matches(value) is not None
        if literal.kind == "period":
            return self._period(sign, literal, found, get)
        wanted = self.value(literal, found)
        compared = _folded(get) if isinstance(wanted, str) and found.type not in _EXACT else get
        if sign == "=":
            return lambda row: bool(compared(row) == wanted)
        if sign == "!=":
            return lambda row: bool(compared(row) != wanted)
        test = _OPERATORS[sign]
        return lambda row: (value := compared(row)) is not None and test(value, wanted)

    def _period(self, sign: str, literal: Literal, found: Field, get: Getter) -> Predicate:
        if found.type not in ("date", "datetime"):
            raise self._wrong_type(literal, found)
        found_span = span(literal.token.upper, literal.count, self.org.clock.now(), self.timezone)
        start, end = found_span.bounds(found.type)

        def test(row: Row) -> bool:
            value = get(row)
            if value is None:
                return sign == "!="
            if sign in ("=", "!="):
                return bool(start <= value < end) == (sign == "=")
            return bool({"<": value < start, "<=": value < end, ">": value >= end, ">=": value >= start}[sign])

        return test

    def _membership(self, condition: Membership, found: Field, get: Getter) -> Predicate:
        if condition.operator in ("INCLUDES", "EXCLUDES"):
            return self._includes(condition, found, get)
        wanted = {None if v.kind == "null" else self.value(v, found) for v in condition.values}
        folded = found.type not in _EXACT and found.type not in NUMBERS and found.type != "boolean"
        compared = _folded(get) if folded else get
        if condition.operator == "IN":
            return lambda row: compared(row) in wanted
        return lambda row: compared(row) not in wanted

    def _includes(self, condition: Membership, found: Field, get: Getter) -> Predicate:
        if found.type != "multipicklist":
            message = f"invalid operator on {found.type} field"
            raise query_error(self.query.text, condition.left.at, message, "INVALID_QUERY_FILTER_OPERATOR")
        # 'A;B' wants both, a comma between literals is "or".
        wanted = [set(str(self.value(v, found)).split(";")) for v in condition.values]
        included = condition.operator == "INCLUDES"

        def test(row: Row) -> bool:
            chosen = set((get(row) or "").casefold().split(";"))
            return any(group <= chosen for group in wanted) == included

        return test

    def _semi_join(self, condition: SemiJoin) -> Predicate:
        found, get = self.find(condition.left)
        self._check_filterable(found)
        inner = condition.query
        if len(inner.selected) != 1 or not isinstance(inner.selected[0], Path):
            raise query_error(self.query.text, condition.at, "Only one field can be selected in a semi join sub-select")
        kind = find_object(self.org, inner)
        selected = resolve(self.org, inner, kind, inner.selected[0])
        if found.type not in ("id", "reference") or selected.field.type not in ("id", "reference"):
            message = "The inner select field and the outer field of a semi join must be of type ID or reference"
            raise query_error(self.query.text, condition.at, message)
        compiler = FilterCompiler(self.org, inner, kind, self.timezone)
        test = compiler.compile(inner.where) if inner.where else None
        rows = (row for row in self.org.rows(kind.name) if not row["IsDeleted"])
        wanted = {selected.get(row) for row in rows if test is None or test(row)}
        if condition.negated:
            return lambda row: get(row) not in wanted
        return lambda row: (value := get(row)) is not None and value in wanted

    def value(self, literal: Literal, found: Field) -> Any:
        """The literal as records hold it. ApiError 400 when its kind does not fit the field's type."""
        token = literal.token
        if found.type in NUMBERS:
            if literal.kind != "number":
                raise self._wrong_type(literal, found)
            return float(token.text)
        if found.type == "boolean":
            if literal.kind != "boolean":
                raise self._wrong_type(literal, found)
            return token.upper == "TRUE"
        if found.type in ("date", "datetime"):
            if literal.kind != found.type or (at := literal_time(token.text, found.type)) is None:
                raise self._wrong_type(literal, found)
            return at
        if literal.kind != "string":
            raise self._wrong_type(literal, found)
        text = unescape(self.query.text, token)
        if found.type not in ("id", "reference"):
            return text.casefold()
        if text and (id18 := to_id18(text)) is None:
            raise query_error(self.query.text, token.at, f"invalid ID field: {text}", "INVALID_QUERY_FILTER_OPERATOR")
        return id18 if text else None

    def _wrong_type(self, literal: Literal, found: Field) -> ApiError:
        type_ = {"datetime": "dateTime", "currency": "double", "percent": "double"}.get(found.type, found.type)
        quotes = "should not" if found.type in NUMBERS | {"boolean", "date", "datetime"} else "should"
        message = f"value of filter criterion for field '{found.name}' must be of type {type_} and {quotes} be enclosed in quotes"
        return query_error(self.query.text, literal.token.at, message, "INVALID_FIELD")


_EXACT = frozenset({"id", "reference", "date", "datetime"})


def _folded(get: Getter) -> Getter:
    """Text compares without regard to case."""
    return lambda row: value.casefold() if isinstance(value := get(row), str) else value


def _null_test(sign: str, get: Getter, query: Query, condition: Comparison) -> Predicate:
    if sign == "=":
        return lambda row: get(row) is None
    if sign == "!=":
        return lambda row: get(row) is not None
    message = f"Invalid operator '{sign}' with null"
    raise query_error(query.text, condition.value.token.at, message, "INVALID_QUERY_FILTER_OPERATOR")
