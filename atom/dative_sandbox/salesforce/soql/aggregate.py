"""Groups records and computes COUNT, COUNT_DISTINCT, SUM, MIN, MAX and AVG; HAVING and ORDER BY over the groups."""

from collections.abc import Iterable
from typing import Any

from dative_sandbox.salesforce.errors import ApiError
from dative_sandbox.salesforce.org import Org
from dative_sandbox.salesforce.schema import NUMBERS, Field, ObjectType, Row
from dative_sandbox.salesforce.soql.filter import FilterCompiler
from dative_sandbox.salesforce.soql.lexer import query_error
from dative_sandbox.salesforce.soql.resolve import Getter, resolve
from dative_sandbox.salesforce.soql.sorting import sort_rows
from dative_sandbox.salesforce.soql.tree import Aggregate, Aliased, Order, Path, Query


def is_aggregate(query: Query) -> bool:
    return bool(query.group_by) or any(isinstance(item, Aggregate) for item in query.selected)


def is_bare_count(query: Query) -> bool:
    """COUNT() without a field: the answer is totalSize, with no records."""
    return len(query.selected) == 1 and query.selected[0] in _bare(query)


def _bare(query: Query) -> tuple[Any, ...]:
    item = query.selected[0]
    return (item,) if isinstance(item, Aggregate) and item.path is None and item.alias is None else ()


class Grouping:
    """One aggregate query over rows already filtered."""

    def __init__(self, org: Org, query: Query, kind: ObjectType, timezone: str) -> None:
        self.org, self.query, self.kind, self.timezone = org, query, kind, timezone
        self.keys = [resolve(org, query, kind, path) for path in query.group_by]
        self.columns = self._columns()

    def run(self, rows: Iterable[Row]) -> list[Row]:
        """The groups as records, attributes first, in the order the query asks for."""
        groups: dict[tuple[Any, ...], list[Row]] = {}
        for row in rows:
            groups.setdefault(tuple(key.get(row) for key in self.keys), []).append(row)
        if not groups and not self.query.group_by:
            groups[()] = []
        # A group is passed around as one row: its members under a name that no field can have.
        units: list[Row] = [{"*": members, "*key": key} for key, members in groups.items()]
        if self.query.having is not None:
            compiler = FilterCompiler(self.org, self.query, self.kind, self.timezone, self._find)
            test = compiler.compile(self.query.having)
            units = [unit for unit in units if test(unit)]
        units = sort_rows(units, [(order, self._find(order.by)[1]) for order in self.query.order_by])
        units = units[self.query.offset :]
        if self.query.limit is not None:
            units = units[: self.query.limit]
        return [self._render(unit) for unit in units]

    def _render(self, unit: Row) -> Row:
        return {"attributes": {"type": "AggregateResult"}} | {name: get(unit) for name, get in self.columns}

    def _columns(self) -> list[tuple[str, Getter]]:
        columns: list[tuple[str, Getter]] = []
        unnamed = 0
        for item in self.query.selected:
            if isinstance(item, Aggregate):
                name = item.alias or f"expr{unnamed}"
                unnamed += item.alias is None
                columns.append((name, self._find(item)[1]))
            elif isinstance(item, Path | Aliased):
                path = item.path if isinstance(item, Aliased) else item
                found, get = self._find(path)
                columns.append((item.alias if isinstance(item, Aliased) else found.name, get))
            else:
                raise query_error(self.query.text, item.at, "Grouped query can not use child relationships or FIELDS()")
        return columns

    def _find(self, by: Path | Aggregate) -> tuple[Field, Getter]:
        if isinstance(by, Aggregate):
            return self._aggregate(by)
        for item in self.query.selected:
            if isinstance(item, Aggregate) and item.alias and item.alias.lower() == by.text.lower():
                return self._aggregate(item)
        found = resolve(self.org, self.query, self.kind, by)
        for position, key in enumerate(self.keys):
            if key.field is found.field and key.references == found.references:
                return found.field, _key_getter(position)
        raise ApiError(400, "MALFORMED_QUERY", f"Field must be grouped or aggregated: {found.field.name}")

    def _aggregate(self, item: Aggregate) -> tuple[Field, Getter]:
        if item.path is None:
            return Field("Id", "int"), lambda unit: len(unit["*"])
        resolved = resolve(self.org, self.query, self.kind, item.path)
        function, field, get = item.function, resolved.field, resolved.get
        if function in ("SUM", "AVG") and field.type not in NUMBERS:
            message = f"field {field.name} does not support aggregate operator {function}"
            raise query_error(self.query.text, item.at, message)
        counts = function in ("COUNT", "COUNT_DISTINCT")

        def compute(unit: Row) -> Any:
            values = [value for row in unit["*"] if (value := get(row)) is not None]
            if function == "COUNT":
                return len(values)
            if function == "COUNT_DISTINCT":
                return len({value.casefold() if isinstance(value, str) else value for value in values})
            if not values:
                return None
            if function == "AVG":
                return sum(values) / len(values)
            if function == "SUM":
                return sum(values)
            return min(values) if function == "MIN" else max(values)

        return (Field(field.name, "int") if counts else field), compute


def _key_getter(position: int) -> Getter:
    return lambda unit: unit["*key"][position]


def check_order(query: Query, orders: Iterable[Order]) -> None:
    """A query that does not group can not be ordered by an aggregate."""
    for order in orders:
        if isinstance(order.by, Aggregate):
            raise query_error(query.text, order.by.at, "Aggregate expressions need GROUP BY")
