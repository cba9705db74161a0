"""`Secret`: a text that only `reveal` gives out.

Invariant 6: whatever prints, formats, copies into a log or serialises finds a placeholder or an error here.
"""

from __future__ import annotations

import hmac
from typing import Any, NoReturn

PLACEHOLDER = "Secret(hidden)"


class Secret:
    """A secret value. Reveal it where it is used, as late as possible, and keep the text in no lasting variable."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        return self.__value

    def __repr__(self) -> str:
        return PLACEHOLDER

    def __format__(self, spec: str) -> str:
        return PLACEHOLDER

    def __bool__(self) -> bool:
        return bool(self.__value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__value.encode(), other.__value.encode())

    # Not hashable: a set or a dict of secrets would compare them byte by byte and keep them alive.
    __hash__ = None  # type: ignore[assignment]

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is never pickled; reveal it where it is used")
