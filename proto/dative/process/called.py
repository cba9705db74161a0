"""What a call makes of the documents: the called process is followed with the caller's fields, types and classes.

The called process' own findings are told in its own file; here is what these documents bring into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from dative.errors import process as codes
from dative.process.calls import CALL_DEPTH_MAX
from dative.process.fields import Fields, FieldState
from dative.process.findings import Path, nearest
from dative.process.shapes import DocumentsSettings

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck
    from dative.process.model import Process

_BROUGHT_IN = (codes.CLASSIFIED_UNMASKED, codes.CALL_CYCLE, codes.CALL_TOO_DEEP)


def follow_call(
    check: FlowCheck, name: str, step_id: str, path: Path, fields: Fields, parameters: Mapping[str, str]
) -> Fields:
    """What the process of that name returns. Where nothing is known of other files, it may return anything."""
    called = _found(check, name, path) if check.processes is not None else None
    if called is None:
        return Fields({}, open=True)
    for parameter in parameters:
        if parameter not in called.spec.parameters:
            message = f'process {name} has no parameter "{parameter}"{nearest(parameter, called.spec.parameters)}'
            check.report.value(codes.UNKNOWN_PARAMETER, message, path)
    inner = check.inside(called)
    after = inner.entered(_brought(check, called, path, fields))
    for finding in inner.report.findings:
        if finding.code in _BROUGHT_IN:
            check.report.value(finding.code, f"in process {name}: {finding.message}", path)
    check.lineage.take_in(inner.lineage, f"{step_id}.")
    return after


def _found(check: FlowCheck, name: str, path: Path) -> Process | None:
    if name in check.trail:
        circle = " → ".join((*check.trail[check.trail.index(name) :], name))
        check.report.value(codes.CALL_CYCLE, f"the calls never end: {circle}", path)
        return None
    if len(check.trail) >= CALL_DEPTH_MAX:
        way = " → ".join((*check.trail, name))
        check.report.value(codes.CALL_TOO_DEEP, f"more than {CALL_DEPTH_MAX} processes deep: {way}", path)
        return None
    called = check.processes(name) if check.processes is not None else None
    if called is None:
        check.report.value(codes.UNKNOWN_PROCESS, f"no file beside this one holds a process {name}", path)
    elif not isinstance(called.spec.source.settings, DocumentsSettings):
        message = f"process {name} starts with {called.spec.source.verb} and takes no documents of a caller"
        check.report.value(codes.NOT_CALLABLE, message, path)
        return None
    return called


def _brought(check: FlowCheck, called: Process, path: Path, fields: Fields) -> Fields:
    """The declared fields of the called process, made of these documents."""
    brought: dict[str, FieldState] = {}
    for name, kind in cast(DocumentsSettings, called.spec.source.settings).types.items():
        state = check.reads(name, fields)
        if state is None and not fields.ended:
            message = f'process {called.name} needs the field "{name}"{nearest(name, fields.names())}'
            check.report.value(codes.UNKNOWN_FIELD, message, path)
        state = state or FieldState()
        brought[name] = replace(state, type=kind if kind.known else state.type)
    return Fields(brought, ended=fields.ended)
