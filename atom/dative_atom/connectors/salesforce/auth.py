"""Logs in with the OAuth 2.0 JWT bearer flow: one access token per user, app and key, shared by a process.

However many threads find the token expired, one logs in (single flight). After a refusal no login is tried for a while:
a schedule that fires each minute with a wrong key must not lock the user out.
Source: Salesforce Help, "OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration".
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import jwt
import requests
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from dative.clock import Clock
from dative.errors.base import ConfigError, DativeError, StopRun
from dative.errors.connector import BAD_ANSWER, Timeout, Unavailable
from dative.errors.salesforce import KEY_UNREADABLE, LOGIN_PAUSED

from dative_atom.connectors.base import CallLog
from dative_atom.connectors.calls import call
from dative_atom.connectors.salesforce.errors import oauth_error
from dative_atom.connectors.salesforce.spec import SalesforceSettings

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_LIFE_S = 180
PAUSE_AFTER_REFUSAL_S = 900.0
SOURCES_MAX = 64
"""Token sources kept by a process; the one unused longest is forgotten and would log in again."""


@dataclass(frozen=True)
class Token:
    """An access token and the instance it is for. `repr` leaves the token out."""

    value: str = field(repr=False)
    instance_url: str


def audience_of(settings: SalesforceSettings) -> str:
    """The `aud` claim: as set, else by the login host. A My Domain of a sandbox is ….sandbox.my.salesforce.com."""
    if settings.audience:
        return settings.audience
    host = urlsplit(settings.login_url).hostname or ""
    is_sandbox = host == "test.salesforce.com" or ".sandbox.my." in host or host.startswith("test.")
    return "https://test.salesforce.com" if is_sandbox else "https://login.salesforce.com"


class TokenSource:
    """The one place where a user logs in. Thread safe."""

    def __init__(self, settings: SalesforceSettings, key: RSAPrivateKey) -> None:
        self._settings, self._key = settings, key
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._refused: DativeError | None = None
        self._refused_at_s = 0.0

    def token(
        self, session: requests.Session, clock: Clock, calls: CallLog, *, instead_of: Token | None = None
    ) -> Token:
        """The current token; a new one when there is none or it is `instead_of`, which Salesforce rejected.

        Errors: StopRun for a refusal, and salesforce.login_paused for PAUSE_AFTER_REFUSAL_S after it; RetryLater.
        """
        with self._lock:
            if self._token is not None and self._token is not instead_of:
                return self._token
            self._check_pause(clock)
            try:
                self._token = self._login(session, clock, calls)
            except StopRun as refused:
                self._token, self._refused, self._refused_at_s = None, refused, clock.elapsed_s()
                raise
            self._refused = None
            return self._token

    def _check_pause(self, clock: Clock) -> None:
        left_s = self._refused_at_s + PAUSE_AFTER_REFUSAL_S - clock.elapsed_s()
        if self._refused is not None and left_s > 0:
            raise StopRun(
                f"login is not tried for {left_s:.0f} s more; the last refusal was {self._refused.code.name}",
                code=LOGIN_PAUSED,
                next=self._refused.next,
            )

    def _login(self, session: requests.Session, clock: Clock, calls: CallLog) -> Token:
        url = self._settings.login_url.rstrip("/") + "/services/oauth2/token"
        host = urlsplit(url).netloc
        attributes = {"http.request.method": "POST", "server.address": host, "url.template": "/services/oauth2/token"}
        with call(calls, "POST /services/oauth2/token", attributes) as made:
            form = {"grant_type": GRANT, "assertion": self._assertion(clock)}
            answer = _post(session, url, form, self._settings.timeout, made.traceparent, host)
            made.attributes["http.response.status_code"] = answer.status_code
            return _token_of(answer, host, clock)

    def _assertion(self, clock: Clock) -> str:
        claims = {
            "iss": self._settings.client_id,
            "sub": self._settings.username,
            "aud": audience_of(self._settings),
            "exp": int(clock.now().timestamp()) + ASSERTION_LIFE_S,
        }
        return jwt.encode(claims, self._key, algorithm="RS256")


def _post(
    session: requests.Session, url: str, form: dict[str, str], timeout_s: float, traceparent: str, host: str
) -> requests.Response:
    """A login is safe to repeat: it changes nothing but hands out another token."""
    try:
        return requests.Session.request(
            session,
            "POST",
            url,
            data=form,
            timeout=timeout_s,
            allow_redirects=False,
            headers={"traceparent": traceparent},
        )
    except requests.Timeout as error:
        raise Timeout(f"login at {host}: no answer in {timeout_s:.0f} s") from error
    except requests.RequestException as error:
        raise Unavailable(f"login at {host}: {type(error).__name__}") from error


def _token_of(answer: requests.Response, host: str, clock: Clock) -> Token:
    now = clock.now()
    server_time = server_date(answer, now)
    if answer.status_code != 200:
        skew_s = (server_time - now).total_seconds()
        raise oauth_error(answer.status_code, answer.headers, answer.content, host, server_time, skew_s)
    try:
        body = answer.json()
        return Token(str(body["access_token"]), str(body["instance_url"]).rstrip("/"))
    except (ValueError, KeyError, TypeError) as error:
        raise Unavailable(f"login at {host} answered 200 without a token", code=BAD_ANSWER) from error


def server_date(answer: requests.Response, otherwise: datetime) -> datetime:
    """The answer's Date header (whole seconds, UTC)."""
    try:
        return parsedate_to_datetime(answer.headers["Date"])
    except (KeyError, ValueError, TypeError):
        return otherwise


_sources: OrderedDict[tuple[SalesforceSettings, str], TokenSource] = OrderedDict()
_sources_lock = threading.Lock()


def token_source(settings: SalesforceSettings, private_key: str) -> TokenSource:
    """The process' source for these settings and this key. ConfigError salesforce.key_unreadable for a key that is none."""
    identity = (settings, hashlib.sha256(private_key.encode()).hexdigest())
    with _sources_lock:
        if identity not in _sources:
            _sources[identity] = TokenSource(settings, _read_key(private_key))
            while len(_sources) > SOURCES_MAX:
                _sources.popitem(last=False)
        _sources.move_to_end(identity)
        return _sources[identity]


def own_token_source(settings: SalesforceSettings, private_key: str) -> TokenSource:
    """As `token_source`, shared with nobody."""
    return TokenSource(settings, _read_key(private_key))


def _read_key(pem: str) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # The library's text may quote the key's first bytes.
        raise ConfigError("private_key can not be read as PEM", code=KEY_UNREADABLE) from error
    if not isinstance(key, RSAPrivateKey):
        raise ConfigError("private_key is no RSA key", code=KEY_UNREADABLE)
    return key
