"""A whole house of real processes, told the demo's story up to a deployed process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from demo.house import House
from demo.story import Story


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    """Everything is up; nothing is deployed yet. A small directory name: a socket's path has 107 bytes at most."""
    house = House(tmp_path / "h", accounts=10_000)
    try:
        told = Story(house)
        told.build()
        yield told
    finally:
        house.close()
