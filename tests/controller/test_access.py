"""Logging in, who may do what, and a log that shows when somebody changed it."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import grpc.aio
import pytest
from dative.rpc import TraceContext, error_from
from dative.v1 import agent_pb2, control_pb2, telemetry_pb2
from dative.v1 import control_pb2 as c
from dative.v1 import control_pb2_grpc as services
from dative_controller.server.permissions import PERMISSIONS
from google.protobuf import message_factory
from sqlalchemy import text

ROLES = ("viewer", "operator", "deployer", "admin", "auditor", "revealer")
SERVICES = {
    service.full_name: service
    for file in (control_pb2, agent_pb2, telemetry_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
}
ADMIN_METHODS = sorted(
    f"/{name}/{method.name}"
    for name, service in SERVICES.items()
    for method in service.methods
    if PERMISSIONS[f"/{name}/{method.name}"].roles
)


async def code_of(call: Any) -> str:
    try:
        await asyncio.wait_for(call, 15)
    except grpc.aio.AioRpcError as failed:
        return error_from(failed).code.name
    return "accepted"


def login(world: Any, token: str, subject: str = "") -> Any:
    return services.AccessServiceStub(world.admin.channel).Login(c.LoginRequest(token=token, subject=subject))


# ---- tokens ------------------------------------------------------------------------------------------------------


async def test_the_bootstrap_token_makes_one_admin_and_dies(start: Any) -> None:
    world = await start()
    token = world.controller.bootstrap_token_file.read_text()
    assert await code_of(login(world, token, "eve")) == "access.token_invalid"
    who = await world.admin.call(world.admin.access.WhoAmI, c.WhoAmIRequest())
    assert (who.subject, who.roles) == ("ada", ["admin", "auditor", "deployer", "operator", "revealer"])


async def test_the_bootstrap_file_is_the_users_alone_and_gone_once_there_is_an_admin(start: Any, tmp_path: Any) -> None:
    world = await start(tmp_path / "one")
    file = world.controller.bootstrap_token_file
    assert file.stat().st_mode & 0o777 == 0o600
    await world.controller.stop()
    await start(tmp_path / "one", admin=world.admin)
    assert not file.exists()


async def test_a_refresh_token_is_good_once_and_its_reuse_closes_the_family(world: Any) -> None:
    first = await login(world, world.admin.refresh_token)
    second = await login(world, first.refresh_token)
    assert await code_of(login(world, first.refresh_token)) == "access.refresh_reused"
    assert await code_of(login(world, second.refresh_token)) == "access.token_invalid"


async def test_failed_logins_are_slowed_down(world: Any) -> None:
    codes = [await code_of(login(world, "rt1.guess")) for _ in range(7)]
    assert codes[0] == "access.token_invalid"
    assert codes[-1] == "rpc.rate_limited"


BAD_TOKENS = {
    "none": (),
    "no bearer": (("authorization", "Basic YTpi"),),
    "garbage": (("authorization", "Bearer garbage"),),
    "none algorithm": (("authorization", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ."),),
}


@pytest.mark.parametrize("metadata", BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
async def test_a_call_without_a_valid_token_is_refused(world: Any, metadata: Any) -> None:
    call = world.admin.access.WhoAmI(c.WhoAmIRequest(), metadata=metadata)
    assert await code_of(call) in ("rpc.unauthenticated", "signing.token_invalid")


async def test_an_account_that_is_gone_is_refused_though_its_token_lives(world: Any) -> None:
    person = await world.person("bob", viewer="")
    core = world.controller.core
    await core.database.write(lambda sql: sql.execute(text("UPDATE account SET disabled = true WHERE subject = 'bob'")))
    assert await code_of(person.call(person.access.WhoAmI, c.WhoAmIRequest())) == "rpc.unauthenticated"


# ---- permissions -------------------------------------------------------------------------------------------------


def test_every_rpc_has_an_entry_and_no_entry_is_left_over() -> None:
    known = {f"/{name}/{method.name}" for name, service in SERVICES.items() for method in service.methods}
    assert set(PERMISSIONS) == known


def call_raw(channel: grpc.aio.Channel, path: str, metadata: Any) -> Any:
    """The RPC of that path with an empty request, whatever its kind."""
    _, service, name = path.split("/")
    method = SERVICES[service].methods_by_name[name]
    request = message_factory.GetMessageClass(method.input_type)()
    answer = message_factory.GetMessageClass(method.output_type)
    kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
    call = getattr(channel, kind)(
        path, request_serializer=lambda message: message.SerializeToString(), response_deserializer=answer.FromString
    )
    started = call(iter([request]) if method.client_streaming else request, metadata=metadata, timeout=10)
    return started.read() if method.server_streaming else started


@pytest.mark.parametrize("role", [*ROLES, "nothing"])
async def test_each_role_may_call_exactly_what_the_table_says(world: Any, role: str) -> None:
    person = await world.person("bob", **({role: ""} if role != "nothing" else {}))
    allowed = []
    for path in ADMIN_METHODS:
        code = await code_of(call_raw(person.channel, path, person.metadata))
        if code != "rpc.permission_denied":
            allowed.append(path)
    assert allowed == [path for path in ADMIN_METHODS if role in PERMISSIONS[path].roles]


async def test_a_role_in_one_environment_is_none_in_another(world: Any) -> None:
    admin = world.admin
    other = await admin.call(admin.environment.CreateEnvironment, c.CreateEnvironmentRequest(name="other"))
    viewer = await world.person("vera", viewer=other.environment.environment_id)
    listed = await viewer.call(viewer.environment.ListEnvironments, c.ListEnvironmentsRequest())
    assert [one.name for one in listed.environments] == ["other"]
    own = viewer.call(viewer.environment.GetEnvironment, c.GetEnvironmentRequest(environment="other"))
    assert await code_of(own) == "accepted"
    foreign = viewer.call(viewer.environment.GetEnvironment, c.GetEnvironmentRequest(environment="test"))
    assert await code_of(foreign) == "rpc.permission_denied"
    atoms = viewer.call(viewer.fleet.ListAtoms, c.ListAtomsRequest(environment="test"))
    assert await code_of(atoms) == "rpc.permission_denied"


# ---- audit, idempotency, traces ----------------------------------------------------------------------------------


async def audit(world: Any) -> list[Any]:
    answer = await world.admin.call(world.admin.access.ListAudit, c.ListAuditRequest())
    return list(answer.entries)


async def test_each_change_and_each_denial_leaves_an_entry_and_tampering_is_found(world: Any) -> None:
    person = await world.person("bob", viewer="")
    denied = person.call(person.environment.CreateEnvironment, c.CreateEnvironmentRequest(name="mine"))
    assert await code_of(denied) == "rpc.permission_denied"
    entries = await audit(world)
    assert [(one.actor, one.action, one.decision) for one in entries[::-1]] == [
        ("ada", "CreateFirstAdmin", "allowed"),
        ("ada", "PutTrust", "allowed"),
        ("ada", "CreateEnvironment", "allowed"),
        ("bob", "CreateEnvironment", "denied"),
    ]
    verified = await world.admin.call(world.admin.access.VerifyAudit, c.VerifyAuditRequest())
    assert (verified.entries, verified.head_hash, verified.status.code) == (4, entries[0].hash, "")
    await world.controller.core.database.write(
        lambda sql: sql.execute(text("UPDATE audit SET actor = 'eve' WHERE sequence = 3"))
    )
    verified = await world.admin.call(world.admin.access.VerifyAudit, c.VerifyAuditRequest())
    assert (verified.status.code, verified.status.where) == ("store.audit_broken", "entry 3")


async def test_a_failed_change_leaves_no_entry(world: Any) -> None:
    before = len(await audit(world))
    again = world.admin.call(world.admin.environment.CreateEnvironment, c.CreateEnvironmentRequest(name="test"))
    assert await code_of(again) == "control.name_taken"
    assert len(await audit(world)) == before


async def test_the_same_request_id_is_done_once(world: Any) -> None:
    admin = world.admin
    request = c.CreateEnvironmentRequest(request_id="r1", name="once")
    answers = await asyncio.gather(*(admin.call(admin.environment.CreateEnvironment, request) for _ in range(5)))
    assert len({answer.environment.environment_id for answer in answers}) == 1
    other = c.CreateEnvironmentRequest(request_id="r1", name="twice")
    assert await code_of(admin.call(admin.environment.CreateEnvironment, other)) == "rpc.request_id_reused"


async def test_a_change_leaves_its_span_under_the_callers_and_polling_leaves_none(world: Any) -> None:
    admin = world.admin
    admin.trace = TraceContext.new()
    await admin.call(admin.environment.CreateEnvironment, c.CreateEnvironmentRequest(name="traced"))
    await admin.call(admin.environment.ListEnvironments, c.ListEnvironmentsRequest())
    trace = await admin.call(admin.execution.GetTrace, c.GetTraceRequest(trace_id=admin.trace.trace_id))
    assert [(span.name, span.parent_span_id, span.service, span.kind) for span in trace.spans] == [
        ("dative.v1.EnvironmentService/CreateEnvironment", admin.trace.span_id, "controller", "SERVER")
    ]


async def test_no_secret_is_in_the_database_in_the_clear(world: Any) -> None:
    admin, canaries = world.admin, []
    canaries += [world.controller.bootstrap_token_file.read_text(), admin.access_token, admin.refresh_token]
    for request_id in ("", "remembered"):
        token = await admin.invite(request_id=request_id)
        canaries += [token, token.split(".")[2]]
    refreshed = await login(world, admin.refresh_token)
    canaries += [refreshed.refresh_token, refreshed.access_token]
    secret = f"hunter2-{secrets.token_hex(8)}"
    for settings in ({"password": secret}, {"url": f"postgresql://u:{secret}@h/db"}, {"note": f"Bearer {secret}"}):
        wanted = c.Connection(name="erp", connector="database", settings=settings)
        request = c.SetEnvironmentRequest(environment="test", set_connections=[wanted])
        assert await code_of(admin.call(admin.environment.SetEnvironment, request)) == "environment.looks_secret"
    canaries.append(secret)
    core = world.controller.core
    for name in ("ca.key", "online.key", "token.key", "server.key"):
        canaries.append((core.config.data_dir / name).read_text().splitlines()[1])
    await core.spans.flush()
    stored = b"".join(file.read_bytes() for file in core.config.data_dir.iterdir() if file.name.startswith("dative.db"))
    assert b"CreateFirstAdmin" in stored
    assert [canary for canary in canaries if canary.encode() in stored] == []
