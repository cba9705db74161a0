"""One mask over given columns, with a real database, journal and vault; and the environment's keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from dative.clock import ManualClock
from dative.process.shapes import MaskSettings, Step
from dative.secrets import MaskKeys
from dative_atom.documents.batch import DOCUMENT, number_documents
from dative_atom.engine.arrival import Arrival
from dative_atom.engine.books.vault import Vault
from dative_atom.engine.evaluation.database import Database
from dative_atom.engine.evaluation.lookup import Tables
from dative_atom.engine.plan import Context
from dative_atom.engine.routing import Flow
from dative_atom.engine.shapes.mask import compile_mask
from dative_atom.journal.sqlite import SqliteJournal
from dative_atom.telemetry.recorder import Recorder

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEYS = MaskKeys({1: b"\x11" * 32})


@dataclass
class Masking:
    """masks, tokens and the journal they end in. keys may be replaced, as a rotation does."""

    database: Database
    journal: SqliteJournal
    keys: MaskKeys = KEYS
    environment_id: str = "env-1"

    def apply(self, masks: dict[str, str], columns: pa.Table) -> pa.Table:
        """The columns after a mask step; columns that were dropped are gone."""
        batch = number_documents(columns.combine_chunks().to_batches()[0], 0)
        vault = Vault(self.journal, self.keys, self.environment_id)
        context = Context(
            process="sync", environment_id=self.environment_id, session=self.database.session(),
            tables=Tables(self.database, self.journal, frozenset()), parameters={}, properties={}, rates=None, unique={},
            mask_keys=self.keys,
            started_at=NOW, open_writer=lambda *_: pytest.fail("a mask writes nowhere"), keep_tokens=vault.keep,
            new_session=self.database.session,
        )  # fmt: skip
        step = Step(id="m", verb="mask", settings=MaskSettings(fields=masks))
        shape = compile_mask(Arrival(step, batch.schema, context, None, lambda *_: ([], None)))
        out = shape.apply(batch, Flow(0, batch, context.session, Recorder(), "q"))
        kept = [name for name in out.schema.names if name in columns.schema.names]
        assert out.column(DOCUMENT).equals(batch.column(DOCUMENT))
        return pa.Table.from_batches([out]).select(kept)

    def one(self, mask: str, values: pa.Array) -> list[object]:
        return self.apply({"value": mask}, pa.table({"value": values})).column("value").to_pylist()  # type: ignore[no-any-return]


@pytest.fixture
def masking(tmp_path: Path) -> Iterator[Masking]:
    database = Database(256 * 1024**2)
    journal = SqliteJournal(tmp_path / "journal.db", ManualClock(NOW))
    yield Masking(database, journal)
    journal.close()
    database.close()
