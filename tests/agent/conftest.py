"""An atom under test and the controller it talks to; the parts stand beside this file."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest
from dative.waiting import HandClock, SystemWaitingClock
from dative_atom.agent.agent import Agent
from dative_atom.agent.config import Config
from dative_atom.agent.enrol import Joined, Joining, join
from dative_atom.agent.paths import DataDir

WORKER = (sys.executable, str(Path(__file__).parent / "scripted_worker.py"))


def _beside(name: str) -> ModuleType:
    """A module of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(f"agent_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


waiting, authority, fake_controller = _beside("waiting"), _beside("authority"), _beside("fake_controller")
_beside("parked")  # tests import it as `agent_parked`
until, move = waiting.until, waiting.move
FakeController, process_json = fake_controller.FakeController, fake_controller.process_json


@dataclass
class Atom:
    """An atom under test: its data directory and, while it runs, its agent."""

    controller: FakeController
    directory: DataDir
    agent: Agent | None = None

    async def join(self, token: str | None = None, **more) -> Joined:
        joining = Joining(
            more.pop("address", self.controller.address),
            more.pop("pin", self.controller.ca.pin),
            lambda: token or self.controller.invite(),
            **more,
        )
        self.directory.prepare()
        return await join(self.directory, joining, SystemWaitingClock())

    @asynccontextmanager
    async def running(self, *, clock=None, blobs=None, wait: bool = True, **config) -> AsyncIterator[Agent]:
        """The agent in this process, with scripted workers; stopped cleanly at the end."""
        settings = {"slots": 2, "warm": 1, "drain_timeout_s": 5.0, "disk_free_min_mb": 0, **config}
        agent = await Agent.open(
            Config(data_dir=str(self.directory.root), **settings), clock=clock, worker_command=WORKER, blobs=blobs
        )
        task = asyncio.create_task(agent.run())
        self.agent = agent
        try:
            await until(lambda: agent.ready.is_set() or task.done(), "agent ready")
            if wait:
                await until(lambda: agent.link.connected.is_set() or task.done(), "link")
            yield agent
        finally:
            agent.running.force.set()
            agent.stop()
            await task
            self.agent = None


@pytest.fixture
async def controller():
    fake = FakeController()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
def atom(controller, tmp_path) -> Atom:
    return Atom(controller, DataDir(tmp_path / "atom"))


@pytest.fixture
async def joined(atom) -> Atom:
    await atom.join()
    return atom


@pytest.fixture
def hand_clock() -> HandClock:
    """Starts near the real time, because TLS looks at the real clock, but always four minutes past a quarter: planned
    times stand at quarters, and a test must not depend on when it is run."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    return HandClock(now - timedelta(minutes=now.minute % 15 - 4 if now.minute % 15 >= 4 else now.minute % 15 + 11))


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def tools():
    """The helpers of this file, for tests that need them by name."""

    class Tools:
        Authority = authority.Authority
        Atom = Atom
        FakeController = FakeController
        HandClock = HandClock
        until = staticmethod(until)
        move = staticmethod(move)
        process_json = staticmethod(process_json)
        WORKER = WORKER

    return Tools
