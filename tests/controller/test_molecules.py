"""Molecules as administrators keep them: settings checked whole, given to atoms, told to those that are there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from dative.errors import DativeError
from dative.molecule_settings import MoleculeSettings
from dative.v1 import agent_pb2 as a
from dative.v1 import control_pb2 as c
from dative.v1 import control_pb2_grpc, types_pb2
from dative_controller.links.statuses import Statuses
from dative_controller.store import molecules
from dative_controller.store.database import Database
from dative_controller.store.molecules import Said

ETCD = ("https://e1:2379", "https://e2:2379", "https://e3:2379")
JOURNAL = "postgresql://dative@db/journal"
WIRE = MoleculeSettings(ETCD, JOURNAL).to_wire()


@pytest.fixture
def stub(world: Any) -> Any:
    return control_pb2_grpc.MoleculeServiceStub(world.admin.channel)


async def create(world: Any, stub: Any, name: str = "hq", settings: Any = WIRE, **more: Any) -> Any:
    request = c.CreateMoleculeRequest(environment="test", name=name, settings=settings, **more)
    return await world.admin.call(stub.CreateMolecule, request)


async def shown(world: Any, stub: Any, name: str = "hq") -> Any:
    return (await world.admin.call(stub.GetMolecule, c.GetMoleculeRequest(environment="test", name=name))).molecule


async def refused(call: Any) -> str:
    import grpc.aio
    from dative.rpc import error_from

    try:
        await call
    except grpc.aio.AioRpcError as failed:
        return error_from(failed).code.name
    return "accepted"


# ---- settings -------------------------------------------------------------------------------------------------------

REFUSED = {
    "no endpoint": ({"etcd_endpoints": ()}, "molecule.settings_invalid"),
    "ten endpoints": ({"etcd_endpoints": tuple(f"http://e{n}:2379" for n in range(10))}, "molecule.settings_invalid"),
    "no port": ({"etcd_endpoints": ("https://e1",)}, "molecule.settings_invalid"),
    "no scheme": ({"etcd_endpoints": ("e1:2379",)}, "molecule.settings_invalid"),
    "a path": ({"etcd_endpoints": ("https://e1:2379/v3",)}, "molecule.settings_invalid"),
    "an endpoint twice": ({"etcd_endpoints": ("https://e1:2379", "https://e1:2379/")}, "molecule.settings_invalid"),
    "http and https": ({"etcd_endpoints": ("https://e1:2379", "http://e2:2379")}, "molecule.settings_invalid"),
    "a user in an endpoint": ({"etcd_endpoints": ("https://root:x@e1:2379",)}, "molecule.settings_hold_secret"),
    "a CA that is none": ({"etcd_ca_pem": "-----BEGIN CERTIFICATE-----\nx\n"}, "molecule.settings_invalid"),
    "a key as CA": ({"etcd_ca_pem": "-----BEGIN EC PRIVATE KEY-----"}, "molecule.settings_hold_secret"),
    "a user with a colon": ({"etcd_user": "root:hunter2"}, "molecule.settings_invalid"),
    "a password in the journal": ({"journal": "postgresql://d:pw@db/j"}, "molecule.settings_hold_secret"),
    "a password as parameter": ({"journal": "postgresql://db/j?password=x"}, "molecule.settings_hold_secret"),
    "no database": ({"journal": "postgresql://db"}, "molecule.settings_invalid"),
    "another kind of journal": ({"journal": "mysql://db/j"}, "molecule.settings_invalid"),
    "a relative file": ({"journal": "sqlite://j.db"}, "molecule.settings_invalid"),
    "a file upwards": ({"journal": "sqlite:///var/../etc/j.db"}, "molecule.settings_invalid"),
    "a port that is none": ({"journal": "postgresql://db:99999/j"}, "molecule.settings_invalid"),
    "a lease of one second": ({"lease_ttl_s": 1.0}, "molecule.settings_invalid"),
    "a lease of two minutes": ({"lease_ttl_s": 120.0}, "molecule.settings_invalid"),
}


@pytest.mark.parametrize(("changed", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_settings_that_do_not_fit_are_refused_whole_and_no_secret_is_repeated(
    changed: dict[str, Any], code: str
) -> None:
    settings = MoleculeSettings(**({"etcd_endpoints": ETCD, "journal": JOURNAL} | changed))
    with pytest.raises(DativeError) as refusal:
        settings.check()
    assert refusal.value.code.name == code
    assert "hunter2" not in refusal.value.message
    assert "pw" not in refusal.value.message
    assert code != "molecule.settings_hold_secret" or "--journal-password-file" in refusal.value.next


WARNED = {
    "three of everything": ({}, []),
    "two journals": ({"journal": "postgresql://d@db1:5432,db2:5433/j?target_session_attrs=read-write"}, []),
    "one endpoint": ({"etcd_endpoints": ("https://e1:2379",)}, ["one etcd endpoint"]),
    "loopback": ({"etcd_endpoints": ("http://127.0.0.1:2379",)}, ["own loopback"]),
    "no TLS": ({"etcd_endpoints": ("http://e1:2379", "http://e2:2379")}, ["without TLS"]),
    "password in the clear": (
        {"etcd_endpoints": ("http://e1:2379", "http://e2:2379"), "etcd_user": "dative"},
        ["without TLS", "travels in the clear"],
    ),
    "SQLite": ({"journal": "sqlite:///var/lib/dative/j.db"}, ["one host"]),
    "a journal on loopback": ({"journal": "postgresql://localhost/j"}, ["the journal is on loopback"]),
}


@pytest.mark.parametrize(("changed", "warnings"), WARNED.values(), ids=WARNED.keys())
def test_what_is_allowed_and_dangerous_is_warned_of(changed: dict[str, Any], warnings: list[str]) -> None:
    found = MoleculeSettings(**({"etcd_endpoints": ETCD, "journal": JOURNAL} | changed)).check()
    assert len(found) == len(warnings), found
    assert all(part in text for part, text in zip(warnings, found, strict=True))


async def test_a_molecule_is_made_changed_and_shown(world: Any, stub: Any) -> None:
    made = await create(world, stub)
    assert (made.molecule.name, made.molecule.settings.version, made.warnings) == ("hq", 1, [])
    assert await refused(create(world, stub)) == "control.name_taken"
    assert await refused(create(world, stub, "HQ!")) == "control.bad_name"
    settings = types_pb2.MoleculeSettings()
    settings.CopyFrom(WIRE)
    settings.etcd_user = "dative"
    request = c.SetMoleculeRequest(environment="test", name="hq", expected_version=1, settings=settings)
    changed = await world.admin.call(stub.SetMolecule, request)
    assert (changed.molecule.settings.version, changed.molecule.settings.etcd_user) == (2, "dative")
    assert await refused(world.admin.call(stub.SetMolecule, request)) == "control.version_conflict"
    assert (await shown(world, stub)).settings == changed.molecule.settings


async def test_what_is_refused_is_refused_by_the_controller_too(world: Any, stub: Any) -> None:
    wire = MoleculeSettings(ETCD, "postgresql://dative:hunter2@db/j").to_wire()
    assert await refused(create(world, stub, settings=wire)) == "molecule.settings_hold_secret"
    assert await refused(shown(world, stub)) == "control.not_found"


async def test_who_is_no_admin_changes_no_molecule(world: Any, stub: Any) -> None:
    person = await world.person("olga", operator="")
    request = c.CreateMoleculeRequest(environment="test", name="hq", settings=WIRE)
    assert await refused(person.call(stub.CreateMolecule, request)) == "rpc.permission_denied"
    await create(world, stub)
    assert (await person.call(stub.ListMolecules, c.ListMoleculesRequest())).molecules[0].name == "hq"


async def test_a_molecule_with_atoms_is_not_removed_and_its_invitations_end_with_it(world: Any, stub: Any) -> None:
    await create(world, stub)
    invitation = await world.admin.invite(molecule="hq", max_uses=2)
    atom = await world.enrol(invitation, "hq-1")
    request = c.RemoveMoleculeRequest(environment="test", name="hq")
    assert await refused(world.admin.call(stub.RemoveMolecule, request)) == "molecule.not_empty"
    await world.admin.call(world.admin.fleet.RevokeAtom, c.RevokeAtomRequest(atom=atom.enrolled.atom_id))
    await world.admin.call(stub.RemoveMolecule, request)
    assert await refused(shown(world, stub)) == "control.not_found"
    assert await refused(world.enrol(invitation, "hq-2")) == "enrol.token_invalid"


# ---- how atoms get them ---------------------------------------------------------------------------------------------


async def test_an_atom_gets_the_settings_when_it_joins_and_a_mere_name_has_none(world: Any, stub: Any) -> None:
    await create(world, stub)
    member = await world.enrol(await world.admin.invite(molecule="hq"), "hq-1")
    assert member.enrolled.molecule_settings.etcd_endpoints == list(ETCD)
    alone = await world.new_atom("single")
    assert not alone.enrolled.HasField("molecule_settings")
    names = (await world.admin.call(stub.ListMolecules, c.ListMoleculesRequest(environment="test"))).molecules
    assert [(one.name, one.HasField("settings"), len(one.atoms)) for one in names] == [
        ("default", False, 1),
        ("hq", True, 1),
    ]


async def test_changed_settings_reach_atoms_that_are_there_at_once_and_others_when_they_come(
    world: Any, stub: Any
) -> None:
    await create(world, stub)
    invitation = await world.admin.invite(molecule="hq", max_uses=2)
    here, away = await world.enrol(invitation, "hq-1"), await world.enrol(invitation, "hq-2")
    async with here.connect() as link:
        assert link.welcome.molecule_config.settings.version == 1
        settings = MoleculeSettings(ETCD[:1], JOURNAL).to_wire()
        request = c.SetMoleculeRequest(environment="test", name="hq", settings=settings)
        assert "one etcd endpoint" in (await world.admin.call(stub.SetMolecule, request)).warnings[0]
        assert (await link.next("molecule_config")).settings.version == 2
    async with away.connect() as link:
        assert list(link.welcome.molecule_config.settings.etcd_endpoints) == [ETCD[0]]
    async with (await world.new_atom("single")).connect() as link:
        assert link.welcome.HasField("molecule_config")
        assert not link.welcome.molecule_config.HasField("settings")


# ---- what members say -----------------------------------------------------------------------------------------------


def said(term: int, second: int, leader: str, members: list[str], **more: Any) -> types_pb2.MoleculeStatus:
    status = types_pb2.MoleculeStatus(term=term, leader=leader, **more)
    status.observed_at.FromDatetime(datetime(2026, 3, 1, 12, 0, second, tzinfo=UTC))
    for member in members:
        status.members.add(atom_id=member, slots=2, ready=True)
    return status


ORDER = [
    # (what is said one after the other, as (term, second)), which of them is kept
    ([(1, 1), (1, 2)], (1, 2)),
    ([(1, 2), (1, 1)], (1, 2)),
    ([(2, 1), (1, 9)], (2, 1)),
    ([(1, 9), (2, 1)], (2, 1)),
]


@pytest.mark.parametrize(("told", "kept"), ORDER)
async def test_of_what_members_say_the_higher_term_counts_then_the_later_moment(
    database: Database, told: list[tuple[int, int]], kept: tuple[int, int]
) -> None:
    for term, second in told:
        status = said(term, second, "A", ["A"])
        await database.write(lambda sql, status=status: molecules.put_status(sql, Said("env", "hq", status)))  # type: ignore[misc]
    found = await database.read(lambda sql: molecules.status_of(sql, "env", "hq"))
    assert found is not None
    assert (found.term, found.observed_at.seconds % 60) == kept


@pytest.mark.parametrize(("told", "kept"), ORDER)
def test_the_same_counts_for_what_was_heard_and_is_not_written_yet(
    told: list[tuple[int, int]], kept: tuple[int, int]
) -> None:
    heard = Statuses()
    for term, second in told:
        heard.hear("env", "hq", "A", said(term, second, "A", ["A"]))
    found = heard.newest("env", "hq")
    assert found is not None
    assert (found.term, found.observed_at.seconds % 60) == kept
    assert [one.order[0] for one in heard.take_unwritten()] == [kept[0]]


async def test_what_a_member_says_is_shown_with_the_names_of_the_registry(world: Any, stub: Any) -> None:
    await create(world, stub)
    atom = await world.enrol(await world.admin.invite(molecule="hq"), "hq-1")
    identity = atom.enrolled.atom_id
    async with atom.connect() as link:
        status = said(7, 1, identity, [identity], failures_tolerated=1, running=3)
        status.members[0].name = "an impostor's name"
        status.observer = "somebody else"
        await link.send(molecule_status=status)
        status = said(7, 2, identity, [identity], running=4)
        await link.send(molecule_status=status)
        await link.send(heartbeat=a.Heartbeat())
        await link.next("heartbeat_ack")
        found = (await shown(world, stub)).status
        assert (found.members[0].name, found.observer, found.running, found.term) == ("hq-1", identity, 4, 7)
    # The second had only its counts changed: it is written with the next flush, and nothing is lost by a restart then.
    await world.controller.core.hub.flush()
    environment_id = atom.enrolled.environment_id
    stored = await world.controller.core.database.read(lambda sql: molecules.status_of(sql, environment_id, "hq"))
    assert stored.running == 4


async def test_a_member_speaks_for_its_own_molecule_only(world: Any, stub: Any) -> None:
    await create(world, stub)
    atom = await world.new_atom("single")
    async with atom.connect() as link:
        await link.send(molecule_status=said(9, 1, "X", ["X"]))
        await link.send(heartbeat=a.Heartbeat())
        await link.next("heartbeat_ack")
    assert not (await shown(world, stub)).HasField("status")


# ---- one identity, two processes ------------------------------------------------------------------------------------


async def beat(link: Any) -> None:
    await link.send(heartbeat=a.Heartbeat())
    await link.next("heartbeat_ack")


def hello(nonce: str, host: str, instance: str = "i1") -> dict[str, Any]:
    return {"boot_nonce": nonce, "instance_id": instance, "description": types_pb2.AtomDescription(host=host)}


@pytest.mark.parametrize(("instance", "what"), [("i1", "its disk was cloned"), ("i2", "its keys were copied")])
async def test_two_processes_that_take_turns_under_one_identity_are_both_quarantined(
    world: Any, instance: str, what: str
) -> None:
    atom = await world.new_atom()
    async with atom.connect(**hello("A", "one")) as first:
        await beat(first)
        async with atom.connect(**hello("B", "two", instance)) as second:
            assert (await first.ended()).code.name == "links.fenced"
            await beat(second)
            async with atom.connect(**hello("A", "one")) as again:
                assert (await second.ended()).code.name == "links.fenced"
                await again.send(heartbeat=a.Heartbeat())
                ended = await again.ended()
    assert ended is not None
    assert ended.code.name == "fleet.atom_quarantined"
    assert "on one and on two" in ended.message
    found = await world.admin.atom("hq-1")
    assert (found.state, found.status.code) == ("quarantined", "fleet.atom_quarantined")
    assert what in found.status.message
    assert "dative atom revoke" in found.status.next
    for nonce in ("A", "B"):
        assert await refused(_welcome(atom, nonce)) == "fleet.atom_quarantined"
    await world.admin.call(world.admin.fleet.RevokeAtom, c.RevokeAtomRequest(atom="hq-1"))
    await world.new_atom("hq-1")
    assert (await world.admin.call(world.admin.access.VerifyAudit, c.VerifyAuditRequest())).status.code == ""


async def _welcome(atom: Any, nonce: str) -> None:
    async with atom.channel() as channel:
        from dative.v1 import agent_pb2_grpc

        call = agent_pb2_grpc.AtomServiceStub(channel).Connect()
        await call.write(a.ConnectRequest(sequence=1, hello=a.Hello(protocol_min=1, protocol_max=1, boot_nonce=nonce)))
        while await call.read() is not None:
            pass


QUICK = {
    "one process comes back at once": ["A", "A", "A"],
    "restarts": ["A", "B", "C"],
    "a restart that comes back twice": ["A", "B", "B", "C", "C"],
    "an atom of an older version": ["", "", ""],
}


@pytest.mark.parametrize("nonces", QUICK.values(), ids=QUICK.keys())
async def test_quick_reconnects_and_restarts_of_one_atom_are_harmless(world: Any, nonces: list[str]) -> None:
    atom = await world.new_atom()
    for nonce in nonces:
        async with atom.connect(**hello(nonce, "one")) as link:
            await beat(link)
    assert (await world.admin.atom("hq-1")).state in ("online", "offline")


async def test_a_hello_of_a_dead_process_that_arrives_late_quarantines_nobody(world: Any) -> None:
    atom = await world.new_atom()
    async with atom.connect(**hello("A", "one")) as link:
        await beat(link)
    async with atom.connect(**hello("B", "one")) as link:
        await beat(link)
    async with atom.connect(**hello("A", "one")):
        pass  # only a process that lives beats
    async with atom.connect(**hello("B", "one")) as link:
        await beat(link)
        await beat(link)
    assert (await world.admin.atom("hq-1")).state in ("online", "offline")


async def test_a_copy_that_replaces_its_original_after_a_while_is_no_clone(start: Any) -> None:
    from dative.clock import ManualClock

    clock = ManualClock(datetime.now(UTC))
    world = await start(clock=clock)
    atom = await world.new_atom()
    for nonce, wait_s in (("A", 0), ("B", 0), ("A", 61)):
        clock.advance(wait_s)
        async with atom.connect(**hello(nonce, "one")) as link:
            await beat(link)
    assert (await world.admin.atom("hq-1")).state != "quarantined"
