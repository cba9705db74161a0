"""Codes of the database connector. Those of documents are outcomes of single rows; the others stop the run."""

from dative.errors.base import Code

LOGIN_FAILED = Code(
    "database.login_failed",
    "UNAUTHENTICATED",
    "The server refused the role or its password, or has no such database.",
    "Set the secret again: dative env secret set NAME, and look at the connection's url.",
)
URL_INVALID = Code(
    "database.url_invalid",
    "INVALID_ARGUMENT",
    "The connection's url is not one of a database that this connector knows.",
    "Write postgresql://user@host:5432/database or sqlite:///absolute/path; the password is a secret.",
)
TABLE_UNKNOWN = Code(
    "database.table_unknown",
    "NOT_FOUND",
    "There is no such table or view, or the role may not see it.",
    "Correct the name, or create the table.",
)
COLUMN_UNKNOWN = Code(
    "database.column_unknown",
    "NOT_FOUND",
    "The table has no such column.",
    "Correct the name in the process, or add the column.",
)
KEY_NOT_UNIQUE = Code(
    "database.key_not_unique",
    "FAILED_PRECONDITION",
    "No unique constraint or index of the table is made of exactly the key's columns, so rows can not be told apart.",
    "Add one: ALTER TABLE … ADD UNIQUE (…), or choose another key.",
)
QUERY_INVALID = Code(
    "database.query_invalid",
    "INVALID_ARGUMENT",
    "The database can not read the statement; most often the step's sql or where.",
    "Try the statement in the database's own client.",
)
DENIED = Code(
    "database.denied",
    "PERMISSION_DENIED",
    "The role may not do this.",
    "GRANT it the right that the message names.",
)
MARK_TABLE = Code(
    "database.mark_table",
    "FAILED_PRECONDITION",
    "The table dative_position, which makes batches exactly-once, is not there and could not be created.",
    "Let the role create tables in that schema, or create it from the connector's README.",
)
FULL = Code(
    "database.full",
    "RESOURCE_EXHAUSTED",
    "The server has no room left: disk, memory or connections.",
    "Free space or connections on the server; the run is tried again.",
)
STATEMENT_TIMEOUT = Code(
    "database.statement_timeout",
    "DEADLINE_EXCEEDED",
    "The statement took longer than the connection's statement_timeout.",
    "Add an index for the condition, or raise statement_timeout.",
)
REFUSED = Code(
    "database.refused",
    "FAILED_PRECONDITION",
    "The database refused the statement with an error that this version does not know.",
    "Look up the SQLSTATE of the message in the database's manual.",
)
READ_ONLY = Code(
    "database.read_only",
    "UNAVAILABLE",
    "The server is a standby or read only, so nothing can be written now.",
    "Point the connection's url at the primary (target_session_attrs=read-write does it by itself).",
)

NULL_VALUE = Code(
    "database.null_value",
    "INVALID_ARGUMENT",
    "A column that must have a value got none.",
    "Fill the field in a map, or send such documents elsewhere with decide.",
)
DUPLICATE = Code(
    "database.duplicate",
    "ALREADY_EXISTS",
    "Another row has the same value where it must be unique.",
    "Use database.upsert with that key, or repair the document.",
)
FOREIGN_KEY = Code(
    "database.foreign_key",
    "FAILED_PRECONDITION",
    "The row refers to another one that is not there.",
    "Load the parent first, then retry the dead letter.",
)
CHECK_FAILED = Code(
    "database.check_failed",
    "INVALID_ARGUMENT",
    "The row breaks a check of the table.",
    "Repair the document, or change the map.",
)
TEXT_TOO_LONG = Code(
    "database.text_too_long",
    "INVALID_ARGUMENT",
    "A text is longer than its column.",
    "Shorten it in a map: left(field, n), or widen the column.",
)
OUT_OF_RANGE = Code(
    "database.out_of_range",
    "INVALID_ARGUMENT",
    "A number or date does not fit its column.",
    "Repair the document, or widen the column.",
)
VALUE_INVALID = Code(
    "database.value_invalid",
    "INVALID_ARGUMENT",
    "A value can not be read as its column's type.",
    "Convert it in a map.",
)
VALUE_INEXACT = Code(
    "database.value_inexact",
    "INVALID_ARGUMENT",
    "A number has more decimal places than its column keeps, and would be changed silently.",
    "Round it in a map: round(field, n), or widen the column.",
)
KEY_MISSING = Code(
    "database.key_missing",
    "INVALID_ARGUMENT",
    "A field of the key has no value, so the row can not be told from others.",
    "Fill the key in a map, or send such documents elsewhere with decide.",
)
ROW_REFUSED = Code(
    "database.row_refused",
    "INVALID_ARGUMENT",
    "The database refused this row, by a trigger or a rule of its own.",
    "Look at the table's triggers and rules.",
)
STAMP_MISSING = Code(
    "database.stamp_missing",
    "FAILED_PRECONDITION",
    "Rows have no value in the field or the key that an incremental read goes by, so it would never deliver them.",
    "Fill the column and declare it NOT NULL, choose another one, or say `nulls: skip`.",
)
