"""Logging in: each refusal by its own name with its remedy, once per process, and never so often that a user is locked out."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from dative.clock import ManualClock, SystemClock
from dative.errors.base import ConfigError, DativeError, StopRun
from dative_atom.connectors.calls import Unlogged
from dative_atom.connectors.salesforce.auth import PAUSE_AFTER_REFUSAL_S, TokenSource, audience_of, token_source
from dative_atom.connectors.salesforce.errors import oauth_error, rest_error
from dative_atom.connectors.salesforce.spec import SalesforceSettings
from dative_sandbox.salesforce.faults import Fault

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def settings_of(org: Any, **more: str) -> SalesforceSettings:
    given = {"login_url": org.url, "client_id": org.consumer_key, "username": org.user.username}
    return SalesforceSettings.model_validate({**given, **more})


def source_of(org: Any, **more: str) -> TokenSource:
    return token_source(settings_of(org, **more), org.private_key_pem.decode())


def login(source: TokenSource, clock: Any = None, **more: Any) -> Any:
    with requests.Session() as session:
        return source.token(session, clock or SystemClock(), Unlogged(), **more)


def other_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


AUDIENCES = [
    ("https://login.salesforce.com", "", "https://login.salesforce.com"),
    ("https://test.salesforce.com", "", "https://test.salesforce.com"),
    ("https://acme.my.salesforce.com", "", "https://login.salesforce.com"),
    ("https://acme--dev.sandbox.my.salesforce.com", "", "https://test.salesforce.com"),
    ("https://acme.my.site.com", "https://acme.my.site.com", "https://acme.my.site.com"),
]


@pytest.mark.parametrize(("login_url", "audience", "expected"), AUDIENCES)
def test_the_audience_follows_the_kind_of_org(login_url: str, audience: str, expected: str) -> None:
    settings = SalesforceSettings(login_url=login_url, audience=audience, client_id="c", username="u")
    assert audience_of(settings) == expected


OAUTH = [
    ("invalid_grant", "user hasn't approved this consumer", "salesforce.user_not_approved"),
    ("invalid_app_access", "user is not admin approved to access this app", "salesforce.app_not_approved"),
    ("invalid_client_id", "client identifier invalid", "salesforce.client_id_invalid"),
    ("invalid_client", "invalid client credentials", "salesforce.client_id_invalid"),
    ("invalid_grant", "audience is invalid", "salesforce.audience_invalid"),
    ("invalid_grant", "invalid assertion", "salesforce.assertion_invalid"),
    ("invalid_grant", "inactive user", "salesforce.user_inactive"),
    ("invalid_grant", "user is locked out", "salesforce.user_inactive"),
    ("invalid_grant", "ip restricted", "salesforce.ip_restricted"),
    ("invalid_grant", "login rate exceeded", "salesforce.login_rate_exceeded"),
    ("inactive_org", "organization is inactive", "salesforce.user_inactive|salesforce.org_locked"),
    ("invalid_grant", "org locked", "salesforce.org_locked"),
    ("brand_new", "something", "salesforce.login_refused"),
]


@pytest.mark.parametrize(("error", "description", "code"), OAUTH)
def test_each_refusal_has_its_own_code_and_remedy(error: str, description: str, code: str) -> None:
    body = f'{{"error": "{error}", "error_description": "{description}"}}'.encode()
    told = oauth_error(400, {}, body, "login.salesforce.com", NOW, 0.0)
    assert told.code.name in code.split("|")
    assert told.next


def test_a_wrong_clock_is_named_as_the_cause() -> None:
    body = b'{"error": "invalid_grant", "error_description": "invalid assertion"}'
    told = oauth_error(400, {}, body, "login.salesforce.com", NOW, 400.0)
    assert told.code.name == "salesforce.clock_skewed"
    assert "400 s behind" in told.message


def test_a_login_page_instead_of_an_answer_is_tried_later(org: Any) -> None:
    org.faults.add(Fault(path="oauth2/token", kind="html", status=503))
    with pytest.raises(DativeError) as later:
        login(source_of(org))
    assert later.value.code.name == "connector.unavailable"
    assert login(source_of(org)).value  # nothing is paused by it


def test_threads_that_find_the_token_expired_log_in_once(org: Any) -> None:
    source = source_of(org)
    old = login(source)
    barrier, tokens = threading.Barrier(12), []

    def renew() -> None:
        barrier.wait()
        tokens.append(login(source, instead_of=old).value)

    threads = [threading.Thread(target=renew) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(tokens)) == 1
    assert len(org.journal.entries("oauth2/token")) == 2


def test_after_a_refusal_no_login_is_sent_until_the_pause_is_over(org: Any) -> None:
    app = org.org.apps[org.consumer_key]
    org.org.add_app(replace(app, permitted=frozenset()))
    source, clock = source_of(org), ManualClock(datetime.now(UTC))
    codes = []
    for _ in range(20):
        with pytest.raises(StopRun) as refused:
            login(source, clock)
        codes.append(refused.value.code.name)
    assert codes == ["salesforce.app_not_approved"] + ["salesforce.login_paused"] * 19
    assert len(org.journal.entries("oauth2/token")) == 1
    org.org.add_app(app)
    clock.advance(PAUSE_AFTER_REFUSAL_S + 1)
    assertion_time = ManualClock(datetime.now(UTC))
    assertion_time.advance(0)
    org.clock.advance(0)
    with pytest.raises(StopRun) as skewed:  # fifteen minutes ahead of the org: its own error, not the breaker's
        login(source, clock)
    assert skewed.value.code.name in ("salesforce.clock_skewed", "salesforce.assertion_invalid")


def test_a_new_key_is_tried_at_once_after_a_refusal(org: Any) -> None:
    wrong = token_source(settings_of(org), other_key())
    with pytest.raises(StopRun) as refused:
        login(wrong)
    assert refused.value.code.name in ("salesforce.assertion_invalid", "salesforce.clock_skewed")
    assert login(source_of(org)).value


@pytest.mark.parametrize("pem", ["", "not a key", "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----"])
def test_a_key_that_is_none_is_refused_before_anything_is_sent(pem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        token_source(SalesforceSettings(client_id="c", username="u"), pem)
    assert refused.value.code.name == "salesforce.key_unreadable"
    assert "MIIB" not in str(refused.value)


def test_no_message_repeats_what_salesforce_quotes_of_a_record() -> None:
    body = b'[{"errorCode": "MALFORMED_QUERY", "message": "Name = \'Jane Doe\'  ^ unexpected token"}]'
    assert "Jane" not in str(rest_error(400, {}, body, "GET /query", NOW))
