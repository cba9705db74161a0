"""Maps every error of PostgreSQL and SQLite to a coded one, once.

A server's text may quote a row's values (Invariant 6), so a message is built from what is metadata: SQLSTATE, column,
constraint. Source: PostgreSQL manual, appendix A; SQLite, "Result and Error Codes".
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

import adbc_driver_manager as adbc
from dative.errors import connector as c
from dative.errors import database as d
from dative.errors.base import Code, DativeError, RejectDocument, StopRun
from dative.errors.statements import TRANSACTION


@dataclass(eq=False)
class RowRefused(RejectDocument):
    """A statement failed because of one of its rows; which one is found by halving."""

    default_code = d.ROW_REFUSED


@dataclass(eq=False)
class SameKeyTwice(RowRefused):
    """Two rows of one statement have the same key: they must go one after the other."""


_ROW: Mapping[str, tuple[Code, str]] = {
    "23502": (d.NULL_VALUE, "must have a value"),
    "23503": (d.FOREIGN_KEY, "refers to a row that is not there"),
    "23505": (d.DUPLICATE, "has a value that another row has already"),
    "23514": (d.CHECK_FAILED, "breaks a check"),
    "23P01": (d.CHECK_FAILED, "breaks an exclusion"),
    "22001": (d.TEXT_TOO_LONG, "is too long"),
    "22003": (d.OUT_OF_RANGE, "is out of range"),
    "22008": (d.OUT_OF_RANGE, "is out of range"),
    "44000": (d.ROW_REFUSED, "breaks a view's check"),
    "P0001": (d.ROW_REFUSED, "was refused by a trigger or a procedure"),
}
_STOP: Mapping[str, Code] = {
    "42501": d.DENIED,
    "42P01": d.TABLE_UNKNOWN,
    "42703": d.COLUMN_UNKNOWN,
    "42P10": d.KEY_NOT_UNIQUE,
    "3D000": d.LOGIN_FAILED,
    "2D000": TRANSACTION,
}
_LOGIN = re.compile(
    r"password authentication failed|no password supplied|role .* (does not exist|is not permitted)"
    r"|database .* does not exist|no pg_hba"
)


def postgres_error(error: adbc.Error, what: str, *, rows: bool = False) -> DativeError:
    """what: the statement without literals, as "INSERT customer". rows: a row may be to blame (a write)."""
    state = error.sqlstate or ""
    said = f"{what} failed{f' with SQLSTATE {state}' if state else ''}"
    if rows and (state in _ROW or state.startswith(("22", "23", "P0"))):
        return _row_refused(error, state)
    if rows and state == "21000":
        return SameKeyTwice("a key stands twice in one statement")
    return _retriable(state, said) or _stopping(error, state, said)


def _row_refused(error: adbc.Error, state: str) -> RowRefused:
    if state.startswith("P0"):
        state = "P0001"
    code, reason = _ROW.get(state, (d.VALUE_INVALID, "can not be read as the column's type"))
    details = {key.decode() if isinstance(key, bytes) else key: _decoded(value) for key, value in error.details or ()}
    column, constraint = details.get("PG_DIAG_COLUMN_NAME", ""), details.get("PG_DIAG_CONSTRAINT_NAME", "")
    subject = f"column {column}" if column else "a value"
    return RowRefused(f"{subject} {reason}{f' ({constraint})' if constraint else ''}", code=code)


def _decoded(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _retriable(state: str, said: str) -> DativeError | None:
    if state in ("40001", "40P01", "55P03"):
        return c.Conflict(said)
    if state == "57014":
        return c.Timeout(said, code=d.STATEMENT_TIMEOUT)
    if state == "25006":
        return c.Unavailable(said, code=d.READ_ONLY)
    if state.startswith("53"):
        return c.Unavailable(said, code=d.FULL)
    if state.startswith(("08", "57P", "58")):
        return c.Unavailable(said)
    return None


def _stopping(error: adbc.Error, state: str, said: str) -> DativeError:
    if state.startswith("28") or state in _STOP:
        return StopRun(said, code=_STOP.get(state, d.LOGIN_FAILED))
    if state.startswith(("42", "22", "0A", "21")):
        return StopRun(said, code=d.QUERY_INVALID)
    if state:
        return StopRun(said, code=d.REFUSED)
    text = str(error)
    if _LOGIN.search(text):
        return StopRun(said, code=d.LOGIN_FAILED)
    if "certificate" in text or "SSL error" in text:
        return StopRun(said, code=c.TLS_FAILED)
    if isinstance(error, adbc.OperationalError | adbc.InternalError):
        # The driver speaks without a state when the connection is the trouble.
        return (
            c.Timeout(said)
            if "timeout expired" in text
            else c.Unavailable(f"{said}: the connection broke or could not be made")
        )
    return StopRun(said, code=d.REFUSED)


_SQLITE_ROW: Mapping[str, tuple[Code, str]] = {
    "SQLITE_CONSTRAINT_NOTNULL": _ROW["23502"],
    "SQLITE_CONSTRAINT_FOREIGNKEY": _ROW["23503"],
    "SQLITE_CONSTRAINT_UNIQUE": _ROW["23505"],
    "SQLITE_CONSTRAINT_PRIMARYKEY": _ROW["23505"],
    "SQLITE_CONSTRAINT_ROWID": _ROW["23505"],
    "SQLITE_CONSTRAINT_CHECK": _ROW["23514"],
    "SQLITE_CONSTRAINT_TRIGGER": _ROW["P0001"],
    "SQLITE_CONSTRAINT_DATATYPE": (d.VALUE_INVALID, "is not of its column's type"),
    "SQLITE_TOOBIG": _ROW["22001"],
    "SQLITE_MISMATCH": (d.VALUE_INVALID, "is not of its column's type"),
}
_SQLITE_COLUMNS = re.compile(r"constraint failed: (.+)$")


def sqlite_error(error: sqlite3.Error, what: str, *, rows: bool = False) -> DativeError:
    """As `postgres_error`. SQLite's constraint messages hold column and constraint names only."""
    name = getattr(error, "sqlite_errorname", "") or ""
    said = f"{what} failed{f' with {name}' if name else ''}"
    if rows and name in _SQLITE_ROW:
        code, reason = _SQLITE_ROW[name]
        found = _SQLITE_COLUMNS.search(str(error))
        return RowRefused(f"column {found[1]} {reason}" if found else f"a value {reason}", code=code)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return c.Conflict(said)
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_NOMEM")):
        return c.Unavailable(said, code=d.FULL)
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return StopRun(said, code=d.LOGIN_FAILED)
    if name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")):
        return StopRun(said, code=d.DENIED)
    if name == "SQLITE_INTERRUPT":
        return c.Timeout(said, code=d.STATEMENT_TIMEOUT)
    text = str(error)
    missing = {
        "no such table": d.TABLE_UNKNOWN,
        "no such column": d.COLUMN_UNKNOWN,
        "ON CONFLICT clause does not": d.KEY_NOT_UNIQUE,
    }
    for words, code in missing.items():
        if words in text:
            return StopRun(said, code=code)
    return StopRun(said, code=d.QUERY_INVALID if name == "SQLITE_ERROR" or not name else d.REFUSED)
