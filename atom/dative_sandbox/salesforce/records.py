"""Writing records: what the org accepts, what it refuses and in which words.

One function a verb; each checks everything before it changes anything. The answers' shapes are rest.py's business.
"""

from datetime import date
from typing import Any

from dative_sandbox.salesforce.clock import parse_time, stamp
from dative_sandbox.salesforce.errors import ApiError, not_found
from dative_sandbox.salesforce.ids import to_id18
from dative_sandbox.salesforce.org import Org
from dative_sandbox.salesforce.schema import NUMBERS, Field, ObjectType, Row


def object_named(org: Org, name: str) -> ObjectType:
    """ApiError 404 for an object that the org does not have."""
    kind = org.object(name)
    if kind is None or kind.name == "Name":
        raise not_found()
    return kind


def existing(org: Org, kind: ObjectType, record_id: str) -> Row:
    """The record of an id. ApiError: 400 MALFORMED_ID, 404 ENTITY_IS_DELETED, 404 NOT_FOUND."""
    id18 = to_id18(record_id)
    if id18 is None or (kind.key_prefix and not id18.startswith(kind.key_prefix)):
        raise ApiError(400, "MALFORMED_ID", f"{kind.name} ID: id value of incorrect type: {record_id}", ["Id"])
    row = org.get(kind.name, id18)
    if row is None:
        raise not_found()
    if row["IsDeleted"]:
        raise ApiError(404, "ENTITY_IS_DELETED", "entity is deleted", [])
    return row


def create(org: Org, kind: ObjectType, body: Row, user_id: str, *, allow_duplicates: bool = False) -> str:
    """Insert one record. Returns its Id."""
    with org.lock:
        _check_writable(kind)
        values = _values(org, kind, body, creating=True)
        missing = [
            f.name
            for f in kind.visible
            if f.required and not f.calculated and values.get(f.name, f.default) in (None, "")
        ]
        if missing:
            names = ", ".join(missing)
            raise ApiError(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{names}]", missing)
        _check_unique(org, kind, values, None)
        if org.options.duplicate_rule and not allow_duplicates:
            _check_duplicates(org, kind, values)
        row = org.complete(kind.name, values, user_id)
        org.put(kind.name, row)
        return str(row["Id"])


def update(org: Org, kind: ObjectType, record_id: str, body: Row, user_id: str) -> None:
    with org.lock:
        _check_writable(kind)
        row = existing(org, kind, record_id)
        _check_lock(org, row["Id"])
        values = _values(org, kind, body, creating=False)
        emptied = [f.name for f in kind.visible if f.required and f.name in values and values[f.name] in (None, "")]
        if emptied:
            raise ApiError(
                400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(emptied)}]", emptied
            )
        _check_unique(org, kind, values, row["Id"])
        org.change(kind.name, row["Id"], values, user_id)


def delete(org: Org, kind: ObjectType, record_id: str, user_id: str) -> None:
    with org.lock:
        _check_writable(kind)
        row = existing(org, kind, record_id)
        _check_lock(org, row["Id"])
        org.delete(kind.name, row["Id"], user_id)


def external_id_field(kind: ObjectType, name: str) -> Field:
    found = kind.field(name)
    if found is None or not (found.external_id or found.id_lookup):
        raise not_found(f"Provided external ID field does not exist or is not accessible: {name}")
    return found


def by_external_id(org: Org, kind: ObjectType, found: Field, value: str) -> list[Row]:
    """The live records with that value, in the order of creation; text matches without regard to case."""
    wanted = value.casefold()
    rows = org.rows(kind.name)
    if found.type == "id":
        row = org.get(kind.name, to_id18(value) or "")
        return [row] if row is not None and not row["IsDeleted"] else []
    return [row for row in rows if not row["IsDeleted"] and str(row[found.name] or "").casefold() == wanted]


def upsert(
    org: Org, kind: ObjectType, field_name: str, value: str, body: Row, user_id: str, *, update_only: bool = False
) -> tuple[list[str], bool]:
    """Insert or update by external id. Returns: the ids, several when the value is not unique (then nothing was written),
    and whether one was created."""
    with org.lock:
        found = external_id_field(kind, field_name)
        if any(name.lower() == found.name.lower() for name in body):
            message = f"The {found.name} field should not be specified in the sobject data."
            raise ApiError(400, "INVALID_FIELD", message)
        rows = by_external_id(org, kind, found, value)
        if len(rows) > 1:
            return [row["Id"] for row in rows], False
        if rows:
            update(org, kind, rows[0]["Id"], body, user_id)
            return [rows[0]["Id"]], False
        if update_only or found.type == "id":
            raise not_found()
        return [create(org, kind, {**body, found.name: value}, user_id)], True


# --- checks -----------------------------------------------------------------------------------------------------------


def _check_writable(kind: ObjectType) -> None:
    if not kind.writable:
        message = f"entity type cannot be inserted or updated: {kind.label or kind.name}"
        raise ApiError(400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message, [])


def _check_lock(org: Org, record_id: str) -> None:
    """A lock held by control refuses a set number of writes (-1: until it is lifted)."""
    left = org.locked_rows.get(record_id, 0)
    if left == 0:
        return
    org.locked_rows[record_id] = left - 1 if left > 0 else left
    message = f"unable to obtain exclusive access to this record or 1 records: {record_id}"
    raise ApiError(400, "UNABLE_TO_LOCK_ROW", message, [])


def _check_unique(org: Org, kind: ObjectType, values: Row, own_id: str | None) -> None:
    for found in kind.visible:
        value = values.get(found.name)
        if not found.unique or value in (None, ""):
            continue
        for row in by_external_id(org, kind, found, str(value)):
            if row["Id"] != own_id:
                message = f"duplicate value found: {found.name} duplicates value on record with id: {row['Id'][:15]}"
                raise ApiError(400, "DUPLICATE_VALUE", message, [])


def _check_duplicates(org: Org, kind: ObjectType, values: Row) -> None:
    """The duplicate rule, when control switched it on: an Account of the same Name."""
    name = str(values.get("Name") or "").casefold()
    if kind.name == "Account" and any(
        not row["IsDeleted"] and str(row["Name"]).casefold() == name for row in org.rows("Account")
    ):
        raise ApiError(400, "DUPLICATES_DETECTED", "Use one of these records?", [])


def _values(org: Org, kind: ObjectType, body: Row, *, creating: bool) -> Row:
    """The body's fields by canonical name, each checked. ApiError 400 for the first that does not hold."""
    values: Row = {}
    for name, value in body.items():
        if name == "attributes":
            continue
        found = kind.field(name)
        if found is None:
            reference = kind.parent(name)
            if reference is None or not isinstance(value, dict):
                raise ApiError(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {kind.name}")
            values[reference.name] = _parent_by_external_id(org, reference, value)
            continue
        if found.calculated or not (found.createable if creating else found.updateable):
            message = (
                f"Unable to create/update fields: {found.name}. Please check the security settings of this field and verify "
                "that it is read/write for your profile or permission set."
            )
            raise ApiError(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message, [found.name])
        values[found.name] = None if value is None or value == "" else _typed(org, found, value)
    return values


def _parent_by_external_id(org: Org, reference: Field, value: Row) -> str:
    fields = {name: wanted for name, wanted in value.items() if name != "attributes"}
    target = org.schema[reference.reference_to[0]]
    if len(fields) != 1:
        raise ApiError(400, "INVALID_FIELD", f"{reference.name}: give exactly one external id of {target.name}", [])
    (name, wanted), *_ = fields.items()
    rows = by_external_id(org, target, external_id_field(target, name), str(wanted))
    if len(rows) != 1:
        message = f"Foreign key external ID: {str(wanted).lower()} not found for field {name} in entity {target.name}"
        raise ApiError(400, "INVALID_FIELD", message, [])
    return str(rows[0]["Id"])


def _typed(org: Org, found: Field, value: Any) -> Any:
    if found.type == "boolean":
        return _boolean(found, value)
    if found.type in NUMBERS:
        return _number(found, value)
    if isinstance(value, bool | int | float):
        value = str(value).lower() if isinstance(value, bool) else str(value)
    if not isinstance(value, str):
        raise _parser_error(found, value)
    if found.type == "date":
        return _date(found, value)
    if found.type == "datetime":
        at = parse_time(value)
        if at is None:
            raise _parser_error(found, value)
        return stamp(at)
    if found.type == "reference":
        return _reference(org, found, value)
    if len(value) > found.length:
        message = f"{found.label or found.name}: data value too large: {value[:100]} (max length={found.length})"
        raise ApiError(400, "STRING_TOO_LONG", message, [found.name])
    if found.restricted and value not in found.picklist:
        message = f"{found.label or found.name}: bad value for restricted picklist field: {value}"
        raise ApiError(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, [found.name])
    return value


def _boolean(found: Field, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise _parser_error(found, value)


def _number(found: Field, value: Any) -> float | int:
    try:
        number = float(value) if not isinstance(value, bool) else None
    except (TypeError, ValueError):
        number = None
    if number is None or number != number or number in (float("inf"), float("-inf")):
        raise _parser_error(found, value)
    return int(number) if found.type == "int" else number


def _date(found: Field, value: str) -> str:
    try:
        return date.fromisoformat(value[:10]).isoformat()
    except ValueError:
        raise _parser_error(found, value) from None


def _reference(org: Org, found: Field, value: str) -> str:
    id18 = to_id18(value)
    if id18 is None:
        message = f"{found.label or found.name}: id value of incorrect type: {value}"
        raise ApiError(400, "MALFORMED_ID", message, [found.name])
    for target in found.reference_to:
        row = org.get(target, id18)
        if row is not None and not row["IsDeleted"]:
            return id18
    if org.object_of_id(id18) not in [org.schema[name] for name in found.reference_to]:
        message = f"{found.label or found.name}: id value of incorrect type: {value}"
        raise ApiError(400, "FIELD_INTEGRITY_EXCEPTION", message, [found.name])
    raise ApiError(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [])


def _parser_error(found: Field, value: Any) -> ApiError:
    shape = "VALUE_STRING" if isinstance(value, str) else "START_OBJECT" if isinstance(value, dict) else "VALUE"
    message = f"Cannot deserialize instance of {found.type} from {shape} value {value}"
    return ApiError(400, "JSON_PARSER_ERROR", message, [found.name])
