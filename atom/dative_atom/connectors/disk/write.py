"""Writes each batch as a file of its own, whole or not at all.

The file is written and flushed under a hidden name; renaming the batch's mark into place is the commit, because the mark
says under which name the file belongs. A crash between the two renames is finished by whoever looks next (Invariant 5).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from dative.errors.base import StopRun
from dative.errors.connector import BATCH_REPEATED, FENCED, Unavailable
from dative.errors.disk import FULL

from dative_atom.connectors.base import Mark, Outcomes, Ticket
from dative_atom.connectors.disk.lines import json_lines
from dative_atom.connectors.disk.paths import HIDDEN, inside
from dative_atom.connectors.disk.spec import WriteOptions
from dative_atom.connectors.disk.texts import as_text
from dative_atom.connectors.outcomes import RESULT_ID, Tally


class DiskWriter:
    """A transactional `Writer`."""

    transactional = True

    def __init__(self, root: Path, options: WriteOptions) -> None:
        self._root, self._options = root, options
        self._hidden = root / HIDDEN
        self._pending: Path | None = None
        with _coded("preparing the folder"):
            self._hidden.mkdir(exist_ok=True)

    @property
    def result_fields(self) -> pa.Schema:
        return pa.schema([RESULT_ID])

    def write(self, documents: pa.RecordBatch, ticket: Ticket) -> Outcomes:
        self.rollback()
        name = self._name(ticket)
        inside(self._root, name)
        # With the token: on two hosts that share the folder, processes of one number may write one batch.
        mine = f"{ticket.batch}-{ticket.fencing_token}-{os.getpid()}"
        pending = self._hidden / f"{_digest(ticket.stream)}-{mine}.pending"
        self._pending = pending
        with _coded(f"writing {name}"), pending.open("wb") as file:
            self._print(documents, file)
            file.flush()
            os.fsync(file.fileno())
        rows = pc.cast(pa.arange(1, documents.num_rows + 1), pa.string())
        ids = pc.binary_join_element_wise(f"{name}#", rows, "")
        return Tally(documents.num_rows).outcomes({RESULT_ID.name: ids})

    def commit(self, ticket: Ticket) -> None:
        if self._pending is None:
            raise StopRun("there is no written batch to commit", code=BATCH_REPEATED)
        with self._locked(ticket.stream):
            self._check_mark(ticket)
            mark = {
                "execution_id": ticket.execution_id,
                "batch": ticket.batch,
                "fencing_token": ticket.fencing_token,
                "position": dict(ticket.position),
                "pending": self._pending.name,
                "name": self._name(ticket),
            }
            with _coded("committing"):
                _write_whole(self._mark_path(ticket.stream), json.dumps(mark).encode())
                self._pending = None
                self._finish(mark)

    def rollback(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            with suppress(OSError):
                pending.unlink(missing_ok=True)

    def committed(self, stream: str) -> Mark | None:
        with self._locked(stream):
            mark = self._read_mark(stream)
            if mark is None:
                return None
            with _coded("finishing a commit"):
                self._finish(mark)
            return Mark(mark["execution_id"], int(mark["batch"]), int(mark["fencing_token"]))

    def close(self) -> None:
        self.rollback()

    # --- the file -----------------------------------------------------------------------------------------------------

    def _name(self, ticket: Ticket) -> str:
        # Replaced, not formatted: a path is no template language.
        name = self._options.path.replace("{execution}", ticket.execution_id)
        return name.replace("{batch}", str(ticket.batch))

    def _print(self, documents: pa.RecordBatch, file: Any) -> None:
        names = documents.schema.names
        if self._options.format == "csv":
            texts = pa.RecordBatch.from_arrays([as_text(column) for column in documents.columns], names)
            pacsv.write_csv(texts, file, pacsv.WriteOptions(delimiter=self._options.delimiter))
            return
        for lines in json_lines(documents):
            file.write(lines)

    def _finish(self, mark: dict[str, Any]) -> None:
        """Give the committed file its name, if that has not happened yet."""
        pending, final = self._hidden / mark["pending"], inside(self._root, mark["name"])
        if pending.exists():
            final.parent.mkdir(parents=True, exist_ok=True)
            pending.replace(final)
            _flush_folder(final.parent)

    # --- the mark -----------------------------------------------------------------------------------------------------

    def _mark_path(self, stream: str) -> Path:
        return self._hidden / f"{_digest(stream)}.mark"

    def _read_mark(self, stream: str) -> dict[str, Any] | None:
        try:
            return dict(json.loads(self._mark_path(stream).read_bytes()))
        except FileNotFoundError:
            return None

    def _check_mark(self, ticket: Ticket) -> None:
        mark = self._read_mark(ticket.stream)
        if mark is None:
            return
        if mark["fencing_token"] > ticket.fencing_token:
            # Invariant 4: whoever took the work over has written already.
            raise StopRun(f"the mark has fencing token {mark['fencing_token']}", code=FENCED)
        if mark["execution_id"] == ticket.execution_id and mark["batch"] >= ticket.batch:
            raise StopRun(f"batch {ticket.batch} is marked already", code=BATCH_REPEATED)

    @contextmanager
    def _locked(self, stream: str) -> Iterator[None]:
        with (self._hidden / f"{_digest(stream)}.lock").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _digest(stream: str) -> str:
    return hashlib.sha256(stream.encode()).hexdigest()[:32]


def _write_whole(path: Path, data: bytes) -> None:
    """Invariant 5: beside, flushed, renamed, and the folder flushed too."""
    beside = path.with_suffix(".new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _coded(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{doing} failed: {error.strerror or type(error).__name__}", code=FULL) from error
