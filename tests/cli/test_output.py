"""What is printed as data: every form, and the JSON that scripts may rely on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ruamel.yaml import YAML

LISTS = [
    (("env", "list"), "EnvironmentList"),
    (("env", "secret", "list", "--env", "dev"), "SecretNameList"),
    (("atom", "list"), "AtomList"),
    (("deployment", "list", "--env", "dev"), "DeploymentList"),
    (("execution", "list"), "ExecutionList"),
    (("dlq", "list"), "DeadLetterList"),
    (("process", "list", "--env", "dev"), "ProcessList"),
    (("context", "list"), "ContextList"),
    (("audit", "list"), "AuditEntryList"),
    (("status",), "EnvironmentStatusList"),
    (("doctor",), "CheckList"),
    (("explain",), "CodeList"),
]
ITEMS = [
    (("env", "show", "dev"), "Environment"),
    (("atom", "show", "hq-1"), "Atom"),
    (("whoami",), "Identity"),
    (("context", "show"), "Context"),
    (("trust", "show"), "TrustDocument"),
    (("version",), "Version"),
    (("audit", "verify"), "AuditChain"),
    (("explain", "rpc.unreachable"), "Code"),
]


@pytest.fixture
def full(admin: Any, fake: Any, write: Any) -> Any:
    fake.state.add_atom("hq-1", "dev")
    admin("env", "secret", "set", "erp.password", "--env", "dev", stdin="value-of-it")
    admin("deploy", write(), "--env", "dev")
    return admin


def test_every_list_keeps_the_json_contract_in_every_form(full: Any) -> None:
    for arguments, kind in LISTS:
        whole = json.loads(full(*arguments, "-o", "json").stdout)
        assert (whole["apiVersion"], whole["kind"]) == ("dative/v1", kind)
        lines = full(*arguments, "-o", "jsonl").stdout.splitlines()
        assert len(lines) == len(whole["items"])
        assert YAML(typ="safe").load(full(*arguments, "-o", "yaml").stdout)["kind"] == kind
        assert len(full(*arguments, "-o", "name").stdout.splitlines()) == len(whole["items"])
        table = full(*arguments).stdout
        bare = full(*arguments, "--no-headers").stdout
        assert not whole["items"] or table.splitlines()[0] not in bare


def test_every_item_keeps_the_json_contract_in_every_form(full: Any) -> None:
    for arguments, kind in ITEMS:
        whole = json.loads(full(*arguments, "-o", "json").stdout)
        assert (whole["apiVersion"], whole["kind"]) == ("dative/v1", kind)
        assert json.loads(full(*arguments, "-o", "jsonl").stdout) == whole
        assert YAML(typ="safe").load(full(*arguments, "-o", "yaml").stdout) == whole
        assert len(full(*arguments, "-o", "name").stdout.splitlines()) == 1


def test_an_atom_as_json_has_every_field_with_plain_types(full: Any) -> None:
    atom = json.loads(full("atom", "list", "-o", "json").stdout)["items"][0]
    assert atom["name"] == "hq-1"
    assert atom["state"] == "online"
    assert atom["phase"] == ""
    assert atom["desired_generation"] == 0
    assert atom["observed"] is None
    assert len(atom["seal_public_key"]) == 64


def test_columns_choose_and_order(full: Any) -> None:
    table = full("env", "list", "--columns", "version,name").stdout.splitlines()
    assert table[0].split() == ["version", "name"]
    assert table[1].split()[1] == "dev"
    assert "no column nope" in full("env", "list", "--columns", "nope", code=2).stderr


def test_quiet_says_nothing_but_data_and_errors(full: Any) -> None:
    told = full("env", "create", "other", "-q", "-o", "json")
    assert told.stderr == ""
    assert json.loads(told.stdout)["name"] == "other"


def test_talk_never_gets_into_the_data(full: Any, write: Any) -> None:
    for arguments in (
        ("deploy", write("b"), "--env", "dev"),
        ("env", "create", "x"),
        ("atom", "invite", "--env", "dev"),
    ):
        json.loads(full(*arguments, "-o", "json").stdout)
