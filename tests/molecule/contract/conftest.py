"""Who stands in for the coordination in the contract's tests: `HARNESSES` is the list. Real etcds start once a run."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Protocol

import grpc.aio
import pytest
from dative.waiting import SystemWaitingClock
from dative_atom.molecule.coordination import Coordination
from dative_atom.molecule.embedded import EmbeddedEtcd
from dative_atom.molecule.etcd import EtcdCoordination
from dative_atom.molecule.memory import Fault, MemoryCluster
from dative_atom.molecule.wire import etcd_pb2 as pb

_spec = importlib.util.spec_from_file_location("molecule_proxy", Path(__file__).with_name("proxy.py"))
assert _spec is not None
assert _spec.loader is not None
_proxy = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _proxy
_spec.loader.exec_module(_proxy)
Proxy = _proxy.Proxy

SHORT_S = 0.4
_numbers = count(1)


class Stand(Protocol):
    """A cluster under test, as the contract's cases use it."""

    def client(self) -> Coordination: ...

    async def compact(self, revision: int) -> None: ...

    def losing(self, what: str) -> AbstractAsyncContextManager[Coordination]:
        """A client whose next transaction is lost: "requests" or "answers"; "cut": its connection breaks instead."""
        ...


class MemoryStand:
    def __init__(self) -> None:
        self.cluster = MemoryCluster(SystemWaitingClock())

    def client(self) -> Coordination:
        return self.cluster.client()

    async def compact(self, revision: int) -> None:
        self.cluster.compact(revision)

    @asynccontextmanager
    async def losing(self, what: str) -> AsyncIterator[Coordination]:
        client = self.cluster.client()
        fault = Fault.LOST_BEFORE if what == "requests" else Fault.LOST_AFTER
        client.fault = lambda _then: fault
        yield client


class EtcdStand:
    def __init__(self, cluster: EmbeddedEtcd) -> None:
        self.cluster = cluster
        self._clients: list[EtcdCoordination] = []

    def client(self, **settings: object) -> EtcdCoordination:
        client = EtcdCoordination(self.cluster.addresses, **settings)
        self._clients.append(client)
        return client

    async def compact(self, revision: int) -> None:
        async with grpc.aio.insecure_channel(self.cluster.addresses[0]) as channel:
            call = channel.unary_unary(
                "/etcdserverpb.KV/Compact",
                request_serializer=pb.CompactionRequest.SerializeToString,
                response_deserializer=pb.CompactionResponse.FromString,
            )
            await call(pb.CompactionRequest(revision=revision, physical=True))

    @asynccontextmanager
    async def losing(self, what: str) -> AsyncIterator[EtcdCoordination]:
        async with AsyncExitStack() as stack:
            proxy = await stack.enter_async_context(Proxy("127.0.0.1", self.cluster.members[0].port))
            client = EtcdCoordination([proxy.address], timeout_s=SHORT_S)
            stack.push_async_callback(client.close)
            await client.load("/warm")  # the connection stands
            proxy.lose = what
            yield client

    async def close(self) -> None:
        for client in self._clients:
            await client.close()


HARNESSES = ("memory", "etcd")


@pytest.fixture(scope="session")
def one_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedEtcd]:
    with EmbeddedEtcd(tmp_path_factory.mktemp("one"), flags=("--unsafe-no-fsync",)) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def three_etcds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedEtcd]:
    with EmbeddedEtcd(tmp_path_factory.mktemp("three"), members=3) as cluster:
        yield cluster


@pytest.fixture
async def three(three_etcds: EmbeddedEtcd) -> AsyncIterator[EtcdStand]:
    """Three members, all running at the start of the test and again at its end."""
    stand = EtcdStand(three_etcds)
    yield stand
    await stand.close()
    for member in three_etcds.members:
        member.resume()
        member.start()
    three_etcds.wait_ready()


@pytest.fixture
async def one(one_etcd: EmbeddedEtcd) -> AsyncIterator[EtcdStand]:
    stand = EtcdStand(one_etcd)
    yield stand
    await stand.close()


@pytest.fixture(params=HARNESSES)
async def stand(request: pytest.FixtureRequest) -> AsyncIterator[Stand]:
    if request.param == "memory":
        yield MemoryStand()
        return
    etcd = EtcdStand(request.getfixturevalue("one_etcd"))
    yield etcd
    await etcd.close()


@pytest.fixture
def prefix() -> str:
    """Keys of this test alone."""
    return f"/case{next(_numbers)}/"


@pytest.fixture
def proxied() -> Callable[[EmbeddedEtcd], Proxy]:
    """A proxy before the first member."""
    return lambda cluster: Proxy("127.0.0.1", cluster.members[0].port)
