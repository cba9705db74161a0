"""Getting in: every grant of the token endpoint with its refusals, sessions, and the SOAP login."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import jwt
import pytest
import requests
from dative_sandbox.certificates import ClientKey
from dative_sandbox.salesforce.oauth import JWT_BEARER, pkce_challenge
from dative_sandbox.salesforce.org import ORG_ID

OTHER_KEY = ClientKey.generate()
Change = Callable[[Any, dict[str, Any]], None]


def assertion(sandbox: Any, key: bytes | None = None, **changes: Any) -> str:
    claims = {"iss": sandbox.consumer_key, "sub": sandbox.user.username, "aud": "https://login.salesforce.com"}
    claims |= {"exp": int(time.time()) + 180} | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key or sandbox.private_key_pem, algorithm="RS256")


def ask(sandbox: Any, **form: str) -> requests.Response:
    return requests.post(f"{sandbox.url}/services/oauth2/token", data=form, timeout=20)


def refusal(answer: requests.Response) -> tuple[int, str, str]:
    return answer.status_code, answer.json()["error"], answer.json()["error_description"]


@pytest.mark.parametrize("exp", [int, str])
@pytest.mark.parametrize("audience", ["https://login.salesforce.com", "https://test.salesforce.com", "own", "own/"])
def test_a_jwt_assertion_buys_a_token_without_a_refresh_token(sandbox: Any, exp: Any, audience: str) -> None:
    aud = audience.replace("own", sandbox.url)
    answer = ask(
        sandbox, grant_type=JWT_BEARER, assertion=assertion(sandbox, aud=aud, exp=exp(int(time.time()) + 180))
    ).json()
    assert set(answer) == {"access_token", "instance_url", "id", "token_type", "issued_at", "signature", "scope"}
    assert answer["access_token"].startswith(ORG_ID[:15] + "!")
    assert answer["instance_url"] == sandbox.url
    bearer = {"Authorization": f"Bearer {answer['access_token']}"}
    assert requests.get(f"{sandbox.url}/services/data/v60.0/limits", headers=bearer, timeout=20).status_code == 200


ASSERTIONS: list[tuple[str, dict[str, Any], str, str]] = [
    ("signed with another key", {"key": OTHER_KEY.private_pem}, "invalid_grant", "invalid assertion"),
    ("expired", {"exp": 1_000}, "invalid_grant", "invalid assertion"),
    ("too long a life", {"exp": 9_999_999_999}, "invalid_grant", "invalid assertion"),
    ("without exp", {"exp": None}, "invalid_grant", "invalid assertion"),
    ("exp is no number", {"exp": "soon"}, "invalid_grant", "invalid assertion"),
    ("another audience", {"aud": "https://example.org"}, "invalid_grant", "audience is invalid"),
    ("without audience", {"aud": None}, "invalid_grant", "audience is invalid"),
    ("unknown consumer", {"iss": "3MVG9nobody"}, "invalid_client_id", "client identifier invalid"),
    ("unknown user", {"sub": "nobody@x.org"}, "invalid_grant", "user hasn't approved this consumer"),
]


@pytest.mark.parametrize(
    ("changes", "error", "description"), [c[1:] for c in ASSERTIONS], ids=[c[0] for c in ASSERTIONS]
)
def test_a_bad_assertion_is_refused(sandbox: Any, changes: dict[str, Any], error: str, description: str) -> None:
    answer = ask(sandbox, grant_type=JWT_BEARER, assertion=assertion(sandbox, **changes))
    assert refusal(answer) == (400, error, description)
    assert not sandbox.org.sessions


def test_an_unsigned_assertion_and_garbage_are_refused(sandbox: Any) -> None:
    claims = {"iss": sandbox.consumer_key, "sub": sandbox.user.username, "aud": sandbox.url, "exp": time.time() + 60}
    for text in (jwt.encode(claims, None, algorithm="none"), "garbage", ""):
        assert refusal(ask(sandbox, grant_type=JWT_BEARER, assertion=text)) == (
            400,
            "invalid_grant",
            "invalid assertion",
        )


def with_user(**changes: Any) -> Any:
    def change(sandbox: Any) -> None:
        sandbox.org.users[sandbox.user.username] = replace(sandbox.user, **changes)

    return change


def with_app(**changes: Any) -> Any:
    def change(sandbox: Any) -> None:
        sandbox.org.add_app(replace(sandbox.org.apps[sandbox.consumer_key], **changes))

    return change


def with_option(name: str, value: Any) -> Any:
    return lambda sandbox: setattr(sandbox.org.options, name, value)


STATES = [
    ("inactive user", with_user(active=False), "invalid_grant", "inactive user"),
    ("locked user", with_user(frozen_out=True), "invalid_grant", "org locked"),
    ("address outside the range", with_option("ip_restricted", True), "invalid_grant", "ip restricted"),
    ("login rate used up", with_option("logins_per_hour", 0), "invalid_grant", "login rate exceeded"),
    (
        "not admin approved",
        with_app(permitted=frozenset()),
        "invalid_app_access",
        "user is not admin approved to access this app",
    ),
    (
        "never consented",
        with_app(permitted=frozenset(), admin_approved=False),
        "invalid_grant",
        "user hasn't approved this consumer",
    ),
    ("no certificate", with_app(public_key_pem=None), "invalid_grant", "invalid assertion"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "error", "description"), [c[1:] for c in STATES], ids=[c[0] for c in STATES])
def test_a_good_assertion_is_refused_in_a_bad_state(sandbox: Any, change: Any, error: str, description: str) -> None:
    app = sandbox.org.apps[sandbox.consumer_key]
    change(sandbox)
    answer = ask(sandbox, grant_type=JWT_BEARER, assertion=assertion(sandbox))
    sandbox.org.add_app(app)
    assert refusal(answer) == (400, error, description)


def code_for(sandbox: Any, **query: str) -> str:
    given = {
        "response_type": "code",
        "client_id": sandbox.consumer_key,
        "redirect_uri": "https://localhost/callback",
        **query,
    }
    answer = requests.get(f"{sandbox.url}/services/oauth2/authorize", params=given, allow_redirects=False, timeout=20)
    assert answer.status_code == 302, answer.text
    return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]


def exchange(sandbox: Any, code: str, **form: str) -> requests.Response:
    redirect = {"redirect_uri": "https://localhost/callback", "client_id": sandbox.consumer_key}
    return ask(sandbox, grant_type="authorization_code", code=code, **(redirect | form))


def test_a_code_is_exchanged_once_and_only_with_its_verifier(sandbox: Any) -> None:
    verifier = "v" * 50
    wrong = exchange(sandbox, code_for(sandbox, code_challenge=pkce_challenge(verifier)), code_verifier="w" * 50)
    assert refusal(wrong) == (400, "invalid_grant", "invalid code verifier")
    code = code_for(sandbox, code_challenge=pkce_challenge(verifier))
    assert "refresh_token" in exchange(sandbox, code, code_verifier=verifier).json()
    reused = exchange(sandbox, code, code_verifier=verifier)
    assert refusal(reused) == (400, "invalid_grant", "expired authorization code")
    old = code_for(sandbox)
    sandbox.clock.advance(901)
    late = exchange(sandbox, old, client_secret=sandbox.consumer_secret)
    assert refusal(late) == (400, "invalid_grant", "expired authorization code")
    bare = exchange(sandbox, code_for(sandbox))
    assert refusal(bare) == (400, "invalid_client", "invalid client credentials")


@pytest.mark.parametrize("rotates", [False, True])
def test_a_refresh_token_lives_on_unless_it_rotates(sandbox: Any, rotates: bool) -> None:
    app = sandbox.org.apps[sandbox.consumer_key]
    sandbox.org.add_app(replace(app, rotate_refresh_tokens=rotates))
    first = exchange(sandbox, code_for(sandbox), client_secret=sandbox.consumer_secret).json()["refresh_token"]
    form = {"grant_type": "refresh_token", "client_id": sandbox.consumer_key}
    answer = ask(sandbox, refresh_token=first, **form).json()
    again = ask(sandbox, refresh_token=first, **form)
    sandbox.org.add_app(app)
    assert ("refresh_token" in answer) is rotates
    assert again.status_code == (400 if rotates else 200)
    if rotates:
        assert refusal(again) == (400, "invalid_grant", "expired access/refresh token")


def test_password_and_client_credentials(sandbox: Any) -> None:
    client = {"client_id": sandbox.consumer_key, "client_secret": sandbox.consumer_secret}
    password = {"grant_type": "password", "username": sandbox.user.username}
    assert ask(sandbox, **client, **password, password=sandbox.password).status_code == 200
    bad = ask(sandbox, **client, **password, password=sandbox.user.password)
    assert refusal(bad) == (400, "invalid_grant", "authentication failure")
    assert ask(sandbox, **client, grant_type="client_credentials").status_code == 200
    wrong = ask(sandbox, **(client | {"client_secret": "x"}), grant_type="client_credentials")
    assert refusal(wrong) == (400, "invalid_client", "invalid client credentials")
    assert refusal(ask(sandbox, grant_type="magic"))[1] == "unsupported_grant_type"


def test_a_revoked_token_is_dead_and_identity_says_so(client: Any) -> None:
    token = client.http.headers["Authorization"].removeprefix("Bearer ")
    info = client.get("/services/oauth2/userinfo")
    assert (info["organization_id"], info["preferred_username"]) == (ORG_ID, client.sandbox.user.username)
    assert client("POST", "/services/oauth2/revoke", data={"token": token}).status_code == 200
    assert client("POST", "/services/oauth2/revoke", data={"token": token}).json()["error"] == "invalid_token"
    dead = client("GET", "/services/oauth2/userinfo")
    assert (dead.status_code, dead.text) == (403, "Bad_OAuth_Token")


SESSIONS: list[tuple[Any, str, str]] = [
    (lambda sandbox: sandbox.clock.advance(7201), "INVALID_SESSION_ID", "Session expired or invalid"),
    (lambda sandbox: sandbox.org.expire_tokens(), "INVALID_SESSION_ID", "Session expired or invalid"),
]


@pytest.mark.parametrize(("change", "code", "message"), SESSIONS)
def test_a_dead_session_is_401(client: Any, change: Any, code: str, message: str) -> None:
    change(client.sandbox)
    answer = client("GET", "/limits")
    assert (answer.status_code, answer.json()) == (401, [{"message": message, "errorCode": code}])
    assert "Sforce-Limit-Info" in answer.headers


def test_a_session_that_is_not_for_rest_says_so_however_often_it_is_renewed(sandbox: Any) -> None:
    sandbox.org.options.sessions_valid_for_rest = False
    for _ in range(2):
        token = sandbox.org.open_session(sandbox.user, None).token
        bearer = {"Authorization": f"OAuth {token}"}
        answer = requests.get(f"{sandbox.url}/services/data/v60.0/limits", headers=bearer, timeout=20)
        assert answer.json()[0]["message"] == "This session is not valid for use with the REST API"


SOAP = (
    '<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/"><env:Body>'
    '<n1:login xmlns:n1="urn:partner.soap.sforce.com">'
    "<n1:username>{}</n1:username><n1:password>{}</n1:password></n1:login></env:Body></env:Envelope>"
)


def soap(
    sandbox: Any, version: str = "59.0", password: str | None = None, text: str | None = None
) -> requests.Response:
    body = text or SOAP.format(sandbox.user.username, password or sandbox.password)
    return requests.post(f"{sandbox.url}/services/Soap/u/{version}", data=body.encode(), timeout=20)


def test_the_login_result_has_the_partner_order(sandbox: Any) -> None:
    root = ElementTree.fromstring(soap(sandbox).content)
    result = next(element for element in root.iter() if element.tag.endswith("}result"))
    names = [child.tag.split("}")[1] for child in result]
    assert names == ["metadataServerUrl", "passwordExpired", "sandbox", "serverUrl", "sessionId", "userId", "userInfo"]
    # The official example reads organizationId as the ninth child of userInfo.
    assert result[6][8].text == ORG_ID
    assert len(result[6]) == 24


FAULTS = [
    ({"password": "wrong"}, "sf:INVALID_LOGIN"),
    ({"version": "65.0"}, "sf:INVALID_OPERATION"),
    ({"version": "30.0"}, "sf:UNSUPPORTED_API_VERSION"),
    ({"text": "<not xml"}, "sf:INVALID_SOAP"),
    ({"text": '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'}, "sf:INVALID_SOAP"),
]


@pytest.mark.parametrize(("options", "code"), FAULTS)
def test_a_soap_fault_names_its_code_twice(sandbox: Any, options: dict[str, str], code: str) -> None:
    answer = soap(sandbox, **options)
    assert answer.status_code == 500
    assert f"<faultcode>{code}</faultcode>" in answer.text
    assert f"<sf:exceptionCode>{code[3:]}</sf:exceptionCode>" in answer.text
    assert "<sf:exceptionMessage>" in answer.text
