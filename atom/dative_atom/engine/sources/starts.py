"""Sources that no connector feeds: one empty document, or the documents of a caller."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa
from dative.errors import StopRun
from dative.errors import shapes as codes

from dative_atom.connectors.base import Position
from dative_atom.documents.batch import number_documents
from dative_atom.documents.profile import without_fields
from dative_atom.engine.books.ledger import Seen
from dative_atom.engine.sources.source import Piece

CALLER: Final = "(caller)"
"""The connection that gives a process its documents where no process called it: a test binds it. No environment can,
because it is no name."""


class NothingSource:
    """`source.Source` of one document without a field. It moves no position: every execution has its own."""

    def open(self) -> pa.Schema:
        return pa.schema([])

    def pieces(self, after: Position | None, first_document: int, rows_max: int) -> Iterator[Piece]:  # noqa: ARG002
        """after is not used: what has settled is told by the first document that has not."""
        if first_document == 0:
            yield Piece(number_documents(without_fields(1), 0), None, Seen())

    def settled(self, position: Position) -> None:
        """There is no position."""

    def close(self) -> None:
        """Nothing is held."""


class CallerSource:
    """`source.Source` of a process that only other processes start."""

    def __init__(self, process: str) -> None:
        self._process = process

    def open(self) -> pa.Schema:
        raise StopRun(f"process {self._process} was started by itself", code=codes.NOT_CALLED, where=self._process)

    def pieces(self, after: Position | None, first_document: int, rows_max: int) -> Iterator[Piece]:  # noqa: ARG002
        """Never reached: it can not be opened."""
        return iter(())

    def settled(self, position: Position) -> None:
        """There is no position."""

    def close(self) -> None:
        """Nothing is held."""
