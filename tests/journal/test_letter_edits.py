"""Dead letters that people edit: checked whole, on record, never over one another."""

from __future__ import annotations

from typing import Any

import pytest
from dative_atom.journal.contract import Execution

from tests.journal.letters import PAYLOAD, parked, refused, reported, settle
from tests.journal.places import AnyJournal

EDITS: list[tuple[dict[str, Any], str, str]] = [
    ({"amount": "12.25"}, "", ""),
    ({"amount": 12.5, "count": "8", "on": "2026-02-28", "Phone": None}, "", ""),
    ({"Amount": "1"}, "dead_letters.unknown_field", "Amount"),
    ({"amount": "1.505"}, "dead_letters.wrong_type", "amount"),
    ({"amount": "123456789.00"}, "dead_letters.wrong_type", "amount"),
    ({"amount": True}, "dead_letters.wrong_type", "amount"),
    ({"amount": "NaN"}, "dead_letters.wrong_type", "amount"),
    ({"Id": "002", "count": 2**40}, "dead_letters.wrong_type", "count"),
    ({"count": 1.5}, "dead_letters.wrong_type", "count"),
    ({"count": "٣"}, "dead_letters.wrong_type", "count"),
    ({"on": "31/01/2026"}, "dead_letters.wrong_type", "on"),
    ({"Id": 2}, "dead_letters.wrong_type", "Id"),
    ({"Id": ["2"]}, "dead_letters.wrong_type", "Id"),
]


@pytest.mark.parametrize(("fields", "code", "where"), EDITS, ids=[str(fields) for fields, _, _ in EDITS])
def test_an_edit_is_stored_whole_or_refused_with_its_field(
    journal: AnyJournal, execution: Execution, fields: dict[str, Any], code: str, where: str
) -> None:
    (letter,) = settle(journal, execution, [parked(1)])
    if code:
        error = refused(lambda: journal.repair(letter, fields))
        assert (error.code.name, error.where) == (code, where)
        assert str(fields[where]) not in error.message, "an error never holds a value"
    else:
        journal.repair(letter, fields)
    stored = journal.dead_letter(letter)
    assert stored is not None
    assert stored.parked.payload == (PAYLOAD if code else {**PAYLOAD, **fields})


def test_an_edit_is_on_record_with_who_and_which_fields_never_the_values(
    journal: AnyJournal, execution: Execution
) -> None:
    (letter,) = settle(journal, execution, [parked(1)])
    journal.repair(letter, {"Phone": "canary-2", "Id": "002"}, actor="anna")
    found = journal.dead_letter(letter)
    assert found is not None
    assert [(event.kind, event.actor, list(event.fields)) for event in found.history] == [
        ("failed", "", []),
        ("edited", "anna", ["Id", "Phone"]),
    ]
    told = reported(journal, "dead_letter")[-1]
    assert [event.kind for event in told.history] == ["failed", "edited"]
    assert b"canary" not in told.SerializeToString()
    assert b"002" not in told.SerializeToString()


def test_of_two_people_who_edit_the_same_revision_the_second_is_told(journal: AnyJournal, execution: Execution) -> None:
    (letter,) = settle(journal, execution, [parked(1)])
    found = journal.dead_letter(letter)
    assert found is not None
    journal.repair(letter, {"Id": "by anna"}, actor="anna", expected_revision=found.revision)
    error = refused(lambda: journal.repair(letter, {"Id": "by bob"}, actor="bob", expected_revision=found.revision))
    assert error.code.name == "dead_letters.changed"
    kept = journal.dead_letter(letter)
    assert kept is not None
    assert kept.parked.payload["Id"] == "by anna"


def test_without_a_profile_the_payload_itself_says_what_fits(journal: AnyJournal, execution: Execution) -> None:
    (letter,) = settle(journal, execution, [parked(1)], types=None)
    assert refused(lambda: journal.repair(letter, {"other": 1})).code.name == "dead_letters.unknown_field"
    assert refused(lambda: journal.repair(letter, {"count": "x"})).code.name == "dead_letters.wrong_type"
    journal.repair(letter, {"count": 8})


def test_nested_values_are_checked_to_their_leaves(journal: AnyJournal, execution: Execution) -> None:
    lines = {"list": {"struct": {"sku": "string", "pieces": "int64"}}}
    (letter,) = settle(journal, execution, [parked(1, payload={"lines": []})], types={"lines": lines})
    journal.repair(letter, {"lines": [{"sku": "A", "pieces": 2}]})
    for value in ([{"sku": "A", "pieces": "two"}], [{"sku": "A", "price": 1}], {"sku": "A"}, ["A"]):
        error = refused(lambda value=value: journal.repair(letter, {"lines": value}))
        assert error.code.name == "dead_letters.wrong_type"


def test_a_check_of_an_edit_stores_nothing(journal: AnyJournal, execution: Execution) -> None:
    (letter,) = settle(journal, execution, [parked(1)])
    assert journal.check_repair(letter, {"Id": "002"}).parked.payload["Id"] == "002"
    assert refused(lambda: journal.check_repair(letter, {"no": 1})).code.name == "dead_letters.unknown_field"
    found = journal.dead_letter(letter)
    assert found is not None
    assert (found.parked.payload, found.revision) == (PAYLOAD, 1)


def test_a_document_of_five_megabytes_is_edited_in_one_field(journal: AnyJournal, execution: Execution) -> None:
    (letter,) = settle(journal, execution, [parked(1, payload={**PAYLOAD, "Phone": "x" * 5_000_000})])
    journal.repair(letter, {"Id": "002"})
    found = journal.dead_letter(letter)
    assert found is not None
    assert (len(found.parked.payload["Phone"]), found.parked.payload["Id"]) == (5_000_000, "002")
    assert found.payload_bytes > 5_000_000
    assert all(len(told.SerializeToString()) < 2_000 for told in reported(journal, "dead_letter"))
