"""One org over HTTP: `OrgSession` is the transport, simple-salesforce speaks REST on it.

simple-salesforce has no timeouts, no retries, no single-flight login, and reads a failed answer as if it were Salesforce's
own. So it is given a session that has them: nothing but whole, successful answers ever reaches it. Its own URL building
is used through `restful` only, because `query_more` and `SFType` insist on https and a standard host name.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests
from dative.clock import Clock
from dative.errors.base import StopRun
from dative.errors.connector import BAD_ANSWER, TLS_FAILED, Timeout, Unavailable
from dative.errors.salesforce import SESSION_REJECTED
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce

from dative_atom.connectors.base import CallLog
from dative_atom.connectors.calls import Call, call
from dative_atom.connectors.retry import Backoff, call_again, stop_if
from dative_atom.connectors.salesforce.auth import Token, TokenSource, server_date
from dative_atom.connectors.salesforce.errors import SessionExpired, rest_error
from dative_atom.connectors.salesforce.limits import CallBudget
from dative_atom.connectors.salesforce.spec import SalesforceSettings
from dative_atom.connectors.wire import Wire
from dative_atom.connectors.wire_requests import WireAdapter

NO_DATE = datetime.fromtimestamp(0, UTC)
POOL_SIZE = 8
CONNECT_TIMEOUT_S = 10.0
WHOLE_ANSWER_FACTOR = 10
"""An answer that keeps dripping is given up after this many times the timeout."""
BODY_BYTES_MAX = 256 * 1024 * 1024
_CHUNK_BYTES = 65_536
_VERSION_ROOT = re.compile(r"^/services/data/v\d+\.\d/")
_LOCATOR = re.compile(r"/(query|queryAll)/[\w-]+")


class OrgSession(requests.Session):
    """A session on which every call has a deadline, a span, one login after a 401, and the budget's eye on it.

    Raises coded errors only; returns 2xx, whole, only.
    """

    def __init__(
        self,
        settings: SalesforceSettings,
        source: TokenSource,
        clock: Clock,
        calls: CallLog,
        cancelled: threading.Event,
        wire: Wire | None = None,
    ) -> None:
        super().__init__()
        self._settings, self._source, self._clock, self._calls = settings, source, clock, calls
        self._cancelled = cancelled
        self.budget = CallBudget(settings.calls_reserve)
        self.server_time = NO_DATE  # of the last answer that had a Date header
        # netrc and proxy variables of the machine must not redirect a login without being asked to.
        self.trust_env = False
        self.verify = settings.ca_file or True
        if settings.proxy:
            self.proxies = {"http": settings.proxy, "https": settings.proxy}
        for scheme in ("https://", "http://"):
            adapter = HTTPAdapter(pool_connections=POOL_SIZE, pool_maxsize=POOL_SIZE, pool_block=True)
            self.mount(scheme, adapter if wire is None else WireAdapter(wire, adapter))

    def token(self, instead_of: Token | None = None) -> Token:
        return self._source.token(self, self._clock, self._calls, instead_of=instead_of)

    def request(self, method: str, url: str, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """As requests.Session.request, for the instance of the current token. `method` and `url` as simple-salesforce says."""
        token = self.token()
        try:
            return self._attempt(method, url, token, kwargs)
        except SessionExpired:
            return self._after_login(method, url, token, kwargs)

    def _after_login(self, method: str, url: str, rejected: Token, kwargs: Mapping[str, Any]) -> requests.Response:
        """One more try with a new token. A second 401 means that logging in does not help: no loop."""
        try:
            return self._attempt(method, url, self.token(instead_of=rejected), kwargs)
        except SessionExpired as error:
            raise StopRun(f"{error.message}, also after a new login", code=SESSION_REJECTED) from error

    def _attempt(self, method: str, url: str, token: Token, kwargs: Mapping[str, Any]) -> requests.Response:
        self.budget.check()
        parts = urlsplit(url)
        template = _LOCATOR.sub(r"/\1/{locator}", parts.path)
        name = f"{method} {template}"
        attributes = {"http.request.method": method, "server.address": parts.hostname or "", "url.template": template}
        with call(self._calls, name, attributes) as made:
            answer = self._whole(method, url, self._headers(kwargs, token, made), kwargs, name)
            self._note(answer, made)
            if answer.status_code >= 300:
                raise rest_error(answer.status_code, answer.headers, answer.content, name, self.server_time)
            return answer

    def _headers(self, kwargs: Mapping[str, Any], token: Token, made: Call) -> dict[str, str]:
        # Sforce-Call-Options names us, so that our own changes can be told from others' in change events.
        ours = {"Authorization": f"Bearer {token.value}", "traceparent": made.traceparent, "Accept-Encoding": "gzip"}
        return {**(kwargs.get("headers") or {}), "Sforce-Call-Options": "client=dative", **ours}

    def _note(self, answer: requests.Response, made: Call) -> None:
        made.attributes["http.response.status_code"] = answer.status_code
        made.attributes["http.response.body.size"] = len(answer.content)
        self.budget.learn(answer.headers.get("Sforce-Limit-Info"))
        self.server_time = server_date(answer, self.server_time)

    def _whole(
        self, method: str, url: str, headers: dict[str, str], kwargs: Mapping[str, Any], name: str
    ) -> requests.Response:
        """The answer with all of its body, read against a deadline and the execution's end."""
        more = {key: value for key, value in kwargs.items() if key not in ("headers", "timeout")}
        silence_s = self._settings.timeout
        until_s = self._clock.elapsed_s() + WHOLE_ANSWER_FACTOR * silence_s
        try:
            answer = super().request(
                method,
                url,
                headers=headers,
                timeout=(CONNECT_TIMEOUT_S, silence_s),
                stream=True,
                allow_redirects=False,
                **more,
            )
            with answer:
                answer._content = self._body(answer, until_s, name)
                return answer
        except requests.Timeout as error:
            raise Timeout(f"{name}: no answer in {silence_s:g} s") from error
        except requests.exceptions.SSLError as error:
            raise StopRun(
                f"{name}: the certificate of {urlsplit(url).hostname} is not trusted", code=TLS_FAILED
            ) from error
        except requests.exceptions.ChunkedEncodingError as error:
            raise Unavailable(f"{name}: the answer broke off", code=BAD_ANSWER) from error
        except requests.ConnectionError as error:
            # requests wraps a read timeout of the body in this too.
            kind = Timeout if "timed out" in str(error).lower() else Unavailable
            raise kind(f"{name}: {type(error).__name__}") from error
        except requests.RequestException as error:
            raise Unavailable(f"{name}: {type(error).__name__}", code=BAD_ANSWER) from error

    def _body(self, answer: requests.Response, until_s: float, name: str) -> bytes:
        chunks, size = [], 0
        for chunk in answer.iter_content(_CHUNK_BYTES):
            chunks.append(chunk)
            size += len(chunk)
            stop_if(self._cancelled)
            if size > BODY_BYTES_MAX:
                raise StopRun(f"{name}: an answer of more than {BODY_BYTES_MAX} bytes", code=BAD_ANSWER)
            if self._clock.elapsed_s() > until_s:
                raise Timeout(f"{name}: the answer did not end in {WHOLE_ANSWER_FACTOR} × {self._settings.timeout:g} s")
        return b"".join(chunks)


class _Rest(Salesforce):
    """simple-salesforce with its JSON read by msgspec (5 times faster than its OrderedDict) and numbers kept exact."""

    def __init__(self, session: OrgSession, token: Token, version: str) -> None:
        super().__init__(session_id=token.value, instance_url=token.instance_url, version=version, session=session)
        # It turns http into https and strips "-api" from host names.
        self.base_url = f"{token.instance_url}/services/data/v{version}/"
        del self.headers["X-PrettyPrint"]

    def parse_result_to_json(self, result: requests.Response) -> Any:
        try:
            return msgspec.json.decode(result.content)
        except msgspec.DecodeError as error:
            raise Unavailable("an answer with status 200 is no JSON", code=BAD_ANSWER) from error


class OrgClient:
    """The calls that the connector makes. GETs are safe to repeat and are, as `backoff` says; there are no others."""

    def __init__(
        self, session: OrgSession, settings: SalesforceSettings, cancelled: threading.Event, backoff: Backoff
    ) -> None:
        self.session, self._version = session, settings.api_version
        self._cancelled, self._backoff = cancelled, backoff
        self._rest: _Rest | None = None

    @property
    def server_time(self) -> datetime:
        """The org's clock at the last answer."""
        return self.session.server_time

    def get(self, path: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> Any:
        """GET below /services/data/vNN.0/ through simple-salesforce; the decoded JSON object."""

        def once() -> Any:
            found = self._on_instance().restful(path, params=dict(params or {}), headers=dict(headers or {}))
            if not isinstance(found, dict):
                raise Unavailable(f"GET {path.split('?')[0]} did not answer with an object", code=BAD_ANSWER)
            return found

        return call_again(once, self._cancelled, self._backoff)

    def next_page(self, next_records_url: str, headers: Mapping[str, str]) -> Any:
        """The page behind a `nextRecordsUrl`. Raises LocatorExpired when it is gone."""
        return self.get(_VERSION_ROOT.sub("", next_records_url), headers=headers)

    def _on_instance(self) -> _Rest:
        """For the instance of the current token: an org may move between two logins."""
        token = self.session.token()
        if self._rest is None or not self._rest.base_url.startswith(token.instance_url + "/"):
            self._rest = _Rest(self.session, token, self._version)
        return self._rest

    def close(self) -> None:
        self.session.close()
