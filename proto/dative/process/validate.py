"""Everything that can be said about a process before it runs: all findings at once.

What depends on the fields of the documents is in `flow`; here is the rest: schedules, connections, operations and their
options, binds, retries. A finding names what was meant where it can.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from dative.errors import process as codes
from dative.process.catalog import BIND_OPTIONS, Catalog, CatalogOperation, default_catalog
from dative.process.cron import cron_problem
from dative.process.datatypes import parse_type
from dative.process.findings import Finding, Path, Report, SourceMap, in_file_order, nearest
from dative.process.flow import FlowCheck, Processes
from dative.process.model import Process
from dative.process.scalars import is_time_zone
from dative.process.shapes import SOURCES, DocumentsSettings, OperationSettings, Step
from dative.process.tables import KEYS_BIND, LookupTable, SourcedTable
from dative.process.targets import parse_target

BINDS = ("lastRunDate", "lastSuccessDate", "watermark")
"""What a filter may name beside the process' parameters."""

_QUOTED = re.compile(r"'(?:[^'\\]|\\.|'')*'")
_BIND = re.compile(r"(?<![\w:]):([A-Za-z_][\w.-]*)")


def validate(
    process: Process,
    *,
    source_map: SourceMap | None = None,
    catalog: Catalog | None = None,
    profiles: Mapping[str, Mapping[str, str]] | None = None,
    filename: str = "process.yaml",
    processes: Processes | None = None,
) -> list[Finding]:
    """Every finding about the meaning of `process`, in file order.

    profiles: step id of the source -> field -> type as text, from the live system or a test; without them, the fields
    that the source step lists are taken, of type `any`. Of a target's step likewise, needed fields with "!": see
    `targets`. processes: finds what is called; without it nothing is said of other files. Raises
    ValueError for a type that does not exist.
    """
    return validate_draft(
        process, filename=filename, source_map=source_map, catalog=catalog, profiles=profiles, processes=processes
    )


def validate_draft(
    process: Process,
    *,
    filename: str,
    source_map: SourceMap | None,
    catalog: Catalog | None,
    profiles: Mapping[str, Mapping[str, str]] | None,
    partial: frozenset[Path] = frozenset(),
    processes: Processes | None = None,
) -> list[Finding]:
    """`validate` for a process some parts of which could not be built: nothing is said that these may explain."""
    report = Report(filename, source_map or SourceMap())
    catalog = catalog or default_catalog()
    check = _Check(process, report, catalog, partial)
    check.run()
    source = process.spec.source.id
    types = {
        step: {name: parse_type(text) for name, text in fields.items()}
        for step, fields in (profiles or {}).items()
        if step == source
    }
    flow = FlowCheck(process, report, catalog, types, partial, processes)
    flow.targets = {step: parse_target(fields) for step, fields in (profiles or {}).items() if step != source}
    flow.run()
    return in_file_order(report.findings)


class _Check:
    def __init__(self, process: Process, report: Report, catalog: Catalog, partial: frozenset[Path]) -> None:
        self._process = process
        self._spec = process.spec
        self._report = report
        self._catalog = catalog
        self._head_is_partial = ("spec",) in partial
        self._partial = partial

    def run(self) -> None:
        self._triggers()
        self._connections()
        for name, table in self._spec.tables.items():
            if isinstance(table, SourcedTable) and table.sql is not None:
                more = (KEYS_BIND,) if isinstance(table, LookupTable) else ()
                self._binds(table.sql, ("spec", "tables", name, "sql"), more)
        for step, path in self._process.steps():
            if isinstance(step.settings, OperationSettings):
                self._operation(step, step.settings, path)
            else:
                self._place(step, path)

    def _triggers(self) -> None:
        if self._spec.triggers and isinstance(self._spec.source.settings, DocumentsSettings):
            message = "a process that starts with documents of a caller starts by no trigger"
            self._report.key(codes.MISPLACED, message, ("spec", "triggers"))
        for index, trigger in enumerate(self._spec.triggers):
            here: Path = ("spec", "triggers", index, "schedule")
            problem = cron_problem(trigger.cron)
            if problem:
                self._report.value(codes.BAD_CRON, problem, (*here, "cron"))
            if not is_time_zone(trigger.timezone):
                message = f'no time zone "{trigger.timezone[:60]}"{_near_zone(trigger.timezone)}'
                self._report.value(codes.BAD_ZONE, message, (*here, "timezone"))

    def _connections(self) -> None:
        used = {settings.connection for _, settings, _ in self._process.operations()}
        tables = [table for table in self._spec.tables.values() if isinstance(table, SourcedTable)]
        used |= {table.connection for table in tables if table.connection is not None}
        for name, connector in self._spec.connections.items():
            path: Path = ("spec", "connections", name)
            if connector not in self._catalog.connectors:
                note = nearest(connector, self._catalog.connectors)
                self._report.value(codes.UNKNOWN_CONNECTOR, f'unknown connector "{connector}"{note}', path)
            elif name not in used and not self._partial:
                self._report.warn(codes.UNUSED_CONNECTION, f'no step uses the connection "{name}"', path)

    def _place(self, step: Step, path: Path) -> None:
        is_source = path == ("spec", "source")
        if is_source != (step.verb in SOURCES) and step.verb != "unknown":
            message = f"{step.verb} is no source" if is_source else f"{step.verb} can only be the process' source"
            self._report.key(codes.WRONG_DIRECTION, message, (*path, step.verb))

    def _operation(self, step: Step, settings: OperationSettings, path: Path) -> None:
        here = (*path, step.verb)
        self._connection(settings, here)
        connector = self._catalog.connectors.get(settings.connector)
        if connector is None:
            note = nearest(step.verb, self._catalog.operation_names())
            self._report.key(codes.UNKNOWN_CONNECTOR, f'no connector for the verb "{step.verb}"{note}', here)
            return
        operation = connector.operations.get(settings.operation)
        if operation is None:
            known = [f"{settings.connector}.{name}" for name in connector.operations]
            self._report.key(
                codes.UNKNOWN_OPERATION, f'unknown operation "{step.verb}"{nearest(step.verb, known)}', here
            )
            return
        self._direction(step, operation, path)
        self._options(settings, operation, here)
        repeatable = operation.idempotent or operation.transactional or step.verify is not None
        if path != ("spec", "source") and not repeatable:
            self._report.key(codes.NO_VERIFY, f"{step.verb} is not idempotent and has no `verify`", here)

    def _connection(self, settings: OperationSettings, here: Path) -> None:
        declared = self._spec.connections.get(settings.connection)
        path = (*here, "connection")
        if declared is None and not self._head_is_partial:
            note = nearest(settings.connection, self._spec.connections)
            message = f'the process declares no connection "{settings.connection}"{note}'
            self._report.value(codes.UNKNOWN_CONNECTION, message, path)
        elif declared is not None and declared != settings.connector:
            message = f'connection "{settings.connection}" is of {declared}, the operation is of {settings.connector}'
            self._report.value(codes.WRONG_CONNECTOR, message, path)

    def _direction(self, step: Step, operation: CatalogOperation, path: Path) -> None:
        is_source = path == ("spec", "source")
        if is_source != (operation.kind == "source"):
            message = f"{step.verb} is a {operation.kind} operation; " + (
                "the source needs one that reads" if is_source else "it can only be the process' source"
            )
            self._report.key(codes.WRONG_DIRECTION, message, (*path, step.verb))

    def _options(self, settings: OperationSettings, operation: CatalogOperation, here: Path) -> None:
        for error in Draft202012Validator(operation.options).iter_errors(settings.options):
            for leaf in _leaves(error):
                self._option(leaf, here)
        for name in BIND_OPTIONS if operation.kind == "source" else ():
            text = settings.options.get(name)
            if isinstance(text, str):
                self._binds(text, (*here, name))
        self._incremental(settings.options, here)

    def _incremental(self, options: Mapping[str, Any], here: Path) -> None:
        """What an incremental read does not see. Formulas show with the profile of a live system only: see a dry run."""
        fields = options.get("fields")
        if options.get("incremental") is not None and isinstance(fields, list | tuple):
            for index, name in enumerate(fields):
                if isinstance(name, str) and "." in name:
                    message = f'"{name}" belongs to a parent record, which changes without moving the stamp of this one'
                    self._report.warn(codes.STALE_FIELD, message, (*here, "fields", index))

    def _option(self, error: ValidationError, here: Path) -> None:
        path = (*here, *error.absolute_path)
        if error.validator == "additionalProperties" and isinstance(error.instance, dict):
            known = error.schema.get("properties", {})
            for key in error.instance:
                if key not in known:
                    message = f'unknown option "{key}"{nearest(key, known)}'
                    self._report.key(codes.BAD_OPTION, message, (*path, key))
        elif error.validator == "required":
            missing = [name for name in error.schema["required"] if name not in error.instance]
            self._report.key(codes.BAD_OPTION, f"missing: {', '.join(missing)}", path)
        else:
            where = ".".join(str(part) for part in error.absolute_path) or "options"
            self._report.value(codes.BAD_OPTION, f"{where}: {error.message[:200]}", path)

    def _binds(self, text: str, path: Path, more: tuple[str, ...] = ()) -> None:
        # Quoted text is blanked, not cut, so that offsets stay.
        outside = _QUOTED.sub(lambda found: " " * len(found[0]), text)
        for found in _BIND.finditer(outside):
            known = (*BINDS, *more, *self._spec.parameters)
            if found[1] not in known and not self._head_is_partial:
                message = f'unknown bind ":{found[1]}"{nearest(found[1], known)}'
                self._report.value(codes.UNKNOWN_BIND, message, path, offset=found.start())
            elif found[1] == "watermark" and self._spec_reads_all():
                self._report.warn(codes.NO_WATERMARK, "the source of this process reads without `incremental`", path)

    def _spec_reads_all(self) -> bool:
        source = self._spec.source.settings
        return not isinstance(source, OperationSettings) or source.options.get("incremental") is None


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    """The errors that say something: of an alternative, those inside the branch that was meant."""
    meant = [
        inner
        for inner in error.context or ()
        if inner.validator != "type" or len(inner.absolute_path) > len(error.absolute_path)
    ]
    if not meant:
        yield error
    for inner in meant:
        yield from _leaves(inner)


def _near_zone(name: str) -> str:
    from zoneinfo import available_timezones  # reads a directory tree: only for those who mistyped

    known: Any = available_timezones()
    return nearest(name, known)
