"""Key files: 0600, written whole, never overwritten by accident, not believed when others can read them."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from dative.bundle.blobs import write_whole
from dative.errors.signing import KEY_EXISTS, KEY_EXPOSED, KEY_MISSING, KEY_UNREADABLE, SigningError

_FILE_BYTES_MAX = 64 << 10


def read_key_file(path: Path) -> bytes:
    """Errors: signing.key_missing; signing.key_exposed when group or others have any access."""
    try:
        with path.open("rb") as file:
            # Of the open file, not of the path: nobody can swap it in between.
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
                raise SigningError(f"{path} can be read by others", code=KEY_EXPOSED, where=str(path))
            return file.read(_FILE_BYTES_MAX)
    except FileNotFoundError as gone:
        raise SigningError(f"there is no {path}", code=KEY_MISSING, where=str(path)) from gone


def write_key_file(path: Path, data: bytes, *, replace: bool = False) -> None:
    """0600 in a 0700 directory, whole or not at all (Invariant 5). Errors: signing.key_exists unless `replace`."""
    make_private(path.parent)
    if path.exists() and not replace:
        raise SigningError(f"{path} is there already", code=KEY_EXISTS, where=str(path))
    write_whole(path, data)


def make_private(directory: Path) -> None:
    """The directory, 0700 when it is made here; an existing one keeps its mode, the files carry their own."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)


def read_p256_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Errors: those of `read_key_file`; signing.key_unreadable when it holds no P-256 key."""
    try:
        key = serialization.load_pem_private_key(read_key_file(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as broken:
        raise SigningError(f"{path} holds no readable key", code=KEY_UNREADABLE, where=str(path)) from broken
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SigningError(f"{path} holds no P-256 key", code=KEY_UNREADABLE, where=str(path))
    return key


def p256_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS#8, not encrypted: the file's mode guards it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
