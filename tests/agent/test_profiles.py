"""The command of a look at fields, at the atom: what an unsigned question may choose, and what it may not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dative.rpc import MESSAGE_BYTES_MAX
from dative.v1 import agent_pb2
from dative_atom.agent.profiles import Profiles

CONNECTIONS = {"erp": {"connector": "database", "settings": {"url": "postgresql://erp"}}}
SIGNED = "SELECT id FROM account"


@pytest.fixture
async def deployed(joined, controller, tools):
    source = {"id": "read", "settings": {"options": {"sql": SIGNED}}}
    async with joined.running() as agent:
        definition = tools.process_json("a", source=source)
        await controller.deploy({"a": definition}, environment={"connections": CONNECTIONS})
        yield agent


def step(name: str, operation: str = "database.query", connection: str = "erp", **options: Any) -> Any:
    return agent_pb2.StepQuestion(step=name, connection=connection, operation=operation, options=json.dumps(options))


async def asked(controller, *steps: Any, process: str = "a") -> Any:
    wanted = agent_pb2.ProfileSteps(process=process, steps=steps)
    return await controller.answer(controller.command(profile_steps=wanted))


async def test_the_steps_are_answered_in_order_each_for_itself(deployed, controller) -> None:
    result = await asked(
        controller,
        step("one", table="account", where="1 = 1; DROP TABLE account"),
        step("two", connection="nope", table="account"),
        step("three", operation="salesforce.query", object="Account"),
        step("four", table="away"),
        step("five", operation="database.upsert", table="customer"),
    )
    assert result.status.code == "", result.status
    told = [(one.step, one.code, {f.name: f.type for f in one.fields}) for one in result.profile_steps.steps]
    assert told == [
        ("one", "", {"table": "query: account"}),  # its condition was not passed on
        ("two", "agent.connection_missing", {}),
        ("three", "profile.other_connector", {}),
        ("four", "connector.unavailable", {}),
        ("five", "", {"table": "upsert: customer"}),
    ]
    assert deployed.journal.unfinished() == []


@pytest.mark.parametrize(
    ("process", "sql", "code"),
    [
        ("a", SIGNED, ""),
        ("a", "SELECT id FROM account; DROP TABLE account", "profile.sql_unverified"),
        ("b", SIGNED, "profile.sql_unverified"),
    ],
)
async def test_only_sql_of_the_verified_process_is_looked_at(
    deployed, controller, process: str, sql: str, code: str
) -> None:
    result = await asked(controller, step("one", sql=sql), process=process)
    assert [one.code for one in result.profile_steps.steps] == [code]


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ([], "rpc.invalid_argument"),
        ([step("s", table="t")] * 101, "rpc.invalid_argument"),
    ],
)
async def test_what_can_not_be_answered_at_all_is_refused(deployed, controller, steps: list[Any], code: str) -> None:
    assert (await asked(controller, *steps)).status.code == code


async def test_a_worker_that_dies_is_one_steps_answer(deployed, controller) -> None:
    result = await asked(controller, step("one", table="crash"), step("two", table="account"))
    assert [one.code for one in result.profile_steps.steps] == ["agent.worker_crashed", ""]


async def test_a_system_that_hangs_takes_its_share_of_the_time_and_no_more(deployed) -> None:
    wanted = agent_pb2.ProfileSteps(process="a", steps=[step("one", table="hang"), step("two", table="account")])
    profiles = Profiles(deployed.bundles, deployed.runner, within_s=8.0)
    result = await profiles.carry_out(agent_pb2.Command(command_id="c", profile_steps=wanted))
    assert [one.code for one in result.profile_steps.steps] == ["profile.too_slow", ""]


async def test_an_answer_has_a_bound_in_bytes_and_the_steps_behind_it_are_told(deployed, controller) -> None:
    result = await asked(controller, *(step(name, table="wide") for name in "abc"), step("d", table="account"))
    assert [one.code for one in result.profile_steps.steps] == ["", "profile.too_large", "profile.too_large", ""]
    assert result.ByteSize() < MESSAGE_BYTES_MAX


@pytest.mark.parametrize("options", ["[1]", "{", "[" * 60_000])
async def test_options_that_are_no_object_are_that_steps_answer(deployed, controller, options: str) -> None:
    bad = agent_pb2.StepQuestion(step="s", connection="erp", operation="database.query", options=options)
    result = await asked(controller, bad)
    assert [one.code for one in result.profile_steps.steps] == ["rpc.invalid_argument"]
