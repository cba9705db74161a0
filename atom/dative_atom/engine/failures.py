"""How an execution's end is told: any error as a coded failure, never with a value in it."""

from __future__ import annotations

import duckdb
import pyarrow as pa
from dative.errors import DativeError
from dative.errors import engine as codes
from dative.errors.base import INTERNAL, Code
from dative.errors.connector import CANCELLED as CONNECTOR_CANCELLED

_MEMORY = (MemoryError, pa.ArrowMemoryError, duckdb.OutOfMemoryException)


def failure_of(error: BaseException, *, cancelled: bool) -> dict[str, str]:
    """code, message, where, next. cancelled: somebody asked for it, so whatever broke off broke off for that."""
    if cancelled and (not isinstance(error, DativeError) or error.code in (codes.CANCELLED, CONNECTOR_CANCELLED)):
        return _coded(codes.CANCELLED, "cancelled; what was settled stays settled")
    if isinstance(error, DativeError):
        return {"code": error.code.name, "message": error.message, "where": error.where, "next": error.next}
    if isinstance(error, _MEMORY):
        return _coded(codes.OUT_OF_MEMORY, "the worker's memory limit was reached")
    # A foreign error's text may hold a document's value, so only its type is told (Invariant 6).
    return _coded(INTERNAL, f"{type(error).__module__}.{type(error).__name__}")


def _coded(code: Code, message: str) -> dict[str, str]:
    return {"code": code.name, "message": message, "where": "", "next": code.next}
