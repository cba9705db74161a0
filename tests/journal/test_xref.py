"""Cross-references in the journal: many columns, unique or not, conflicts told, concurrent writers, numbers of sequences."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from dative.errors import DativeError
from dative.v1 import telemetry_pb2
from dative_atom.journal.contract import LinkRows

from tests.journal.places import AnyJournal, Place


def rows(journal: AnyJournal, table: str) -> list[dict[str, str | None]]:
    return [row for _, row in journal.xref_page(table)]


def events(journal: AnyJournal) -> Counter[str]:
    found: Counter[str] = Counter()
    for record in journal.outbox(0):
        event = telemetry_pb2.Record.FromString(record.body).event
        if event.kind:
            found[event.kind] += int(event.status.message.split()[0])
    return found


def test_links_of_some_columns_meet_in_one_row_of_many_columns(journal: AnyJournal) -> None:
    journal.xref_load(LinkRows("a", {"crm": ["1"], "erp": ["E1"], "wms": ["W1"]}))
    journal.xref_load(LinkRows("a", {"crm": ["2"], "erp": ["E2"]}))
    journal.xref_load(LinkRows("a", {"crm": ["2"], "wms": ["W2"]}))
    journal.xref_load(LinkRows("a", {"erp": ["E3"], "wms": ["W3"]}))
    journal.xref_load(LinkRows("a", {"crm": ["3"], "erp": ["E3"]}))
    assert sorted(rows(journal, "a"), key=str) == [
        {"crm": "1", "erp": "E1", "wms": "W1"},
        {"crm": "2", "erp": "E2", "wms": "W2"},
        {"crm": "3", "erp": "E3", "wms": "W3"},
    ]
    assert events(journal) == {}, "nothing gave way"


def test_rows_that_came_apart_and_agree_become_one(journal: AnyJournal) -> None:
    journal.xref_load(LinkRows("a", {"crm": ["1"], "wms": ["W"]}))
    journal.xref_load(LinkRows("a", {"erp": ["E"], "hr": ["H"]}))
    journal.xref_load(LinkRows("a", {"crm": ["1"], "erp": ["E"]}))
    assert rows(journal, "a") == [{"crm": "1", "wms": "W", "erp": "E", "hr": "H"}]


@pytest.mark.parametrize(
    ("unique", "conflict", "left", "told"),
    [
        ((), "replace", [("A", "2")], {"xref.replaced": 1}),
        ((), "error", [("A", "1")], {"xref.conflict": 1}),
        (("crm",), "replace", [("A", "2")], {"xref.replaced": 1}),
        (("crm",), "error", [("A", "1")], {"xref.conflict": 1}),
        (("erp",), "error", [("A", "1"), ("A", "2")], {}),
        (None, "replace", [("A", "1"), ("A", "2")], {}),
    ],
)
def test_a_row_that_meets_another_does_what_its_table_says(journal, unique, conflict: str, left, told) -> None:
    for erp in ("1", "2", "2"):
        journal.xref_load(LinkRows("a", {"crm": ["A"], "erp": [erp]}, unique, conflict))
    assert [(row["crm"], row["erp"]) for row in rows(journal, "a")] == left
    assert {kind: min(count, 1) for kind, count in events(journal).items()} == told


def test_of_several_rows_of_one_key_a_lookup_gives_the_last_written(journal: AnyJournal) -> None:
    journal.xref_load(LinkRows("a", {"crm": ["A", "A"], "erp": ["1", "2"]}, None))
    assert journal.xref_lookup("a", ("crm",), "erp", ["A"]) == {"A": "2"}
    assert dict(journal.xref_all("a", ("crm",), "erp")) == {"A": "2"}


def test_conflicts_are_known_before_anything_is_written(journal: AnyJournal) -> None:
    journal.xref_load(LinkRows("a", {"crm": ["A", "B"], "erp": ["1", "2"]}))
    asked = LinkRows("a", {"crm": ["A", "A", "C", "D", "D"], "erp": ["1", "9", "2", "4", "5"]}, (), "error")
    assert journal.xref_conflicts(asked) == [1, 2, 4]
    assert journal.xref_conflicts(LinkRows("nobody", {"crm": ["A"], "erp": ["1"]})) == []
    assert len(rows(journal, "a")) == 2


def test_a_table_that_is_declared_unique_later_says_which_column_is_not(journal: AnyJournal) -> None:
    journal.xref_load(LinkRows("a", {"crm": ["A", "A"], "erp": ["1", "2"]}, None))
    with pytest.raises(DativeError) as refused:
        journal.xref_load(LinkRows("a", {"crm": ["B"], "erp": ["3"]}))
    assert refused.value.code.name == "journal.xref_not_unique"
    assert "crm" in refused.value.message
    journal.xref_remove("a", "erp", ["1"])
    assert journal.xref_load(LinkRows("a", {"crm": ["B"], "erp": ["3"]})) == 1
    assert [(table.name, tuple(table.unique), table.rows) for table in journal.xref_tables()] == [
        ("a", ("crm", "erp"), 2)
    ]


def test_a_lookup_by_two_columns_finds_the_row_that_has_both(journal: AnyJournal) -> None:
    journal.xref_load(LinkRows("a", {"site": ["S", "S", "T"], "no": ["1", "2", "1"], "id": ["x", "y", "z"]}, None))
    assert journal.xref_lookup("a", ("site", "no"), "id", ["S\x1f2", "T\x1f1", "T\x1f2"]) == {
        "S\x1f2": "y",
        "T\x1f1": "z",
    }


@pytest.mark.parametrize("conflict", ["replace", "error"])
def test_ten_thousand_concurrent_links_that_conflict_leave_each_value_once(place: Place, conflict: str) -> None:
    journals = [place.open() for _ in range(4)]
    batches = 25

    def link(number: int) -> None:
        for batch in range(batches):
            keys = [(batch * 100 + row) % 500 for row in range(100)]
            columns = {"crm": [f"C{key}" for key in keys], "erp": [f"E{(key * 7 + number) % 500}" for key in keys]}
            journals[number].xref_load(LinkRows("a", columns, (), conflict))

    threads = [threading.Thread(target=link, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = rows(journals[0], "a") + [row for _, row in journals[0].xref_page("a", after=10**6)]
    for column in ("crm", "erp"):
        assert max(Counter(row[column] for row in found).values()) == 1, "unique both ways"
    told = events(journals[0])
    kind = "xref.replaced" if conflict == "replace" else "xref.conflict"
    assert set(told) == {kind}
    assert told[kind] > 0, "no conflict was silent"
    for journal in journals:
        journal.close()


def test_numbers_taken_by_several_at_once_are_given_once(place: Place) -> None:
    journals = [place.open() for _ in range(4)]
    taken: list[int] = []

    def take(journal: AnyJournal) -> None:
        for _ in range(25):
            first = journal.sequence_take("no", 4, 100, 10)
            taken.extend(range(first, first + 40, 10))

    threads = [threading.Thread(target=take, args=(journal,)) for journal in journals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(100, 100 + 400 * 10, 10))
    given = journals[0].sequence_given("no", ["a", "b"], 100, 10)
    assert journals[1].sequence_given("no", ["b", "a", "c"], 100, 10) == {**given, "c": given["b"] + 10}
    assert journals[2].sequence_take("no", 1, 10_000, 10) == 10_000, "a later start is obeyed"
    for journal in journals:
        journal.close()
