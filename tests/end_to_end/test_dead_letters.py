"""Dead letters through real processes: edited after a dry run, retried at a rate while the atom is killed, given up."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from demo.house import House
from demo.story import Story

pytestmark = [pytest.mark.server, pytest.mark.end_to_end]
PATIENCE_S = 60.0
GOOD_DATE = "Customer_Since__c=02/28/2021"


def until(condition: Callable[[], Any], what: str) -> Any:
    """Poll another process until it is so: there is no event that crosses from it to here."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {PATIENCE_S:.0f} s: {what}")


def listed(house: House, *filters: str) -> list[dict[str, Any]]:
    said = house.dative("dlq", "list", "--env", "dev", "--state", "all", "-o", "json", *filters).json()
    return list(said["items"])


def test_a_person_works_through_the_letters_of_a_run_and_nothing_is_lost(story: Story) -> None:
    house = story.house
    story.deploy()
    story.first_run()
    letters = {one["dead_letter_id"]: one for one in listed(house)}
    assert len(letters) == 15
    dated = [one for one in letters.values() if one["code"] == "expression.date_unreadable"]
    chosen = dated[0]["dead_letter_id"]

    # Looked at: the document comes masked, and what is wrong with an edit is said before anything is stored.
    shown = house.dative("dlq", "show", chosen, "--payload", "-o", "json").json()
    assert all(shown["payload"][name] == "***" for name in shown["classified"])
    assert [event["kind"] for event in shown["history"]] == ["failed"]
    wrong = [(("Customer_Sinse__c=x",), "dead_letters.unknown_field"), (("Name:=7",), "dead_letters.wrong_type")]
    for fields, code in wrong:
        for more in ((), ("--dry-run",)):
            assert code in house.dative("dlq", "edit", chosen, *fields, *more, codes=(1,)).err
    for field, ends in ((GOOD_DATE, "written"), ("Customer_Since__c=soon", "dead_lettered")):
        outcome = house.dative("dlq", "edit", chosen, field, "--dry-run", "-o", "json").json()
        assert (outcome["ends"], bool(outcome["targets"])) == (ends, ends == "written")
    account = letters[chosen]["keys"]["Id"]
    assert house.sql(f"SELECT count(*) FROM customer WHERE source_id = '{account}'") == [(0,)]
    house.dative("dlq", "edit", chosen, GOOD_DATE)

    # Retried at a rate; the atom is killed in the middle and goes on by itself.
    house.dative("dlq", "retry", "--all", "--env", "dev", "--rate", "4/s", "--batch", "2")
    until(lambda: [one for one in listed(house) if one["attempts"] > 1], "the first chunk")
    house.kill("atom-hq-1")
    house.start_atom("hq-1")

    def ended() -> bool:
        found = listed(house)
        return all(one["attempts"] == 2 or one["state"] == "resolved" for one in found) and len(found) == 15

    until(ended, "every letter was tried once more")
    assert Counter(one["state"] for one in listed(house)) == {"resolved": 1, "waiting": 14}
    assert house.sql(f"SELECT since::text FROM customer WHERE source_id = '{account}'") == [("2021-02-28",)]
    history = house.dative("dlq", "show", chosen, "-o", "json").json()["history"]
    assert [event["kind"] for event in history] == ["failed", "edited", "retried", "resolved"]

    # Given up, handed over, ended: each refused where it comes too late, each on record with who did it.
    other, third = (one["dead_letter_id"] for one in dated[1:3])
    house.dative("dlq", "assign", "--code", "expression.number_unreadable", "--env", "dev", "--to", "bob")
    assert len(listed(house, "--assignee", "bob")) == len(story.facts["unreadable_number_ids"])
    house.dative("dlq", "discard", other, "--reason", "the customer left")
    house.dative("dlq", "expire", third)
    for identity, state in ((chosen, "resolved"), (other, "discarded"), (third, "expired")):
        said = house.dative("dlq", "retry", identity, codes=(6,)).err
        assert "journal.dead_letter_not_waiting" in said
        assert f"is {state}" in said
    assert "dead_letters.payload_gone" in house.dative("dlq", "show", third, "--payload", codes=(6,)).err
    actions = Counter(one["action"] for one in house.dative("audit", "list", "-o", "json").json()["items"])
    promised = {"ShowDeadLetter", "RehearseDeadLetter", "RepairDeadLetter", "RetryDeadLetters"}
    assert {*promised, "AssignDeadLetters", "DiscardDeadLetters", "ExpireDeadLetters"} <= set(actions)
    until(lambda: len(listed(house, "--state", "discarded")) == 1, "the discarded one, with why")
    (given_up,) = listed(house, "--state", "discarded")
    assert given_up["note"] == "the customer left"
    assert json.dumps(listed(house)).count("Customer_Since__c") <= 15, "fields are named, never shown"
