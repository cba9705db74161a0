"""JSON bytes that are signed: one canonical writer, one strict reader.

Both know nothing of what the JSON means. The writer gives the same bytes for the same value on every machine; the
reader refuses whatever two readers could understand differently, and whatever costs more than its length.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from dative.errors.bundle import MALFORMED, TOO_LARGE, BundleRefused

JSON = dict[str, "JSON"] | list["JSON"] | tuple["JSON", ...] | str | int | bool | None

DEPTH_MAX = 32
INTEGER_MAX = 2**63 - 1
_INTEGER_DIGITS_MAX = 20

_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_STRING = re.compile(rb'"[^"]*"?')
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_NOT_STRUCTURE = bytes(byte for byte in range(256) if byte not in b'[]{}"')


def canonical_json(value: JSON) -> bytes:
    """The one byte form of `value`: keys sorted by code point, no spaces, UTF-8.

    RFC 8785 without its floats: integers of -2^63..2^63-1, strings, booleans, null, lists, objects with string keys.
    Errors: bundle.malformed for anything else (a float, a lone surrogate, a key that is no string, too deep).
    """
    _check(value, DEPTH_MAX)
    return encode_checked(value)


def encode_checked(value: JSON) -> bytes:
    """`canonical_json` of a value whose types are known to be right, as a typed model's are: half the time."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    except UnicodeEncodeError as lone:
        raise BundleRefused("a text holds half a surrogate pair, which has no bytes; replace that character") from lone


def parse_strict(data: bytes, *, bytes_max: int, depth_max: int = DEPTH_MAX) -> JSON:
    """The JSON value in `data`, read strictly: no duplicate keys, no floats, no NaN, no integer beyond 64 bits.

    bytes_max, depth_max: checked before anything is parsed.
    Errors: bundle.too_large; bundle.malformed.
    """
    check_limits(data, bytes_max=bytes_max, depth_max=depth_max)
    try:
        value: JSON = _DECODER.decode(data.decode())
        if _SURROGATE_ESCAPE.search(data):
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as broken:
        # ValueError covers bytes that are not UTF-8, JSON that is none, and what the hooks below refuse.
        raise BundleRefused(f"not strict JSON: {_reason(broken)}", code=MALFORMED) from broken
    return value


def check_limits(data: bytes, *, bytes_max: int, depth_max: int = DEPTH_MAX) -> None:
    """Length and depth, before any parser sees `data`. Errors: bundle.too_large, bundle.malformed."""
    if len(data) > bytes_max:
        raise BundleRefused(f"{len(data)} bytes of JSON, {bytes_max} are allowed", code=TOO_LARGE)
    _check_depth(data, depth_max)


def _check(value: JSON, depth_left: int) -> None:
    # The exact types: a subclass (an enum, a numpy integer) could print as something else than it compares.
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return
    if depth_left == 0:
        raise BundleRefused(f"nested deeper than {DEPTH_MAX}")
    if kind is int:
        if not -INTEGER_MAX - 1 <= value <= INTEGER_MAX:  # type: ignore[operator]
            raise BundleRefused("an integer does not fit in 64 bits")
    elif kind is dict:
        for key, item in value.items():  # type: ignore[union-attr]
            if type(key) is not str:
                raise BundleRefused(f"a key is a {type(key).__name__}; only strings can be keys")
            _check(item, depth_left - 1)
    elif kind is list or kind is tuple:
        for item in value:  # type: ignore[union-attr]
            _check(item, depth_left - 1)
    else:
        raise BundleRefused(f"a {kind.__name__} has no canonical form; write decimals and dates as text")


def _check_depth(data: bytes, depth_max: int) -> None:
    # json recurses once a level, so the nesting is counted on the bytes first. Escapes go, then everything but
    # brackets and quotes, then what stands between quotes: what is left is the structure.
    if b"\\" in data:
        data = _ESCAPE.sub(b"", data)
    structure = data.translate(None, _NOT_STRUCTURE)
    depth = 0
    for byte in _STRING.sub(b"", structure):
        depth += 1 if byte in b"[{" else -1
        if depth > depth_max:
            raise BundleRefused(f"JSON nested deeper than {depth_max}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _integer(text: str) -> int:
    if len(text) > _INTEGER_DIGITS_MAX or not -INTEGER_MAX - 1 <= int(text) <= INTEGER_MAX:
        raise ValueError("an integer does not fit in 64 bits")
    return int(text)


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"a number that is no integer: {text[:_INTEGER_DIGITS_MAX]}")


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    if isinstance(error, UnicodeError):
        return f"not UTF-8: {error.reason}" if isinstance(error, UnicodeDecodeError) else "half a surrogate pair"
    return str(error)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_no_float, parse_constant=_no_float
)
