"""A worker is killed, or its member's lease is over, at every boundary that a run passes; resumed, each target has each
document once, and a program that knows nothing of the engine finds no difference."""

from __future__ import annotations

from typing import Any

from dative_atom.engine.failpoints import ECHOES

from tests.proof.killing import kills

# Few documents in several batches pass every distinct boundary; `make faults` kills at each passage of each.


def test_killed_at_every_distinct_boundary_each_target_has_each_document_once(house: Any, made: Any) -> None:
    whole, passed = house.boundaries(made, "whole")
    assert house.compared(house.folder / "whole") == ""
    assert {f"{name}:{step}" for name in ("write.before", "commit.after") for step in ("ledger", "customer")} <= set(
        passed
    )
    found = {boundary: house.killed_at(made, whole, boundary) for boundary in kills(passed, every_passage=False)}
    assert {boundary: said for boundary, said in found.items() if said} == {}


def test_fenced_at_every_distinct_boundary_each_target_has_each_document_once(house: Any, made: Any) -> None:
    whole, passed = house.boundaries(made, "whole")
    found = {boundary: house.fenced_at(made, whole, boundary) for boundary in kills(passed, every_passage=False)}
    assert {boundary: said for boundary, said in found.items() if said} == {}


TWICE = ("batch.prepared", "commit.after:ledger", "commit.after:customer", "journal.committing:9", "write.after:ledger")


def test_killed_twice_in_a_row_at_the_same_boundary(house: Any, made: Any) -> None:
    whole, _ = house.boundaries(made, "whole")
    found = {boundary: house.killed_at(made, whole, boundary, boundary) for boundary in TWICE}
    assert {boundary: said for boundary, said in found.items() if said} == {}


def test_fenced_twice_in_a_row_at_the_same_boundary(house: Any, made: Any) -> None:
    whole, _ = house.boundaries(made, "whole")
    found = {boundary: house.fenced_at(made, whole, boundary, boundary) for boundary in TWICE}
    assert {boundary: said for boundary, said in found.items() if said} == {}


def test_a_retry_of_dead_letters_is_killed_wherever_something_outside_has_changed(house: Any, made: Any) -> None:
    house.boundaries(made, "whole")
    house.begin_retry(house.folder / "whole")
    whole, passed = house.boundaries(made, "retried", "retry")
    assert 0 < whole.counts[1] < whole.counts[0], "some letters are good now, others are not"
    telling = {name: times for name, times in passed.items() if name.partition(":")[0] not in ECHOES}
    found = {
        boundary: house.killed_at(made, whole, boundary, like="retry")
        for boundary in kills(telling, every_passage=False)
    }
    assert {boundary: said for boundary, said in found.items() if said} == {}
