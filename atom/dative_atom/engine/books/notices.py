"""What `notify` tells people: events for the controller, bounded per execution, told when their batch settles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pyarrow as pa
from dative.ids import StepId
from dative.process.shapes.notify import NOTICES_MAX, TEXT_CHARACTERS_MAX, TITLE_CHARACTERS_MAX
from dative.v1 import telemetry_pb2, types_pb2

KIND: Final = "process.notified"
BOUND_KIND: Final = "process.notices_left_out"


@dataclass(frozen=True)
class Notices:
    """What one step tells about documents of one batch. rows: DOCUMENT, title, text."""

    step: StepId
    level: str
    rows: pa.RecordBatch


@dataclass(frozen=True)
class Teller:
    """Whose notices they are."""

    execution_id: str
    process: str
    environment_id: str

    def events(self, notices: Sequence[Notices], told: int, at: datetime) -> tuple[list[bytes], int]:
        """Serialized Events of a batch, and how many the execution has told then. told: before this batch.

        At NOTICES_MAX one more event says that further ones are left out; it is counted, so it is told once.
        """
        events: list[bytes] = []
        for notice in notices:
            for row in notice.rows.slice(0, max(NOTICES_MAX + 1 - told, 0)).to_pylist():
                if told == NOTICES_MAX:
                    events.append(self._left_out(at))
                else:
                    events.append(self._event(notice, row["title"] or "", row["text"] or "", at))
                told += 1
        return events, told

    def _event(self, notice: Notices, title: str, text: str, at: datetime) -> bytes:
        if len(text) > TEXT_CHARACTERS_MAX:
            cut = f"… (cut: it has {len(text):,} characters, {TEXT_CHARACTERS_MAX:,} are told at most)"
            text = text[: TEXT_CHARACTERS_MAX - len(cut)] + cut
        title = title if len(title) <= TITLE_CHARACTERS_MAX else title[: TITLE_CHARACTERS_MAX - 1] + "…"
        told = {"level": notice.level, "title": title, "text": text}
        return self._made(KIND, title, at, {**told, "step": notice.step})

    def _left_out(self, at: datetime) -> bytes:
        title = f"the execution has told {NOTICES_MAX:,} notices; further ones are left out"
        return self._made(BOUND_KIND, title, at, {"level": "warning", "title": title})

    def _made(self, kind: str, message: str, at: datetime, fields: dict[str, str]) -> bytes:
        about = {"execution_id": self.execution_id, "process": self.process, "environment_id": self.environment_id}
        event = telemetry_pb2.Event(
            kind=kind,
            status=types_pb2.Status(code=kind, message=message, where=fields.get("step", "")),
            occurred_at_ms=int(at.timestamp() * 1000),
            fields={**about, **fields},
        )
        return telemetry_pb2.Record(event=event).SerializeToString()
