"""What an environment may hold: names of the right form, references that parse, and nothing that looks like a secret."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from dative.errors import DativeError
from dative.errors import control as codes
from dative.errors.rpc import INVALID
from dative.secrets import SecretReference
from dative.v1 import control_pb2

NAME = re.compile(r"\A[a-z0-9][a-z0-9-]{0,62}\Z")
CONNECTION_NAME = re.compile(r"\A[a-z0-9][a-z0-9_-]{0,62}\Z")
OVERRIDE_NAME = re.compile(r"\A[a-z0-9][a-z0-9-]{0,62}\.[A-Za-z0-9_.-]{1,100}\Z")
SETTINGS_MAX = 100
ALLOWED = re.compile(r"\A(?:scripts|command:/[^\s/]+(?:/[^\s/]+)*)\Z")
ALLOWS_MAX = 50
VALUE_CHARS_MAX = 8192
_SECRET_NAME = re.compile(
    r"(?:\A|[_.-])(?:password|passwd|passphrase|pwd|secret|api_?key|private_?key|access_?key|credentials?"
    r"|(?:auth|access|refresh|bearer|security)_?token|token)\Z",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"  # PEM
    r"|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"  # JWT
    r"|\bAKIA[0-9A-Z]{16}\b"  # AWS access key
    r"|\b(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}"  # Stripe
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}|\bxox[abpr]-[A-Za-z0-9-]{10,}|\bSG\.[A-Za-z0-9_-]{16,}\."  # GitHub, Slack, SendGrid
    r"|(?i:\b(?:bearer|basic)\s+[A-Za-z0-9+/._=-]{16,})"
    r"|(?i:[?&;\s](?:password|pwd|secret|token|api_?key)=[^&;\s]+)"
)


def check_environment_name(name: str) -> None:
    if not NAME.match(name):
        raise DativeError(f"{name[:80]!r} is no name for an environment", code=codes.BAD_NAME)


def check_connections(connections: Iterable[control_pb2.Connection]) -> None:
    """Errors: control.bad_name, rpc.invalid_argument, environment.looks_secret, and those of SecretReference."""
    for connection in connections:
        if not CONNECTION_NAME.match(connection.name):
            raise DativeError(f"{connection.name[:80]!r} is no name for a connection", code=codes.BAD_NAME)
        if not CONNECTION_NAME.match(connection.connector):
            raise DativeError(f"connection {connection.name}: name its connector", code=INVALID)
        if len(connection.settings) + len(connection.secrets) > SETTINGS_MAX:
            raise DativeError(f"connection {connection.name} has over {SETTINGS_MAX} settings", code=INVALID)
        for setting, value in connection.settings.items():
            check_not_secret(f"{connection.name}.{setting}", setting, value)
        for reference in connection.secrets.values():
            SecretReference.parse(reference)


def check_overrides(overrides: Iterable[tuple[str, str]]) -> None:
    for name, value in overrides:
        if not OVERRIDE_NAME.match(name):
            raise DativeError(f"override {name[:80]!r} must be <process>.<parameter>", code=codes.BAD_NAME)
        check_not_secret(name, name.rpartition(".")[2], value)


def check_allows(words: Sequence[str]) -> None:
    """Errors: rpc.invalid_argument."""
    if len(words) > ALLOWS_MAX:
        raise DativeError(f"{len(words)} permissions at once, at most {ALLOWS_MAX}", code=INVALID)
    for word in words:
        known = ALLOWED.match(word) and len(word) <= VALUE_CHARS_MAX // ALLOWS_MAX
        if not known or posixpath.normpath(word.removeprefix("command:")) != word.removeprefix("command:"):
            raise DativeError(f'{word[:80]!r}: "scripts", or "command:" and an absolute path without ..', code=INVALID)


def check_not_secret(where: str, setting: str, value: str) -> None:
    """Invariant 6: what is stored in the clear must not be a secret. The value is never quoted back."""
    if len(value) > VALUE_CHARS_MAX:
        raise DativeError(f"{where} is longer than {VALUE_CHARS_MAX} characters", code=INVALID)
    if (_SECRET_NAME.search(setting) and value) or _SECRET_VALUE.search(value) or _has_password(value):
        raise DativeError(f"{where} looks like a secret", code=codes.LOOKS_SECRET, where=where)


def _has_password(value: str) -> bool:
    try:
        return "://" in value and bool(urlsplit(value).password)
    except ValueError:
        return False
