"""Who gets in: the token endpoint's grants, authorize, revoke and the identity of a token. No HTTP here: see identity.py.

Source: the vendor's "OAuth 2.0 JWT Bearer Flow", "Web Server Flow" and "OAuth authorization flows" pages.
"""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from dative_sandbox.salesforce.clock import stamp
from dative_sandbox.salesforce.errors import OAuthError
from dative_sandbox.salesforce.org import ORG_ID, ConnectedApp, Org, Session, User

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_LIFE_MAX_S = 300
CLOCK_LEEWAY_S = 30
CODE_LIFE = timedelta(minutes=15)
Form = Mapping[str, str]


@dataclass(frozen=True)
class OAuth:
    """The authorization server of one org.

    An assertion's life is judged by the machine's real time, not by the org's clock: a test that moves the org a month
    ahead still wants its clients, who sign by their own clock, to get in. Tokens live by the org's clock.
    """

    org: Org

    def token(self, form: Form, basic: tuple[str, str] | None) -> dict[str, Any]:
        """One call of the token endpoint. Returns the token set. OAuthError says what the vendor would."""
        grants = {
            JWT_BEARER: self._jwt_bearer,
            "authorization_code": self._authorization_code,
            "refresh_token": self._refresh,
            "password": self._password,
            "client_credentials": self._client_credentials,
        }
        grant = grants.get(form.get("grant_type", ""))
        if grant is None:
            raise OAuthError("unsupported_grant_type", "grant type not supported")
        if basic is not None:
            form = {**form, "client_id": basic[0], "client_secret": basic[1]}
        with self.org.lock:
            return grant(form)

    # --- the grants ---------------------------------------------------------------------------------------------------

    def _jwt_bearer(self, form: Form) -> dict[str, Any]:
        assertion = form.get("assertion", "")
        try:
            claims = jwt.decode(assertion, options={"verify_signature": False})
        except jwt.PyJWTError:
            raise OAuthError("invalid_grant", "invalid assertion") from None
        app = self.org.apps.get(str(claims.get("iss")))
        if app is None:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        self._verify_assertion(assertion, app, claims)
        if str(claims.get("aud", "")).rstrip("/") not in self.audiences:
            raise OAuthError("invalid_grant", "audience is invalid")
        user = self._user(str(claims.get("sub", "")))
        self._check_approved(user, app)
        return self._tokens(user, app, "api", refresh=False)

    def _verify_assertion(self, assertion: str, app: ConnectedApp, claims: Mapping[str, Any]) -> None:
        bad = OAuthError("invalid_grant", "invalid assertion")
        if app.public_key_pem is None:
            raise bad
        try:
            jwt.decode(
                assertion,
                public_key(app.public_key_pem),
                algorithms=["RS256"],
                options={"verify_exp": False, "verify_aud": False, "verify_iat": False, "verify_nbf": False},
            )
            # The claim is accepted as a number and as a string: clients in the wild send both.
            expires_in_s = float(claims["exp"]) - time.time()
        except (jwt.PyJWTError, KeyError, TypeError, ValueError):
            raise bad from None
        if not -CLOCK_LEEWAY_S < expires_in_s <= ASSERTION_LIFE_MAX_S + CLOCK_LEEWAY_S:
            raise bad

    @property
    def audiences(self) -> frozenset[str]:
        known = {"https://login.salesforce.com", "https://test.salesforce.com", self.org.own_url, self.org.instance_url}
        return frozenset(url.rstrip("/") for url in known)

    def _check_approved(self, user: User, app: ConnectedApp) -> None:
        if user.username in app.permitted:
            return
        if app.admin_approved:
            raise OAuthError("invalid_app_access", "user is not admin approved to access this app")
        raise OAuthError("invalid_grant", "user hasn't approved this consumer")

    def _authorization_code(self, form: Form) -> dict[str, Any]:
        app = self._client(form, secret_required=False)
        # A code works once: it is gone with the first try, whatever comes of it.
        code = self.org.codes.pop(form.get("code", ""), None)
        if code is None or code["expires_at"] < self.org.clock.now() or code["client_id"] != app.consumer_key:
            raise OAuthError("invalid_grant", "expired authorization code")
        if form.get("redirect_uri") != code["redirect_uri"]:
            raise OAuthError("redirect_uri_mismatch", "redirect_uri must match configuration")
        challenge = code["code_challenge"]
        if challenge and not hmac.compare_digest(pkce_challenge(form.get("code_verifier", "")), challenge):
            raise OAuthError("invalid_grant", "invalid code verifier")
        if not challenge and "client_secret" not in form:
            raise OAuthError("invalid_client", "invalid client credentials")
        scope = code["scope"]
        refresh = bool({"refresh_token", "offline_access"} & set(scope.split()))
        return self._tokens(self._user(code["username"]), app, scope, refresh=refresh)

    def _refresh(self, form: Form) -> dict[str, Any]:
        app = self._client(form, secret_required=False)
        old = form.get("refresh_token", "")
        grant = self.org.refresh_tokens.get(old)
        if grant is None or grant.consumer_key != app.consumer_key:
            raise OAuthError("invalid_grant", "expired access/refresh token")
        user = self._user(self.org.user_by_id(grant.user_id).username)
        if app.rotate_refresh_tokens:
            del self.org.refresh_tokens[old]
        return self._tokens(user, app, grant.scope, refresh=app.rotate_refresh_tokens)

    def _password(self, form: Form) -> dict[str, Any]:
        app = self._client(form, secret_required=True)
        user = self.org.users.get(form.get("username", ""))
        given = form.get("password", "")
        if user is None or not valid_password(user, given):
            raise OAuthError("invalid_grant", "authentication failure")
        return self._tokens(self._user(user.username), app, "api", refresh=False)

    def _client_credentials(self, form: Form) -> dict[str, Any]:
        app = self._client(form, secret_required=True)
        if app.run_as is None:
            raise OAuthError("invalid_grant", "no client credentials user enabled")
        return self._tokens(self._user(app.run_as), app, "api", refresh=False)

    # --- authorize, revoke, identity ----------------------------------------------------------------------------------

    def authorize(self, query: Form) -> str:
        """The address that the browser is sent back to, with a code. The sandbox's user always consents, unless the query
        holds `sandbox_deny`. OAuthError when the client or its address is unknown."""
        app = self.org.apps.get(query.get("client_id", ""))
        if app is None:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        redirect_uri = query.get("redirect_uri", "")
        if redirect_uri not in app.callback_urls:
            raise OAuthError("redirect_uri_mismatch", "redirect_uri must match configuration")
        if query.get("response_type") != "code":
            raise OAuthError("unsupported_response_type", "response type not supported")
        state = f"&state={query['state']}" if "state" in query else ""
        if "sandbox_deny" in query:
            return f"{redirect_uri}?error=access_denied&error_description=end-user+denied+authorization{state}"
        code = secrets.token_urlsafe(24)
        with self.org.lock:
            self.org.codes[code] = {
                "client_id": app.consumer_key,
                "redirect_uri": redirect_uri,
                "code_challenge": query.get("code_challenge", ""),
                "scope": query.get("scope", "api refresh_token"),
                "username": self.org.main_user.username,
                "expires_at": self.org.clock.now() + CODE_LIFE,
            }
        return f"{redirect_uri}?code={code}{state}"

    def revoke(self, token: str) -> None:
        with self.org.lock:
            found = self.org.sessions.pop(token, None) or self.org.refresh_tokens.pop(token, None)
        if found is None:
            raise OAuthError("invalid_token", "invalid token")

    def identity(self, session: Session) -> dict[str, Any]:
        """The body of userinfo and of /id/{org}/{user}."""
        user, url = self.org.user_by_id(session.user_id), self.org.instance_url
        identity_url = f"{url}/id/{ORG_ID}/{user.id}"
        return {
            "sub": identity_url,
            "id": identity_url,
            "user_id": user.id,
            "organization_id": ORG_ID,
            "preferred_username": user.username,
            "username": user.username,
            "nickname": user.first_name,
            "name": f"{user.first_name} {user.last_name}",
            "email": user.email,
            "active": user.active,
            "user_type": "STANDARD",
            "zoneinfo": user.timezone,
            "urls": {
                "rest": f"{url}/services/data/v{{version}}/",
                "sobjects": f"{url}/services/data/v{{version}}/sobjects/",
                "query": f"{url}/services/data/v{{version}}/query/",
                "partner": f"{url}/services/Soap/u/{{version}}/{ORG_ID}",
            },
            "updated_at": stamp(self.org.clock.now()),
        }

    # --- shared -------------------------------------------------------------------------------------------------------

    def _client(self, form: Form, *, secret_required: bool) -> ConnectedApp:
        app = self.org.apps.get(form.get("client_id", ""))
        if app is None:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        given = form.get("client_secret")
        if (secret_required or given is not None) and not hmac.compare_digest(given or "", app.consumer_secret):
            raise OAuthError("invalid_client", "invalid client credentials")
        return app

    def _user(self, username: str) -> User:
        user = self.org.users.get(username)
        if user is None:
            raise OAuthError("invalid_grant", "user hasn't approved this consumer")
        if not user.active:
            raise OAuthError("invalid_grant", "inactive user")
        if user.frozen_out:
            raise OAuthError("invalid_grant", "org locked")
        if self.org.options.ip_restricted:
            raise OAuthError("invalid_grant", "ip restricted")
        if not count_login(self.org, user):
            raise OAuthError("invalid_grant", "login rate exceeded")
        return user

    def _tokens(self, user: User, app: ConnectedApp, scope: str, *, refresh: bool) -> dict[str, Any]:
        session = self.org.open_session(user, app, scope)
        identity = f"{self.org.instance_url}/id/{ORG_ID}/{user.id}"
        issued_at = str(int(self.org.clock.now().timestamp() * 1000))
        digest = hmac.new(app.consumer_secret.encode(), (identity + issued_at).encode(), hashlib.sha256).digest()
        answer = {
            "access_token": session.token,
            "instance_url": self.org.instance_url,
            "id": identity,
            "token_type": "Bearer",
            "issued_at": issued_at,
            "signature": base64.b64encode(digest).decode(),
            "scope": scope,
        }
        if refresh:
            answer["refresh_token"] = f"5Aep861{secrets.token_urlsafe(48)}"
            self.org.refresh_tokens[answer["refresh_token"]] = session
        return answer


def public_key(pem: bytes) -> Any:
    """The key of a PEM certificate or PEM public key. ValueError when it is neither."""
    if b"BEGIN CERTIFICATE" in pem:
        return x509.load_pem_x509_certificate(pem).public_key()
    return serialization.load_pem_public_key(pem)


def pkce_challenge(verifier: str) -> str:
    """The S256 challenge of a verifier (RFC 7636)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def valid_password(user: User, given: str) -> bool:
    """Passwords come with the security token joined on; without it only from trusted networks, which this is not."""
    return hmac.compare_digest(given.encode(), (user.password + user.security_token).encode())


def count_login(org: Org, user: User) -> bool:
    """Count one login in the user's last hour; False when the rate is used up."""
    hour_ago = org.clock.now() - timedelta(hours=1)
    recent = [at for at in org.logins.get(user.username, []) if at > hour_ago]
    if len(recent) >= org.options.logins_per_hour:
        return False
    org.logins[user.username] = [*recent, org.clock.now()]
    return True
