"""How an error is told: what, where, why, the next command, the code and the trace id. On stderr, always.

Knows no command. Nothing it prints comes from anywhere but the error and its code (Invariant 6).
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from typing import Any

import click
from dative.errors import DativeError
from dative.errors.base import INTERNAL


def show(failed: BaseException, obj: Mapping[str, Any] | None) -> int:
    """Print the error and return the exit code. obj: the root context's, with output format, debug and trace id."""
    known = obj or {}
    error = failed if isinstance(failed, DativeError) else unforeseen(failed)
    if known.get("debug"):
        click.echo("".join(traceback.format_exception(failed)), err=True, nl=False)
    trace_id = str(known.get("trace_id", ""))
    as_json = known.get("output") in ("json", "jsonl")
    click.echo(as_object(error, trace_id) if as_json else as_text(error, trace_id), err=True)
    return error.code.exit_code


def unforeseen(failed: BaseException) -> DativeError:
    """A defect as a coded error. Its own text may hold anything, so that only its type is told; --debug shows all."""
    if isinstance(failed, OSError) and failed.strerror:
        where = str(failed.filename or "")
        return DativeError(f"{type(failed).__name__}: {failed.strerror}", code=INTERNAL, where=where)
    return DativeError(f"unexpected {type(failed).__name__}", code=INTERNAL)


def as_text(error: DativeError, trace_id: str) -> str:
    rows = [("where", error.where), ("why", error.code.means), ("next", error.next)]
    lines = [click.style("✖ ", fg="red", bold=True) + click.style(error.message, bold=True)]
    lines += [f"  {click.style(name.ljust(5), dim=True)}  {text}" for name, text in rows if text]
    code = error.code.name + (f" · trace {trace_id}" if trace_id else "")
    return "\n".join([*lines, f"  {click.style('code ', dim=True)}  {code}"])


def as_object(error: DativeError, trace_id: str) -> str:
    """One line of JSON with the same facts."""
    facts = {
        "code": error.code.name,
        "message": error.message,
        "where": error.where,
        "means": error.code.means,
        "next": error.next,
        "trace_id": trace_id,
        "exit_code": error.code.exit_code,
    }
    return json.dumps({"apiVersion": "dative/v1", "kind": "Error", "error": facts}, ensure_ascii=False)
