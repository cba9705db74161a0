"""Plan, deploy, undeploy, rollback, promote: what is signed, what is kept, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dative.bundle.manifest import ENVIRONMENT_MEDIA
from dative.bundle.pack import EnvironmentConfig
from dative_controller.cli.deploying import parts_of


def test_a_plan_names_every_change_by_step_and_field_and_deploys_nothing(admin: Any, fake: Any, write: Any) -> None:
    admin("deploy", write(), DATIVE_ENV="dev")
    planned = admin("plan", write(expression="lower(Name)"), "--exit-code", code=3, DATIVE_ENV="dev")
    assert "~ to-customer.name: upper(Name) → lower(Name)" in planned.stderr
    assert "r1 → r2" in planned.stderr
    assert planned.stdout.startswith("check-index ")
    assert len(fake.state.deployments) == 1


def test_a_plan_without_changes_exits_0(admin: Any, write: Any) -> None:
    path = write()
    admin("deploy", path, "--env", "dev")
    assert "no change" in admin("plan", path, "--env", "dev", "--exit-code").stderr


def test_a_plan_as_json_carries_changes_needs_and_check_index(admin: Any, write: Any) -> None:
    plan = json.loads(admin("diff", write(), "--env", "dev", "-o", "json").stdout)
    assert plan["apiVersion"] == "dative/v1"
    assert plan["kind"] == "Plan"
    assert plan["changed"] is True
    assert plan["processes"] == [{"name": "account-to-erp", "before": None, "after": 1, "changes": []}]
    assert plan["check_index"] > 0


def test_a_deployment_keeps_the_other_processes_by_digest(admin: Any, fake: Any, write: Any) -> None:
    admin("deploy", write("first"), "--env", "dev")
    kept = parts_of(fake.state.manifest())["first"]
    uploads = fake.state.calls["PutBlob"]
    admin("deploy", write("second"), "--env", "dev")
    parts = parts_of(fake.state.manifest())
    assert sorted(parts) == ["first", "second"]
    assert parts["first"].entry == kept.entry
    assert parts["first"].digests == kept.digests
    # One process, one manifest; the settings did not change.
    assert fake.state.calls["PutBlob"] == uploads + 2


def test_a_deployment_says_who_what_where_and_the_exact_undo(admin: Any, write: Any) -> None:
    first = admin("deploy", write(), "--env", "dev", "-m", "for finance")
    assert "generation 1 of dev/default signed by anna: account-to-erp r1" in first.stderr
    assert "undo   dative undeploy account-to-erp --env dev" in first.stderr
    second = admin("deploy", write(expression="lower(Name)"), "--env", "dev")
    assert "undo   dative rollback account-to-erp --env dev" in second.stderr


def test_a_stale_check_index_is_refused_with_exit_6_and_nothing_is_deployed(admin: Any, fake: Any, write: Any) -> None:
    index = json.loads(admin("plan", write("first"), "--env", "dev", "-o", "json").stdout)["check_index"]
    admin("deploy", write("second"), "--env", "dev")
    refused = admin("deploy", "first", "--env", "dev", "--check-index", str(index), code=6)
    assert "deployment.plan_is_old" in refused.stderr
    assert "next   Look at the difference and deploy again: dative diff" in refused.stderr
    assert len(fake.state.deployments) == 1


def test_the_same_content_again_deploys_nothing(admin: Any, fake: Any, write: Any) -> None:
    path = write()
    admin("deploy", path, "--env", "dev")
    again = admin("deploy", path, "--env", "dev", "-o", "json")
    assert "nothing was deployed" in again.stderr
    assert json.loads(again.stdout)["generation"] == 1
    assert len(fake.state.deployments) == 1


def test_changed_settings_alone_are_deployed(admin: Any, fake: Any, write: Any) -> None:
    path = write()
    admin("deploy", path, "--env", "dev")
    admin("env", "set", "dev", "erp.url=postgresql://other/erp", "--override", "account-to-erp.region=US")
    told = admin("deploy", path, "--env", "dev").stderr
    assert "environment ~ connection erp.url: postgresql://db/erp → postgresql://other/erp" in told
    artifact = fake.state.manifest().artifacts_of(ENVIRONMENT_MEDIA)[0]
    packed = EnvironmentConfig.parse(fake.state.blobs[artifact.digest])
    assert packed.connections["erp"].settings == {"url": "postgresql://other/erp"}
    assert packed.overrides == {"account-to-erp.region": "US"}
    assert fake.state.manifest().processes[0].version == 1


def test_a_missing_binding_is_refused_before_anything_is_sent(admin: Any, fake: Any, write: Any) -> None:
    admin("env", "create", "bare")
    refused = admin("deploy", write(), "--env", "bare", code=6)
    assert "cli.environment_incomplete" in refused.stderr
    assert "connection crm (salesforce): dative env set bare crm.connector=salesforce" in refused.stderr
    assert fake.state.deployments == []


def test_an_invalid_process_is_refused_with_every_finding(admin: Any, fake: Any, write: Any) -> None:
    path = write(expression="read_csv('/etc/passwd')")
    refused = admin("deploy", path, "--env", "dev", code=1)
    assert f"{path}:" in refused.stderr
    assert "cli.process_invalid" in refused.stderr
    assert fake.state.deployments == []


def test_undeploy_takes_out_one_process_and_keeps_the_rest(admin: Any, fake: Any, write: Any) -> None:
    admin("deploy", write("first"), "--env", "dev")
    admin("deploy", write("second"), "--env", "dev")
    told = admin("undeploy", "first", "--env", "dev").stderr
    assert sorted(parts_of(fake.state.manifest())) == ["second"]
    assert "undo   dative rollback --to 2 --env dev" in told
    assert "cli.not_deployed" in admin("undeploy", "first", "--env", "dev", code=5).stderr


def test_a_rollback_is_a_new_signed_generation_with_the_old_content(admin: Any, fake: Any, write: Any) -> None:
    admin("deploy", write(), "--env", "dev")
    old = parts_of(fake.state.manifest())["account-to-erp"]
    admin("deploy", write(expression="lower(Name)"), "--env", "dev")
    admin("deploy", write("other"), "--env", "dev")
    told = admin("rollback", "account-to-erp", "--env", "dev", "-m", "wrong names").stderr
    manifest = fake.state.manifest()
    assert manifest.generation == 4
    assert manifest.rollback_of == 1
    assert manifest.allow_release_counter_decrease
    assert manifest.previous_digest == fake.state.manifest(-2).digest
    assert parts_of(manifest)["account-to-erp"].entry == old.entry
    assert parts_of(manifest)["account-to-erp"].digests == old.digests
    assert "other" in parts_of(manifest)
    assert fake.state.deployments[-1][0].kind == "rollback"
    assert "undo   dative rollback --to 3 --env dev" in told


def test_after_a_rollback_the_next_version_is_higher_than_any_before(admin: Any, fake: Any, write: Any) -> None:
    admin("deploy", write(), "--env", "dev")
    admin("deploy", write(expression="lower(Name)"), "--env", "dev")
    admin("rollback", "account-to-erp", "--env", "dev")
    admin("deploy", write(expression="trim(Name)"), "--env", "dev")
    assert fake.state.manifest().processes[0].version == 3
    assert not fake.state.manifest().allow_release_counter_decrease


def test_rollback_to_a_generation_brings_back_all_of_it(admin: Any, fake: Any, write: Any) -> None:
    admin("deploy", write("first"), "--env", "dev")
    admin("deploy", write("second"), "--env", "dev")
    admin("rollback", "--to", "1", "--env", "dev")
    assert sorted(parts_of(fake.state.manifest())) == ["first"]
    assert fake.state.manifest().rollback_of == 1


@pytest.mark.parametrize("arguments", [("account-to-erp",), ("--to", "7")])
def test_a_rollback_to_nothing_is_refused(admin: Any, write: Any, arguments: tuple[str, ...]) -> None:
    admin("deploy", write(), "--env", "dev")
    assert "cli.nothing_before" in admin("rollback", *arguments, "--env", "dev", code=5).stderr


def test_a_changed_byte_in_an_earlier_manifest_stops_the_rollback(admin: Any, fake: Any, write: Any) -> None:
    admin("deploy", write(), "--env", "dev")
    first = fake.state.manifest()
    admin("deploy", write(expression="lower(Name)"), "--env", "dev")
    fake.state.blobs[first.digest] = first.to_payload().replace(b'"version":1', b'"version":9')
    refused = admin("rollback", "account-to-erp", "--env", "dev", code=1)
    assert "bundle.blob_mismatch" in refused.stderr
    assert len(fake.state.deployments) == 2


def test_a_controller_that_shows_an_unsigned_manifest_is_not_built_upon(admin: Any, fake: Any, write: Any) -> None:
    from dative.bundle.envelope import sign
    from dative.bundle.keys import SigningKey
    from dative.bundle.manifest import DEPLOYMENT_TYPE

    admin("deploy", write(), "--env", "dev")
    forged = sign(DEPLOYMENT_TYPE, fake.state.manifest().to_payload() + b" ", [SigningKey.generate()]).to_bytes()
    fake.state.deployments[-1] = (fake.state.deployments[-1][0], forged)
    refused = admin("deploy", write("other"), "--env", "dev", code=6)
    assert "bundle.bad_signature" in refused.stderr


def test_promote_deploys_the_same_digest_and_shows_only_what_the_environments_set(
    admin: Any, fake: Any, write: Any
) -> None:
    admin("deploy", write(), "--env", "dev")
    admin("deploy", write(expression="lower(Name)"), "--env", "dev")
    source = parts_of(fake.state.manifest())["account-to-erp"]
    admin("env", "create", "test")
    admin(
        "env",
        "set",
        "test",
        "crm.connector=salesforce",
        "crm.client_id=3MVG9",
        "crm.username=sync@example.com",
        "erp.connector=database",
        "erp.url=postgresql://db/test",
        "--override",
        "account-to-erp.region=US",
    )
    told = admin("promote", "account-to-erp", "--from", "dev", "--to", "test").stderr
    made = parts_of(fake.state.manifest())["account-to-erp"]
    assert made.digests == source.digests
    assert made.entry.version == 1
    assert "override account-to-erp.region: not set in dev, US in test" in told
    assert fake.state.deployments[-1][0].kind == "promote"


def test_watching_tells_each_atoms_phase_and_exits_8_when_some_refuse(admin: Any, fake: Any, write: Any) -> None:
    fake.state.add_atom("hq-1", "dev")
    fake.state.add_atom("hq-2", "dev")
    fake.state.refuse_phase = True
    told = admin("deploy", write(), "--env", "dev", "--watch", code=8)
    assert "✖ hq-1  refused: it has expired (bundle.expired)" in told.stderr
    assert "✔ hq-2  active" in told.stderr
    assert "next   dative-atom doctor" in told.stderr
    fake.state.refuse_phase = False
    assert "2 of 2 atoms run generation 2" in admin("deploy", write("b"), "--env", "dev", "--watch").stderr


def test_tables_beside_a_process_are_packed_and_nothing_else_of_this_machine(admin: Any, fake: Any, write: Any) -> None:
    from pathlib import Path

    path = Path(write())
    tables = "\n  tables: {rates: {kind: rates, file: %s}}\n  source:"
    text = path.read_text()
    Path("rates.csv").write_text("from,to,date,rate\nUSD,EUR,2026-01-01,0.9\n")
    path.write_text(text.replace("\n  source:", tables % "rates.csv"))
    admin("deploy", str(path), "--env", "dev")
    digest = parts_of(fake.state.manifest())["account-to-erp"].digests["account-to-erp/rates.csv"]
    assert fake.state.blobs[digest] == Path("rates.csv").read_bytes()
    Path("../outside.csv").write_text("secret")
    path.write_text(text.replace("\n  source:", tables % "../outside.csv"))
    assert "not beside the process" in admin("deploy", str(path), "--env", "dev", code=1).stderr
