"""Documents that steps make out of others: parts of a split, copies for the arms of a branch, what a combine joins.

Every derived document has a number of its own and its parents on record, so that the fate of a source document can be
told from the fates of all that was made of it (Invariant 2). Numbers are unique within a batch and stand above all
numbers of source documents. The record is Arrow columns; where nothing is derived, nothing is kept and nothing is paid.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

FIRST: Final = 1 << 63
"""Numbers from here on are derived documents'."""


@dataclass(frozen=True)
class Derivation:
    """One act of deriving, as pairs: child, parent. replaces: the parents themselves go no further."""

    children: pa.Array
    parents: pa.Array
    replaces: bool


@dataclass
class Lineage:
    """What was derived from what in one batch, in the order in which it happened. Threads of one batch may share it."""

    derivations: list[Derivation] = field(default_factory=list)
    count: int = 0
    guard: threading.Lock = field(default_factory=threading.Lock, compare=False)

    def fork(self) -> Lineage:
        """The same so far; what is derived from now on stays apart."""
        return Lineage(list(self.derivations), self.count)

    def derive(self, parents: pa.Array, *, replaces: bool = True) -> pa.Array:
        """Numbers for new documents, one for each parent given, in order: a parent may be given several times."""
        with self.guard:
            children = self._numbers(len(parents))
            self.derivations.append(Derivation(children, parents.cast(pa.uint64()), replaces))
        return children

    def join(self, groups: pa.Array, parents: pa.Array, count: int) -> pa.Array:
        """Numbers for `count` new documents that replace several each. groups: of each parent, the index of its child."""
        with self.guard:
            children = self._numbers(count)
            self.derivations.append(Derivation(children.take(groups), parents.cast(pa.uint64()), replaces=True))
        return children

    def _numbers(self, count: int) -> pa.Array:
        # Arrow counts in signed integers, and these numbers begin where those end.
        offsets = pa.arange(self.count, self.count + count).cast(pa.uint64())
        self.count += count
        return pc.add(offsets, pa.scalar(FIRST, pa.uint64()))

    def living(self, source: pa.Array) -> pa.Array:
        """The documents that must come to rest: those of the source and all derived ones, but for the replaced."""
        everyone = pa.concat_arrays([source, *(pc.unique(made.children) for made in self.derivations)])
        gone = [made.parents for made in self.derivations if made.replaces]
        if not gone:
            return everyone
        return everyone.filter(pc.invert(pc.is_in(everyone, value_set=pa.concat_arrays(gone))))

    def ancestry(self, among: pa.Array) -> tuple[pa.Array, pa.Array]:
        """(document, ancestor) pairs of every derived document that descends from any of `among`, itself excluded.

        A document stands once for each of its ancestors there.
        """
        found = Pairs.of(among, among)
        for made in self.derivations:
            found = found.with_more(made.children, found.ancestors_of(made.parents))
        derived = pc.greater_equal(found.documents, pa.scalar(FIRST, pa.uint64()))
        own = pc.equal(found.documents, found.ancestors)
        kept = pc.and_(derived, pc.invert(own))
        return found.documents.filter(kept), found.ancestors.filter(kept)


@dataclass(frozen=True)
class Pairs:
    """A relation of documents to their ancestors."""

    documents: pa.Array
    ancestors: pa.Array

    @classmethod
    def of(cls, documents: pa.Array, ancestors: pa.Array) -> Pairs:
        return cls(documents.cast(pa.uint64()), ancestors.cast(pa.uint64()))

    def ancestors_of(self, parents: pa.Array) -> pa.Table:
        """Columns place, ancestor: for every parent, by its place, each of its ancestors."""
        known = pa.table({"parent": self.documents, "ancestor": self.ancestors})
        asked = pa.table({"parent": parents, "place": pa.arange(0, len(parents))})
        return asked.join(known, "parent", join_type="inner").select(["place", "ancestor"])

    def with_more(self, children: pa.Array, found: pa.Table) -> Pairs:
        """This, and each child with the ancestors found for its place."""
        columns = found.combine_chunks()
        new = pa.table(
            {
                "document": children.take(_flat(columns.column("place"), pa.int64())),
                "ancestor": _flat(columns.column("ancestor"), pa.uint64()),
            }
        )
        unique = new.group_by(["document", "ancestor"]).aggregate([])
        return Pairs(
            pa.concat_arrays([self.documents, _flat(unique.column("document"), pa.uint64())]),
            pa.concat_arrays([self.ancestors, _flat(unique.column("ancestor"), pa.uint64())]),
        )


def _flat(column: pa.ChunkedArray, type_: pa.DataType) -> pa.Array:
    chunks: Sequence[pa.Array] = column.chunks
    return pa.concat_arrays(chunks) if chunks else pa.array([], type_)
