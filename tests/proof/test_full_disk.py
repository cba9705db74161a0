"""The disk fills up in the middle of an execution: a coded failure, nothing lost, nothing twice, and on when there is room."""

from __future__ import annotations

from typing import Any

from dative.errors.base import code_named

from tests.proof.house import RETRY, planned

KIB = 1024
ROOM = range(250, 650, 40)
"""How large a file may grow, KiB: from less than the execution's first words need to enough for most of its batches."""


def test_whatever_room_was_left_the_rest_follows_when_there_is_more(house: Any, made: Any) -> None:
    whole, _ = house.boundaries(made, "whole")
    codes = []
    for room in ROOM:
        site = house.site("full")
        attempt = made.attempt(site, file_bytes=room * KIB)
        assert attempt.status == 0, (room, attempt)
        failure = attempt.finished["failure"]
        codes.append(failure and failure["code"])
        assert failure is None or code_named(failure["code"]) is not None, failure
        if failure is not None and house.ended(site):
            # It could be written down that it failed; the next execution reads what had not settled.
            journal = house.journal(site)
            assert journal.plan(planned(RETRY, "schedule"))
            journal.close()
            house.write_message(site, RETRY)
        end = house.finish(made, site)
        assert (room, len(end.letters), end.links, end.prepared) == (room, len(whole.letters), whole.links, False)
        assert (room, house.compared(site)) == (room, "")
    assert "journal.disk_full" in codes, codes
