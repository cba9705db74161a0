"""What is old goes, once in a while, in transactions of their own."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from dative.clock import Clock
from sqlalchemy import Connection

from dative_controller.config import RetentionConfig
from dative_controller.store import access, changes, commands, dead_letters, reports, traces, tracking
from dative_controller.store.database import Database, StoreError
from dative_controller.telemetry.log import log

EVERY_S = 600.0
CHANGES_KEPT = timedelta(days=1)
ANSWERS_KEPT = timedelta(days=2)
"""A request id repeated later than this is done again; nobody retries for days."""


def forget(sql: Connection, config: RetentionConfig, now: datetime) -> None:
    """Everything older than it is kept for."""

    def before_ms(age: timedelta) -> int:
        return int((now - age).timestamp() * 1000)

    traces.forget(sql, before_ns=before_ms(config.spans) * 1_000_000, rows_max=config.spans_rows_max)
    tracking.forget(sql, before_ms(config.documents))
    reports.forget(sql, executions_before_ms=before_ms(config.executions))
    dead_letters.forget(sql, expired_before_ms=before_ms(config.executions))
    changes.forget(sql, changes_before_ms=before_ms(CHANGES_KEPT), answers_before_ms=before_ms(ANSWERS_KEPT))
    commands.forget(sql, before_ms(CHANGES_KEPT))
    access.forget_tokens(sql, before_ms(timedelta()))


async def forget_forever(database: Database, config: RetentionConfig, clock: Clock) -> None:
    while True:
        try:
            await database.write(lambda sql: forget(sql, config, clock.now()))
        except StoreError as failed:
            log.warning("retention.failed", error=str(failed))
        await asyncio.sleep(EVERY_S)
