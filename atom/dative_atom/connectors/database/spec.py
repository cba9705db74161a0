"""Databases: settings of a connection and options of its operations (PostgreSQL and SQLite)."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from dative_atom.connectors.spec import ConnectorSpec, Duration, OperationSpec, Settings, describe


class DatabaseSettings(Settings):
    """One database and the role that works in it."""

    url: str = describe(
        "postgresql://user@host:5432/database (sslmode and other libpq parameters after ?) or sqlite:///absolute/path. "
        "A password belongs into the secret of that name, not here.",
        pattern=r"^(postgres(ql)?|sqlite)://",
    )
    connect_timeout: Duration = describe("Longest wait for a connection.", default="10s")
    statement_timeout: Duration = describe("Longest run of one statement; the server cancels it then.", default="10m")
    mark_schema: str = describe(
        "Schema of the table dative_position, where batches are marked in their own transaction. Empty: the role's first.",
        default="",
    )


class Incremental(Settings):
    """Reads only rows that changed since the saved position."""

    field: str = describe(
        "Column that rises with every change (timestamp, date or integer); indexed together with key."
    )
    key: tuple[str, ...] = describe("Columns that tell rows of the same `field` apart: the primary key.", min_length=1)
    overlap: Duration = describe(
        "How far each read reaches back behind the last one (timestamps only), for stamps that come late: made by an "
        "application's clock, or by a transaction that can not be seen. PostgreSQL's own timestamptz stamps need none. "
        "What was delivered already is not delivered again.",
        default="0s",
    )
    nulls: Literal["refuse", "skip"] = describe(
        "Rows without a value in `field` can never be read incrementally: refuse stops the run, skip leaves them out.",
        default="refuse",
    )
    deleted_field: str = describe(
        "Column that says that a row was deleted (a flag or a time), which must move `field`: it comes with the documents. "
        "Empty: deleted rows are not seen.",
        default="",
    )


class QueryOptions(Settings):
    """Reads rows: of a table, or of a query."""

    sql: str = describe(
        "A SELECT of your own; named binds (:lastRunDate, :parameter) are bound, never pasted.", default=""
    )
    table: str = describe("Table or view, as customer or sales.customer.", default="")
    columns: tuple[str, ...] = describe("Columns of the table; empty reads all.", default=())
    where: str = describe("SQL condition on the table; binds as in `sql`.", default="")
    incremental: Incremental | None = describe("Read what changed only; without it everything is read.", default=None)
    key: tuple[str, ...] = describe(
        "Of a full read: columns that tell rows apart. The read is ordered by them and goes on exactly where it stopped; "
        "without a key it streams faster, and starts over when the atom is killed in the middle.",
        default=(),
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if bool(self.sql) == bool(self.table):
            raise ValueError("give either sql or table")
        if self.sql and (self.columns or self.where):
            raise ValueError("columns and where go with table; write them into sql")
        if self.key and self.incremental:
            raise ValueError("key belongs to a full read; an incremental one has incremental.key")
        return self


class InsertOptions(Settings):
    """Adds rows to a table."""

    table: str = describe("Table, as customer or sales.customer.", min_length=1)
    result_columns: tuple[str, ...] = describe(
        "Columns of the written row to give back as result.<column>, as generated keys. Costs a query per batch.",
        default=(),
    )


class UpsertOptions(InsertOptions):
    """Adds rows or updates those that are there."""

    key: tuple[str, ...] = describe("Columns of a unique constraint that tell whether the row is there.", min_length=1)
    skip_unchanged: bool = describe(
        "Leave rows alone that already hold the same values; they count as unchanged. Costs a join per batch.",
        default=False,
    )


class ExecuteOptions(Settings):
    """Executes one statement: INSERT, UPDATE, DELETE, MERGE, SELECT, WITH, CALL of a procedure, or REPLACE."""

    sql: str = describe(
        "The statement. Per document, :field is that field's value, bound with the field's type: CALL book(:id, :amount); "
        "cast it where another type is needed. Per batch, `:documents AS d` is all documents as a relation: their fields, "
        "and _row, the document's number.",
        min_length=1,
        max_length=100_000,
    )
    per: Literal["document", "batch"] = describe(
        "document: once for each, in order, and slower by a round trip each. batch: once for all of them; where a row is "
        "refused, once for each half, so it must mean the same for a part of the batch.",
        default="document",
    )
    result_columns: tuple[str, ...] = describe(
        "Columns that the statement gives (RETURNING, SELECT, OUT parameters) to give back as result.<column>, as text; "
        "at most one row a document. Per batch it must give _row, too.",
        default=(),
    )
    required: bool = describe(
        "Reject a document for which the statement gives no row, as an UPDATE … RETURNING that found nothing. Needs "
        "result_columns.",
        default=False,
    )
    timeout: Duration = describe(
        "Longest run of the statement once, at most 1h; the batch is undone then.", default="1m"
    )

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if not 0.01 <= self.timeout <= 3600:
            raise ValueError("timeout is 10ms to 1h")
        if self.required and not self.result_columns:
            raise ValueError("required needs result_columns: a row that nobody asks for can not be missed")
        return self


_EFFECT = "In one transaction with the batch's mark, so a batch is applied exactly once."

SPEC = ConnectorSpec(
    doc="PostgreSQL and SQLite: bulk reads and exactly-once batches of writes.",
    settings=DatabaseSettings,
    secrets={"password": "The role's password; leave it out where the server needs none."},
    operations={
        "query": OperationSpec(
            "source", "Read a table, a view or a query, whole or what changed.", QueryOptions, True, divisible=True
        ),
        "insert": OperationSpec(
            "target",
            f"Add rows. {_EFFECT}",
            InsertOptions,
            False,
            {"id": "The first result column, or the first column of the primary key, as text."},
            transactional=True,
        ),
        "upsert": OperationSpec(
            "target",
            f"Add rows, or update those with the same key. {_EFFECT}",
            UpsertOptions,
            True,
            {"id": "The first result column, or the first key column, as text."},
            transactional=True,
        ),
        "execute": OperationSpec(
            "target",
            f"Execute a statement or call a procedure, with bound values. {_EFFECT}",
            ExecuteOptions,
            False,
            transactional=True,
        ),
    },
)
