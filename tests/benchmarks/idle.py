"""What an atom weighs while it has nothing to do, and how long it takes to be ready: with a real controller."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import psutil
from demo.house import House

EXAMPLE = Path(__file__).parents[2] / "examples" / "account-to-erp"
SETTLE_S = 5.0
START_PATIENCE_S = 30.0


def program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def run() -> list[str]:
    """Lines to print."""
    with tempfile.TemporaryDirectory(prefix="dative-") as directory:
        house = House(Path(directory) / "h", accounts=100)
        try:
            house.open()
            house.dative("deploy", str(EXAMPLE), "--env", "dev", "--watch")
            house.stop("atom-hq-1")
            started = time.perf_counter()
            house.start_atom("hq-1")
            ready = _until_linked(house, started)
            time.sleep(SETTLE_S)
            return [f"ready after {ready:.2f} s", *_weigh(house)]
        finally:
            house.close()


def _until_linked(house: House, started: float) -> float:
    log = house.directory / "atom-hq-1.log"
    seen = log.read_text().count('"link.connected"')
    while time.perf_counter() - started < START_PATIENCE_S:
        if log.read_text().count('"link.connected"') > seen:
            return time.perf_counter() - started
        time.sleep(0.01)
    raise RuntimeError(f"the atom was not linked within {START_PATIENCE_S:.0f} s")


def _weigh(house: House) -> list[str]:
    agent = psutil.Process(house.pid("atom-hq-1"))
    mib = 1024 * 1024
    workers = [child.memory_info().rss / mib for child in agent.children(recursive=True)]
    used = agent.cpu_times()
    time.sleep(SETTLE_S)
    now = agent.cpu_times()
    share = (now.user + now.system - used.user - used.system) / SETTLE_S
    return [
        f"agent {agent.memory_info().rss / mib:.0f} MiB RSS, {100 * share:.1f} % of a core",
        f"warm workers beside it: {len(workers)}, {sum(workers):.0f} MiB RSS",
    ]
