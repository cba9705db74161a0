"""What a batch would do to a folder: it becomes a file of its own, so that every document is new there."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from dative_atom.connectors.base import Foresight, Preview, RunContext
from dative_atom.connectors.disk.paths import inside
from dative_atom.connectors.disk.spec import WriteOptions
from dative_atom.connectors.outcomes import RESULT_ID
from dative_atom.connectors.previews import all_of


class DiskPreviewer:
    """A `Previewer`. Makes neither a folder nor a file."""

    def __init__(self, root: Path, options: WriteOptions, context: RunContext) -> None:
        inside(root, options.path.replace("{execution}", context.execution_id).replace("{batch}", "0"))

    @property
    def result_fields(self) -> pa.Schema:
        return pa.schema([RESULT_ID])

    def preview(self, documents: pa.RecordBatch) -> Preview:
        return all_of(documents.num_rows, Foresight.CHANGE)

    def close(self) -> None:
        """Nothing is held."""
