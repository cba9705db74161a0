"""The key of a shared journal: one, whoever comes first; given to admitted members only, and by them only."""

from __future__ import annotations

import hmac
import threading
from pathlib import Path

import pytest
from dative.clock import ManualClock
from dative.errors import DativeError
from dative.secrets.seal import SealKey, seal_as, seal_info
from dative_atom.journal.address import Address, parsed
from dative_atom.journal.open import open_journal
from dative_atom.journal.shared_key import SharedKey

from tests.journal.places import Place

pytestmark = pytest.mark.parametrize("place", ["postgres"], indirect=True)


class Member:
    """An atom with its own seal key and data directory."""

    def __init__(self, place: Place, name: str) -> None:
        self.seal_key = SealKey.generate()
        self.public = self.seal_key.public_raw
        self.path = place.folder / name / "journal.key"
        self.path.parent.mkdir()
        address = parsed(place.address)
        assert isinstance(address, Address)
        self.keys = SharedKey(address, self.path, self.seal_key, name, place.clock)

    def code_of_obtaining(self, *admitted: Member) -> str:
        with pytest.raises(DativeError) as refused:
            self.keys.obtain([one.public for one in admitted])
        assert not self.path.exists()
        return refused.value.code.name


def test_the_first_member_makes_the_key_and_admitted_ones_get_it_from_a_member(place: Place) -> None:
    first, second, third = (Member(place, name) for name in ("hq-1", "hq-2", "hq-3"))
    everybody = [first.public, second.public, third.public]
    key = first.keys.obtain(everybody)
    assert (len(key), first.path.read_bytes(), first.path.stat().st_mode & 0o777) == (32, key, 0o600)
    for late in (second, third):
        assert late.code_of_obtaining(first, second, third) == "journal.key_wanted"
    assert second.keys.share(everybody) == 0, "whoever has no key gives none"
    assert first.keys.share([second.public]) == 1, "one that is not admitted gets nothing"
    assert second.keys.obtain(everybody) == key
    assert third.code_of_obtaining(first, second) == "journal.key_wanted"
    assert second.keys.share(everybody) == 1, "any member that has it gives it on"
    assert third.keys.obtain(everybody) == key
    assert not place.holds(key)


def test_a_member_that_lost_its_file_has_it_back_and_works_on(place: Place, clock: ManualClock) -> None:
    first, second = Member(place, "hq-1"), Member(place, "hq-2")
    everybody = [first.public, second.public]
    key = first.keys.obtain(everybody)
    assert second.code_of_obtaining(first) == "journal.key_wanted"
    first.keys.share(everybody)
    for member in (first, second):
        member.keys.obtain(everybody)
        member.path.unlink()
        assert member.keys.obtain(everybody) == key
        assert member.keys.obtain([]) == key, "what is in the file needs nobody"
    open_journal(place.address, clock, key=first.path).close()
    with pytest.raises(DativeError) as wanted:
        open_journal(place.address, clock, key=place.folder / "none")
    assert wanted.value.code.name == "journal.key_wanted"


def test_of_members_that_start_together_one_makes_the_key(place: Place) -> None:
    members = [Member(place, f"hq-{number}") for number in range(6)]
    everybody = [one.public for one in members]
    got: list[bytes | str] = []

    def obtain(member: Member) -> None:
        try:
            got.append(member.keys.obtain(everybody))
        except DativeError as wanted:
            got.append(wanted.code.name)

    threads = [threading.Thread(target=obtain, args=(one,)) for one in members]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got.count("journal.key_wanted") == 5
    (holder,) = (one for one in members if one.path.exists())
    assert holder.keys.share(everybody) == 5
    assert len({one.keys.obtain(everybody) for one in members}) == 1


def test_whoever_writes_to_the_database_cannot_put_a_key_of_his_own_there(place: Place) -> None:
    first, second, stranger = (Member(place, name) for name in ("hq-1", "hq-2", "nobody"))
    first.keys.obtain([first.public])
    assert second.code_of_obtaining(first) == "journal.key_wanted"
    mine = b"k" * 32
    proof = hmac.digest(mine, b"dative/journal-key/v1", "sha256")
    sealed = seal_as(mine, stranger.seal_key, second.public, seal_info("dative/journal-key/v1", proof.hex()))
    forged = "UPDATE sealing_key_holder SET sealer = %s, sealed = %s WHERE public = %s"
    with place.raw() as db:
        db.execute("UPDATE sealing_key SET proof = %s", (proof,))
        db.execute(forged, (first.public, sealed, second.public))
    assert second.code_of_obtaining(first) == "journal.key_wrong", "said to be of an admitted one"
    with place.raw() as db:
        db.execute(forged, (stranger.public, sealed, second.public))
    assert second.code_of_obtaining(first) == "journal.key_wanted", "asked again, of somebody else"
    with pytest.raises(DativeError) as refused:
        first.keys.share([second.public])
    assert refused.value.code.name == "journal.key_wrong"


def test_the_key_of_another_journal_is_not_used(place: Place, tmp_path: Path) -> None:
    first, second = Member(place, "hq-1"), Member(place, "hq-2")
    first.keys.obtain([first.public])
    second.path.write_bytes(b"x" * 32)
    with pytest.raises(DativeError) as refused:
        second.keys.obtain([first.public])
    assert refused.value.code.name == "journal.key_wrong"
