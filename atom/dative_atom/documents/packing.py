"""Values packed and unpacked: base64, hex, gzip, zlib, zip. Whatever unpacks is counted while it does.

A bomb ends at the first byte over the bound, with no more memory than that bound. Nothing that is said of a value holds
any of it.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import zipfile
import zlib
from dataclasses import dataclass
from typing import Final

from dative.errors import shapes as codes
from dative.errors.base import Code

RATIO_FREE_BYTES: Final = 1 << 20
"""Below this much no ratio is asked: a kilobyte of blanks packs a thousandfold and harms nobody."""
MEMBERS_MAX: Final = 1000
_ZIP_FILE: Final = "data"
_GZIP, _ZLIB = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS


class NotDone(Exception):
    """An operation can not be done with a value. code, reason: without any of it."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


@dataclass(frozen=True)
class Bounds:
    """bytes_max: of what is unpacked. ratio_max: how many times larger than packed, beyond RATIO_FREE_BYTES."""

    bytes_max: int
    ratio_max: int

    def most(self, packed: int) -> int:
        return min(self.bytes_max, max(RATIO_FREE_BYTES, packed * self.ratio_max))


def decoded(form: str, text: str) -> bytes:
    """Bytes of base64 (also without padding, also of the URL alphabet) or hex; line breaks and blanks mean nothing."""
    plain = "".join(text.split())
    try:
        if form == "hex":
            return bytes.fromhex(plain)
        plain = plain.translate(_URL).rstrip("=")
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotDone(codes.UNREADABLE, f"this is no {form}") from error


_URL: Final = str.maketrans("-_", "+/")


def encoded(form: str, value: bytes) -> str:
    return value.hex() if form == "hex" else base64.b64encode(value).decode()


def compressed(form: str, value: bytes) -> bytes:
    """The same bytes every time: no clock and no name of this machine goes in."""
    if form == "gzip":
        return gzip.compress(value, 6, mtime=0)
    if form == "zlib":
        return zlib.compress(value, 6)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(zipfile.ZipInfo(_ZIP_FILE, (1980, 1, 1, 0, 0, 0)), value, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def decompressed(form: str, bounds: Bounds, value: bytes) -> bytes:
    """Raises NotDone at the bounds and for what is no such thing."""
    if form == "zip":
        return _unzipped(value, bounds)
    return _inflated(value, _GZIP if form == "gzip" else _ZLIB, bounds, form)


def _inflated(value: bytes, window: int, bounds: Bounds, form: str) -> bytes:
    most, found, rest = bounds.most(len(value)), bytearray(), value
    try:
        # A gzip file may be several, one after the other.
        while rest:
            engine = zlib.decompressobj(window)
            found += engine.decompress(rest, most + 1 - len(found))
            if len(found) > most:
                raise _bomb(most)
            if not engine.eof:
                raise NotDone(codes.UNREADABLE, f"this {form} ends too early")
            rest = engine.unused_data if form == "gzip" else b""
    except zlib.error as error:
        raise NotDone(codes.UNREADABLE, f"this is no {form}") from error
    return bytes(found)


def _unzipped(value: bytes, bounds: Bounds) -> bytes:
    most = bounds.most(len(value))
    try:
        with zipfile.ZipFile(io.BytesIO(value)) as file:
            members = [member for member in file.infolist() if not member.is_dir()]
            if len(members) != 1:
                raise NotDone(codes.UNREADABLE, f"this zip holds {min(len(members), MEMBERS_MAX)} files and not one")
            if members[0].flag_bits & 0x1:
                raise NotDone(codes.UNREADABLE, "this zip is encrypted")
            # What the directory says of a size is anybody's word: the bytes that come are counted.
            with file.open(members[0]) as member:
                found = member.read(most + 1)
                if len(found) > most:
                    raise _bomb(most)
                return found
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, RuntimeError) as error:
        raise NotDone(codes.UNREADABLE, "this is no zip that can be read") from error


def _bomb(most: int) -> NotDone:
    return NotDone(codes.TOO_LARGE, f"unpacked it is more than the {most} bytes that it may become")
