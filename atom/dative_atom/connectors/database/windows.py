"""Places in time, and what the ledger remembers of a window: a version is a row's stamp and a digest of its content.

Pure but for the ledger. Stamps are the database's own text. The digest tells two versions of one stamp apart: a stamp of
whole seconds or days, or a transaction that stamped before another one and committed after it.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors.base import StopRun
from dative.errors.database import COLUMN_UNKNOWN

from dative_atom.connectors.base import Ledger

_SEPARATOR = "\x1f"


def before(text: str | None, seconds: float) -> str | None:
    """A stamp, that many seconds earlier; as it is for 0. StopRun for seconds of a field that holds no time."""
    if text is None or not seconds:
        return text
    try:
        return (datetime.fromisoformat(text) - timedelta(seconds=seconds)).isoformat(sep=text[10:11] or " ")
    except (ValueError, OverflowError) as error:
        raise StopRun("overlap needs a field of times; leave it out for numbers", code=COLUMN_UNKNOWN) from error


def earliest(*stamps: str | None) -> str | None:
    """The first of them, None left out."""
    return min((stamp for stamp in stamps if stamp is not None), key=rank, default=None)


def rank(stamp: str) -> str:
    """A text that sorts as the stamp does. Times without their offset: just before the same time with one."""
    try:
        number = Decimal(stamp)
    except InvalidOperation:
        return stamp[:26].partition("+")[0]
    if not number.is_finite():
        return stamp
    return f"{'-' if number < 0 else ''}{len(str(abs(int(number)))):04d}:{stamp}"


def fresh(
    batch: pa.RecordBatch, places: pa.RecordBatch, ledger: Ledger, following: str, *, again: bool
) -> pa.RecordBatch:
    """The batch without what was delivered before; what the next window shows again is remembered.

    places: stamp and key of each row as text, ordered by them. again: some of it may have been delivered.
    """
    stamps = places.column(0)
    keys = pc.binary_join_element_wise(*places.columns[1:], _SEPARATOR)
    first = _first_at(stamps, following)
    if not again and first == len(keys):
        return batch
    known = ledger.known(keys) if again else pa.nulls(len(keys), pa.string())
    rows = pc.indices_nonzero(pc.or_(pc.is_valid(known), pc.greater_equal(_numbers(len(keys)), first)))
    versions = _versions(batch.take(rows), stamps.take(rows))
    delivered = pc.fill_null(pc.equal(known.take(rows), versions), False)
    added = pc.and_(pc.invert(delivered), pc.greater_equal(rows, first))
    if pc.any(added).as_py():
        ledger.add(keys.take(rows).filter(added), versions.filter(added))
    return batch.filter(pc.invert(pc.is_in(_numbers(len(keys)), value_set=rows.filter(delivered))))


def _numbers(count: int) -> pa.Array:
    return pa.array(range(count), pa.uint64())


def _first_at(stamps: pa.Array, following: str) -> int:
    """The first row at or after that stamp, by halving: rows come in the order of their stamps."""
    low, high, sought = 0, len(stamps), rank(following)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if rank(stamps[middle].as_py()) < sought else (low, middle)
    return low


def _versions(batch: pa.RecordBatch, stamps: pa.Array) -> pa.Array:
    columns = [_bytes(column) for column in batch.columns]
    whole = pc.binary_join_element_wise(*columns, b"\x1f", null_handling="replace", null_replacement=b"\0")
    digests = [hashlib.blake2b(row, digest_size=8).hexdigest() for row in whole.to_pylist()]
    ranked = [f"{rank(stamp)}#{digest}" for stamp, digest in zip(stamps.to_pylist(), digests, strict=True)]
    return pa.array(ranked, pa.string())


def _bytes(column: pa.Array) -> pa.Array:
    if pa.types.is_binary(column.type):
        return column
    return column.cast(pa.string()).cast(pa.binary())
