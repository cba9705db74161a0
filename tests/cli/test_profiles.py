"""Profiles on the command line: asked for, recorded, compared; a plan goes by them and refuses what would fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

READ = {"Id": "text(18)", "Name": "text(255)", "Phone": "text(40)"}
FITTING = {"source_id": "text(18)!", "name": "text(255)"}
NEEDY = {**FITTING, "tax": "text!"}


@pytest.fixture
def state(admin: Any, fake: Any) -> Any:
    fake.state.add_atom("hq-1", "dev")
    fake.state.fields = {"read": READ, "upsert": FITTING}
    return fake.state


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


def test_a_plan_and_a_deployment_refuse_what_the_live_systems_would(admin: Any, state: Any, write: Any) -> None:
    path = write()
    state.fields["upsert"] = NEEDY
    for command in ("plan", "deploy"):
        refused = admin(command, path, "--env", "dev", code=None)
        assert refused.exit_code != 0
        for words in (f"{path}:19:", 'needs "tax"', "(target.required_missing)", "next: Map the field"):
            assert words in refused.stderr
    assert not state.deployments
    assert len(state.profile_requests) == 2
    admin("deploy", path, "--env", "dev", "--no-profiles")
    assert len(state.profile_requests) == 2


def test_a_plan_says_what_it_was_checked_against(admin: Any, state: Any, write: Any) -> None:
    path = write()
    told = admin("plan", path, "--env", "dev")
    assert "profile account-to-erp/read: live" in told.stderr
    plan = json.loads(admin("plan", path, "--env", "dev", "-o", "json").stdout)
    assert plan["profiles"] == {"account-to-erp/read": "live", "account-to-erp/upsert": "live"}


def test_without_an_atom_the_recorded_profiles_are_taken_and_called_stale(admin: Any, state: Any, write: Any) -> None:
    path = write()
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


def test_a_live_profile_counts_where_the_recorded_one_says_otherwise(admin: Any, state: Any, write: Any) -> None:
    path = write()
    state.fields["upsert"] = NEEDY
    admin("process", "profile", path, "--env", "dev", "--write")
    state.fields["upsert"] = FITTING
    admin("deploy", path, "--env", "dev")


def test_a_process_that_is_wrong_by_itself_is_refused_before_anybody_is_asked(
    admin: Any, state: Any, write: Any
) -> None:
    assert admin("plan", write(expression="nobody(Name)"), "--env", "dev", code=None).exit_code != 0
    assert state.profile_requests == []
