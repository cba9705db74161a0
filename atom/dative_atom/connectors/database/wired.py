"""A wire around a database session: each call goes through it as values that can be written down."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
from dative.errors.base import INTERNAL, DativeError, RetryLater, StopRun, code_named
from dative.errors.connector import Conflict, RateLimited, Timeout, Unavailable, UnknownOutcome

from dative_atom.connectors.database.errors import RowRefused, SameKeyTwice
from dative_atom.connectors.database.session import Described, Horizon, Session, TargetColumn
from dative_atom.connectors.wire import Wire

_ERRORS: dict[str, type[DativeError]] = {
    kind.__name__: kind
    for kind in (
        RowRefused,
        SameKeyTwice,
        Conflict,
        RateLimited,
        Timeout,
        Unavailable,
        UnknownOutcome,
        RetryLater,
        StopRun,
    )
}


class WiredSession:
    """A `Session`. connect: opens the real one, at the first call for which the wire asks the database."""

    def __init__(self, wire: Wire, connect: Callable[[], Session]) -> None:
        self._wire, self._connect = wire, connect
        self._inner: Session | None = None
        self.returns_in_order = bool(self._through("returns_in_order", {}, lambda session: session.returns_in_order))

    def _through(self, call: str, arguments: dict[str, Any], do: Callable[[Session], Any]) -> Any:
        def ask() -> dict[str, Any]:
            try:
                self._inner = self._inner or self._connect()
                return {"value": do(self._inner)}
            except DativeError as error:
                kind = next((name for name, one in _ERRORS.items() if type(error) is one), "StopRun")
                return {"error": kind, "code": error.code.name, "message": error.message}

        found = self._wire.sql(call, arguments, ask)
        if "error" in found:
            raise _ERRORS[found["error"]](found["message"], code=code_named(found["code"]) or INTERNAL)
        return found["value"]

    # --- reading ------------------------------------------------------------------------------------------------------

    def describe(self, query: str) -> Described:
        found = self._through("describe", {"query": query}, lambda s: dataclasses.asdict(s.describe(query)))
        return Described(found["schema"], found["selection"])

    def stream(self, query: str, schema: pa.Schema, rows_max: int) -> Iterator[pa.RecordBatch]:
        """The whole answer is held: a recording is a sample."""
        arguments = {"query": query, "rows_max": rows_max}
        yield from self._through("stream", arguments, lambda s: list(s.stream(query, schema, rows_max)))

    def rows(self, query: str, what: str) -> list[tuple[Any, ...]]:
        found = self._through("rows", {"query": query}, lambda s: [list(row) for row in s.rows(query, what)])
        return [tuple(row) for row in found]

    def horizon(self, *, zoned: bool) -> Horizon:
        found = self._through("horizon", {"zoned": zoned}, lambda s: dataclasses.asdict(s.horizon(zoned=zoned)))
        return Horizon(found["clock"], found["settled"])

    # --- writing ------------------------------------------------------------------------------------------------------

    def run(self, statement: str, what: str, *, blames_rows: bool = False) -> int:
        return int(
            self._through("run", {"statement": statement}, lambda s: s.run(statement, what, blames_rows=blames_rows))
        )

    def fetch(self, statement: str, what: str, schema: pa.Schema) -> pa.RecordBatch:
        found: pa.RecordBatch = self._through(
            "fetch", {"statement": statement}, lambda s: s.fetch(statement, what, schema)
        )
        return found

    def parameter(self, number: int, kind: pa.DataType) -> str:
        arguments = {"number": number, "kind": str(kind)}
        return str(self._through("parameter", arguments, lambda s: s.parameter(number, kind)))

    def statement_columns(self, statement: str, values: pa.Schema, what: str) -> Sequence[str] | None:
        def ask(session: Session) -> list[str] | None:
            found = session.statement_columns(statement, values, what)
            return None if found is None else list(found)

        found: list[str] | None = self._through("statement_columns", {"statement": statement, "values": values}, ask)
        return found

    def execute(self, statement: str, values: pa.RecordBatch | None, what: str, rows_max: int) -> pa.RecordBatch:
        arguments = {"statement": statement, "rows_max": rows_max, **({} if values is None else {"values": values})}
        found: pa.RecordBatch = self._through(
            "execute", arguments, lambda s: s.execute(statement, values, what, rows_max)
        )
        return found

    def limit_statements(self, timeout_s: float) -> None:
        self._through("limit_statements", {"timeout_s": timeout_s}, lambda s: s.limit_statements(timeout_s))

    def begin(self, stream: str, fencing_token: int = 0) -> None:
        self._through("begin", {"stream": stream}, lambda s: s.begin(stream, fencing_token))

    def claim(self, stream: str, fencing_token: int = 0) -> None:
        self._through("claim", {"stream": stream}, lambda s: s.claim(stream, fencing_token))

    def commit(self) -> None:
        self._through("commit", {}, lambda s: s.commit())

    def rollback(self) -> None:
        """Nothing is asked and nothing can be learned: a replay has no transaction to undo."""
        if self._inner is not None:
            self._inner.rollback()

    def make_stage(self, schema: pa.Schema) -> None:
        self._through("make_stage", {"schema": schema}, lambda s: s.make_stage(schema))

    def index_stage(self) -> None:
        self._through("index_stage", {}, lambda s: s.index_stage())

    def load_stage(self, rows: pa.RecordBatch) -> None:
        self._through("load_stage", {"rows": rows}, lambda s: s.load_stage(rows))

    # --- what there is ------------------------------------------------------------------------------------------------

    def target(self, table: str) -> list[TargetColumn]:
        found = self._through("target", {"table": table}, lambda s: [dataclasses.asdict(c) for c in s.target(table)])
        return [TargetColumn(**column) for column in found]

    def unique_keys(self, table: str) -> list[tuple[str, ...]]:
        found = self._through("unique_keys", {"table": table}, lambda s: [list(key) for key in s.unique_keys(table)])
        return [tuple(key) for key in found]

    def make_marks(self, table: str) -> None:
        self._through("make_marks", {"table": table}, lambda s: s.make_marks(table))

    def committed_mark(self, table: str, stream: str) -> tuple[Any, ...] | None:
        arguments = {"table": table, "stream": stream}
        found = self._through("committed_mark", arguments, lambda s: _list(s.committed_mark(table, stream)))
        return tuple(found) if found else None

    def version(self) -> str:
        return str(self._through("version", {}, lambda s: s.version()))

    def close(self) -> None:
        if self._inner is not None:
            self._inner.close()


def _list(row: tuple[Any, ...] | None) -> list[Any] | None:
    return list(row) if row is not None else None
