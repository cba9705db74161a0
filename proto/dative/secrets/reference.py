"""Where a secret comes from: "sealed:erp.password", "env:ERP_PASSWORD", "file:/run/secrets/erp".

Resolved on the atom, when it is used. A reference is no secret: it may be shown, stored and signed.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dative.errors.secrets import BAD_REFERENCE, NOT_FOUND, TOO_LARGE, SecretsRefused
from dative.secrets.secret import Secret

FILE_BYTES_MAX = 64 << 10
NAME = re.compile(r"\A[a-z0-9][a-z0-9._-]{0,127}\Z")
_FORMS = {
    "sealed": NAME,
    "env": re.compile(r"\A[A-Za-z_][A-Za-z0-9_]{0,255}\Z"),
    "file": re.compile(r"\A/[^\0]{1,4095}\Z"),
}


@dataclass(frozen=True)
class SecretReference:
    """kind, and what names the secret there. Errors of `parse`: secrets.bad_reference."""

    kind: Literal["sealed", "env", "file"]
    name: str

    @classmethod
    def parse(cls, text: str) -> SecretReference:
        kind, _, name = text.partition(":")
        form = _FORMS.get(kind)
        if form is None or form.match(name) is None:
            # The text itself stays out of the message: people paste the secret where its reference belongs.
            raise SecretsRefused(
                f"a reference of {len(text)} characters is not sealed:, env: or file: with a name", code=BAD_REFERENCE
            )
        return cls(kind, name)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


def resolve(
    reference: SecretReference, sealed: Mapping[str, Secret], *, environ: Mapping[str, str] = os.environ
) -> Secret:
    """The secret. One newline at the end of a file is not part of it.

    sealed: what `open_set` gave. Errors: secrets.not_found, secrets.too_large (a file over 64 KiB).
    """
    if reference.kind == "file":
        return Secret(_read(reference))
    if reference.kind == "env":
        found = environ.get(reference.name)
        if found is None:
            raise _missing(reference)
        return Secret(found)
    secret = sealed.get(reference.name)
    if secret is None:
        raise _missing(reference)
    return secret


def _read(reference: SecretReference) -> str:
    try:
        with Path(reference.name).open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as unreadable:
        raise _missing(reference, type(unreadable).__name__) from unreadable
    if len(data) > FILE_BYTES_MAX:
        raise SecretsRefused(f"{reference} is over {FILE_BYTES_MAX} bytes", code=TOO_LARGE)
    with contextlib.suppress(UnicodeDecodeError):
        return data.decode().removesuffix("\n").removesuffix("\r")
    # Raised outside of the handler: a decoding error carries the bytes, and a crash report follows causes.
    raise _missing(reference, "not UTF-8")


def _missing(reference: SecretReference, why: str = "") -> SecretsRefused:
    return SecretsRefused(f"no secret at {reference}" + (f": {why}" if why else ""), code=NOT_FOUND)
