"""Parses SOQL by recursive descent. It knows the grammar and no schema."""

from dative_sandbox.salesforce.errors import ApiError
from dative_sandbox.salesforce.soql.lexer import Token, query_error, tokenize, unexpected
from dative_sandbox.salesforce.soql.periods import COUNTED, FIXED
from dative_sandbox.salesforce.soql.tree import (
    Aggregate,
    Aliased,
    AllFields,
    Combined,
    Comparison,
    Condition,
    Literal,
    Membership,
    Order,
    Path,
    Query,
    Selected,
    SemiJoin,
    Subquery,
)

_AGGREGATES = ("COUNT", "COUNT_DISTINCT", "SUM", "MIN", "MAX", "AVG")
_COMPARISONS = {"=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_CLAUSES = ("FROM", "WHERE", "WITH", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "FOR", "ALL")
_OFFSET_MAX = 2000
_NESTING_MAX = 100


def parse(query: str) -> Query:
    """The tree of one query. ApiError 400: MALFORMED_QUERY with a caret at the first token that does not fit."""
    if not query.strip():
        raise ApiError(400, "MALFORMED_QUERY", "SOQL statements cannot be empty or null")
    parser = _Parser(query)
    tree = parser.select(nested=False)
    parser.expect_end()
    return tree


class _Parser:
    def __init__(self, query: str) -> None:
        self.query = query
        self.tokens = tokenize(query)
        self.index = 0
        self.depth = 0

    # --- the token stream ---------------------------------------------------------------------------------------------

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    def peek(self, ahead: int = 1) -> Token:
        return self.tokens[min(self.index + ahead, len(self.tokens) - 1)]

    def take(self) -> Token:
        token = self.token
        self.index = min(self.index + 1, len(self.tokens) - 1)
        return token

    def is_(self, *words: str) -> bool:
        return self.token.kind in ("name", "op") and self.token.upper in words

    def accept(self, word: str) -> bool:
        if self.is_(word):
            self.take()
            return True
        return False

    def expect(self, word: str) -> Token:
        if not self.is_(word):
            raise unexpected(self.query, self.token)
        return self.take()

    def name(self) -> Token:
        if self.token.kind != "name" or self.is_(*_CLAUSES):
            raise unexpected(self.query, self.token)
        return self.take()

    def whole_number(self) -> int:
        if self.token.kind != "number" or not self.token.text.isdigit():
            raise unexpected(self.query, self.token)
        return int(self.take().text)

    def expect_end(self) -> None:
        if self.token.kind != "end":
            raise unexpected(self.query, self.token)

    # --- clauses ------------------------------------------------------------------------------------------------------

    def select(self, *, nested: bool) -> Query:
        self.expect("SELECT")
        selected = [self.item(nested=nested)]
        while self.accept(","):
            selected.append(self.item(nested=nested))
        self.expect("FROM")
        source = self.name()
        alias = None
        if self.token.kind == "name" and not self.is_(*_CLAUSES):
            alias = self.take().text
        where = self.condition() if self.accept("WHERE") else None
        group_by, having = self.grouping()
        order_by = self.ordering()
        limit = self.whole_number() if self.accept("LIMIT") else None
        offset = self.offset()
        self.trailers()
        return Query(
            self.query,
            tuple(selected),
            source.text,
            source.at,
            where,
            group_by,
            having,
            order_by,
            limit,
            offset,
            alias,
        )

    def item(self, *, nested: bool) -> Selected:
        if self.is_("("):
            at = self.take().at
            if nested:
                raise unexpected(self.query, self.token)
            tree = self.select(nested=True)
            self.expect(")")
            return Subquery(tree, at)
        token = self.token
        if self.peek().text == "(" and token.kind == "name":
            return self.function()
        path = self.path()
        if self.token.kind == "name" and not self.is_(*_CLAUSES):
            return Aliased(path, self.take().text)
        return path

    def function(self) -> Selected:
        token = self.token
        if token.upper == "FIELDS":
            self.take()
            self.take()
            # ALL is a clause word elsewhere, so this is not `name()`.
            if not self.is_("ALL", "STANDARD", "CUSTOM"):
                raise unexpected(self.query, self.token)
            which = self.take()
            self.expect(")")
            return AllFields(which.upper, token.at)
        if token.upper == "TOLABEL":
            # The sandbox's picklists have labels equal to their values.
            self.take()
            self.take()
            path = self.path()
            self.expect(")")
            return path
        aggregate = self.aggregate()
        if self.token.kind == "name" and not self.is_(*_CLAUSES):
            return Aggregate(aggregate.function, aggregate.path, aggregate.at, self.take().text)
        return aggregate

    def aggregate(self) -> Aggregate:
        token = self.name()
        if token.upper not in _AGGREGATES:
            raise unexpected(self.query, self.token)
        self.expect("(")
        path = None if self.is_(")") and token.upper == "COUNT" else self.path()
        self.expect(")")
        return Aggregate(token.upper, path, token.at)

    def path(self) -> Path:
        token = self.name()
        return Path(tuple(token.text.split(".")), token.at)

    def grouping(self) -> tuple[tuple[Path, ...], Condition | None]:
        if not self.accept("GROUP"):
            return (), None
        self.expect("BY")
        paths = [self.path()]
        while self.accept(","):
            paths.append(self.path())
        return tuple(paths), self.condition() if self.accept("HAVING") else None

    def ordering(self) -> tuple[Order, ...]:
        if not self.accept("ORDER"):
            return ()
        self.expect("BY")
        orders = [self.order()]
        while self.accept(","):
            orders.append(self.order())
        return tuple(orders)

    def order(self) -> Order:
        by = self.aggregate() if self.peek().text == "(" else self.path()
        descending = self.accept("DESC")
        if not descending:
            self.accept("ASC")
        # Nulls count as the smallest value, so they come first ascending and last descending, unless the query says otherwise.
        nulls_last = descending
        if self.accept("NULLS"):
            nulls_last = self.is_("LAST")
            if not nulls_last and not self.is_("FIRST"):
                raise unexpected(self.query, self.token)
            self.take()
        return Order(by, descending, nulls_last)

    def offset(self) -> int:
        if not self.accept("OFFSET"):
            return 0
        number = self.whole_number()
        if number > _OFFSET_MAX:
            raise ApiError(400, "NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {_OFFSET_MAX}")
        return number

    def trailers(self) -> None:
        while self.accept("FOR"):
            if not self.is_("VIEW", "REFERENCE"):
                raise unexpected(self.query, self.token)
            self.take()
        if self.is_("ALL"):
            raise query_error(self.query, self.token.at, "ALL ROWS not allowed in this context")

    # --- conditions ---------------------------------------------------------------------------------------------------

    def condition(self) -> Condition:
        """A chain of AND or a chain of OR.

        The two mixed without parentheses are an error, as with the vendor: the chain ends at the other word, and whoever
        called expects something else there.
        """
        self.depth += 1
        if self.depth > _NESTING_MAX:
            raise ApiError(400, "QUERY_TOO_COMPLICATED", "the filter conditions are too complicated")
        operands = [self.term()]
        operator = self.token.upper if self.is_("AND", "OR") else None
        while operator and self.accept(operator):
            operands.append(self.term())
        self.depth -= 1
        return operands[0] if operator is None else Combined(operator, tuple(operands))

    def term(self) -> Condition:
        if self.is_("NOT"):
            self.take()
            self.depth += 1
            if self.depth > _NESTING_MAX:
                raise ApiError(400, "QUERY_TOO_COMPLICATED", "the filter conditions are too complicated")
            inner = Combined("NOT", (self.term(),))
            self.depth -= 1
            return inner
        if self.accept("("):
            inner_condition = self.condition()
            self.expect(")")
            return inner_condition
        return self.predicate()

    def predicate(self) -> Condition:
        if self.peek().text == "(" and self.token.upper in _AGGREGATES:
            aggregate = self.aggregate()
            return Comparison(aggregate, self.comparison(), self.literal())
        left = self.path()
        if self.accept("LIKE"):
            value = self.literal()
            if value.kind != "string":
                raise unexpected(self.query, value.token)
            return Comparison(left, "LIKE", value)
        if self.is_("IN", "INCLUDES", "EXCLUDES"):
            return self.membership(left, self.take().upper)
        if self.is_("NOT") and self.peek().upper == "IN":
            self.take()
            self.take()
            return self.membership(left, "NOT IN")
        return Comparison(left, self.comparison(), self.literal())

    def comparison(self) -> str:
        operator = _COMPARISONS.get(self.token.text)
        if operator is None:
            raise unexpected(self.query, self.token)
        self.take()
        return operator

    def membership(self, left: Path, operator: str) -> Condition:
        at = self.expect("(").at
        if self.is_("SELECT"):
            if operator not in ("IN", "NOT IN"):
                raise unexpected(self.query, self.token)
            tree = self.select(nested=True)
            self.expect(")")
            return SemiJoin(left, operator == "NOT IN", tree, at)
        values = [self.literal()]
        while self.accept(","):
            values.append(self.literal())
        self.expect(")")
        return Membership(left, operator, tuple(values))

    def literal(self) -> Literal:
        token = self.token
        if token.kind in ("string", "number", "date", "datetime"):
            return Literal(token.kind, self.take())
        if token.kind != "name":
            raise unexpected(self.query, token)
        if token.upper in ("TRUE", "FALSE"):
            return Literal("boolean", self.take())
        if token.upper == "NULL":
            return Literal("null", self.take())
        if token.upper in FIXED:
            return Literal("period", self.take())
        if token.upper in COUNTED:
            self.take()
            self.expect(":")
            return Literal("period", token, self.whole_number())
        raise unexpected(self.query, token)
