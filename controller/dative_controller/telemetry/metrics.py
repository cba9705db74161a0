"""Every counter of the controller, declared and explained in one place. Plain ints: added to on the event loop only."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Metrics:
    """Named <area>_<what>_<unit>[_total]; all start at zero with the process."""

    links_streams_opened_total: int = 0
    links_streams_fenced_total: int = 0
    links_heartbeats_total: int = 0
    links_sequence_gaps_total: int = 0
    links_pushes_total: int = 0
    ingest_records_total: int = 0
    ingest_records_duplicate_total: int = 0
    ingest_records_unreadable_total: int = 0
    ingest_commits_total: int = 0
    otel_batches_sent_total: int = 0
    otel_batches_dropped_total: int = 0
    spans_dropped_total: int = 0
    rpc_failures_total: int = 0

    def snapshot(self) -> dict[str, int]:
        return asdict(self)
