"""Several atoms in one journal: each has a spool of its own, and the spool of one that is gone for good is taken over."""

from __future__ import annotations

import threading

from dative_atom.journal.contract import Execution

from tests.journal.places import AnyJournal, Place


def sequences(journal: AnyJournal) -> list[int]:
    return [record.sequence for record in journal.outbox(0, rows_max=10_000)]


def test_each_atom_has_its_own_epoch_numbers_and_acknowledgements(place: Place) -> None:
    one, other = place.open(owner="hq-1"), place.open(owner="hq-2")
    for number in range(3):
        one.report("event", b"one %d" % number)
    other.report("event", b"other")
    assert one.spool_epoch() != other.spool_epoch() == place.open(owner="hq-2").spool_epoch()
    assert (sequences(one), sequences(other)) == ([1, 2, 3], [1])
    one.acknowledge(2)
    assert (one.acknowledged(), other.acknowledged()) == (2, 0)
    assert (one.spooled(), other.spooled()) == ((1, 5), (1, 5))


def test_what_is_settled_is_told_by_whoever_settled_it(place: Place, execution: Execution) -> None:
    one, other = place.open(owner="hq-1"), place.open(owner="hq-2")
    one.begin(execution.execution_id, execution.planned_at)
    with one.transaction() as db:
        one.reported(db, "event", b"of one")
    assert [record.body for record in one.outbox(0)] == [b"of one"]
    assert other.outbox(0) == []


def test_a_lost_atoms_spool_is_told_by_another_in_its_order_and_once(place: Place) -> None:
    lost, heir = place.open(owner="hq-2"), place.open(owner="hq-1")
    for number in range(5):
        lost.report("event", b"lost %d" % number)
    lost.acknowledge(2)
    heir.report("event", b"own")
    assert heir.adopt_spool("hq-2") == 3
    assert [(record.sequence, record.body) for record in heir.outbox(0)] == [
        (1, b"own"),
        (2, b"lost 2"),
        (3, b"lost 3"),
        (4, b"lost 4"),
    ]
    assert heir.spooled() == (4, 3 + 3 * 6)
    assert (heir.adopt_spool("hq-2"), heir.adopt_spool("hq-1"), heir.adopt_spool("nobody")) == (0, 0, 0)
    heir.report("event", b"next")
    assert sequences(heir) == [1, 2, 3, 4, 5]
    epoch = place.open(owner="hq-2").spool_epoch()
    assert epoch not in (heir.spool_epoch(), ""), "if it comes back, it begins anew"


def test_an_atom_that_was_given_up_too_early_reports_on_from_a_new_spool(place: Place) -> None:
    lost, heir = place.open(owner="hq-2"), place.open(owner="hq-1")
    lost.report("event", b"before")
    former = lost.spool_epoch()
    heir.adopt_spool("hq-2")
    lost.report("event", b"after")
    assert (sequences(lost), [record.body for record in lost.outbox(0)]) == ([1], [b"after"])
    assert lost.spool_epoch() != former


def test_records_of_many_threads_are_numbered_without_holes(place: Place) -> None:
    journals = [place.open(owner=f"hq-{number % 2}") for number in range(4)]

    def report(journal: AnyJournal) -> None:
        for _ in range(40):
            journal.report("event", b"x")

    threads = [threading.Thread(target=report, args=(one,)) for one in journals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sequences(journals[0]) == sequences(journals[1]) == list(range(1, 81))
