"""PostgreSQL's errors as the house's, once, and which of them mean that a transaction may be tried again.

Source: PostgreSQL, "Error Codes" (appendix A): the five characters of SQLSTATE.
"""

from __future__ import annotations

from typing import Final

import psycopg
from dative.errors import DativeError, RetryLater, StopRun
from dative.errors import journal as codes

AGAIN: Final = ("40001", "40P01")
"""Serialization failure and deadlock: nothing was changed, and the next try finds the other one gone."""
_GONE: Final = ("08", "57P01", "57P02", "57P03", "25P03", "25006", "53200", "53300")
"""The server is away, going, coming or a standby still, or has no room for this session: it comes back."""
_BUSY: Final = ("55P03", "57014")
_REFUSED: Final = ("28", "3D", "42501", "3F000")
_REFUSED_AT_THE_DOOR: Final = ("authentication failed", "no password supplied", "pg_hba.conf", "does not exist")
"""libpq gives no SQLSTATE of a session that was never opened, only the server's words."""


def lost(error: psycopg.Error) -> bool:
    """Whether the session is gone, or there was none: nothing more is known of what it did last."""
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state.startswith(_GONE)


def translated(address: str, error: psycopg.Error) -> DativeError:
    state, said = error.sqlstate or "", _said(error)
    if state == "53100":
        return StopRun(f"journal {address}: {said}", code=codes.DISK_FULL)
    if state == "54000":
        return StopRun(f"journal {address}: {said}", code=codes.KEY_TOO_LONG)
    if state.startswith(_REFUSED) or (not state and any(words in said for words in _REFUSED_AT_THE_DOOR)):
        return StopRun(f"journal {address}: {said}", code=codes.REFUSED)
    if lost(error):
        return RetryLater(f"journal {address}: {said}", code=codes.UNAVAILABLE)
    if state in AGAIN or state in _BUSY:
        return RetryLater(f"journal {address}: {said}", code=codes.BUSY)
    return StopRun(f"journal {address}: {said or type(error).__name__}", code=codes.UNREADABLE)


def _said(error: psycopg.Error) -> str:
    """Its first line: what follows may quote a row."""
    first = (error.diag.message_primary or str(error)).strip().splitlines()
    return first[0] if first else ""
