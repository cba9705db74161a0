"""What a database's columns are in the words of the process language: of a table that is written, and of what is read.

Names and types only; no row is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import pyarrow as pa
from dative.errors.base import StopRun
from dative.errors.database import COLUMN_UNKNOWN
from dative.process.findings import nearest

from dative_atom.connectors.binds import bind_sql
from dative_atom.connectors.database.session import ColumnFacts, LookingSession, quoted_table
from dative_atom.connectors.database.spec import QueryOptions
from dative_atom.documents.profile import data_type

_KINDS: Final = {
    **dict.fromkeys(("smallint", "integer", "bigint", "int", "tinyint", "mediumint"), "integer"),
    **dict.fromkeys(("real", "double precision", "double", "float"), "double"),
    **dict.fromkeys(("boolean", "bool"), "boolean"),
    **dict.fromkeys(("timestamp with time zone", "timestamp without time zone", "timestamp", "datetime"), "timestamp"),
    **dict.fromkeys(("time without time zone", "time"), "time"),
    **dict.fromkeys(("bytea", "blob"), "binary"),
    **dict.fromkeys(("json", "jsonb"), "json"),
    **dict.fromkeys(("text", "character varying", "character", "varchar", "char", "nvarchar", "nchar", "name"), "text"),
    "date": "date",
}
_SIZED: Final = re.compile(r"\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")
_DECIMALS: Final = ("numeric", "decimal")
_DIGITS_MAX: Final = 38


def column_type(declared: str) -> str:
    """A declared type as profiles write it; `any` for one of which the language knows nothing, or that has no bounds."""
    sized = _SIZED.search(declared)
    base = _SIZED.sub("", declared).strip().lower()
    if base in _DECIMALS:
        digits, scale = (int(sized[1]), int(sized[2] or 0)) if sized else (0, 0)
        return f"decimal({digits},{scale})" if scale <= digits <= _DIGITS_MAX and digits else "any"
    kind = _KINDS.get(base, "any")
    return f"text({sized[1]})" if kind == "text" and sized else kind


def written_fields(connect: Callable[[], LookingSession], table: str) -> dict[str, str]:
    """Of a table that rows are added to. StopRun naming the nearest table when there is none."""
    session = connect()
    try:
        # Whatever a view or a query calls, its server lets it write nothing.
        session.begin_looking()
        return {one.name: _written(one) for one in session.columns(table)}
    finally:
        session.close()


def _written(column: ColumnFacts) -> str:
    if column.generated:
        return f"{column_type(column.declared)} read_only"
    return column_type(column.declared) + ("!" if column.required else "")


class _Unset(dict[str, str]):
    """Every bind is there and is NULL: before a run nobody knows what it will be, and the columns do not depend on it."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return ""


def _of_query(session: LookingSession, query: str) -> dict[str, str]:
    return {column.name: _document_type(column) for column in session.describe(query).schema}


def _document_type(column: pa.Field) -> str:
    refined = (column.metadata or {}).get(b"dative.type")
    return refined.decode() if refined else str(data_type(column.type))


def read_fields(connect: Callable[[], LookingSession], options: QueryOptions) -> dict[str, str]:
    """Of a table or a query, as its documents will have them; of a table with the lengths of its texts too."""
    session = connect()
    try:
        # Whatever a view or a query calls, its server lets it write nothing.
        session.begin_looking()
        if options.sql:
            return _of_query(session, bind_sql(options.sql.strip().rstrip(";"), _Unset(), lambda _value, _at: "NULL"))
        declared = {one.name: column_type(one.declared) for one in session.columns(options.table)}
        described = _of_query(session, f"SELECT * FROM {quoted_table(options.table)}")
    finally:
        session.close()
    wanted = options.columns or tuple(described)
    deleted = options.incremental.deleted_field if options.incremental else ""
    if deleted and deleted not in wanted:
        wanted = (*wanted, deleted)  # as the reader reads it
    for name in wanted:
        if name not in described:
            raise StopRun(f"{options.table} has no column {name}{nearest(name, described)}", code=COLUMN_UNKNOWN)
    # The driver's word decides what documents hold (a numeric without digits is read as text); the catalog adds lengths.
    return {
        name: declared[name] if described[name] == "text" and declared[name].startswith("text(") else described[name]
        for name in wanted
    }
