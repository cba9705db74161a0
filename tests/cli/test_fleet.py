"""Atoms and trust: invitations, compared fingerprints, revocation, rotation of the keys that sign."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dative.bundle.envelope import Envelope, verified_payload
from dative.bundle.keys import SigningKey
from dative.bundle.manifest import DEPLOYMENT_TYPE, ENVELOPE_BYTES_MAX
from dative.bundle.trust import new_trust, read_trust, sign_trust
from dative.secrets import SealedSet, open_set

SECRET = "correct-horse-battery"


def test_an_invitation_shows_the_token_once_with_the_command_to_type(admin: Any, fake: Any) -> None:
    told = admin("atom", "invite", "--env", "dev", "--molecule", "hq", "--count", "3", "--ttl", "2h", "-o", "json")
    assert json.loads(told.stdout)["join_token"] == "at1.x.y.z"
    # The token goes to the atom on stdin, so that the command that is shown does not hold it.
    assert "at1.x.y.z" not in told.stderr
    assert f"dative-atom join --controller {fake.address} --ca-pin sha256:ab --token-file -" in told.stderr
    request = fake.state.joins[0]
    assert (request.molecule, request.max_uses, request.ttl.seconds) == ("hq", 3, 7200)
    assert not request.require_approval


def test_an_invitation_to_production_asks_for_approval(admin: Any, fake: Any) -> None:
    admin("env", "create", "prod", "--production")
    admin("atom", "invite", "--env", "prod")
    assert fake.state.joins[0].require_approval


@pytest.mark.parametrize("ttl", ["2", "soon", "1y", "-5m"])
def test_a_malformed_ttl_is_usage(admin: Any, ttl: str) -> None:
    admin("atom", "invite", "--env", "dev", "--ttl", ttl, code=2)


def test_approval_needs_a_compared_fingerprint(admin: Any, fake: Any) -> None:
    atom = fake.state.add_atom("hq-1", "dev", "pending")
    assert "cli.not_confirmed" in admin("atom", "approve", "hq-1", code=6).stderr
    wrong = admin("atom", "approve", "hq-1", "--fingerprint", "00:" * 15 + "00", code=6)
    assert "cli.fingerprint_differs" in wrong.stderr
    assert fake.state.atoms["hq-1"].state == "pending"
    told = admin("atom", "approve", "hq-1", "--fingerprint", atom.seal_key_fingerprint)
    assert "approved by anna" in told.stderr
    assert "undo   dative atom revoke hq-1" in told.stderr
    assert fake.state.atoms["hq-1"].state == "online"


def test_the_fingerprint_is_computed_here_and_not_believed(admin: Any, fake: Any) -> None:
    atom = fake.state.add_atom("hq-1", "dev", "pending")
    told = atom.seal_key_fingerprint
    fake.state.add_atom("thief", "dev")
    fake.state.atoms["hq-1"].seal_public_key = fake.state.atoms["thief"].seal_public_key
    assert "cli.fingerprint_differs" in admin("atom", "approve", "hq-1", "--fingerprint", told, code=6).stderr


def test_a_revoked_atom_leaves_the_recipients_and_what_it_could_open_is_named(admin: Any, fake: Any) -> None:
    fake.state.add_atom("hq-1", "dev")
    fake.state.add_atom("hq-2", "dev")
    admin("env", "secret", "set", "erp.password", "--env", "dev", stdin=SECRET)
    told = admin("atom", "revoke", "hq-1", "--reason", "stolen", "--yes")
    assert "change these at their source, it could open them: erp.password" in told.stderr
    body, _ = fake.state.sealed["01JENV-dev"]
    assert sorted(one.id for one in SealedSet.parse(body).recipients) == ["01JATOM-hq-2", "recovery"]
    assert open_set(body, fake.state.atom_keys["hq-2"], "01JATOM-hq-2")["erp.password"].reveal() == SECRET


def test_an_atom_that_came_after_the_secrets_is_named_in_the_plan(admin: Any, fake: Any, write: Any) -> None:
    admin("env", "secret", "set", "erp.password", "--env", "dev", stdin=SECRET)
    fake.state.add_atom("late", "dev")
    told = admin("plan", write(), "--env", "dev").stderr
    assert "atom late can not open the secrets yet: dative atom approve late" in told


def test_revoking_asks_and_nobody_there_is_no_yes(admin: Any, fake: Any) -> None:
    fake.state.add_atom("hq-1", "dev")
    assert "cli.not_confirmed" in admin("atom", "revoke", "hq-1", code=6).stderr
    assert fake.state.atoms["hq-1"].state == "online"


@pytest.mark.parametrize(("verb", "undo", "resume"), [("drain", "resume", False), ("resume", "drain", True)])
def test_draining_and_resuming_name_each_other_as_undo(
    admin: Any, fake: Any, verb: str, undo: str, resume: bool
) -> None:
    fake.state.add_atom("hq-1", "dev")
    assert f"undo   dative atom {undo} hq-1" in admin("atom", verb, "hq-1").stderr
    assert fake.state.commands[0].resume is resume


def test_a_connection_is_tried_from_an_atom(admin: Any) -> None:
    assert "✔  dns    10.0.0.1" in admin("atom", "test", "erp", "--env", "dev").stdout


# ---- trust ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [(), ("--stolen",)])
def test_after_a_rotation_what_runs_is_signed_by_the_new_key_with_the_same_content(
    admin: Any, fake: Any, write: Any, more: tuple[str, ...]
) -> None:
    fake.state.add_atom("hq-1", "dev")
    admin("env", "secret", "set", "erp.password", "--env", "dev", stdin=SECRET)
    admin("deploy", write(), "--env", "dev")
    before = fake.state.manifest()
    old = read_trust(fake.state.trust)
    admin("trust", "rotate-release", "--yes", *more)
    new, after = read_trust(fake.state.trust), fake.state.manifest()
    assert new.version == 2
    assert new.release_epoch == after.release_epoch == (2 if more else 1)
    assert not set(new.roles.release.keyids) & set(old.roles.release.keyids)
    verified_payload(
        Envelope.parse(fake.state.deployments[-1][1], bytes_max=ENVELOPE_BYTES_MAX),
        payload_type=DEPLOYMENT_TYPE, keys=new.role_keys("release"), threshold=1,
    )  # fmt: skip
    assert after.processes == before.processes
    opened = open_set(fake.state.sealed["01JENV-dev"][0], fake.state.atom_keys["hq-1"], "01JATOM-hq-1")
    assert opened["erp.password"].reveal() == SECRET
    # And deploying goes on with the new key.
    admin("deploy", write(expression="lower(Name)"), "--env", "dev")
    admin("env", "secret", "set", "erp.password", "--env", "dev", stdin="another")


def test_a_trust_document_of_another_root_is_refused_until_a_person_compared_its_digest(
    admin: Any, fake: Any, write: Any
) -> None:
    root, release = SigningKey.generate(), SigningKey.generate()
    current = read_trust(fake.state.trust)
    forged = new_trust(
        organization_id=current.organization_id, root=[root.public], release=[release.public],
        online=[fake.state.online.public], expires_at=current.expires_at, version=2,
    )  # fmt: skip
    fake.state.trust = sign_trust(forged, [root]).to_bytes()
    refused = admin("deploy", write(), "--env", "dev", code=6)
    assert "cli.trust_changed" in refused.stderr
    assert fake.state.deployments == []
    assert "cli.trust_changed" in admin("trust", "show", "--accept", "0" * 64, code=6).stderr
    admin("trust", "show", "--accept", forged.digest)
    # Accepted, but this machine's key is not in it.
    assert "cli.no_key" in admin("deploy", write(), "--env", "dev", code=6).stderr


def test_without_the_release_key_nothing_can_be_deployed(admin: Any, fake: Any, write: Any) -> None:
    (admin.home / "keys" / "default" / "release.pem").unlink()
    assert "cli.no_key" in admin("deploy", write(), "--env", "dev", code=6).stderr
    assert fake.state.deployments == []


def test_without_a_trust_document_the_next_step_is_to_make_one(cli: Any, fake: Any, write: Any) -> None:
    cli("login", "--server", fake.address, "--ca", str(fake.ca), stdin="bt1.the-bootstrap-token")
    cli("env", "create", "dev")
    told = cli("deploy", write(), "--env", "dev", code=6)
    assert "cli.no_trust" in told.stderr
    assert "dative trust init" in told.stderr
