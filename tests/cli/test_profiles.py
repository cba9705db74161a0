"""Profiles on the command line: asked for, recorded, compared; a plan goes by them and refuses what would fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from dative.errors import DativeError
from dative.errors.agent import COMMAND_UNKNOWN
from dative.errors.rpc import DEADLINE, UNIMPLEMENTED

READ = {"Id": "text(18)", "Name": "text(255)", "Phone": "text(40)"}
FITTING = {"source_id": "text(18)!", "name": "text(255)"}
NEEDY = {**FITTING, "tax": "text!"}


@pytest.fixture
def state(admin: Any, fake: Any) -> Any:
    fake.state.add_atom("hq-1", "dev")
    fake.state.fields = {"read": READ, "upsert": FITTING}
    return fake.state


@pytest.fixture
def deployed(admin: Any, state: Any, write: Any) -> Any:
    """The process as it runs already, so that atoms have its connections; returns the state."""
    admin("deploy", write(), "--env", "dev", "--no-profiles")
    return state


def test_live_profiles_are_recorded_beside_the_process_and_drift_is_named(admin: Any, state: Any, write: Any) -> None:
    path = write()
    first = admin("process", "profile", path, "--env", "dev", "--write")
    assert first.stdout.splitlines() == [
        "read  salesforce.query: 3 fields, none recorded",
        "upsert  database.upsert: 2 fields, none recorded",
    ]
    asked = {one.step: json.loads(one.options) for one in state.profile_requests[-1].steps}
    assert asked == {
        "read": {"object": "Account", "fields": ["Id", "Name", "Phone"]},
        "upsert": {"table": "customer", "key": ["source_id"]},
    }
    assert Path("profiles/account-to-erp/upsert.yaml").is_file()
    assert "as recorded" in admin("process", "profile", "account-to-erp", "--env", "dev").stdout
    state.fields["upsert"] = NEEDY
    drifted = admin("process", "profile", path, "--env", "dev", code=3)
    assert "upsert  database.upsert: drifted from what was recorded\n  + tax: text!\n" in drifted.stdout
    told = admin("process", "profile", path, "--env", "dev", "-o", "json", code=3).stdout
    assert '"drifted"' in told
    admin("process", "profile", path, "--env", "dev", "--write")
    refused = admin("process", "validate", path, code=1)
    assert "(target.required_missing)" in refused.stdout


def test_a_step_that_can_not_say_is_exit_1_and_the_others_are_recorded(admin: Any, state: Any, write: Any) -> None:
    state.fields["read"] = ("connector.unavailable", "no answer")
    found = admin("process", "profile", write(), "--env", "dev", "--write", code=1)
    assert "read  salesforce.query: no answer (connector.unavailable)" in found.stdout
    assert [path.name for path in sorted(Path("profiles/account-to-erp").iterdir())] == ["upsert.yaml"]


def test_a_plan_and_a_deployment_refuse_what_the_live_systems_would(admin: Any, deployed: Any, write: Any) -> None:
    state, path = deployed, write(expression="lower(Name)")
    state.fields["upsert"] = NEEDY
    for command in ("plan", "deploy"):
        refused = admin(command, path, "--env", "dev", code=None)
        assert refused.exit_code != 0
        for words in (
            f"{path}:19:",
            'needs "tax"',
            "(target.required_missing)",
            "next: Map the field",
            f"profile {path} --env dev --write, then",
        ):
            assert words in refused.stderr
    assert len(state.deployments) == 1
    assert len(state.profile_requests) == 2
    admin("deploy", path, "--env", "dev", "--no-profiles")
    assert len(state.profile_requests) == 2
    assert len(state.deployments) == 2


def test_a_first_deployment_asks_nobody_and_says_how_to_look_afterwards(admin: Any, state: Any, write: Any) -> None:
    path = write()
    state.fields["upsert"] = NEEDY
    told = admin("deploy", path, "--env", "dev").stderr
    assert "no live profiles of account-to-erp: this is the first deployment" in told
    assert "dative process profile account-to-erp --env dev after the first deployment, or dative-atom profile" in told
    assert state.profile_requests == []
    assert len(state.deployments) == 1
    assert "first deployment" not in admin("plan", path, "--env", "dev", "--no-profiles").stderr


@pytest.mark.parametrize("code", ["agent.connection_missing", "bundle.blob_missing"])
def test_a_connection_that_comes_with_the_deployment_is_said_to_be_looked_at_later(
    admin: Any, deployed: Any, write: Any, code: str
) -> None:
    deployed.fields["upsert"] = (code, "there is no connection erp")
    told = admin("plan", write(), "--env", "dev").stderr
    assert f"account-to-erp/upsert: no live profile: there is no connection erp ({code}); and no atom has" in told
    assert "or dative-atom profile FILE" in told


@pytest.mark.parametrize("code", [COMMAND_UNKNOWN, UNIMPLEMENTED, DEADLINE])
def test_an_atom_or_controller_that_can_not_answer_does_not_stop_a_plan(
    admin: Any, deployed: Any, write: Any, code: Any
) -> None:
    deployed.profile_refused = DativeError("it is of another version", code=code)
    told = admin("plan", write(), "--env", "dev").stderr
    assert f"no live profiles of account-to-erp: it is of another version ({code.name})" in told
    assert admin("process", "profile", write(), "--env", "dev", code=None).exit_code == code.exit_code


def test_a_type_that_only_a_newer_atom_knows_is_a_note(admin: Any, deployed: Any, write: Any) -> None:
    deployed.fields["upsert"] = {**FITTING, "place": "geometry"}
    assert "account-to-erp/upsert: no live profile: place: " in admin("plan", write(), "--env", "dev").stderr


def test_what_is_wrong_with_a_recorded_profile_is_told_beside_the_live_one(admin: Any, state: Any, write: Any) -> None:
    path = write()
    admin("process", "profile", path, "--env", "dev", "--write")
    file = Path("profiles/account-to-erp/upsert.yaml")
    file.write_text(file.read_text().replace("table", "tabel"))
    told = admin("process", "profile", path, "--env", "dev")
    assert "(profile.stale)" in told.stderr
    assert "2 fields, none recorded" in told.stdout


def test_a_plan_says_what_it_was_checked_against(admin: Any, deployed: Any, write: Any) -> None:
    path = write()
    told = admin("plan", path, "--env", "dev")
    assert "profile account-to-erp/read: live" in told.stderr
    plan = json.loads(admin("plan", path, "--env", "dev", "-o", "json").stdout)
    assert plan["profiles"] == {"account-to-erp/read": "live", "account-to-erp/upsert": "live"}


def test_without_an_atom_the_recorded_profiles_are_taken_and_called_stale(
    admin: Any, deployed: Any, write: Any
) -> None:
    state, path = deployed, write()
    admin("process", "profile", path, "--env", "dev", "--write")
    state.atoms["hq-1"].state = "offline"
    told = admin("plan", path, "--env", "dev")
    assert "no live profiles of account-to-erp: no atom of dev is connected (fleet.atom_offline)" in told.stderr
    assert "account-to-erp/upsert: stale profile of 20" in told.stderr
    plan = json.loads(admin("plan", path, "--env", "dev", "-o", "json").stdout)
    assert set(plan["profiles"]) == {"account-to-erp/read", "account-to-erp/upsert"}
    assert all(source.startswith("recorded 20") for source in plan["profiles"].values())
    file = Path("profiles/account-to-erp/upsert.yaml")
    file.write_text(file.read_text() + '  tax: "text!"\n')
    assert "(target.required_missing)" in admin("plan", path, "--env", "dev", code=None).stderr


def test_a_live_profile_counts_where_the_recorded_one_says_otherwise(admin: Any, deployed: Any, write: Any) -> None:
    state, path = deployed, write(expression="lower(Name)")
    state.fields["upsert"] = NEEDY
    admin("process", "profile", path, "--env", "dev", "--write")
    state.fields["upsert"] = FITTING
    admin("deploy", path, "--env", "dev")
    assert len(state.deployments) == 2


def test_a_process_that_is_wrong_by_itself_is_refused_before_anybody_is_asked(
    admin: Any, deployed: Any, write: Any
) -> None:
    state, path = deployed, write(expression="nobody(Name)")
    refused = admin("plan", path, "--env", "dev", code=None)
    assert refused.exit_code != 0
    assert f"dative process validate {path}" in refused.stderr
    assert "--no-profiles" not in refused.stderr
    assert state.profile_requests == []
