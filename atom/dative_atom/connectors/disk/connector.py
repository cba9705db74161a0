"""The disk connector: what `registry.py` names."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from dative.clock import Clock
from dative.errors.base import DativeError

from dative_atom.connectors.base import (
    Checked,
    ConnectionConfig,
    Operation,
    Previewer,
    Reader,
    RunContext,
    Writer,
)
from dative_atom.connectors.disk.paths import checked_root
from dative_atom.connectors.disk.preview import DiskPreviewer
from dative_atom.connectors.disk.read import DiskReader
from dative_atom.connectors.disk.spec import DiskSettings, ReadOptions, WriteOptions
from dative_atom.connectors.disk.write import DiskWriter
from dative_atom.connectors.spec import parsed


class DiskConnector:
    """One folder of this machine."""

    def __init__(self, connection: ConnectionConfig) -> None:
        self._settings = parsed(DiskSettings, connection.settings, f"connection {connection.name}")

    def reader(self, operation: Operation, context: RunContext) -> Reader:
        options = parsed(ReadOptions, operation.options, f"step {operation.step}")
        return DiskReader(checked_root(self._settings.root), options, context)

    def writer(self, operation: Operation, context: RunContext, documents: pa.Schema) -> Writer:  # noqa: ARG002
        options = parsed(WriteOptions, operation.options, f"step {operation.step}")
        return DiskWriter(checked_root(self._settings.root), options)

    def previewer(self, operation: Operation, context: RunContext, documents: pa.Schema) -> Previewer:  # noqa: ARG002
        options = parsed(WriteOptions, operation.options, f"step {operation.step}")
        return DiskPreviewer(checked_root(self._settings.root), options, context)

    def check(self, clock: Clock) -> Iterator[Checked]:  # noqa: ARG002 - nothing to wait for
        try:
            yield Checked("read", True, str(checked_root(self._settings.root)))
        except DativeError as error:
            yield Checked("read", False, f"{error} {error.next}")

    def close(self) -> None:
        """Nothing is kept open."""
