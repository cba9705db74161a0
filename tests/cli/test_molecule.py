"""Molecules at the command line: settings without secrets, what the installer needs, and what the members say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dative.v1 import control_pb2, types_pb2

ETCD = "https://e1:2379,https://e2:2379,https://e3:2379"
JOURNAL = "postgresql://dative@db/journal"
CREATE = ("molecule", "create", "hq", "--env", "dev", "--etcd", ETCD, "--journal", JOURNAL)


def test_a_molecule_is_created_with_its_undo_and_its_next_step(admin: Any, fake: Any) -> None:
    told = admin(*CREATE, "--lease-ttl", "3s", "-o", "json")
    made = json.loads(told.stdout)
    assert (made["name"], made["settings"]["lease_ttl"], made["settings"]["version"]) == ("hq", 3.0, 1)
    assert made["settings"]["etcd_endpoints"] == ETCD.split(",")
    assert "undo   dative molecule remove hq --env dev" in told.stderr
    assert "next   dative atom invite --env dev --molecule hq" in told.stderr
    assert "hq    dev          https://e1:2379" in admin("molecule", "list", "--env", "dev").stdout


SECRETS = [
    ("--journal", "postgresql://dative:hunter2@db/journal"),
    ("--etcd", "https://root:hunter2@e1:2379"),
    ("--journal", "postgresql://db/journal?password=hunter2"),
]


@pytest.mark.parametrize(("option", "value"), SECRETS)
def test_a_password_is_refused_before_anything_is_sent_with_the_next_step(
    admin: Any, fake: Any, option: str, value: str
) -> None:
    told = admin(*CREATE, option, value, code=1)
    assert "molecule.settings_hold_secret" in told.stderr
    assert "--journal-password-file" in told.stderr
    assert "hunter2" not in told.stderr + told.stdout
    assert fake.state.molecules == {}


@pytest.mark.parametrize("ttl", ["1s", "0.5", "90s"])
def test_a_lease_that_is_too_short_or_too_long_is_refused(admin: Any, ttl: str) -> None:
    assert "molecule.settings_invalid" in admin(*CREATE, "--lease-ttl", ttl, code=1).stderr


def test_a_lease_that_is_no_number_is_usage(admin: Any) -> None:
    admin(*CREATE, "--lease-ttl", "soon", code=2)


def test_one_endpoint_for_several_hosts_is_a_warning(admin: Any) -> None:
    told = admin("molecule", "create", "hq", "--env", "dev", "--etcd", "https://e1:2379", "--journal", JOURNAL)
    assert "! one etcd endpoint, e1:2379" in told.stderr


def test_set_changes_what_is_given_and_names_what_was(admin: Any, fake: Any) -> None:
    admin(*CREATE, "--etcd-user", "dative")
    told = admin("molecule", "set", "hq", "--env", "dev", "--lease-ttl", "10s", "--no-etcd-user")
    settings = fake.state.molecules["hq"].settings
    assert (settings.version, settings.lease_ttl.seconds, settings.etcd_user) == (2, 10, "")
    assert list(settings.etcd_endpoints) == ETCD.split(",")
    assert (
        f"undo   dative molecule set hq --env dev --etcd {ETCD} --journal {JOURNAL} --etcd-user dative" in told.stderr
    )
    assert "restart its atoms" in told.stderr


def test_remove_names_what_makes_it_again(admin: Any, fake: Any) -> None:
    admin(*CREATE)
    told = admin("molecule", "remove", "hq", "--env", "dev")
    assert fake.state.molecules == {}
    assert f"undo   dative molecule create hq --env dev --etcd {ETCD} --journal {JOURNAL} --lease-ttl 5s" in told.stderr


def test_an_invitation_says_what_the_installer_needs(admin: Any) -> None:
    told = admin("atom", "invite", "--env", "dev", "--molecule", "hq").stderr
    assert "hq has no settings, so its atoms work alone" in told
    assert "no settings" not in admin("atom", "invite", "--env", "dev").stderr
    admin(*CREATE)
    told = admin("atom", "invite", "--env", "dev", "--molecule", "hq").stderr
    assert "--etcd-cert FILE --etcd-key FILE" in told
    assert "--journal-password-file FILE" in told
    admin("molecule", "set", "hq", "--env", "dev", "--etcd-user", "dative")
    assert (
        "etcd's user dative: add --etcd-password-file"
        in admin("atom", "invite", "--env", "dev", "--molecule", "hq").stderr
    )


def status(molecule: control_pb2.Molecule, now: datetime) -> types_pb2.MoleculeStatus:
    """hq-2 leads after hq-1; three members, one draining; an etcd of three of which two answer."""
    said = molecule.status
    said.term, said.leader, said.observer = (1 << 44) | 70, "A2", "A2"
    said.observed_at.FromDatetime(now)
    for number in (1, 2, 3):
        said.members.add(
            atom_id=f"A{number}", name=f"hq-{number}", host=f"h{number}", version="0.4.0", slots=4,
            assigned=3, running=2, ready=True, draining=number == 3,
        )  # fmt: skip
        molecule.atoms.add(atom_id=f"A{number}", name=f"hq-{number}", state="online")
    for number, term in ((2, 70), (1, 12)):
        entry = said.history.add(term=(1 << 44) | term, atom_id=f"A{number}", name=f"hq-{number}")
        entry.since.FromDatetime(now - timedelta(minutes=term))
    said.etcd.MergeFrom(
        types_pb2.EtcdStatus(members=3, answering=2, quorum=True, versions={"https://e1:2379": "3.5.33"})
    )
    said.pending, said.assigned, said.running = 1, 2, 6
    return said


def test_show_prints_nodes_leader_with_history_load_quorum_and_failures_tolerated(admin: Any, fake: Any) -> None:
    admin(*CREATE)
    status(fake.state.molecules["hq"], datetime.now(UTC))
    shown = admin("molecule", "show", "hq", "--env", "dev").stdout
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "leader hq-2, term 1.70" in lines
    assert "quorum 2 of 3 members answer, quorum, version 3.5.33" in lines
    assert "failures tolerated none: no failure is tolerated yet" in lines
    assert "executions 6 running, 2 assigned, 1 pending" in lines
    assert "hq-2 ready 2/4 running, 3 assigned version 0.4.0 host h2 online leader" in lines
    assert "hq-3 draining 2/4 running, 3 assigned version 0.4.0 host h3 online" in lines
    assert [line.split()[1] for line in lines if line.startswith("term ")] == ["1.70", "1.12"]
    assert "ago" not in shown


def test_show_says_which_atoms_are_quarantined_why_and_what_helps(admin: Any, fake: Any) -> None:
    admin(*CREATE)
    molecule = fake.state.molecules["hq"]
    said = status(molecule, datetime.now(UTC))
    said.quarantined.add(atom_id="A9", name="hq-9", reason="two hosts write its key")
    why = types_pb2.Status(code="fleet.atom_quarantined", message="two processes run as atom hq-8")
    molecule.atoms.add(atom_id="A8", name="hq-8", state="quarantined", status=why)
    shown = admin("molecule", "show", "hq", "--env", "dev").stdout
    assert "✗ hq-9 is quarantined: two hosts write its key" in shown
    assert "✗ hq-8 is quarantined: two processes run as atom hq-8" in shown
    assert "next: dative atom revoke hq-8" in shown


def test_show_says_how_old_the_members_word_is_and_who_is_no_member(admin: Any, fake: Any) -> None:
    admin(*CREATE)
    assert "its members have not said anything yet" in admin("molecule", "show", "hq", "--env", "dev").stdout
    molecule = fake.state.molecules["hq"]
    status(molecule, datetime.now(UTC) - timedelta(minutes=10)).leader = ""
    molecule.atoms.add(atom_id="A4", name="hq-4", state="offline")
    molecule.status.failures_tolerated = 1
    shown = admin("molecule", "show", "hq", "--env", "dev").stdout
    assert "said by hq-2 60" in shown
    assert "none, after term 1.70" in shown
    assert "1 member may be lost" in shown
    assert "hq-4  offline  not a member now" in shown


def test_show_as_json_has_every_field(admin: Any, fake: Any) -> None:
    admin(*CREATE)
    status(fake.state.molecules["hq"], datetime.now(UTC))
    found = json.loads(admin("molecule", "show", "hq", "--env", "dev", "-o", "json").stdout)
    assert found["kind"] == "Molecule"
    assert found["status"]["members"][0]["slots"] == 4
    assert found["status"]["etcd"]["quorum"] is True
    assert found["status"]["term"] == (1 << 44) | 70
