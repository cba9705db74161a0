"""HTTP routes of /composite/sobjects: up to 200 records a call, each with its own outcome, in the order they came."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dative_sandbox.salesforce import records
from dative_sandbox.salesforce.errors import ApiError
from dative_sandbox.salesforce.http import base_of, desk, json_answer, json_object, session_of
from dative_sandbox.salesforce.ids import to_id18
from dative_sandbox.salesforce.org import Org
from dative_sandbox.salesforce.schema import ObjectType, Row

RECORDS_MAX, READ_IDS_MAX = 200, 2000
Change = Callable[[Row], Row]


async def create_many(request: Request) -> Response:
    org, user_id = desk(request).org, session_of(request).user_id
    body = await json_object(request)

    def one(item: Row) -> Row:
        return {"id": records.create(org, _kind_of(org, item), item, user_id), "success": True, "errors": []}

    return json_answer(_each(org, _items(body), one, all_or_none=bool(body.get("allOrNone"))))


async def update_many(request: Request) -> Response:
    org, user_id = desk(request).org, session_of(request).user_id
    body = await json_object(request)

    def one(item: Row) -> Row:
        record_id = str(item.get("id") or item.get("Id") or "")
        fields = {name: value for name, value in item.items() if name.lower() != "id"}
        records.update(org, _kind_of(org, item), record_id, fields, user_id)
        return {"id": to_id18(record_id), "success": True, "errors": []}

    return json_answer(_each(org, _items(body), one, all_or_none=bool(body.get("allOrNone"))))


async def delete_many(request: Request) -> Response:
    org, user_id = desk(request).org, session_of(request).user_id
    ids = [record_id for record_id in request.query_params.get("ids", "").split(",") if record_id]
    _check_count(len(ids), RECORDS_MAX)

    def one(item: Row) -> Row:
        kind = org.object_of_id(item["id"])
        if kind is None:
            raise ApiError(400, "MALFORMED_ID", f"malformed id {item['id']}", [])
        records.delete(org, kind, item["id"], user_id)
        return {"id": to_id18(item["id"]), "success": True, "errors": []}

    all_or_none = request.query_params.get("allOrNone", "").lower() == "true"
    return json_answer(_each(org, [{"id": record_id} for record_id in ids], one, all_or_none=all_or_none))


async def upsert_many(request: Request) -> Response:
    org, user_id = desk(request).org, session_of(request).user_id
    kind = records.object_named(org, str(request.path_params["object"]))
    field = records.external_id_field(kind, str(request.path_params["field"]))
    body = await json_object(request)

    def one(item: Row) -> Row:
        given = {name: value for name, value in item.items() if name.lower() != field.name.lower()}
        value = next((v for name, v in item.items() if name.lower() == field.name.lower()), None)
        if value in (None, ""):
            raise ApiError(400, "MISSING_ARGUMENT", f"{field.name} not specified", [])
        ids, created = records.upsert(org, kind, field.name, str(value), given, user_id)
        if len(ids) > 1:
            message = f"{field.name}: more than one record found for external id field: {ids}"
            raise ApiError(400, "DUPLICATE_EXTERNAL_ID", message, [])
        return {"id": ids[0], "success": True, "errors": [], "created": created}

    return json_answer(_each(org, _items(body), one, all_or_none=bool(body.get("allOrNone"))))


async def read_many(request: Request) -> Response:
    org = desk(request).org
    kind = records.object_named(org, str(request.path_params["object"]))
    if request.method == "POST":
        body = await json_object(request)
        ids, names = list(body.get("ids", [])), list(body.get("fields", []))
    else:
        ids = [record_id for record_id in request.query_params.get("ids", "").split(",") if record_id]
        names = [name for name in request.query_params.get("fields", "").split(",") if name]
    _check_count(len(ids), READ_IDS_MAX)
    return json_answer([_shown(org, kind, base_of(request), str(record_id), names) for record_id in ids])


def routes() -> list[Route]:
    base = "/services/data/v{version:int}.0/composite/sobjects"
    return [
        Route(base, create_many, methods=["POST"]),
        Route(base, update_many, methods=["PATCH"]),
        Route(base, delete_many, methods=["DELETE"]),
        Route(base + "/{object}", read_many, methods=["GET", "POST"]),
        Route(base + "/{object}/{field}", upsert_many, methods=["PATCH"]),
    ]


def _each(org: Org, items: list[Row], change: Change, *, all_or_none: bool) -> list[Row]:
    """Apply the change to each item. all_or_none: one failure takes every change of this call back."""
    with org.lock:
        # Rows are replaced, never changed, so the tables' shallow copies are the state before this call.
        before = {name: dict(table) for name, table in org.tables.items()} if all_or_none else {}
        deleted_before = list(org.deleted)
        outcomes: list[Row] = []
        for item in items:
            try:
                outcomes.append(change(item))
            except ApiError as error:
                outcomes.append({"success": False, "errors": [error.row()]})
        if all_or_none and not all(outcome["success"] for outcome in outcomes):
            org.tables, org.deleted = before, deleted_before
            outcomes = [outcome if not outcome["success"] else _rolled_back() for outcome in outcomes]
        return outcomes


def _rolled_back() -> Row:
    message = "Record rolled back because not all records were valid and the request was using AllOrNone header"
    return {"success": False, "errors": [ApiError(400, "ALL_OR_NONE_OPERATION_ROLLED_BACK", message, []).row()]}


def _items(body: dict[str, Any]) -> list[Row]:
    items = body.get("records")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ApiError(400, "JSON_PARSER_ERROR", "The property 'records' must be a list of records")
    _check_count(len(items), RECORDS_MAX)
    return items


def _check_count(count: int, most: int) -> None:
    if count > most:
        raise ApiError(
            400, "EXCEEDED_ID_LIMIT", f"record limit reached. cannot submit more than {most} records in this call"
        )


def _kind_of(org: Org, item: Row) -> ObjectType:
    attributes = item.get("attributes")
    name = str(attributes.get("type")) if isinstance(attributes, dict) else ""
    kind = org.object(name) if name else None
    if kind is None:
        raise ApiError(400, "INVALID_TYPE", f"sObject type '{name}' is not supported.", [])
    return kind


def _shown(org: Org, kind: ObjectType, base: str, record_id: str, names: list[str]) -> Row | None:
    row = org.get(kind.name, to_id18(record_id) or "")
    if row is None or row["IsDeleted"]:
        return None
    shown: Row = {"attributes": {"type": kind.name, "url": f"{base}/sobjects/{kind.name}/{row['Id']}"}}
    for name in names:
        found = kind.field(name)
        if found is None:
            raise ApiError(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {kind.name}")
        shown[found.name] = row.get(found.name)
    return shown
