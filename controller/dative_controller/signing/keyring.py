"""Where the command line keeps a context's keys and tokens: the system's keyring where one works, else 0600 files.

`DATIVE_KEYRING=file` forces files, as for a machine whose keyring needs a desktop to unlock it.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from dative.bundle.keys import SigningKey
from dative.errors.signing import KEY_EXISTS, KEY_MISSING, KEY_UNREADABLE, SigningError
from dative.secrets.seal import SealKey

from dative_controller.signing.files import read_key_file, write_key_file

SERVICE = "dative"
_NAME = re.compile(r"\A[a-z0-9][a-z0-9._-]{0,127}\Z")


class Keyring(Protocol):
    """Small pieces of bytes by name, for one context."""

    def get(self, name: str) -> bytes | None:
        """None when nothing of that name is there. Errors: signing.key_exposed, signing.key_unreadable."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Store, in place of what was there."""
        ...

    def delete(self, name: str) -> None:
        """Remove; gone already is fine."""
        ...


class FileKeyring:
    """One 0600 file a name, in the context's directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, name: str) -> bytes | None:
        try:
            return read_key_file(self._path(name))
        except SigningError as missing:
            if missing.code is KEY_MISSING:
                return None
            raise

    def put(self, name: str, data: bytes) -> None:
        write_key_file(self._path(name), data, replace=True)

    def delete(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._directory / _checked(name)


class SystemKeyring:
    """Entries of the operating system's keyring, base64 because some of them hold text only.

    backend: a `keyring.backend.KeyringBackend`.
    """

    def __init__(self, backend: Any, context: str) -> None:
        self._backend = backend
        self._context = _checked(context)

    def get(self, name: str) -> bytes | None:
        stored = self._backend.get_password(SERVICE, self._entry(name))
        if stored is None:
            return None
        try:
            return base64.b64decode(stored, validate=True)
        except binascii.Error as broken:
            raise SigningError(f"the keyring's {self._entry(name)} was changed", code=KEY_UNREADABLE) from broken

    def put(self, name: str, data: bytes) -> None:
        self._backend.set_password(SERVICE, self._entry(name), base64.b64encode(data).decode())

    def delete(self, name: str) -> None:
        if self._backend.get_password(SERVICE, self._entry(name)) is not None:
            self._backend.delete_password(SERVICE, self._entry(name))

    def _entry(self, name: str) -> str:
        return f"{self._context}/{_checked(name)}"


def working_backend() -> Any | None:
    """The operating system's keyring when one answers, else None."""
    # Imported here: looking for backends takes 100 ms and more, which `dative --help` must not pay.
    import keyring
    from keyring.errors import KeyringError

    backend = keyring.get_keyring()
    try:
        # Backends below priority 1 are placeholders (fail, null) or not safe enough to be chosen unasked.
        if backend.priority < 1:
            return None
        backend.get_password(SERVICE, "probe")
    except (KeyringError, RuntimeError, OSError):
        return None
    return backend


def open_keyring(
    directory: Path,
    context: str,
    environ: Mapping[str, str] = os.environ,
    backend: Callable[[], Any | None] = working_backend,
) -> Keyring:
    """The key store of a context. directory: where its files are, or would be.

    A context that has files keeps them, so that a keyring which comes up later does not hide its keys.
    """
    if environ.get("DATIVE_KEYRING") == "file" or (directory.is_dir() and any(directory.glob("*.pem"))):
        return FileKeyring(directory)
    found = backend()
    return FileKeyring(directory) if found is None else SystemKeyring(found, context)


class ContextKeys:
    """A context's keys by their purpose. Keys are made once and never overwritten."""

    def __init__(self, ring: Keyring) -> None:
        self.ring = ring

    def signing_key(self, role: Literal["root", "release"]) -> SigningKey:
        """Errors: signing.key_missing; trust.key_invalid."""
        return SigningKey.from_pem(self._require(f"{role}.pem"))

    def make_signing_key(self, role: Literal["root", "release"]) -> SigningKey:
        """Errors: signing.key_exists."""
        key = SigningKey.generate()
        self._add(f"{role}.pem", key.to_pem())
        return key

    def recovery_key(self) -> SealKey:
        """The key that opens every sealed set. Errors: signing.key_missing, secrets.malformed."""
        return SealKey.from_bytes(self._require("recovery.key"))

    def make_recovery_key(self) -> SealKey:
        """Errors: signing.key_exists."""
        key = SealKey.generate()
        self._add("recovery.key", key.to_bytes())
        return key

    def _require(self, name: str) -> bytes:
        data = self.ring.get(name)
        if data is None:
            raise SigningError(f"this context has no {name}", code=KEY_MISSING)
        return data

    def _add(self, name: str, data: bytes) -> None:
        if self.ring.get(name) is not None:
            raise SigningError(f"this context has a {name} already", code=KEY_EXISTS)
        self.ring.put(name, data)


def _checked(name: str) -> str:
    if _NAME.match(name) is None:
        raise SigningError(f"{name[:80]!r} is not a usable name for a key", code=KEY_UNREADABLE)
    return name
