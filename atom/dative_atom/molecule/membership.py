"""One member's entry: made under its session, written again when it changed, refused where it can not be true.

Two running atoms with one identity (a copied disk) are told from a restart by time: what a dead life left is gone within
its lease, what a living one holds stays. Then the identity is put under quarantine, and neither takes work.
"""

from __future__ import annotations

import msgspec
from dative.errors import DativeError
from dative.errors.molecule import CLONED, MIXED_VERSIONS
from dative.waiting import WaitingClock

from dative_atom.molecule.assignment import works_with
from dative_atom.molecule.claim import TRIES_MAX, item_of
from dative_atom.molecule.coordination import Ambiguous, Compare, Coordination, Delete, Get, KeyValue, Put, Unavailable
from dative_atom.molecule.keys import Keys
from dative_atom.molecule.signal import Signal, soon
from dative_atom.molecule.values import (
    BROKEN_MAX,
    DIGESTS_MAX,
    VERSION,
    MemberValue,
    QuarantineValue,
    decode,
    encode,
    short_digest,
)
from dative_atom.molecule.view import View


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who this is. boot: made anew at each start. host: of this boot of the machine. data_dir: made with the directory."""

    atom: str
    boot: str
    host: str
    data_dir: str
    version: str = ""
    address: str = ""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What changes. slots, ready, digests (whole), broken processes; load: of the machine, 0..1."""

    slots: int
    ready: bool = True
    load: float = 0.0
    digests: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


def member_value(identity: Identity, facts: Facts, *, draining: bool) -> MemberValue:
    """At most DIGESTS_MAX manifests, the last ones, and BROKEN_MAX processes; with more broken ones it takes no work."""
    return MemberValue(
        v=VERSION,
        slots=max(facts.slots, 0),
        boot=identity.boot,
        host=identity.host,
        data_dir=identity.data_dir,
        version=identity.version,
        address=identity.address,
        load=round(min(max(facts.load, 0.0), 1.0), 1),
        ready=facts.ready and len(facts.broken) <= BROKEN_MAX,
        draining=draining,
        digests=tuple(short_digest(digest) for digest in facts.digests[-DIGESTS_MAX:]),
        broken=facts.broken[:BROKEN_MAX],
    )


def check_versions(view: View, atom: str) -> None:
    """Errors: molecule.mixed_versions, a member that lives does not speak what this program does."""
    for member in view.members.values():
        if member.atom != atom and not works_with(member.value):
            raise DativeError(
                f"{member.atom} ({member.value.version or 'unknown version'}) speaks protocol "
                f"{member.value.protocol_min}..{member.value.protocol}",
                code=MIXED_VERSIONS,
                where=f"member {member.atom}",
            )


class Membership:
    """`register` once in a session, then `update` whenever something may have changed."""

    def __init__(
        self, coordination: Coordination, keys: Keys, clock: WaitingClock, identity: Identity, lease_id: int
    ) -> None:
        self._coordination, self._keys, self._clock = coordination, keys, clock
        self._identity, self._lease_id = identity, lease_id
        self._key = keys.member(identity.atom)
        self._written: MemberValue | None = None
        self._revision = 0

    async def register(self, value: MemberValue, ttl_s: float, changed: Signal) -> None:
        """Wait for what an earlier life left, at most two leases long. changed: fires when the members change.

        Errors: molecule.cloned, and the quarantine is written; LeaseGone; those of `Coordination.transact`.
        """
        deadline_s = self._clock.elapsed_s() + 2 * ttl_s
        while True:
            again = changed.next
            there = await self._put(value, Compare.absent(self._key))
            if there is None:
                return None
            if there.lease == self._lease_id:
                self._revision = there.mod_revision  # the lost answer was ours
                return await self.update(value)
            left_s = deadline_s - self._clock.elapsed_s()
            if left_s <= 0:
                raise await self._cloned(there)
            await soon(self._clock, again, min(left_s, ttl_s / 5))

    async def update(self, value: MemberValue) -> None:
        """Nothing is written where nothing changed. Errors: as `register`."""
        if value == self._written:
            return
        for _ in range(TRIES_MAX):
            compare = Compare.unchanged(self._key, self._revision) if self._revision else Compare.absent(self._key)
            there = await self._put(value, compare)
            if there is None:
                return
            if there.lease not in (0, self._lease_id):
                raise await self._cloned(there)
            self._revision = there.mod_revision
        raise Unavailable(f"update member {self._identity.atom}: no answer in {TRIES_MAX} tries", where=self._key)

    async def _put(self, value: MemberValue, compare: Compare) -> KeyValue | None:
        """What stands there instead; None, it is written."""
        put = Put(self._key, encode(value, self._key), self._lease_id)
        for _ in range(TRIES_MAX):
            try:
                answer = await self._coordination.transact([compare], [put], [Get(self._key)])
            except Ambiguous:
                continue
            item = item_of(answer, self._key)
            ours = item is not None and item.lease == self._lease_id and item.value == put.value
            if answer.held or ours:
                self._revision = item.mod_revision if item else answer.revision
                self._written = value
                return None
            if item is not None:
                return item
            # Taken away by a hand that is not ours while the lease lives: the next try makes it anew.
            compare = Compare.absent(self._key)
        raise Unavailable(f"register {self._identity.atom}: no answer in {TRIES_MAX} tries", where=self._key)

    async def _cloned(self, there: KeyValue) -> DativeError:
        """Both are told by the quarantine: this one by the error, the other one by its view."""
        try:
            other: MemberValue | None = decode(MemberValue, there.value, there.key)
        except DativeError:
            other = None
        hosts = (other.host if other else "another host", self._identity.host)
        boots = (other.boot if other else "", self._identity.boot)
        key = self._keys.quarantine(self._identity.atom)
        at_ms = int(self._clock.now().timestamp() * 1000)
        body = encode(QuarantineValue(v=VERSION, hosts=hosts, boots=boots, at_ms=at_ms), key)
        try:
            await self._coordination.transact([Compare.absent(key)], [Put(key, body)])
        except Ambiguous:
            await self._coordination.transact([Compare.absent(key)], [Put(key, body)])
        where = f"atom {self._identity.atom}"
        return DativeError(f"{self._identity.atom} runs on {' and on '.join(hosts)}", code=CLONED, where=where)


async def release(coordination: Coordination, keys: Keys, atom: str) -> None:
    """End the quarantine of an identity, after one of the two is gone. Errors: those of `Coordination.transact`."""
    await coordination.transact([], [Delete(keys.quarantine(atom))])
