"""What a source has already delivered in its overlap window: the journal's part and what is still under way.

Additions made while a batch is read belong to that batch and become valid when it settles. What is under way is bounded
by the batches between reader and settlement.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from dative_atom.journal.contract import Journal


@dataclass
class Seen:
    """The ledger's additions of one batch."""

    keys: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    forget_before: str | None = None

    def pairs(self) -> list[tuple[str, str]]:
        return list(zip(self.keys, self.versions, strict=True))


class JournalLedger:
    """`connectors.base.Ledger` over the journal."""

    def __init__(self, journal: Journal, stream: str) -> None:
        self._journal = journal
        self._stream = stream
        self._under_way: dict[str, str] = {}
        self._reading = Seen()
        self._guard = threading.Lock()

    def known(self, keys: pa.Array) -> pa.Array:
        asked = pc.unique(keys).drop_null().to_pylist()
        settled = self._journal.ledger(self._stream, asked)
        with self._guard:
            found = {**settled, **{key: self._under_way[key] for key in asked if key in self._under_way}}
        if not found:
            return pa.nulls(len(keys), pa.string())
        place = pc.index_in(keys, value_set=pa.array(list(found), pa.string()))
        return pa.array(list(found.values()), pa.string()).take(place)

    def add(self, keys: pa.Array, versions: pa.Array) -> None:
        added, of = keys.to_pylist(), versions.to_pylist()
        with self._guard:
            self._reading.keys.extend(added)
            self._reading.versions.extend(of)
            self._under_way.update(zip(added, of, strict=True))

    def forget_before(self, version: str) -> None:
        with self._guard:
            self._reading.forget_before = version

    def take(self) -> Seen:
        """What was added since the last batch: it belongs to the one that was read now."""
        with self._guard:
            seen, self._reading = self._reading, Seen()
        return seen

    def settled(self, seen: Seen) -> None:
        """The batch has settled: the journal knows these now."""
        with self._guard:
            for key, version in zip(seen.keys, seen.versions, strict=True):
                if self._under_way.get(key) == version:
                    del self._under_way[key]
