"""Who leads: the candidate whose key is the oldest. Its term is the revision at which that key was made.

A candidate's key is bound to its lease; whoever looks at one revision of the keys sees at most one leader, and each of the
leader's transactions compares its own key, so a leader that does not know yet that it was replaced changes nothing.
Source: etcd, `client/v3/concurrency/election.go`. There each candidate watches the one before it, so that not all of them
ask at once; here each reads the view that it keeps anyway, and asks nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from dative_atom.molecule.claim import TRIES_MAX, item_of
from dative_atom.molecule.coordination import Ambiguous, Compare, Coordination, Delete, Get, Put, Unavailable
from dative_atom.molecule.keys import Keys
from dative_atom.molecule.values import VERSION, CandidateValue, encode
from dative_atom.molecule.view import View


@dataclass(frozen=True, slots=True)
class Candidacy:
    """key: bound to the session's lease. revision: at which it was made: the term, were it to lead."""

    key: str
    revision: int

    def leads(self, view: View) -> bool:
        leader = view.leader
        return leader is not None and leader.item.key == self.key and leader.item.create_revision == self.revision

    @property
    def compare(self) -> Compare:
        """What a leader's transaction compares: as long as the key stands, no other one is older."""
        return Compare.created(self.key, self.revision)


async def stand(coordination: Coordination, keys: Keys, atom: str, lease_id: int) -> Candidacy:
    """Stand in line. Again is fine: one key a lease. Errors: LeaseGone; those of `Coordination.transact` but Ambiguous."""
    key = keys.leader(lease_id)
    put = Put(key, encode(CandidateValue(v=VERSION, atom=atom), key), lease_id)
    for _ in range(TRIES_MAX):
        try:
            answer = await coordination.transact([Compare.absent(key)], [put], [Get(key)])
        except Ambiguous:
            continue  # one key a lease: what was applied is found by the next try
        item = item_of(answer, key)
        return Candidacy(key, item.create_revision if item else answer.revision)
    raise Unavailable(f"stand for election: no answer in {TRIES_MAX} tries", where=key)


async def resign(coordination: Coordination, candidacy: Candidacy) -> None:
    """Leave the line; the next one leads. Errors: Ambiguous and those of `Coordination.transact`; again is fine."""
    await coordination.transact([candidacy.compare], [Delete(candidacy.key)])
