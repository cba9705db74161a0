"""Dead letters that were parked together, as one record on the wire: put together at an atom, taken apart at a controller.

What they have in common is said once. Both ends live here, with the bounds that both hold (Invariant 7).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from dative.errors import DativeError
from dative.errors.rpc import INVALID
from dative.v1 import telemetry_pb2, types_pb2

LETTERS_MAX: Final = 500
BYTES_MAX: Final = 256 * 1024
"""Of the letters' own fields in one record, which must fit a message of 1 MiB; a single letter is sent however long."""
APART_BYTES_MAX: Final = 8 * 1024 * 1024
"""Of what a record becomes when it is taken apart: few bytes must not become many at whoever takes them in."""


def together(common: types_pb2.DeadLetter, letters: Sequence[types_pb2.DeadLetter]) -> Iterator[telemetry_pb2.Record]:
    """Records of these letters, in their order. letters: with the fields only that `common` does not have."""
    for start in range(0, len(letters), LETTERS_MAX):
        yield from _fitting(common, letters[start : start + LETTERS_MAX])


def _fitting(common: types_pb2.DeadLetter, letters: Sequence[types_pb2.DeadLetter]) -> Iterator[telemetry_pb2.Record]:
    made = telemetry_pb2.DeadLetters(common=common, letters=letters)
    base, size = common.ByteSize(), made.ByteSize()
    if len(letters) == 1 or (size - base <= BYTES_MAX and base * len(letters) <= APART_BYTES_MAX):
        yield telemetry_pb2.Record(dead_letters=made)
        return
    half = len(letters) // 2
    yield from _fitting(common, letters[:half])
    yield from _fitting(common, letters[half:])


def taken_apart(record: telemetry_pb2.DeadLetters) -> list[types_pb2.DeadLetter]:
    """The letters of a record, each whole. Errors: rpc.invalid for one that `together` would not have made."""
    base = record.common.ByteSize()
    if len(record.letters) > LETTERS_MAX or base * len(record.letters) > APART_BYTES_MAX:
        raise DativeError(
            f"{len(record.letters)} dead letters with {base} bytes in common are too many for one record", code=INVALID
        )
    letters = []
    for own in record.letters:
        letter = types_pb2.DeadLetter()
        letter.CopyFrom(record.common)
        letter.MergeFrom(own)
        letters.append(letter)
    return letters
