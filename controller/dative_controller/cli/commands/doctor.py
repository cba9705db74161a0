"""`dative doctor`: everything between this command and its controller, one check a line, with what helps."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import UTC, datetime

from dative_controller.cli.app import App, command
from dative_controller.cli.output import Column

SKEW_S_MAX = 30.0
TIMEOUT_S = 5.0

Check = Callable[[App], str]
"""Returns what was seen; raises a coded error, or OSError, when it does not hold."""


@command("doctor")
def doctor(app: App) -> None:
    """Check connection, TLS, clock, session, versions, trust and keys. Exit code 6 when something does not hold."""
    from dative.errors import DativeError
    from dative.errors.cli import CHECKS_FAILED, CliError

    items: list[dict[str, object]] = []
    for name, check in CHECKS.items():
        try:
            items.append({"name": name, "passed": True, "detail": check(app), "next": ""})
        except DativeError as failed:
            items.append({"name": name, "passed": False, "detail": failed.message, "next": failed.next})
        except OSError as failed:
            what = failed.strerror or type(failed).__name__
            items.append({"name": name, "passed": False, "detail": what, "next": "Check address, firewall and proxy."})
        if name in FIRST and not items[-1]["passed"]:
            break  # what follows would fail for the same reason and hide it
    columns: list[Column] = [("", lambda item: "✔" if item["passed"] else "✖"), ("check", "name"), ("detail", "detail")]
    app.out.items("Check", items, columns)
    failed_ones = [item for item in items if not item["passed"]]
    if failed_ones:
        first = failed_ones[0]
        raise CliError(f"{first['name']}: {first['detail']}", code=CHECKS_FAILED, next=str(first["next"]))


def _context(app: App) -> str:
    return f"{app.context.name}: {app.context.server}"


def _reachable(app: App) -> str:
    host, _, port = app.context.server.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as opened:
        return f"tcp to {opened.getpeername()[0]}:{port}"


def _tls(app: App) -> str:
    import ssl

    from cryptography import x509
    from dative.errors.cli import CA_PIN_MISMATCH, CA_UNKNOWN, CliError

    host, _, port = app.context.server.rpartition(":")
    if not app.context.ca:
        raise CliError("no certificate authority is stored", code=CA_UNKNOWN)
    context = ssl.create_default_context(cadata=app.context.ca)
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            certificate = x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")
            protocol, version = secured.selected_alpn_protocol(), secured.version()
    except ssl.SSLCertVerificationError as refused:
        raise CliError(f"{refused.verify_message}", code=CA_PIN_MISMATCH) from refused
    until = certificate.not_valid_after_utc.date().isoformat()
    return f"{version}, {'http/2' if protocol == 'h2' else 'no http/2'}, certificate until {until}"


def _clock(app: App) -> str:
    """Against the moment at which the controller issued the session's token, which is as good as the last login."""
    from dative.errors.cli import CHECKS_FAILED, CliError
    from dative.v1.control_pb2 import WhoAmIRequest, WhoAmIResponse

    app.session_of(app.context.name).access_token(app.client, renew=True)
    app.client.read("AccessService/WhoAmI", WhoAmIRequest(), WhoAmIResponse, timeout_s=TIMEOUT_S)
    tokens = app.session_of(app.context.name).stored()
    issued = _issued_at(tokens.access) if tokens else None
    if issued is None:
        return "the token does not say when it was issued"
    skew = (app.clock.now() - issued).total_seconds()
    if abs(skew) > SKEW_S_MAX:
        raise CliError(
            f"this machine's clock is {skew:+.0f} s off the controller's",
            code=CHECKS_FAILED,
            next="Set the clock (NTP).",
        )
    return f"{skew:+.1f} s against the controller"


def _issued_at(token: str) -> datetime | None:
    """`iat` of a JWT, read without belief: it only serves a comparison of clocks."""
    import base64
    import json

    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        body = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(float(body["iat"]), UTC)
    except (ValueError, KeyError, TypeError):
        return None


def _session(app: App) -> str:
    from dative.v1.control_pb2 import WhoAmIRequest, WhoAmIResponse

    answer = app.client.read("AccessService/WhoAmI", WhoAmIRequest(), WhoAmIResponse, timeout_s=TIMEOUT_S)
    return f"{answer.subject}: {', '.join(answer.roles) or 'no roles'}"


def _versions(app: App) -> str:
    from dative import __version__
    from dative.v1.control_pb2 import WhoAmIRequest, WhoAmIResponse

    answer = app.client.read("AccessService/WhoAmI", WhoAmIRequest(), WhoAmIResponse, timeout_s=TIMEOUT_S)
    return f"this command {__version__}, controller {answer.controller_version}"


def _trust(app: App) -> str:
    from dative.errors.trust import EXPIRED, TrustRefused

    from dative_controller.cli import trusted

    document = trusted.accepted(app)
    if document.expires_at <= app.clock.now():
        raise TrustRefused(f"version {document.version} expired at {document.expires_at.isoformat()}", code=EXPIRED)
    return f"version {document.version}, until {document.expires_at.date().isoformat()}"


def _keys(app: App) -> str:
    from dative_controller.cli import trusted

    key = trusted.release_key(app, trusted.accepted(app))
    here = [name for name in ("root.pem", "release.pem", "recovery.key") if app.keys.ring.get(name)]
    return f"release {key.keyid[:12]}; here: {', '.join(here)}"


CHECKS: dict[str, Check] = {
    "context": _context,
    "reachable": _reachable,
    "tls": _tls,
    "session": _session,
    "clock": _clock,
    "versions": _versions,
    "trust": _trust,
    "keys": _keys,
}
FIRST = ("context", "reachable", "tls", "session")
