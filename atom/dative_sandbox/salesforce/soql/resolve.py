"""Finds what a path in a query means: the field, and a function that gets its value from a record over its parents."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dative_sandbox.salesforce.errors import ApiError
from dative_sandbox.salesforce.objects import address_value
from dative_sandbox.salesforce.org import Org
from dative_sandbox.salesforce.schema import Field, ObjectType, Row
from dative_sandbox.salesforce.soql.lexer import query_error
from dative_sandbox.salesforce.soql.tree import Path, Query

PARENTS_MAX = 5
_HINT = (
    "If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. "
    "Please reference your WSDL or the describe call for the appropriate names."
)
_RELATION_HINT = (
    "If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name. "
    "Please reference your WSDL or the describe call for the appropriate names."
)
Getter = Callable[[Row], Any]


@dataclass(frozen=True)
class Resolved:
    """references: the reference fields to follow, then the field itself. get: the value, None where a parent is missing."""

    references: tuple[Field, ...]
    field: Field
    get: Getter


def find_object(org: Org, query: Query) -> ObjectType:
    """The queried object. ApiError 400 INVALID_TYPE or INVALID_TYPE_FOR_OPERATION."""
    kind = org.object(query.source)
    if kind is None or kind.name == "Name":
        message = (
            f"sObject type '{query.source}' is not supported. If you are attempting to use a custom object, be sure to append "
            "the '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names."
        )
        raise query_error(query.text, query.source_at, message, "INVALID_TYPE")
    if not kind.queryable:
        raise ApiError(400, "INVALID_TYPE_FOR_OPERATION", f"entity type {kind.name} does not support query")
    return kind


def resolve(org: Org, query: Query, kind: ObjectType, path: Path) -> Resolved:
    """The field of a path. ApiError 400 INVALID_FIELD with the caret at the path."""
    parts = list(path.parts)
    if len(parts) > 1 and parts[0].lower() in (kind.name.lower(), (query.alias or kind.name).lower()):
        parts = parts[1:]
    if len(parts) - 1 > PARENTS_MAX:
        raise query_error(
            query.text, path.at, f"Relationship path '{path.text}' goes over {PARENTS_MAX} levels", "INVALID_FIELD"
        )
    references: list[Field] = []
    for relationship in parts[:-1]:
        reference = kind.parent(relationship)
        if reference is None:
            message = f"Didn't understand relationship '{relationship}' in field path. {_RELATION_HINT}"
            raise query_error(query.text, path.at, message, "INVALID_FIELD")
        references.append(reference)
        kind = org.schema[reference.reference_to[0] if len(reference.reference_to) == 1 else "Name"]
    found = kind.field(parts[-1])
    if found is None:
        message = f"No such column '{parts[-1]}' on entity '{kind.name}'. {_HINT}"
        raise query_error(query.text, path.at, message, "INVALID_FIELD")
    return Resolved(tuple(references), found, getter(org, tuple(references), found))


def getter(org: Org, references: tuple[Field, ...], found: Field) -> Getter:
    name = found.name
    last: Getter = (lambda row: address_value(row, name)) if found.type == "address" else (lambda row: row.get(name))
    if not references:
        return last

    def through_parents(row: Row) -> Any:
        current = row
        for reference in references:
            parent = parent_row(org, current, reference)
            if parent is None:
                return None
            current = parent
        return last(current)

    return through_parents


def parent_row(org: Org, row: Row, reference: Field) -> Row | None:
    """The record that a reference points to, None for an empty or dangling one."""
    record_id = row.get(reference.name)
    if record_id is None:
        return None
    for target in reference.reference_to:
        found = org.tables[target].get(record_id)
        if found is not None:
            return found
    return None
