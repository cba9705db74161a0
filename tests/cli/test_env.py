"""Environments: settings, overrides, and secrets that nobody but the atoms can read."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from dative.secrets import SealKey, open_set
from dative.secrets.sealed_set import RECOVERY_ID

SECRET = "correct-horse-battery"


def shown(cli: Any, name: str = "dev") -> Any:
    return json.loads(cli("env", "show", name, "-o", "json").stdout)


def test_set_changes_what_is_named_and_keeps_the_rest_of_the_connection(admin: Any) -> None:
    admin("env", "set", "dev", "erp.mark_schema=sales")
    erp = next(one for one in shown(admin)["connections"] if one["name"] == "erp")
    assert erp["settings"] == {"url": "postgresql://db/erp", "mark_schema": "sales"}
    assert erp["connector"] == "database"


def test_the_printed_undo_brings_back_exactly_what_was(admin: Any) -> None:
    before = shown(admin)
    told = admin(
        "env", "set", "dev", "erp.url=postgresql://other/erp", "erp.mark_schema=x y", "spare.connector=disk",
        "--override", "account-to-erp.region=US", "--unset", "crm", "--allow", "scripts", "--allow", "command:/bin/x",
    )  # fmt: skip
    undo = next(line for line in told.stderr.splitlines() if "undo" in line).partition("dative ")[2]
    admin(*shlex.split(undo))
    after = shown(admin)
    for changed in ("version",):
        before.pop(changed), after.pop(changed)
    assert after == before


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("nope.url=x", "there is no connection nope yet"),
        ("erp.connector=salesfroce", 'did you mean "salesforce"?'),
        ("erp.timeuot=5", "a database has no setting timeuot"),
        ("crm.usrname=anna", 'did you mean "username"?'),
        ("erp", "a setting is CONNECTION.SETTING=VALUE"),
        ("erp=x", "a setting is CONNECTION.SETTING=VALUE"),
    ],
)
def test_a_wrong_assignment_is_explained(admin: Any, assignment: str, said: str) -> None:
    assert said in admin("env", "set", "dev", assignment, code=2).stderr


def test_somebody_elses_change_in_between_is_not_overwritten(admin: Any, fake: Any) -> None:
    def other() -> None:
        fake.state.meanwhile = None
        fake.state.environments["dev"].version += 1

    fake.state.meanwhile = other
    told = admin("env", "set", "dev", "erp.url=postgresql://mine/erp", code=6)
    assert "control.version_conflict" in told.stderr
    erp = next(one for one in shown(admin)["connections"] if one["name"] == "erp")
    assert erp["settings"]["url"] == "postgresql://db/erp"


@pytest.mark.parametrize("how", ["stdin", "file"])
def test_a_secret_is_sealed_here_and_the_controller_sees_ciphertext_only(
    admin: Any, fake: Any, tmp_path: Any, how: str
) -> None:
    fake.state.add_atom("hq-1", "dev")
    if how == "file":
        (tmp_path / "value").write_text(SECRET + "\n")
        admin("env", "secret", "set", "erp.password", "--env", "dev", "--from-file", str(tmp_path / "value"))
    else:
        admin("env", "secret", "set", "erp.password", "--env", "dev", stdin=SECRET + "\n")
    body, version = fake.state.sealed["01JENV-dev"]
    assert version == 1
    assert SECRET.encode() not in body
    assert SECRET not in "".join(admin.out)
    assert open_set(body, fake.state.atom_keys["hq-1"], "01JATOM-hq-1")["erp.password"].reveal() == SECRET
    recovery = SealKey.from_bytes((admin.home / "keys" / "default" / "recovery.key").read_bytes())
    assert open_set(body, recovery, RECOVERY_ID)["erp.password"].reveal() == SECRET


def test_a_secret_named_like_a_setting_is_bound_to_it(admin: Any) -> None:
    told = admin("env", "secret", "set", "erp.password", "--env", "dev", stdin=SECRET)
    assert "connection erp uses it: erp.password=sealed:erp.password" in told.stderr
    erp = next(one for one in shown(admin)["connections"] if one["name"] == "erp")
    assert erp["secrets"] == {"password": "sealed:erp.password"}


def test_a_secret_given_as_an_argument_is_refused_and_not_repeated(admin: Any, fake: Any) -> None:
    told = admin("env", "secret", "set", f"erp.password={SECRET}", "--env", "dev", code=1)
    assert "cli.secret_in_arguments" in told.stderr
    assert SECRET not in told.stdout + told.stderr
    assert fake.state.sealed == {}


@pytest.mark.parametrize("stdin", [b"", b"\n", b"\xff\xfe", b"x" * 70_000])
def test_an_empty_broken_or_endless_value_is_refused(admin: Any, fake: Any, stdin: bytes) -> None:
    assert "cli.no_input" in admin("env", "secret", "set", "erp.password", "--env", "dev", stdin=stdin, code=1).stderr
    assert fake.state.sealed == {}


def test_setting_one_secret_keeps_the_others_without_typing_them_again(admin: Any, fake: Any) -> None:
    fake.state.add_atom("hq-1", "dev")
    admin("env", "secret", "set", "erp.password", "--env", "dev", stdin=SECRET)
    admin("env", "secret", "set", "other", "--env", "dev", stdin="second-value")
    opened = open_set(fake.state.sealed["01JENV-dev"][0], fake.state.atom_keys["hq-1"], "01JATOM-hq-1")
    assert {name: one.reveal() for name, one in opened.items()} == {"erp.password": SECRET, "other": "second-value"}
    admin("env", "secret", "delete", "erp.password", "--env", "dev")
    assert admin("env", "secret", "list", "--env", "dev", "-o", "name").stdout == "other\n"
    assert "control.not_found" in admin("env", "secret", "delete", "gone", "--env", "dev", code=5).stderr


def test_where_approval_is_asked_for_no_atom_is_sealed_to_before_its_fingerprint_was_compared(
    admin: Any, fake: Any
) -> None:
    admin("env", "create", "prod", "--production")
    atom = fake.state.add_atom("hq-1", "prod")
    admin("env", "secret", "set", "erp.password", "--env", "prod", "--yes", stdin=SECRET)
    body, _ = fake.state.sealed["01JENV-prod"]
    assert b"01JATOM-hq-1" not in body
    admin("atom", "approve", "hq-1", "--fingerprint", atom.seal_key_fingerprint)
    body, _ = fake.state.sealed["01JENV-prod"]
    assert open_set(body, fake.state.atom_keys["hq-1"], atom.atom_id)["erp.password"].reveal() == SECRET


def test_a_key_swapped_in_the_controllers_database_gets_no_secret(admin: Any, fake: Any) -> None:
    """The recipient list is signed here; a new key is a new recipient, and its old entry does not stand for it."""
    admin("env", "create", "prod", "--production")
    atom = fake.state.add_atom("hq-1", "prod")
    admin("atom", "approve", "hq-1", "--fingerprint", atom.seal_key_fingerprint)
    thief = SealKey.generate()
    fake.state.atoms["hq-1"].seal_public_key = thief.public_raw
    admin("env", "secret", "set", "erp.password", "--env", "prod", "--yes", stdin=SECRET)
    body, _ = fake.state.sealed["01JENV-prod"]
    assert open_set(body, fake.state.atom_keys["hq-1"], atom.atom_id)["erp.password"].reveal() == SECRET
    assert thief.public_raw.hex().encode() not in body


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("env", "set", "prod", "erp.connector=database"), 6),
        (("env", "set", "prod", "erp.connector=database", "--yes"), 0),
        (("env", "secret", "set", "erp.password"), 6),
        (("env", "secret", "set", "erp.password", "--yes"), 6),
        (("env", "secret", "set", "erp.password", "--yes", "--env", "prod"), 0),
    ],
)
def test_production_needs_yes_and_its_name_spelled_out(admin: Any, arguments: tuple[str, ...], code: int) -> None:
    admin("env", "create", "prod", "--production")
    told = admin(*arguments, stdin=SECRET, code=code, DATIVE_ENV="prod")
    assert ("cli.not_confirmed" in told.stderr) == (code == 6)


def test_production_is_typed_by_a_person_and_a_wrong_name_stops_it(admin: Any, fake: Any) -> None:
    """With a real terminal, because that is what decides whether somebody is asked."""
    import os
    import pty
    import subprocess
    import sys

    admin("env", "create", "prod", "--production")

    def typed(answer: str) -> int:
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "dative_controller.cli.main", "env", "set", "prod", "erp.connector=database"],
            stdin=slave, stdout=slave, stderr=slave, env={**os.environ, **admin.env}, close_fds=True,
        )  # fmt: skip
        os.close(slave)
        seen = b""
        while b"type its name" not in seen:
            seen += os.read(master, 1000)
        os.write(master, answer.encode() + b"\n")
        code = process.wait(timeout=30)
        os.close(master)
        return code

    assert typed("dev") == 6
    assert len(fake.state.environments["prod"].connections) == 0
    assert typed("prod") == 0
    assert fake.state.environments["prod"].connections[0].connector == "database"
