"""HTTP routes of getting in: /services/oauth2/*, /id/*, /services/Soap/*."""

import base64
import binascii
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dative_sandbox.salesforce.errors import OAuthError
from dative_sandbox.salesforce.http import desk, json_answer
from dative_sandbox.salesforce.oauth import OAuth
from dative_sandbox.salesforce.soap import login


async def token(request: Request) -> Response:
    try:
        answer = OAuth(desk(request).org).token(await _form(request), _basic(request))
    except OAuthError as error:
        return _refusal(error)
    return json_answer(answer, headers={"Cache-Control": "no-cache, no-store"})


async def authorize(request: Request) -> Response:
    try:
        return RedirectResponse(OAuth(desk(request).org).authorize(dict(request.query_params)), 302)
    except OAuthError as error:
        return _refusal(error)


async def revoke(request: Request) -> Response:
    given = {**dict(request.query_params), **await _form(request)}
    try:
        OAuth(desk(request).org).revoke(given.get("token", ""))
    except OAuthError as error:
        return _refusal(error)
    return Response(status_code=200)


async def identity(request: Request) -> Response:
    """userinfo and /id/{org}/{user}; 403 with a bare word when the token is missing or bad, as the vendor does."""
    _, _, bearer = request.headers.get("authorization", "").partition(" ")
    given = bearer or request.query_params.get("oauth_token", "")
    if not given:
        return Response("Missing_OAuth_Token", 403, media_type="text/html")
    org = desk(request).org
    session = org.session(given)
    if session is None:
        return Response("Bad_OAuth_Token", 403, media_type="text/html")
    return json_answer(OAuth(org).identity(session))


async def soap_login(request: Request) -> Response:
    version = int(str(request.path_params["version"]).split(".")[0])
    answer = login(desk(request).org, str(request.path_params["api"]), version, await request.body())
    return Response(answer.body, answer.status, media_type="text/xml; charset=UTF-8")


def routes() -> list[Route]:
    return [
        Route("/services/oauth2/token", token, methods=["POST"]),
        Route("/services/oauth2/authorize", authorize, methods=["GET"]),
        Route("/services/oauth2/revoke", revoke, methods=["GET", "POST"]),
        Route("/services/oauth2/userinfo", identity, methods=["GET", "POST"]),
        Route("/id/{org}/{user}", identity, methods=["GET", "POST"]),
        Route("/services/Soap/{api:str}/{version:str}", soap_login, methods=["POST"]),
        Route("/services/Soap/{api:str}/{version:str}/{org:str}", soap_login, methods=["POST"]),
    ]


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return name, secret


def _refusal(error: OAuthError) -> Response:
    body: dict[str, Any] = {"error": error.error, "error_description": error.description}
    return json_answer(body, error.status, error.headers)
