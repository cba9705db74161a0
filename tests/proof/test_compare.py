"""The program that compares finds what it is there to find."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.proof.compare import differences

HEAD = "key.id,step,outcome\n"
GOOD = "1,up,applied\n2,up,applied\n3,shape,parked\n"
SAID = [
    (GOOD, [1, 2], [1, 2], []),
    (GOOD, [1, 2], [1, 2, 2], ["up had 2 effects of 2", "up has 1 of 2, counted 2 effects, receipts tell 1"]),
    (GOOD, [1], [1], ["up has 0 of 2, counted 0 effects, receipts tell 1"]),
    (GOOD + "2,up,applied\n", [1, 2], [1, 2], ["up has 1 of 2, counted 1 effects, receipts tell 2"]),
    (
        "1,up,applied\n2,up,applied\n",
        [1, 2],
        [1, 2],
        ["3 is lost: receipts know it of no target, and nothing says why"],
    ),
    (GOOD + "4,shape,parked\n", [1, 2], [1, 2], ["4 is left out, and there are receipts of it"]),
    (GOOD + "9,shape,parked\n", [1, 2], [1, 2], ["receipts know 9, the source does not"]),
]


@pytest.mark.parametrize(("receipts", "state", "effects", "said"), SAID)
def test_a_planted_difference_is_said(
    tmp_path: Path, receipts: str, state: list[int], effects: list[int], said: list[str]
) -> None:
    (tmp_path / "r.csv").write_text(HEAD + receipts)
    database = sqlite3.connect(tmp_path / "d.db")
    for name, keys in {"source": [1, 2, 3, 4], "state": state, "effects": effects}.items():
        database.execute(f"CREATE TABLE {name} (id)")
        database.executemany(f"INSERT INTO {name} VALUES (?)", [(key,) for key in keys])
    database.commit()
    database.close()
    url = f"sqlite:///{tmp_path / 'd.db'}"
    case: dict[str, Any] = {
        "receipts": [str(tmp_path / "r.csv")],
        "key": "key.id",
        "source": {"url": url, "all": "SELECT id FROM source", "left_out": "SELECT id FROM source WHERE id = 4"},
        "targets": {"up": {"url": url, "state": "SELECT id FROM state", "effects": "SELECT id FROM effects"}},
    }
    assert list(differences(case)) == said
