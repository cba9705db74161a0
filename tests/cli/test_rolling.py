"""A deployment member by member at the command line: what is signed, when it is the default, how it ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from dative.bundle.envelope import Envelope
from dative.bundle.manifest import Manifest
from dative.v1 import control_pb2

MOLECULE = ("--etcd", "https://e1:2379,https://e2:2379,https://e3:2379", "--journal", "postgresql://db/j")


def test_the_way_back_is_signed_with_the_way_forward(admin: Any, fake: Any, write: Any) -> None:
    admin("deploy", write(), "--env", "dev")
    told = admin("deploy", write(expression="lower(Name)"), "--env", "dev", "--rolling", "--gate", "60").stderr
    policy = fake.state.rollouts[-1]
    back = Manifest.parse(Envelope.parse(policy.return_envelope, bytes_max=1 << 20).payload)
    first, second = fake.state.manifest(0), fake.state.manifest(1)
    assert (back.generation, back.previous_digest, back.rollback_of) == (3, second.digest, 1)
    assert (back.processes, back.artifacts) == (first.processes, first.artifacts)
    assert back.expires_at - back.issued_at == timedelta(hours=24)
    assert back.digest in fake.state.blobs, "a later rollback reads it"
    assert policy.gate.seconds == 60
    assert "1 member at a time, 60 s each; goes bad: back to all by itself" in told


def test_no_return_signs_none(admin: Any, fake: Any, write: Any) -> None:
    admin("deploy", write(), "--env", "dev", "--rolling")
    admin("deploy", write(expression="lower(Name)"), "--env", "dev", "--rolling", "--no-return")
    assert [policy.return_envelope for policy in fake.state.rollouts] == [b"", b""]


def test_it_is_the_default_where_several_atoms_coordinate(admin: Any, fake: Any, write: Any) -> None:
    fake.state.add_atom("hq-1", "dev")
    fake.state.add_atom("hq-2", "dev")
    admin("deploy", write(), "--env", "dev")
    assert fake.state.rollouts == [None]
    admin("molecule", "create", "default", "--env", "dev", *MOLECULE)
    admin("deploy", write(expression="lower(Name)"), "--env", "dev")
    assert fake.state.rollouts[-1].max_unavailable == 1
    admin("deploy", write(expression="upper(Phone)"), "--env", "dev", "--at-once")
    assert fake.state.rollouts[-1] is None


def test_watching_says_how_it_ended_and_the_exact_next_step(admin: Any, fake: Any, write: Any) -> None:
    fake.state.add_atom("hq-1", "dev")
    for state, said in (
        ("returned", "the content before is back on all members, as generation 3"),
        ("halted", "next   dative rollback --to 1 --env 01JENV-dev --molecule default"),
    ):
        fake.state.rollout = control_pb2.Rollout(
            state=state, reason="hq-1 is not well", failed_atom="hq-1", returned_as=3
        )
        fake.state.deployments.clear()
        admin("deploy", write(), "--env", "dev")
        told = admin("deploy", write(expression="lower(Name)"), "--env", "dev", "--rolling", "--watch", code=8).stderr
        assert "generation 2 stopped at hq-1: hq-1 is not well" in told
        assert said in told
