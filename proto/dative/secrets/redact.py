"""Takes secrets out of text on its way to a log, span, error or crash report (Invariant 6).

The last line of defence: code that has a secret in hand does not print it. This catches the libraries that do.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from dative.errors.secrets import TOO_LARGE, SecretsRefused
from dative.secrets.secret import Secret

LENGTH_MIN = 6  # shorter values would blot out ordinary words
SECRETS_MAX = 4096
MARK = "[redacted]"
_LINE_LENGTH_MIN = 16


class Redactor:
    """Knows the secrets in use. Safe in threads: registering builds a new tuple, redacting reads one.

    Bound: SECRETS_MAX different secrets; the next one is refused (secrets.too_large), because a redactor that forgets is
    worse than a run that does not start.
    """

    def __init__(self) -> None:
        self._forms: tuple[str, ...] = ()
        self._count = 0
        self._lock = threading.Lock()

    def register(self, secret: Secret) -> None:
        """Redact `secret` from now on, plain and as encoded in base64, URLs, JSON and Python's repr.

        Values of fewer than LENGTH_MIN characters are passed over.
        """
        value = secret.reveal()
        if len(value) < LENGTH_MIN:
            return
        with self._lock:
            if value in self._forms:
                return
            if self._count >= SECRETS_MAX:
                raise SecretsRefused(f"more than {SECRETS_MAX} secrets in use", code=TOO_LARGE)
            self._count += 1
            # Longest first, so that a secret which holds another one goes as a whole.
            self._forms = tuple(sorted({*self._forms, *_forms(value)}, key=lambda form: (-len(form), form)))

    def redact(self, text: str) -> str:
        """`text` with each occurrence replaced by MARK."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, MARK)
        return text


def _forms(value: str) -> Iterator[str]:
    yield value
    lines = [line for line in value.splitlines() if len(line) >= _LINE_LENGTH_MIN and not line.startswith("-----")]
    for part in {value, *lines}:
        yield from (part, quote(part, safe=""), quote(part), quote_plus(part))
        yield from (json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1], repr(part)[1:-1])
        yield from _base64_forms(part.encode())


def _base64_forms(value: bytes) -> Iterator[str]:
    # Inside a longer text ("user:password" of HTTP's basic authentication) the value starts at any of three bit
    # positions; of each, only the characters that depend on the value alone are kept.
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + value).rstrip(b"=").decode()
        whole = encoded[(before * 8 + 5) // 6 : (before + len(value)) * 8 // 6]
        if len(whole) >= LENGTH_MIN:
            yield whole
            yield whole.translate(_URL_SAFE)


_URL_SAFE = str.maketrans("+/", "-_")
