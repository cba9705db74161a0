"""Salesforce Ids: the 15-character form, its 18-character form with checksum, and a generator of new ones.

Source: the vendor's "ID field type" page; the vectors in the tests are published Ids.
"""

import itertools
import re
from collections.abc import Iterator

_CHECKSUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?\Z")


def checksum(id15: str) -> str:
    """The three characters that make a case-sensitive 15-character Id safe where case is lost."""
    suffix = ""
    for start in (0, 5, 10):
        bits = sum(1 << k for k, char in enumerate(id15[start : start + 5]) if "A" <= char <= "Z")
        suffix += _CHECKSUM[bits]
    return suffix


def to_id18(value: str) -> str | None:
    """The 18-character form of a 15- or 18-character Id; None when it is no Id.

    An 18-character Id is repaired from its checksum, so that any change of case is harmless, as the vendor does.
    """
    if not _ID.match(value):
        return None
    if len(value) == 15:
        return value + checksum(value)
    repaired = _with_case(value[:15], value[15:].upper())
    return None if repaired is None else repaired + value[15:].upper()


def _with_case(id15: str, suffix: str) -> str | None:
    chars: list[str] = []
    for group, symbol in enumerate(suffix):
        bits = _CHECKSUM.find(symbol)
        if bits < 0:
            return None
        for k, char in enumerate(id15[group * 5 : group * 5 + 5]):
            upper = bits >> k & 1
            if upper and not char.isalpha():
                return None
            chars.append(char.upper() if upper else char.lower())
    return "".join(chars)


class IdFactory:
    """New Ids, one counter a prefix, so that the same steps give the same Ids. Not thread safe: the org holds its lock."""

    def __init__(self) -> None:
        self._counters: dict[str, Iterator[int]] = {}

    def new(self, prefix: str) -> str:
        """The next 18-character Id of a three-character key prefix."""
        counter = self._counters.setdefault(prefix, itertools.count(1))
        id15 = f"{prefix}5f0{_base62(next(counter)):0>9}"
        return id15 + checksum(id15)


def _base62(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits
