"""The main job through real processes: as the demo tells it, and with parts of the house killed in the middle of it."""

from __future__ import annotations

import csv
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from demo.house import House
from demo.story import PROCESS, Story

pytestmark = [pytest.mark.server, pytest.mark.end_to_end]
PATIENCE_S = 60.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """Poll another process until it is so: there is no event that crosses from it to here."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {PATIENCE_S:.0f} s: {what}")


def start(house: House) -> str:
    """Run the process and do not wait for it; returns the execution's id."""
    said = house.dative("process", "run", PROCESS, "--env", "dev", "-o", "json").json()
    return str(said.get("execution_id") or said["items"][0]["execution_id"])


def settled_batches(house: House) -> int:
    """What the atom's own journal says; read-only, so that the atom is not in the way of it."""
    with sqlite3.connect(f"file:{house.atom_directory() / 'journal.db'}?mode=ro", uri=True) as db:
        return int(db.execute("SELECT coalesce(max(next_batch), 0) FROM execution").fetchone()[0])


def ended(house: House, execution_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = {}

    def over() -> bool:
        said = house.dative("execution", "show", execution_id, "-o", "json", codes=(0, 1, 5, 7, 8))
        if said.exit_code in (5, 7):
            return False
        answer = said.json()
        shown.update(answer.get("execution", answer))
        return shown["state"] in ("succeeded", "partial", "failed", "cancelled")

    until(over, f"the end of {execution_id}")
    return shown


def assert_whole(house: House, story: Story, execution: dict[str, Any]) -> None:
    """Every customer of the seed is in the ERP once or is one of the letters that wait."""
    bad = len(story.facts["bad_ids"])
    good = story.facts["customers"] - bad
    counts = {name: int(value) for name, value in execution["counts"].items()}
    assert (counts["read"], counts["written"], counts["dead_lettered"]) == (good + bad, good, bad), execution
    assert house.sql("SELECT count(*), count(DISTINCT source_id) FROM customer") == [(good, good)]
    letters = {letter["keys"]["Id"] for letter in story.letters()}
    assert letters == set(story.facts["bad_ids"])


def assert_receipts(house: House, story: Story, execution_id: str) -> None:
    """The receipts, fetched through the controller, are the ERP's customers and the letters; a record is found by its key."""
    said = house.dative("execution", "receipts", execution_id, "--csv").out
    receipts = list(csv.DictReader(said.splitlines()))
    applied = Counter(one["key.Id"] for one in receipts if one["outcome"] in ("applied", "unchanged"))
    assert applied == Counter(row[0] for row in house.sql("SELECT source_id FROM customer"))
    assert {one["key.Id"] for one in receipts if one["outcome"] == "parked"} == set(story.facts["bad_ids"])
    bad = story.facts["bad_ids"][0]
    found = until(
        lambda: (told := house.dative("find", bad, "-o", "json", codes=(0, 5))).exit_code == 0 and told.json()["items"],
        "the record's way",
    )
    assert (found[0]["execution_id"], found[0]["outcome"]) == (execution_id, "dead_lettered")
    assert found[0]["next"] == f"dative dlq show {found[0]['dead_letter_id']}"


def test_the_demo_tells_the_truth(story: Story) -> None:
    for chapter in (story.deploy, story.first_run, story.edits, story.repair, story.trace, story.tamper):
        chapter()


def test_an_atom_killed_in_the_middle_of_a_run_ends_it_after_its_restart(story: Story) -> None:
    house = story.house
    story.deploy()
    execution_id = start(house)
    until(lambda: settled_batches(house) >= 1, "the first settled batch")
    house.kill("atom-hq-1")
    house.start_atom("hq-1")
    execution = ended(house, execution_id)
    assert execution["state"] == "partial"
    assert_whole(house, story, execution)
    assert_receipts(house, story, execution_id)


def test_a_controller_killed_in_the_middle_of_a_run_has_its_whole_report_and_trace_later(story: Story) -> None:
    house = story.house
    story.deploy()
    public, atoms = house.public, house.atom_address
    execution_id = start(house)
    until(lambda: settled_batches(house) >= 1, "the first settled batch")
    house.kill("controller")
    until(lambda: house.sql("SELECT count(*) FROM customer")[0][0] == 9_985, "the atom goes on alone")
    house.start_controller(public=public, atoms=atoms)
    execution = ended(house, execution_id)
    assert_whole(house, story, execution)
    said = until(
        lambda: (found := house.dative("trace", "show", execution_id, codes=(0, 5))).exit_code == 0 and found.out,
        "the trace",
    )
    assert "shape upsert" in said


def test_the_connected_apps_key_is_nowhere_in_the_clear(story: Story) -> None:
    """Planted where it belongs, then looked for in every file of controller, atom and command line."""
    story.deploy()
    story.first_run()
    house = story.house
    key = house.directory / "connected-app.key"
    canary = key.read_text().splitlines()[3].encode()
    for file in (path for path in house.directory.rglob("*") if path.is_file() and path != key):
        if "erp" not in file.relative_to(house.directory).parts:
            assert canary not in file.read_bytes(), file


def test_two_parts_of_the_house_leave_nothing_behind(story: Story, tmp_path: Path) -> None:
    """A clean stop: exit codes are 0 and the controller says so."""
    assert story.house.stop("atom-hq-1") == 0
    assert story.house.stop("controller") == 0
    assert "controller.stopped" in (tmp_path / "h" / "controller.log").read_text()
