"""Codes of SQL statements that a process holds itself: what they may not be, and what they may not give."""

from __future__ import annotations

from dative.errors.base import Code

UNREADABLE = Code(
    "statement.unreadable",
    "INVALID_ARGUMENT",
    "Where the statement's strings and comments end can not be told.",
    "Close what the message names; write no comment inside of a comment.",
)
SEVERAL = Code(
    "statement.several",
    "INVALID_ARGUMENT",
    "The text holds more than one statement.",
    "Write a step for each, or call a procedure that does them all.",
)
TRANSACTION = Code(
    "statement.transaction",
    "INVALID_ARGUMENT",
    "The statement, or a procedure that it calls, begins or ends a transaction; the batch and its mark are one already.",
    "Leave it out; what the statement does becomes visible when the batch is committed.",
)
DDL = Code(
    "statement.ddl",
    "INVALID_ARGUMENT",
    "The statement makes or changes tables, rights or other parts of the database.",
    "Let a migration do it; where it must happen in a run, let a procedure do it and CALL that.",
)
NOT_ALLOWED = Code(
    "statement.not_allowed",
    "INVALID_ARGUMENT",
    "A step executes INSERT, UPDATE, DELETE, MERGE, SELECT, WITH, CALL or REPLACE.",
    "Write one of these, or let a procedure do the work and CALL it.",
)
BIND = Code(
    "statement.bind",
    "INVALID_ARGUMENT",
    "A name behind a colon has no value: no field of the documents in a statement per document, `documents` per batch.",
    "Correct the name, make the field in a map, or change `per`.",
)
RESULT_MISSING = Code(
    "statement.result_missing",
    "FAILED_PRECONDITION",
    "The statement does not give the columns that `result_columns` asks for.",
    "Add them: RETURNING, SELECT or the procedure's OUT parameters; per batch also `_row`, the document's number.",
)
TOO_MANY_ROWS = Code(
    "statement.too_many_rows",
    "RESOURCE_EXHAUSTED",
    "The statement gave more rows than it may.",
    "Narrow it to one row a document; leave out `result_columns` if nobody needs them.",
)
NO_ROW = Code(
    "statement.no_row",
    "NOT_FOUND",
    "The statement gave no row for this document, and `required` says that it must.",
    "Look at the document's key; where nothing to do is fine, leave `required` out.",
)
