"""What an atom keeps of its molecule: settings from the controller, its host's own over them, secrets by reference."""

import json
import socket
import ssl
import stat
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import pytest
import trustme
from dative.errors import DativeError
from dative.molecule_settings import MoleculeSettings
from dative.v1 import agent_pb2
from dative_atom.agent import molecule_reach as reach
from dative_atom.agent import molecule_settings as molecules
from dative_atom.agent.molecule_report import (
    EtcdView,
    LeaderView,
    MemberView,
    MoleculeReport,
    MoleculeView,
    QuarantineView,
    message,
)
from dative_atom.agent.molecule_settings import HostSettings, MoleculeKeeper
from dative_atom.agent.molecule_words import host_settings
from dative_atom.agent.paths import DataDir

SETTINGS = MoleculeSettings(("https://e1:2379", "https://e2:2379"), "postgresql://dative@db/journal", version=1)
NOTHING = {
    "etcd": "",
    "journal": "",
    "etcd_password_file": "",
    "etcd_cert": "",
    "etcd_key": "",
    "journal_password_file": "",
}
SECRET = "correct-horse-battery"


@pytest.fixture
def directory(tmp_path):
    place = DataDir(tmp_path / "atom")
    place.prepare()
    return place


async def test_joining_a_molecule_keeps_its_settings_and_the_secrets_only_by_reference(atom, controller, tmp_path):
    controller.molecule, controller.settings = "hq", SETTINGS.to_wire()
    password = tmp_path / "password"
    password.write_text(SECRET + "\n")
    host = host_settings({**NOTHING, "journal_password_file": str(password), "etcd_password_file": "env:ETCD_PASSWORD"})
    joined = await atom.join(host=host)
    assert joined.molecule == SETTINGS
    found = molecules.effective(atom.directory)
    assert found.journal_password().reveal() == SECRET
    assert found.etcd_password({"ETCD_PASSWORD": "x"}).reveal() == "x"
    for path in atom.directory.root.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()
    assert stat.S_IMODE(atom.directory.molecule.stat().st_mode) == 0o600


async def test_an_atom_of_a_mere_name_works_alone(atom):
    joined = await atom.join()
    assert joined.molecule is None
    assert molecules.effective(atom.directory) is None
    assert not atom.directory.molecule.exists()


async def test_a_second_join_changes_only_what_this_host_adds(atom, controller):
    controller.settings = SETTINGS.to_wire()
    await atom.join(host=HostSettings(journal_password="env:ONE", etcd_endpoints=("https://here:2379",)))
    again = await atom.join(token="not a token", host=HostSettings(journal_password="env:TWO"))
    assert again.already
    assert again.molecule.etcd_endpoints == ("https://here:2379",)
    assert molecules.read_host(atom.directory) == HostSettings(
        journal_password="env:TWO", etcd_endpoints=("https://here:2379",)
    )


OVER = [
    # (the controller's, the host's, etcd, journal)
    (SETTINGS, HostSettings(), SETTINGS.etcd_endpoints, SETTINGS.journal),
    (SETTINGS, HostSettings(etcd_endpoints=("https://x:1",)), ("https://x:1",), SETTINGS.journal),
    (SETTINGS, HostSettings(journal="sqlite:///var/j.db"), SETTINGS.etcd_endpoints, "sqlite:///var/j.db"),
    (None, HostSettings(etcd_endpoints=("http://x:1",), journal="sqlite:///j"), ("http://x:1",), "sqlite:///j"),
]


@pytest.mark.parametrize(("stored", "host", "etcd", "journal"), OVER)
def test_what_the_host_gives_lies_over_what_the_controller_says(directory, stored, host, etcd, journal):
    molecules.write_stored(directory, stored)
    molecules.write_host(directory, host)
    found = molecules.effective(directory)
    assert (found.settings.etcd_endpoints, found.settings.journal) == (etcd, journal)


REFUSED = [
    HostSettings(etcd_certificate="file:/c.pem"),
    HostSettings(etcd_key="file:/k.pem"),
    HostSettings(etcd_password=SECRET),
    HostSettings(journal_password="sealed:journal"),
    HostSettings(etcd_certificate="env:C", etcd_key="env:K"),
]


@pytest.mark.parametrize("host", REFUSED)
async def test_what_a_host_gives_is_checked_before_anything_is_sent(atom, controller, host):
    with pytest.raises(DativeError) as refused:
        await atom.join(host=host)
    assert refused.value.code.name == "molecule.host_settings_invalid"
    assert SECRET not in refused.value.message
    assert controller.enrolments == []


DAMAGED = [("molecule", "agent.identity_damaged"), ("molecule_host", "molecule.host_settings_invalid")]


@pytest.mark.parametrize(("name", "code"), DAMAGED)
@pytest.mark.parametrize("content", ["", "{", '{"version": 1}', '{"versoin": 1}', "[]"])
def test_a_damaged_file_stops_the_atom_instead_of_letting_it_work_alone(directory, name, code, content):
    path = getattr(directory, name)
    path.write_text(content if name == "molecule" else content.replace('{"version": 1}', '{"etcd_key": 5}'))
    with pytest.raises(DativeError) as refused:
        MoleculeKeeper(directory)
    assert refused.value.code.name == code
    assert str(path) in refused.value.message


async def test_settings_that_change_reach_a_running_atom_which_says_that_it_needs_a_restart(atom, controller, tools):
    controller.settings = SETTINGS.to_wire()
    await atom.join()
    async with atom.running() as agent:
        assert agent.status()["molecule_settings"]["restart_needed"] is False
        changed = MoleculeSettings(("https://e3:2379",), SETTINGS.journal, version=2)
        controller.settings = changed.to_wire()
        controller.tell(molecule_config=agent_pb2.MoleculeConfig(settings=controller.settings))
        await tools.until(lambda: agent.molecule.keeper.version == 2, "settings")
        assert agent.status()["molecule_settings"] == {
            "version": 2,
            "etcd": ["https://e1:2379", "https://e2:2379"],
            "journal": "db:5432/journal",
            "restart_needed": True,
        }
    async with atom.running() as agent:
        assert agent.status()["molecule_settings"]["restart_needed"] is False
        assert agent.molecule.keeper.running.settings == changed


async def test_settings_that_changed_while_the_atom_was_away_come_with_the_welcome(atom, controller, tools):
    controller.settings = SETTINGS.to_wire()
    await atom.join()
    controller.settings = None
    async with atom.running() as agent:
        await tools.until(lambda: agent.molecule.keeper.version == 0, "settings gone")
        assert agent.molecule.keeper.restart_needed
    assert not atom.directory.molecule.exists()


async def test_an_older_controller_which_says_nothing_takes_nothing_away(atom, controller):
    controller.settings = SETTINGS.to_wire()
    await atom.join()
    controller.knows_molecules = False
    async with atom.running() as agent:
        assert agent.molecule.keeper.version == 1


def test_settings_that_this_version_can_not_use_leave_the_last_good_ones(directory):
    molecules.write_stored(directory, SETTINGS)
    keeper = MoleculeKeeper(directory)
    keeper.take(MoleculeSettings(("quic://e1:1",), SETTINGS.journal, version=2).to_wire())
    assert (keeper.version, keeper.restart_needed) == (1, False)


# ---- identity -------------------------------------------------------------------------------------------------------


async def test_every_start_has_a_nonce_of_its_own_and_the_directory_stays_the_same(joined, controller):
    for _ in range(2):
        async with joined.running():
            pass
    one, two = controller.hellos
    assert one.boot_nonce != two.boot_nonce
    assert len(one.boot_nonce) == 16
    assert one.instance_id == two.instance_id != ""


async def test_an_atom_that_is_quarantined_takes_no_work_also_after_a_restart(joined, controller, tools):
    from dative.errors.molecules import QUARANTINED

    controller.refuses = DativeError("two processes run as atom hq-1", code=QUARANTINED)
    async with joined.running(wait=False) as agent:
        await tools.until(lambda: agent.executions.draining, "draining")
        part = next(part for part in agent.health.parts() if part.path == "link")
        assert part.error.code is QUARANTINED
        assert "dative atom revoke" in part.error.next
    controller.refuses = None
    async with joined.running() as agent:
        assert agent.executions.draining


# ---- reach ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@contextmanager
def serving(context=None):
    """A server on loopback that takes connections, one after the other, and says nothing; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def hold():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                if context is None:
                    connection.recv(1)
                else:
                    with context.wrap_socket(connection, server_side=True) as secured:
                        secured.recv(1)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def lines_of(directory, settings, host=None):
    molecules.write_stored(directory, settings)
    molecules.write_host(directory, host or HostSettings())
    return {line.name: line for line in reach.examine(directory, 1.0)}


@pytest.mark.parametrize("case", ["trusted", "unknown CA", "certificate wanted", "certificate given"])
def test_reaching_etcd_says_which_part_of_tls_is_missing(directory, authority, tmp_path, case):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    host = None
    if case.startswith("certificate"):
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    if case == "certificate given":
        client = authority.issue_cert("atom@example.com")
        client.private_key_pem.write_to_path(tmp_path / "k.pem")
        client.cert_chain_pems[0].write_to_path(tmp_path / "c.pem")
        host = HostSettings(etcd_certificate=f"file:{tmp_path}/c.pem", etcd_key=f"file:{tmp_path}/k.pem")
    with serving(context) as port:
        trusted = trustme.CA() if case == "unknown CA" else authority
        pem = trusted.cert_pem.bytes().decode()
        settings = MoleculeSettings((f"https://127.0.0.1:{port}",), f"sqlite://{tmp_path}/j.db", pem)
        line = lines_of(directory, settings, host)[f"etcd 127.0.0.1:{port}"]
    assert line.passed == (case in ("trusted", "certificate given")), line
    said = {"unknown CA": "--etcd-ca", "certificate wanted": "--etcd-cert"}.get(case, "")
    assert said in line.fix


def test_a_missing_etcd_a_missing_journal_and_missing_secrets_each_say_what_helps(directory, tmp_path):
    with serving() as port:
        pass
    settings = MoleculeSettings(
        (f"http://127.0.0.1:{port}",), f"postgresql://dative@127.0.0.1:{port}/j", etcd_user="dative"
    )
    host = HostSettings(journal_password=f"file:{tmp_path}/absent")
    found = lines_of(directory, settings, host)
    assert {name: line.passed for name, line in found.items()} == {
        "etcd password": False,
        "journal password": False,
        f"etcd 127.0.0.1:{port}": False,
        f"journal 127.0.0.1:{port}": False,
    }
    assert all(line.fix for line in found.values())


def test_an_etcd_and_a_journal_that_listen_are_reached(directory):
    with serving() as port:
        settings = MoleculeSettings((f"http://127.0.0.1:{port}",), f"postgresql://127.0.0.1:{port}/j")
        found = lines_of(directory, settings)
    assert all(line.passed for line in found.values())


def test_an_atom_that_works_alone_has_nothing_to_reach(directory):
    assert list(reach.examine(directory)) == []


# ---- what a member says ---------------------------------------------------------------------------------------------

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def view(leader="A", members=("A", "B", "C"), etcd=(3, 3), **more):
    found = EtcdView(cluster_id="c", members=etcd[0], answering=etcd[1], leader=etcd[1] * 2 > etcd[0]) if etcd else None
    return MoleculeView(
        observed_at=NOW,
        term=(1 << 44) | 7,
        leader=leader,
        members=tuple(MemberView(atom_id=one, slots=2) for one in members),
        etcd=found,
        **more,
    )


TOLERATED = [
    (view(), 1),
    (view(members=("A",)), 0),
    (view(members=("A", "B")), 1),
    (view(etcd=(1, 1)), 0),
    (view(etcd=(3, 2)), 0),
    (view(etcd=(3, 1)), 0),
    (view(members="ABCDE", etcd=(5, 5)), 2),
    (view(members="ABCDE", etcd=(5, 4)), 1),
    (view(etcd=None), 0),
]


@pytest.mark.parametrize(("seen", "tolerated"), TOLERATED)
def test_how_many_losses_a_molecule_survives_is_bounded_by_members_and_by_quorum(seen, tolerated):
    assert seen.failures_tolerated == tolerated


def test_everything_that_a_member_knows_travels():
    seen = view(
        pending=1,
        assigned=2,
        running=3,
        history=tuple(LeaderView(term=20 - one, atom_id="A", since=NOW) for one in range(12)),
        quarantined=(QuarantineView(atom_id="D", reason="cloned", since=NOW),),
    )
    said = message(seen)
    assert [one.atom_id for one in said.members] == ["A", "B", "C"]
    assert (said.members[0].slots, said.members[0].ready, said.leader, said.term >> 44) == (2, True, "A", 1)
    assert [one.term for one in said.history] == list(range(20, 10, -1))
    assert (said.pending, said.assigned, said.running, said.failures_tolerated) == (1, 2, 3, 1)
    assert (said.etcd.quorum, said.etcd.members, said.etcd.answering) == (True, 3, 3)
    assert (said.quarantined[0].reason, said.quarantined[0].since.ToDatetime(UTC)) == ("cloned", NOW)
    assert said.observer == ""


def test_the_leader_speaks_with_every_heartbeat_and_others_when_something_changed_or_now_and_then():
    seen = [view()]
    leader, other = MoleculeReport("A", lambda: seen[0]), MoleculeReport("B", lambda: seen[0])
    assert [leader.next() is not None for _ in range(5)] == [True] * 5
    assert [other.next() is not None for _ in range(6)] == [True, False, False, False, True, False]
    seen[0] = view(members=("A", "B"))
    assert other.next() is not None
    seen[0] = None
    assert leader.next() is None


async def test_what_a_member_says_goes_beside_its_heartbeat(joined, controller, tools):
    async with joined.running() as agent:
        agent.molecule.report = MoleculeReport("A", view)
        await tools.until(lambda: controller.statuses, "a status")
    assert controller.statuses[0].leader == "A"
    assert json.loads(json.dumps(agent.status()))["molecule_settings"] is None
