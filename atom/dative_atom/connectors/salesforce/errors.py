"""Maps every answer of Salesforce that is no success to a coded error: once, here.

Pure: status, headers and body come in, an exception goes out. Salesforce's own message is not repeated, because it may
quote a query's literals or a record's values (Invariant 6); its errorCode is.
Source: REST API Developer Guide, "Status Codes and Error Responses"; "OAuth 2.0 error codes".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dative.errors import connector as c
from dative.errors import salesforce as s
from dative.errors.base import Code, DativeError, StopRun

from dative_atom.connectors.retry import retry_after_s

BUSY_STATUSES = frozenset({420, 429, 500, 502, 503, 504})
_STOPS: Mapping[str, Code] = {
    "MALFORMED_QUERY": s.QUERY_MALFORMED,
    "INVALID_QUERY_FILTER_OPERATOR": s.QUERY_MALFORMED,
    "INVALID_TYPE": s.OBJECT_UNKNOWN,
    "NOT_FOUND": s.OBJECT_UNKNOWN,
    "API_DISABLED_FOR_ORG": s.API_DISABLED,
    "API_CURRENTLY_DISABLED": s.API_DISABLED,
    "INSUFFICIENT_ACCESS": s.ACCESS_DENIED,
    "INSUFFICIENT_ACCESS_OR_READONLY": s.ACCESS_DENIED,
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": s.ACCESS_DENIED,
    "TXN_SECURITY_METERING_ERROR": s.ACCESS_DENIED,
    "UNSUPPORTED_API_VERSION": s.VERSION_RETIRED,
    "URI_TOO_LONG": s.QUERY_TOO_LONG,
}
_FIELD = re.compile(r"[Nn]o such column '([A-Za-z][\w.]*)' on (?:entity|sobject of type) '?(\w+)'?")
_NOT_FILTERED = re.compile(r"field '([A-Za-z]\w*)' can ?not be filtered")


@dataclass(eq=False)
class SessionExpired(DativeError):
    """401: the client logs in again, once."""

    default_code = s.SESSION_REJECTED


@dataclass(eq=False)
class LocatorExpired(DativeError):
    """The page's locator is gone: the reader starts again behind the last row it has."""

    default_code = c.BAD_ANSWER


@dataclass(eq=False)
class QueryTimeout(StopRun):
    """The window is too wide: the reader halves it; raised on when it can not."""

    default_code = s.QUERY_TIMEOUT


def rest_error(status: int, headers: Mapping[str, str], body: bytes, call: str, now: datetime) -> DativeError:
    """The error of a REST answer with status >= 300. call: what was called, without literals. now: the server's time."""
    found = _first_error(body)
    code, message = str(found.get("errorCode", "")), str(found.get("message", ""))
    said = f"{call} answered {status}{f' {code}' if code else ''}"
    after_s = retry_after_s(headers.get("Retry-After"), now)
    if status == 401:
        return SessionExpired(said)
    if code == "REQUEST_LIMIT_EXCEEDED":
        return _limit(said, message, after_s)
    if code == "INVALID_QUERY_LOCATOR":
        return LocatorExpired(said)
    if code == "QUERY_TIMEOUT":
        return QueryTimeout(said)
    if code == "INVALID_FIELD":
        return _field(said, message)
    if code == "UNABLE_TO_LOCK_ROW":
        return c.Conflict(said, retry_after_s=after_s)
    if status in (420, 429):
        return c.RateLimited(said, retry_after_s=after_s)
    if status in BUSY_STATUSES or code in ("SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION"):
        return c.Unavailable(said, retry_after_s=after_s)
    if not code and status not in (410, 414, 431):
        return c.Unavailable(f"{said} with a body that is not Salesforce's", code=c.BAD_ANSWER)
    by_status = {410: s.VERSION_RETIRED, 414: s.QUERY_TOO_LONG, 431: s.QUERY_TOO_LONG}
    return StopRun(said, code=_STOPS.get(code) or by_status.get(status) or s.REFUSED)


def _limit(said: str, message: str, after_s: float | None) -> DativeError:
    """One code, two meanings, told apart by the message: the day's calls, or too many at once."""
    if "concurrent" in message.lower():
        return c.RateLimited(f"{said}: too many calls at once", retry_after_s=after_s or 5.0)
    return StopRun(f"{said}: the 24-hour limit of API calls is reached", code=s.CALLS_EXHAUSTED)


def _field(said: str, message: str) -> DativeError:
    """Names the field, which is metadata; the rest of the message quotes the query and is left out."""
    column, unfiltered = _FIELD.search(message), _NOT_FILTERED.search(message)
    if column:
        return StopRun(f"{said}: no field {column[1]} on {column[2]}", code=s.FIELD_UNKNOWN)
    if unfiltered:
        return StopRun(f"{said}: {unfiltered[1]} can not be filtered", code=s.FIELD_NOT_FILTERABLE)
    return StopRun(f"{said}: a field of the query does not fit its place", code=s.QUERY_MALFORMED)


def _first_error(body: bytes) -> Mapping[str, Any]:
    try:
        decoded = json.loads(body)
    except ValueError:
        return {}
    if isinstance(decoded, list) and decoded and isinstance(decoded[0], dict):
        return decoded[0]
    return decoded if isinstance(decoded, dict) else {}


_OAUTH: tuple[tuple[str, str, Code], ...] = (
    # error ("" = any), words of error_description, code; the first match wins
    ("invalid_grant", "hasn't approved this consumer", s.USER_NOT_APPROVED),
    ("invalid_app_access", "", s.APP_NOT_APPROVED),
    ("invalid_client_id", "", s.CLIENT_ID_INVALID),
    ("invalid_client", "", s.CLIENT_ID_INVALID),
    ("invalid_grant", "audience", s.AUDIENCE_INVALID),
    ("", "inactive", s.USER_INACTIVE),
    ("", "locked", s.USER_INACTIVE),
    ("", "frozen", s.USER_INACTIVE),
    ("inactive_org", "", s.ORG_LOCKED),
    ("", "ip restricted", s.IP_RESTRICTED),
    ("", "ip not allowed", s.IP_RESTRICTED),
    ("", "login rate exceeded", s.LOGIN_RATE_EXCEEDED),
    ("rate_limit_exceeded", "", s.LOGIN_RATE_EXCEEDED),
    ("invalid_grant", "assertion", s.ASSERTION_INVALID),
    ("invalid_assertion", "", s.ASSERTION_INVALID),
)
SKEW_MAX_S = 60.0


def oauth_error(
    status: int, headers: Mapping[str, str], body: bytes, login_host: str, server_time: datetime, skew_s: float
) -> DativeError:
    """The error of a token endpoint's answer. skew_s: the server's time minus ours.

    Refusals are StopRun; whatever is not the vendor's own JSON is Unavailable and tried again later.
    """
    found = _first_error(body)
    error, description = str(found.get("error", "")), str(found.get("error_description", "")).lower()
    said = f"login at {login_host} answered {status}{f' {error}' if error else ''}"
    if not error:
        return c.Unavailable(said, retry_after_s=retry_after_s(headers.get("Retry-After"), server_time))
    if "org" in description and "locked" in description:
        return c.Unavailable(said, code=s.ORG_LOCKED)
    for name, words, code in _OAUTH:
        if name in ("", error) and words in description:
            if code is s.ASSERTION_INVALID and abs(skew_s) > SKEW_MAX_S:
                side = "behind" if skew_s > 0 else "ahead of"
                return StopRun(
                    f"{said}: this machine's clock is {abs(skew_s):.0f} s {side} Salesforce's", code=s.CLOCK_SKEWED
                )
            return StopRun(said, code=code)
    return StopRun(said, code=s.LOGIN_REFUSED)
