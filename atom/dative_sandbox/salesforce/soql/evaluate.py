"""Runs a parsed query over the org: which records, in which order, and how each is shown.

The filter is evaluated once; what is kept is the list of matching rows. Rows are never changed in place, so a page that
is rendered later shows what the query saw. Rendering happens page by page.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dative_sandbox.salesforce.errors import ApiError
from dative_sandbox.salesforce.org import Org
from dative_sandbox.salesforce.schema import Field, ObjectType, Row
from dative_sandbox.salesforce.soql.aggregate import Grouping, check_order, is_aggregate, is_bare_count
from dative_sandbox.salesforce.soql.filter import FilterCompiler
from dative_sandbox.salesforce.soql.lexer import query_error
from dative_sandbox.salesforce.soql.parser import parse
from dative_sandbox.salesforce.soql.resolve import Getter, find_object, getter, parent_row, resolve
from dative_sandbox.salesforce.soql.sorting import exactly, sort_rows
from dative_sandbox.salesforce.soql.tree import (
    Aliased,
    AllFields,
    Combined,
    Condition,
    Membership,
    Path,
    Query,
    SemiJoin,
    Subquery,
)

FIELDS_LIMIT_MAX = 200
Render = Callable[[Row], Row]
ChildPage = Callable[["Result"], Row]
"""How the matching children of one parent are shown: the caller knows page sizes and locators."""


@dataclass(frozen=True)
class Result:
    """rows in order, and the function that shows one. total: what totalSize says."""

    total: int
    rows: list[Row]
    render: Render


def run(org: Org, text: str, *, base: str, timezone: str, deleted: bool, child_page: ChildPage) -> Result:
    """Parse, check and run a query.

    base: path of the API version, for record URLs. deleted: queryAll, the recycle bin and archived records too.
    Errors: ApiError 400 with the vendor's codes and drawings.
    """
    with org.lock:
        org.settle()
        query = parse(text)
        kind = find_object(org, query)
        _check_required_filter(query, kind)
        return _Run(org, query, kind, base, timezone, deleted, child_page).result()


class _Run:
    def __init__(
        self, org: Org, query: Query, kind: ObjectType, base: str, timezone: str, deleted: bool, child_page: ChildPage
    ) -> None:
        self.org, self.query, self.kind, self.base = org, query, kind, base
        self.timezone, self.deleted, self.child_page = timezone, deleted, child_page

    def result(self) -> Result:
        query = self.query
        if is_bare_count(query):
            count = len(self.matching(list(self.org.rows(self.kind.name))))
            return Result(count if query.limit is None else min(count, query.limit), [], dict)
        if is_aggregate(query):
            groups = Grouping(self.org, query, self.kind, self.timezone)
            rows = groups.run(self.matching(list(self.org.rows(self.kind.name))))
            return Result(len(rows), rows, lambda row: row)
        render = self.renderer()
        rows = self.page_of(list(self.org.rows(self.kind.name)))
        return Result(len(rows), rows, render)

    def page_of(self, rows: list[Row]) -> list[Row]:
        """Filter, order, offset and limit."""
        check_order(self.query, self.query.order_by)
        orders = []
        for order in self.query.order_by:
            assert isinstance(order.by, Path)
            found = resolve(self.org, self.query, self.kind, order.by)
            if not found.field.sortable:
                message = f"field '{found.field.name}' can not be sorted in a query call"
                raise query_error(self.query.text, order.by.at, message)
            orders.append((order, exactly(found.get) if found.field.type in ("id", "reference") else found.get))
        rows = sort_rows(self.matching(rows), orders)[self.query.offset :]
        return rows if self.query.limit is None else rows[: self.query.limit]

    def matching(self, rows: list[Row]) -> list[Row]:
        if not self.deleted:
            archives = "IsArchived" in self.kind.fields
            rows = [row for row in rows if not row["IsDeleted"] and not (archives and row["IsArchived"])]
        if self.query.where is None:
            return rows
        test = FilterCompiler(self.org, self.query, self.kind, self.timezone).compile(self.query.where)
        return [row for row in rows if test(row)]

    # --- showing a record ---------------------------------------------------------------------------------------------

    def renderer(self) -> Render:
        """One function for a whole result: what is selected is looked up once, not once a record."""
        plain, nested, children = self._selection()
        kind, url = self.kind.name, f"{self.base}/sobjects/{self.kind.name}/"
        parents = [(name, self._parent(reference, paths)) for name, (reference, paths) in nested.items()]

        def render(row: Row) -> Row:
            shown: Row = {"attributes": {"type": kind, "url": url + row["Id"]}}
            for name, get in plain:
                shown[name] = get(row)
            for name, show in parents:
                shown[name] = show(row)
            for name, show in children:
                shown[name] = show(row)
            return shown

        return render

    def _selection(
        self,
    ) -> tuple[list[tuple[str, Getter]], dict[str, tuple[Field, list[Path]]], list[tuple[str, Callable[[Row], Any]]]]:
        plain: dict[str, Getter] = {}
        nested: dict[str, tuple[Field, list[Path]]] = {}
        children: list[tuple[str, Callable[[Row], Any]]] = []
        for item in self.query.selected:
            if isinstance(item, Subquery):
                children.append(self._children(item))
            elif isinstance(item, AllFields):
                self._check_all_fields(item)
                for found in self.kind.visible:
                    if item.which == "ALL" or found.custom == (item.which == "CUSTOM"):
                        plain[found.name] = getter(self.org, (), found)
            elif isinstance(item, Path):
                self._select_path(item, plain, nested)
            elif isinstance(item, Aliased):
                raise query_error(self.query.text, item.path.at, "only aggregate expressions use field aliasing")
        return list(plain.items()), nested, children

    def _select_path(self, path: Path, plain: dict[str, Getter], nested: dict[str, tuple[Field, list[Path]]]) -> None:
        resolved = resolve(self.org, self.query, self.kind, path)
        if not resolved.references:
            if resolved.field.name in plain:
                raise ApiError(400, "MALFORMED_QUERY", f"duplicate field selected: {path.text}")
            plain[resolved.field.name] = resolved.get
            return
        first = resolved.references[0]
        rest = path.parts[len(path.parts) - len(resolved.references) :]
        assert first.relationship is not None
        nested.setdefault(first.relationship, (first, []))[1].append(Path(rest, path.at))

    def _parent(self, reference: Field, paths: list[Path]) -> Callable[[Row], Any]:
        """Shows one parent as a record of its own, null when there is none."""
        renders: dict[str, Render] = {}
        for target in reference.reference_to:
            seen_as = target if len(reference.reference_to) == 1 else "Name"
            query = Query(self.query.text, tuple(paths), seen_as, self.query.source_at)
            inner = _Run(self.org, query, self.org.schema[seen_as], self.base, self.timezone, True, self.child_page)
            renders[target] = inner.renderer()

        def show(row: Row) -> Any:
            parent = parent_row(self.org, row, reference)
            if parent is None:
                return None
            kind = self.org.object_of_id(parent["Id"])
            name = kind.name if kind is not None and kind.name in renders else next(iter(renders))
            shown = renders[name](parent)
            shown["attributes"] = {"type": name, "url": f"{self.base}/sobjects/{name}/{parent['Id']}"}
            return shown

        return show

    def _children(self, item: Subquery) -> tuple[str, Callable[[Row], Any]]:
        inner = item.query
        relation = self.kind.child(inner.source)
        if relation is None:
            message = (
                f"Didn't understand relationship '{inner.source}' in FROM part of query call. If you are attempting to use a "
                "custom relationship, be sure to append the '__r' after the custom relationship name. Please reference your "
                "WSDL or the describe call for the appropriate names."
            )
            raise query_error(self.query.text, inner.source_at, message, "INVALID_TYPE")
        if is_aggregate(inner):
            raise query_error(self.query.text, item.at, "Only root queries support aggregate expressions")
        kind = self.org.schema[relation.child]
        run_ = _Run(self.org, inner, kind, self.base, self.timezone, self.deleted, self.child_page)
        render = run_.renderer()
        by_parent: dict[str, list[Row]] = {}
        for row in run_.matching(list(self.org.rows(kind.name))):
            by_parent.setdefault(row[relation.field], []).append(row)

        def show(row: Row) -> Any:
            rows = by_parent.get(row["Id"])
            # Ordering, offset and limit hold for each parent's children, not for all of them together.
            rows = run_.page_of(rows) if rows else None
            return self.child_page(Result(len(rows), rows, render)) if rows else None

        return relation.name, show

    def _check_all_fields(self, item: AllFields) -> None:
        if item.which != "STANDARD" and not (self.query.limit is not None and self.query.limit <= FIELDS_LIMIT_MAX):
            message = f"The SOQL FIELDS function must have a LIMIT of at most {FIELDS_LIMIT_MAX}"
            raise query_error(self.query.text, item.at, message)


def _check_required_filter(query: Query, kind: ObjectType) -> None:
    if not kind.filter_required:
        return
    if query.where is not None and any(_pins(query.where, name) for name in kind.filter_required):
        return
    names = " or ".join(kind.filter_required)
    message = (
        f"Implementation restriction: {kind.name} requires a filter by a single Id on {names} using the equals operator "
        "or multiple Id's using the IN operator."
    )
    raise ApiError(400, "MALFORMED_QUERY", message)


def _pins(condition: Condition, name: str) -> bool:
    """Whether the condition, or one of its ANDed parts, fixes this field to given values."""
    if isinstance(condition, Combined):
        return condition.operator == "AND" and any(_pins(part, name) for part in condition.operands)
    if not isinstance(condition.left, Path) or condition.left.text.lower() != name.lower():
        return False
    if isinstance(condition, SemiJoin):
        return not condition.negated
    return condition.operator == ("IN" if isinstance(condition, Membership) else "=")
