"""HTTP routes under /services/data/vNN.0: versions, limits, describe, records, queries, updated and deleted."""

from datetime import datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dative_sandbox.salesforce import records
from dative_sandbox.salesforce.clock import parse_time, stamp
from dative_sandbox.salesforce.errors import ApiError, not_found
from dative_sandbox.salesforce.http import base_of, desk, json_answer, json_object, option, session_of
from dative_sandbox.salesforce.objects import address_value
from dative_sandbox.salesforce.org import NEWEST_VERSION, OLDEST_VERSION
from dative_sandbox.salesforce.schema import ObjectType, Row

_UPDATED_DAYS_MAX, _DELETED_DAYS_MAX, _IDS_MAX = 30, 15, 600_000


async def versions(_request: Request) -> Response:
    known = range(OLDEST_VERSION, NEWEST_VERSION + 1)
    return json_answer([{"label": f"v{n}", "url": f"/services/data/v{n}.0", "version": f"{n}.0"} for n in known])


async def resources(request: Request) -> Response:
    base = base_of(request)
    return json_answer({name: f"{base}/{name}" for name in ("sobjects", "query", "queryAll", "limits", "composite")})


async def limits(request: Request) -> Response:
    return json_answer(desk(request).org.limits.body())


async def global_describe(request: Request) -> Response:
    org, base = desk(request).org, base_of(request)
    if (unchanged := _unchanged(request)) is not None:
        return unchanged
    shown = [kind.summary(base) for kind in org.schema.values()]
    return json_answer({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": shown}, headers=_modified(request))


async def describe(request: Request) -> Response:
    kind = _kind(request)
    if (unchanged := _unchanged(request)) is not None:
        return unchanged
    return json_answer(kind.describe(base_of(request)), headers=_modified(request))


async def basic_information(request: Request) -> Response:
    return json_answer({"objectDescribe": _kind(request).summary(base_of(request)), "recentItems": []})


async def create(request: Request) -> Response:
    kind, body = _kind(request), await json_object(request)
    allow = (option(request, "sforce-duplicate-rule-header", "allowSave") or "").lower() == "true"
    record_id = records.create(desk(request).org, kind, body, session_of(request).user_id, allow_duplicates=allow)
    location = f"{base_of(request)}/sobjects/{kind.name}/{record_id}"
    return json_answer({"id": record_id, "success": True, "errors": []}, 201, {"Location": location})


async def record(request: Request) -> Response:
    org, kind, record_id = desk(request).org, _kind(request), str(request.path_params["id"])
    user_id = session_of(request).user_id
    if request.method == "PATCH":
        records.update(org, kind, record_id, await json_object(request), user_id)
        return Response(status_code=204)
    if request.method == "DELETE":
        records.delete(org, kind, record_id, user_id)
        return Response(status_code=204)
    return json_answer(_shown(request, kind, records.existing(org, kind, record_id)))


async def by_external_id(request: Request) -> Response:
    org, kind = desk(request).org, _kind(request)
    field_name, value = str(request.path_params["field"]), str(request.path_params["value"])
    if request.method == "PATCH":
        return await _upsert(request, kind, field_name, value)
    found = records.by_external_id(org, kind, records.external_id_field(kind, field_name), value)
    if not found:
        raise not_found()
    if len(found) > 1:
        return _several(request, kind, [row["Id"] for row in found])
    if request.method == "DELETE":
        records.delete(org, kind, found[0]["Id"], session_of(request).user_id)
        return Response(status_code=204)
    return json_answer(_shown(request, kind, found[0]))


async def _upsert(request: Request, kind: ObjectType, field_name: str, value: str) -> Response:
    body = await json_object(request)
    update_only = request.query_params.get("updateOnly", "").lower() == "true"
    user_id = session_of(request).user_id
    ids, created = records.upsert(desk(request).org, kind, field_name, value, body, user_id, update_only=update_only)
    if len(ids) > 1:
        return _several(request, kind, ids)
    # Before v46 an update answered without a body.
    if not created and int(request.path_params["version"]) < 46:
        return Response(status_code=204)
    return json_answer({"id": ids[0], "success": True, "errors": [], "created": created}, 201 if created else 200)


async def query(request: Request) -> Response:
    text = request.query_params.get("q")
    if text is None:
        raise ApiError(400, "MALFORMED_QUERY", "SOQL statements cannot be empty or null")
    found, session = desk(request), session_of(request)
    batch = option(request, "sforce-query-options", "batchSize")
    page = found.queries.start(
        text,
        base=base_of(request),
        resource=request.url.path.rsplit("/", 1)[-1],
        batch_rows=int(batch) if batch and batch.isdigit() else None,
        timezone=found.org.user_by_id(session.user_id).timezone,
    )
    return json_answer(page)


async def next_page(request: Request) -> Response:
    return json_answer(desk(request).queries.resume(str(request.path_params["locator"])))


async def updated(request: Request) -> Response:
    org, kind = desk(request).org, _kind(request)
    start, end = _window(request, _UPDATED_DAYS_MAX)
    ids = [row["Id"] for row in org.rows(kind.name) if not row["IsDeleted"] and start <= row["SystemModstamp"] < end]
    return json_answer({"ids": ids, "latestDateCovered": end})


async def deleted(request: Request) -> Response:
    org, kind = desk(request).org, _kind(request)
    start, end = _window(request, _DELETED_DAYS_MAX)
    since = org.options.deleted_log_since
    earliest = stamp(since or org.clock.now() - timedelta(days=_DELETED_DAYS_MAX))
    if since is not None and start < earliest:
        message = f"startDate before org's earliest available date: {earliest}"
        raise ApiError(400, "INVALID_REPLICATION_DATE", message)
    found = [
        {"id": record_id, "deletedDate": at}
        for name, record_id, at in org.deleted
        if name == kind.name and start <= at < end
    ]
    if len(found) > _IDS_MAX:
        raise ApiError(400, "EXCEEDED_ID_LIMIT", f"too many ids: {len(found)}, at most {_IDS_MAX}")
    return json_answer({"deletedRecords": found, "earliestDateAvailable": earliest, "latestDateCovered": end})


def routes() -> list[Route]:
    base = "/services/data/v{version:int}.0"
    thing = base + "/sobjects/{object}"
    return [
        Route("/services/data", versions, methods=["GET"]),
        Route(base, resources, methods=["GET"]),
        Route(base + "/limits", limits, methods=["GET"]),
        Route(base + "/sobjects", global_describe, methods=["GET"]),
        Route(thing, basic_information, methods=["GET"]),
        Route(thing, create, methods=["POST"]),
        Route(thing + "/describe", describe, methods=["GET"]),
        Route(thing + "/updated", updated, methods=["GET"]),
        Route(thing + "/deleted", deleted, methods=["GET"]),
        Route(thing + "/{id}", record, methods=["GET", "PATCH", "DELETE"]),
        Route(thing + "/{field}/{value:path}", by_external_id, methods=["GET", "PATCH", "DELETE"]),
        *(Route(f"{base}/{name}", query, methods=["GET"]) for name in ("query", "queryAll")),
        *(Route(f"{base}/{name}/{{locator}}", next_page, methods=["GET"]) for name in ("query", "queryAll")),
    ]


# --- shared -----------------------------------------------------------------------------------------------------------


def _kind(request: Request) -> ObjectType:
    return records.object_named(desk(request).org, str(request.path_params["object"]))


def _several(request: Request, kind: ObjectType, ids: list[str]) -> Response:
    return json_answer([f"{base_of(request)}/sobjects/{kind.name}/{record_id}" for record_id in ids], 300)


def _shown(request: Request, kind: ObjectType, row: Row) -> Row:
    names = [name.strip() for name in request.query_params.get("fields", "").split(",") if name.strip()]
    fields = []
    for name in names:
        found = kind.field(name)
        if found is None:
            raise ApiError(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {kind.name}")
        fields.append(found)
    shown: dict[str, Any] = {
        "attributes": {"type": kind.name, "url": f"{base_of(request)}/sobjects/{kind.name}/{row['Id']}"}
    }
    for found in fields or kind.visible:
        shown[found.name] = address_value(row, found.name) if found.type == "address" else row.get(found.name)
    return shown


def _window(request: Request, days_max: int) -> tuple[str, str]:
    """start and end of a replication call, cut to the minute as the vendor does; text that compares with stamps."""
    found: list[datetime] = []
    for name in ("start", "end"):
        at = parse_time(request.query_params.get(name, "").replace(" ", "+"))
        if at is None:
            raise ApiError(400, "INVALID_REPLICATION_DATE", f"{name} is missing or no ISO 8601 time with an offset")
        found.append(at.replace(second=0, microsecond=0))
    start, end = found
    now = desk(request).org.clock.now()
    if end <= start or now - start > timedelta(days=days_max):
        message = f"startDate must be before endDate and at most {days_max} days ago"
        raise ApiError(400, "INVALID_REPLICATION_DATE", message)
    return stamp(start), stamp(end)


def _modified(request: Request) -> dict[str, str]:
    return {"Last-Modified": format_datetime(desk(request).org.schema_changed_at, usegmt=True)}


def _unchanged(request: Request) -> Response | None:
    since = request.headers.get("if-modified-since")
    if since is None:
        return None
    try:
        at = parsedate_to_datetime(since)
    except ValueError:
        return None
    changed = desk(request).org.schema_changed_at.replace(microsecond=0)
    return Response(status_code=304) if changed <= at else None
