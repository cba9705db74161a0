"""The example process, and where the examples are."""

from __future__ import annotations

from pathlib import Path

import pytest

_EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def examples() -> Path:
    return _EXAMPLES


@pytest.fixture
def example() -> str:
    return (_EXAMPLES / "account-to-erp" / "process.yaml").read_text()
