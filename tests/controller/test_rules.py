"""The pure rules: what looks like a secret, trace context, token buckets, one session's messages."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from dative.clock import ManualClock
from dative.errors import DativeError
from dative.rpc import TraceContext, channel_options, server_options
from dative.v1 import agent_pb2, types_pb2
from dative_controller.links.session import OUTBOX_MAX, Pushed, Session
from dative_controller.server.environment_rules import check_allows, check_not_secret
from dative_controller.server.limits import Limiter, address_of, is_loopback
from hypothesis import given
from hypothesis import strategies as st

SECRETS = {
    ("password", "x"),
    ("api_key", "x"),
    ("client_secret", "x"),
    ("security_token", "x"),
    ("url", "postgresql://user:pw@host/db"),
    ("dsn", "host=h;password=pw"),
    ("pem", "-----BEGIN RSA PRIVATE KEY-----"),
    ("header", "Bearer abcdefghijklmnopqrstuv"),
    ("jwt", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0abc.sflKxwRJSMeKKF2QT4"),
    ("aws", "AKIAIOSFODNN7EXAMPLE"),
}
CLEAR = {
    ("url", "postgresql://erp.example:5432/db"),
    ("url", "https://login.example/services/oauth2/token"),
    ("username", "integration@example.com"),
    ("client_id", "3MVG9abc.def_ghi"),
    ("token_url", "https://idp.example/token"),
    ("password", ""),
    ("key_field", "Id"),
}


@pytest.mark.parametrize(("setting", "value"), sorted(SECRETS))
def test_what_looks_like_a_secret_is_refused_and_not_quoted(setting: str, value: str) -> None:
    with pytest.raises(DativeError) as refused:
        check_not_secret(f"erp.{setting}", setting, value)
    assert refused.value.code.name == "environment.looks_secret"
    assert len(value) < 3 or value not in str(refused.value)


@pytest.mark.parametrize(("setting", "value"), sorted(CLEAR))
def test_what_is_no_secret_is_taken(setting: str, value: str) -> None:
    check_not_secret(f"erp.{setting}", setting, value)


@given(st.text(max_size=80))
def test_a_bad_traceparent_never_fails(text: str) -> None:
    context = TraceContext.parse(text)
    assert context is None or TraceContext.parse(context.traceparent) == context


def test_a_traceparent_comes_back() -> None:
    context = TraceContext.new()
    assert TraceContext.parse(context.traceparent) == context
    assert context.child().trace_id == context.trace_id
    assert TraceContext.parse("00-" + "0" * 32 + "-" + "1" * 16 + "-01") is None


def test_options_are_named_once() -> None:
    for options in (server_options(), channel_options(server_name="x")):
        assert len({name for name, _ in options}) == len(options)


def test_a_bucket_fills_again_and_says_how_long_that_takes() -> None:
    clock = ManualClock(datetime.now(UTC))
    limiter = Limiter(clock, rate_per_s=1, burst=2, what="calls")
    limiter.take("a")
    limiter.take("a")
    limiter.take("b")
    with pytest.raises(DativeError, match="again in 1 s"):
        limiter.take("a")
    clock.advance(1)
    limiter.take("a")


def test_addresses() -> None:
    assert address_of("ipv4:10.0.0.1:443") == address_of("ipv4:10.0.0.1:9")
    assert is_loopback("ipv4:127.0.0.1:5")
    assert is_loopback("ipv6:%5B::1%5D:5")
    assert not is_loopback("ipv4:10.127.0.1:5")


def session() -> Session:
    return Session(
        atom_id="a",
        name="hq-1",
        environment_id="e",
        molecule_id="default",
        number=1,
        closes_at=datetime.now(UTC),
        heartbeat_s=15,
        trust_version=1,
        observed=types_pb2.ObservedState(),
        draining=False,
    )


async def test_a_newer_push_supersedes_and_an_unchanged_one_is_not_repeated() -> None:
    open_session, first, second = session(), Pushed("d1", 1, 1, "sha256:1"), Pushed("d2", 1, 2, "sha256:2")
    assert open_session.needs(first)
    nonce = open_session.nonce_for(first)
    assert not open_session.needs(first)
    assert open_session.needs(second)
    open_session.nonce_for(second)
    assert open_session.needs(first), "an operator may go back before the atom answered"
    assert open_session.pushed_as(nonce) == first
    open_session.want_push()
    open_session.want_push()
    assert await open_session.next_message() == "push"
    assert not open_session.push_wanted


async def test_a_peer_that_does_not_read_is_ended_not_buffered_for() -> None:
    open_session = session()
    for _ in range(OUTBOX_MAX + 1):
        open_session.send(agent_pb2.ConnectResponse())
    why = await asyncio.wait_for(asyncio.shield(open_session.ended), 1)
    assert why is not None
    assert why.code.name == "links.silent"
    for _ in range(OUTBOX_MAX):
        assert await open_session.next_message() != "ended"
    assert await open_session.next_message() == "ended"


@pytest.mark.parametrize(
    "word",
    ["script", "command:rm", "command:/", "command:/bin/../x", "command:/bin//x", "command:/a b", "scripts\n", ""],
)
def test_what_an_environment_can_not_allow_is_refused(word: str) -> None:
    with pytest.raises(DativeError, match="absolute path"):
        check_allows([word])
    check_allows(["scripts", "command:/usr/bin/rates"])
