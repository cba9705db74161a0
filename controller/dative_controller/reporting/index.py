"""The index over tracked keys: of a key's hash it says which parts can hold it; the part itself says whether it does.

A segment covers some parts. Its entries are (CRC-32 of a key, the part's distance from the segment's first part),
sorted, cut into pages by the hash's upper bits. A search reads one page a segment and opens the parts that it names. A
CRC is enough: an equal one of another key costs one part opened in vain, and it runs at C speed over a whole column.
Pure functions over bytes and Arrow; pyarrow is imported where it is needed, because a controller that tracks nothing
does without its memory.
"""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dative_controller.store.tracking import Page, Segment

if TYPE_CHECKING:
    import pyarrow as pa

KEY_COLUMNS = ("key.", "hash.")
KEY_CHARACTERS_MAX = 512
"""As atoms cut keys: `dative_atom.keys.TRACKED_CHARACTERS_MAX`."""
PAGE_ENTRIES = 4_096
"""About; a page is read whole, some 24 kB."""
_HASH_BYTES = 4
_HASHES = 1 << 32


def hash_of(key: bytes) -> int:
    return zlib.crc32(key)


def key_bytes(text: str) -> bytes:
    """A key as it is tracked and compared."""
    return text[:KEY_CHARACTERS_MAX].encode()


def build(
    segment_id: str, parts: Sequence[tuple[int, bytes]], page_entries: int = PAGE_ENTRIES
) -> tuple[Segment, list[int]]:
    """A segment over (number, Arrow IPC stream) of parts, numbers rising; and the numbers that can not be read."""
    import pyarrow as pa

    first, unreadable, hashes, ordinals = parts[0][0], [], array("I"), array("I")
    for number, body in parts:
        try:
            found = array("I", _hashes(body))
        except (pa.ArrowException, UnicodeError):
            unreadable.append(number)
            continue
        hashes.extend(found)
        ordinals.extend(array("I", [number - first]) * len(found))
    last = parts[-1][0]
    return _segment(segment_id, 0, first, last, _packed(hashes, ordinals), page_entries), unreadable


def merge(segment_id: str, segments: Sequence[Segment], page_entries: int = PAGE_ENTRIES) -> Segment:
    """One segment, a level higher, with the entries of several that have their pages."""
    first = min(segment.first_number for segment in segments)
    last = max(segment.last_number for segment in segments)
    hashes, ordinals = array("I"), array("I")
    for segment in segments:
        shift = segment.first_number - first
        for _, body in segment.pages:
            some, distances = _columns(body, segment.ordinal_bytes)
            hashes.extend(some)
            ordinals.extend(array("I", [distance + shift for distance in distances]) if shift else distances)
    return _segment(segment_id, segments[0].level + 1, first, last, _packed(hashes, ordinals), page_entries)


def numbers(page: Page, hash_: int) -> Iterator[int]:
    """Of the parts that can hold the hash."""
    hashes, ordinals = _columns(page.body, page.ordinal_bytes)
    for place in range(bisect_left(hashes, hash_), bisect_right(hashes, hash_)):
        yield page.first_number + ordinals[place]


def _hashes(body: bytes) -> Iterator[int]:
    """Of every key of a part, with those of other columns left alone: only the keys' are decompressed."""
    import pyarrow as pa

    schema = pa.ipc.open_stream(body).schema
    wanted = [index for index, name in enumerate(schema.names) if name.startswith(KEY_COLUMNS)]
    if not wanted:
        return
    options = pa.ipc.IpcReadOptions(included_fields=wanted)
    for batch in pa.ipc.open_stream(body, options=options):
        for column in batch.columns:
            yield from map(zlib.crc32, column.drop_null().cast(pa.binary()).to_pylist())


def _packed(hashes: array[int], ordinals: array[int]) -> pa.Array:
    """Entries in order, each once: the hash above, the ordinal below."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not hashes:
        return pa.array([], pa.uint64())
    high, low = (
        pa.Array.from_buffers(pa.uint32(), len(column), [None, pa.py_buffer(column)]).cast(pa.uint64())
        for column in (hashes, ordinals)
    )
    entries = pc.bit_wise_or(pc.shift_left(high, pa.scalar(32, pa.uint64())), low)
    entries = entries.take(pc.array_sort_indices(entries))
    differs = pc.not_equal(entries[1:], entries[:-1])
    return pa.concat_arrays([entries[:1], entries[1:].filter(differs)])


def _segment(segment_id: str, level: int, first: int, last: int, entries: pa.Array, page_entries: int) -> Segment:
    import pyarrow as pa
    import pyarrow.compute as pc

    stride = _HASHES
    while len(entries) * stride // _HASHES > page_entries:
        stride //= 2
    ordinal_type = pa.uint16() if last - first < 1 << 16 else pa.uint32()
    hashes = pc.shift_right(entries, pa.scalar(32, pa.uint64()))
    ordinals = pc.bit_wise_and(entries, pa.scalar(_HASHES - 1, pa.uint64())).cast(ordinal_type)
    runs = pc.run_end_encode(pc.divide(hashes, pa.scalar(stride, pa.uint64())))
    hashes = hashes.cast(pa.uint32())
    pages, start = [], 0
    for bucket, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        pages.append((bucket, _bytes(hashes, start, end) + _bytes(ordinals, start, end)))
        start = end
    width = ordinal_type.bit_width // 8
    return Segment(segment_id, level, stride, width, len(entries), first, last, pages)


def _bytes(column: pa.Array, start: int, end: int) -> bytes:
    width = column.type.bit_width // 8
    return bytes(memoryview(column.buffers()[1])[start * width : end * width])


def _columns(body: bytes, ordinal_bytes: int) -> tuple[array[int], array[int]]:
    """The hashes and the ordinals of a page."""
    count = len(body) // (_HASH_BYTES + ordinal_bytes)
    hashes, ordinals = array("I"), array("H" if ordinal_bytes == 2 else "I")
    hashes.frombytes(body[: count * _HASH_BYTES])
    ordinals.frombytes(body[count * _HASH_BYTES :])
    return hashes, ordinals if ordinal_bytes == _HASH_BYTES else array("I", ordinals)
