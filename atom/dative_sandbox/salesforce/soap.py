"""The SOAP login call of the Partner and Enterprise APIs: what old clients still get in with.

Source: SOAP API developer guide, "login()". The order of the answer's children is part of the contract: clients read by
position. No HTTP here: see identity.py.
"""

import re
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from dative_sandbox.salesforce.oauth import count_login, valid_password
from dative_sandbox.salesforce.org import NEWEST_VERSION, OLDEST_VERSION, ORG_ID, SOAP_LOGIN_NEWEST, Org, User

_INVALID_LOGIN = "Invalid username, password, security token; or user locked out."
_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
    'xmlns="urn:{api}.soap.sforce.com" xmlns:sf="urn:fault.{api}.soap.sforce.com" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>'
)


@dataclass(frozen=True)
class SoapAnswer:
    status: int
    body: str


def login(org: Org, api: str, version: int, request: bytes) -> SoapAnswer:
    """Answer one login call. api: "u" (Partner) or "c" (Enterprise). version: the N of vN.0 in the path."""
    space = "partner" if api == "u" else "enterprise"
    if version < OLDEST_VERSION or version > NEWEST_VERSION:
        return _fault(space, "UNSUPPORTED_API_VERSION", "Invalid Api version specified on URL")
    if version > SOAP_LOGIN_NEWEST or not org.options.soap_login:
        return _fault(space, "INVALID_OPERATION", "SOAP API login() is disabled by default in this org.")
    credentials = _credentials(request)
    if credentials is None:
        return _fault(space, "INVALID_SOAP", "the request holds no login call with a username and a password")
    user = org.users.get(credentials[0])
    if user is None or not user.active or user.frozen_out or not valid_password(user, credentials[1]):
        return _fault(space, "INVALID_LOGIN", _INVALID_LOGIN, "LoginFault")
    with org.lock:
        if not count_login(org, user):
            return _fault(space, "LOGIN_RATE_EXCEEDED", "login rate exceeded", "LoginFault")
        token = org.open_session(user, None).token
    return SoapAnswer(200, _ENVELOPE.format(api=space, body=_result(org, user, token, api, version)))


def _credentials(request: bytes) -> tuple[str, str] | None:
    if b"<!DOCTYPE" in request or b"<!ENTITY" in request:
        return None
    try:
        # Entities are refused above, so the parser has nothing to expand.
        root = ElementTree.fromstring(request)  # noqa: S314
    except ElementTree.ParseError:
        return None
    found = {re.sub(r"^\{.*\}", "", element.tag): element.text or "" for element in root.iter()}
    return (found["username"], found["password"]) if {"login", "username", "password"} <= found.keys() else None


def _result(org: Org, user: User, token: str, api: str, version: int) -> str:
    url = org.instance_url
    info = {
        "accessibilityMode": "false",
        "chatterExternal": "false",
        "currencySymbol": "€",
        "orgAttachmentFileSizeLimit": "5242880",
        "orgDefaultCurrencyIsoCode": "EUR",
        "orgDefaultCurrencyLocale": "fr_FR_EURO",
        "orgDisallowHtmlAttachments": "false",
        "orgHasPersonAccounts": "false",
        "organizationId": ORG_ID,
        "organizationMultiCurrency": "true",
        "organizationName": "Dative Sandbox",
        "profileId": "00e5f000000000BAAQ",
        "roleId": None,
        "sessionSecondsValid": str(int(org.options.session_ttl_s)),
        "userDefaultCurrencyIsoCode": "EUR",
        "userEmail": user.email,
        "userFullName": f"{user.first_name} {user.last_name}",
        "userId": user.id,
        "userLanguage": "en_US",
        "userLocale": "en_US",
        "userName": user.username,
        "userTimeZone": user.timezone,
        "userType": "Standard",
        "userUiSkin": "Theme3",
    }
    children = {
        "metadataServerUrl": f"{url}/services/Soap/m/{version}.0/{ORG_ID}",
        "passwordExpired": "false",
        "sandbox": "false",
        "serverUrl": f"{url}/services/Soap/{api}/{version}.0/{ORG_ID}",
        "sessionId": token,
        "userId": user.id,
    }
    result = "".join(_element(name, value) for name, value in children.items())
    result += f"<userInfo>{''.join(_element(name, value) for name, value in info.items())}</userInfo>"
    return f"<loginResponse><result>{result}</result></loginResponse>"


def _element(name: str, value: str | None) -> str:
    return f'<{name} xsi:nil="true"/>' if value is None else f"<{name}>{escape(value)}</{name}>"


def _fault(space: str, code: str, message: str, detail: str = "UnexpectedErrorFault") -> SoapAnswer:
    body = (
        f"<soapenv:Fault><faultcode>sf:{code}</faultcode><faultstring>{code}: {escape(message)}</faultstring><detail>"
        f'<sf:{detail} xsi:type="sf:{detail}"><sf:exceptionCode>{code}</sf:exceptionCode>'
        f"<sf:exceptionMessage>{escape(message)}</sf:exceptionMessage></sf:{detail}></detail></soapenv:Fault>"
    )
    return SoapAnswer(500, _ENVELOPE.format(api=space, body=body))
