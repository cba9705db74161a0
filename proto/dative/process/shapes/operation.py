"""<connector>.<operation>: reads from or writes to a system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, JsonValue

from dative.errors import process as codes
from dative.process import classify
from dative.process.catalog import DOCUMENT_FIELD_OPTIONS
from dative.process.fields import Fields, FieldState
from dative.process.findings import Path, nearest
from dative.process.scalars import Name
from dative.process.shapes.base import ShapeSettings
from dative.process.shapes.step import LinkSettings, Step
from dative.process.statements import StatementError, read_statement

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck


STATEMENT_OPTION = "sql"
"""Of a target's operation: one statement whose :names are fields of the documents."""


class OperationSettings(ShapeSettings):
    """Reads from or writes to a system. Its options are those of the connector's operation in the catalog."""

    shape: Literal["operation"] = "operation"
    connector: str
    operation: str
    connection: Name
    options: dict[str, JsonValue] = Field(default_factory=dict)

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        here = (*path, step.verb)
        for option in DOCUMENT_FIELD_OPTIONS:
            value = self.options.get(option)
            for index, name in enumerate(value if isinstance(value, list) else ()):
                if isinstance(name, str):
                    check.known(name, fields, (*here, option, index))
        operation = check.operation(self)
        if operation is not None and operation.kind == "target" and STATEMENT_OPTION in operation.properties:
            _statement(self.options, (*here, STATEMENT_OPTION), fields, check)
        disclosed(step, path, fields, check)
        if step.id in check.targets:
            from dative.process.targets import check_target  # it knows steps, and this is one of their verbs

            check_target(step, path, fields, check.targets[step.id], check)
        for index, name in enumerate(step.verify.key if step.verify is not None else ()):
            check.known(name, fields, (*path, "verify", "key", index))
        if step.link is not None and not check.head_is_partial:
            names = operation.result_fields(self.options) if operation else ()
            results = classify.told_back(names, self.options, fields)
            _linked(step.link, (*path, "link"), fields, results, check)
        return fields


def disclosed(step: Step, path: Path, fields: Fields, check: FlowCheck) -> None:
    """Every classified field that reaches this step unmasked and undisclosed is a finding."""
    for name in step.discloses:
        check.known(name, fields, (*path, "discloses", name), key=True)
    for name in fields.names():
        classes = fields.fields[name].classes
        if classes and name not in step.discloses:
            origin = ", ".join(sorted(fields.fields[name].sources))
            message = (
                f'"{name}" reaches {step.verb} unmasked; it is {"/".join(sorted(classes))} by way of {origin or name}'
            )
            check.report.key(
                codes.CLASSIFIED_UNMASKED,
                message,
                (*path, step.verb),
                next_step=classify.advice(check, name, fields.fields[name]),
            )
    if fields.open and (patterns := check.classified.patterns()):
        message = f"fields that nobody named may reach {step.verb}, and {', '.join(patterns)} may be among them"
        check.report.key(codes.CLASSIFIED_UNMASKED, message, (*path, step.verb), next_step=classify.CLOSE)


def _statement(options: dict[str, JsonValue], path: Path, fields: Fields, check: FlowCheck) -> None:
    """What is wrong with a statement of the builder's own, and the names in it that no document has."""
    sql, per = options.get(STATEMENT_OPTION), options.get("per", "document")
    if not isinstance(sql, str) or per not in ("document", "batch"):
        return  # Said by the operation's own schema.
    try:
        statement = read_statement(sql, "batch" if per == "batch" else "document")
    except StatementError as error:
        check.report.value(error.code, error.message, path, offset=error.at)
        return
    if per == "document":
        for name, at in zip(statement.names, statement.places, strict=True):
            check.known(name, fields, path, offset=at + 1)


def _linked(link: LinkSettings, path: Path, fields: Fields, results: dict[str, FieldState], check: FlowCheck) -> None:
    check.xref(link.xref, [], (*path, "xref"))
    columns = check.xref_columns(link.xref)
    for column, sql in link.columns.items():
        here = (*path, column)
        if columns is not None and column not in columns:
            message = f'table "{link.xref}" has no column "{column}"{nearest(column, columns)}'
            check.report.key(codes.UNKNOWN_COLUMN, message, here)
        state = check.value(sql, here, fields, results=results)
        classify.kept_in_the_clear(check, state, here, f'column "{column}"')
