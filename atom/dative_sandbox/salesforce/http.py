"""Small pieces that every route of the org uses: JSON answers, the caller's session, the parts of a request."""

import re
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dative_sandbox.salesforce.errors import ApiError, invalid_session
from dative_sandbox.salesforce.org import Org, Session
from dative_sandbox.salesforce.queries import Queries


@dataclass(frozen=True)
class Desk:
    """What the routes work on: the org and its open cursors."""

    org: Org
    queries: Queries


def desk(request: Request) -> Desk:
    found: Desk = request.app.state.desk
    return found


def json_answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, headers, "application/json;charset=UTF-8")


def error_answer(error: ApiError) -> Response:
    return json_answer(error.body(), error.status)


def session_of(request: Request) -> Session:
    """The caller's live session; see `session_for`."""
    return session_for(desk(request).org, request.headers.get("authorization", ""))


def session_for(org: Org, authorization: str) -> Session:
    """The live session of an Authorization header (Bearer or OAuth). ApiError 401.

    A session that is not for REST says so; a client that refreshes on that answer gets the same again.
    """
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() not in ("bearer", "oauth"):
        raise invalid_session()
    found = org.session(token.strip())
    if found is None and token.startswith("eyJ"):
        raise ApiError(401, "INVALID_AUTH_HEADER", "INVALID_JWT_FORMAT")
    if found is None:
        raise invalid_session()
    if not found.rest_allowed:
        raise ApiError(401, "INVALID_SESSION_ID", "This session is not valid for use with the REST API")
    return found


def base_of(request: Request) -> str:
    """Path of the API version: /services/data/vNN.0."""
    return f"/services/data/v{request.path_params['version']}.0"


async def json_body(request: Request) -> Any:
    """The request's JSON. ApiError: 415 without a JSON content type, 400 JSON_PARSER_ERROR."""
    if "json" not in request.headers.get("content-type", ""):
        media_type = request.headers.get("content-type", "")
        raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", f"Content type {media_type} not supported.")
    try:
        return msgspec.json.decode(await request.body())
    except msgspec.DecodeError as error:
        raise ApiError(400, "JSON_PARSER_ERROR", f"{error} at [line:1, column:1]") from error


async def json_object(request: Request) -> dict[str, Any]:
    body = await json_body(request)
    if not isinstance(body, dict):
        raise ApiError(400, "JSON_PARSER_ERROR", "The HTTP entity body is required to be a JSON object")
    return body


def option(request: Request, header: str, name: str) -> str | None:
    """One `name=value` of a header such as Sforce-Query-Options."""
    found = re.search(rf"(?:^|[,;\s]){name}\s*=\s*([^,;\s]+)", request.headers.get(header, ""), re.IGNORECASE)
    return found.group(1) if found else None
