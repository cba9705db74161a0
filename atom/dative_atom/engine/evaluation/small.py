"""A query over a small batch: one bound statement, which also answers what the next steps will ask.

Half of what a small batch costs is the call of a statement, whatever it computes. So the statement of a map computes with
it the conditions and masks of the steps that follow, and they find their answers in the session. An answer is for
documents by number and holds until the map is evaluated again; a step that gets others asks for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.evaluation.bound import BOUND_ERRORS, ROWS_MAX
from dative_atom.engine.evaluation.database import Session, one_batch, quoted
from dative_atom.engine.evaluation.picked import Picks

Columns = Sequence[tuple[str, str]]
"""Pairs of SQL over `b` and the name that it has in the result."""
_INNER: Final = "\x1f"
"""Begins the names of what a fused statement computes inside, beside the fields of documents."""


class Small:
    """One query's way for small batches."""

    def __init__(self, columns: Columns, picks: Picks) -> None:
        """columns: without DOCUMENT, which the result begins with."""
        self.columns = columns
        self._picks = picks
        self._plain = f"SELECT b.{quoted(DOCUMENT)}, {_listed(columns)} FROM batch b"
        self._fused: str | None = None
        self._followers: Sequence[Small] = ()

    def lead(self, followers: Sequence[Small], made: Columns) -> None:
        """Answer these too. made: what they read of the documents that come out of this query, SQL and field."""
        inner = [(sql, f"{_INNER}{name}") for sql, name in self.columns]
        own = [(f"b.{quoted(alias)}", name) for (_, alias), (_, name) in zip(inner, self.columns, strict=True)]
        theirs = [
            (sql, f"{_INNER}{index} {name}")
            for index, follower in enumerate(followers)
            for sql, name in follower.columns
        ]
        self._followers = followers
        self._fused = (
            f"SELECT b.{quoted(DOCUMENT)}, {_listed([*own, *theirs])}"
            f" FROM (SELECT b.{quoted(DOCUMENT)}, {_listed([*inner, *made])} FROM batch b) b"
        )

    def run(self, session: Session, batch: pa.RecordBatch) -> pa.RecordBatch | None:
        """The result over the batch; None where it takes the other way, which says why in the terms of the documents."""
        for follower in self._followers:
            session.answers.pop(follower, None)
        if not 0 < batch.num_rows <= ROWS_MAX:
            return None
        answer = session.answers.pop(self, None)
        known = _rows(answer, batch) if answer is not None else None
        return known if known is not None else self._computed(session, batch)

    def _computed(self, session: Session, batch: pa.RecordBatch) -> pa.RecordBatch | None:
        try:
            whole = self._picks.beside(batch, partial(_bound, session), rates=True)
            if whole is None:
                return None
            fused = session.bound(self._fused, whole.schema) if self._fused is not None else None
            statement = fused or session.bound(self._plain, whole.schema)
            result = one_batch(statement.run(whole)) if statement is not None else None
        except BOUND_ERRORS:
            return None
        return result if result is None or fused is None else self._kept(session, result)

    def _kept(self, session: Session, result: pa.RecordBatch) -> pa.RecordBatch:
        """Its own part of the result; the followers' parts are left in the session."""
        documents, at = result.column(0), 1 + len(self.columns)
        for follower in self._followers:
            columns = result.columns[at : at + len(follower.columns)]
            session.answers[follower] = _part(documents, columns, follower.columns)
            at += len(follower.columns)
        return _part(documents, result.columns[1 : 1 + len(self.columns)], self.columns)


def _bound(session: Session, sql: str, batch: pa.RecordBatch) -> pa.RecordBatch | None:
    statement = session.bound(sql, batch.schema)
    return one_batch(statement.run(batch)) if statement is not None else None


def _listed(columns: Columns) -> str:
    return ", ".join(f"{sql} AS {quoted(name)}" for sql, name in columns)


def _part(documents: pa.Array, columns: Sequence[pa.Array], names: Columns) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([documents, *columns], names=[DOCUMENT, *(name for _, name in names)])


def _rows(answer: pa.RecordBatch, batch: pa.RecordBatch) -> pa.RecordBatch | None:
    """The answer for the batch's documents; None where it does not know all of them."""
    documents = batch.column(DOCUMENT)
    if answer.column(0).equals(documents):
        return answer
    rows = pc.index_in(documents, value_set=answer.column(0))
    return None if rows.null_count else answer.take(rows)
