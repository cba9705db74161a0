"""`kill: every-boundary`: the case is run once for each boundary that it passes, killed there, and resumed.

Every passage counts, but not those of `failpoints.ECHOES`, which end like the boundary before.

Whatever boundary it was, the end must be the same as without a kill: the same counts, the same dead letters, the same
links, and each effect in the target exactly once. Which boundaries there are is counted on a run without a kill.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
from dative.errors.base import StopRun
from dative.errors.testing import BOUNDARIES_EXCEEDED, WORKER_LOST
from dative.process.case_model import Fault
from dative.process.model import Process

from dative_atom.connectors.registry import connector_spec
from dative_atom.engine.failpoints import ECHOES, VARIABLE
from dative_atom.testing.compare import Difference
from dative_atom.testing.forge import MESSAGE, PASSED
from dative_atom.testing.stage import Played, Stage

KILLS_MAX: Final = 1000
END_S: Final = 300.0
Boundary = tuple[str, int]


@dataclass(frozen=True)
class Chaos:
    """kills: how many workers were killed and resumed. differences: of any of them to the run without a kill."""

    kills: int
    differences: Sequence[Difference]


def every_boundary(stage: Stage, rows: pa.RecordBatch, faults: Sequence[Fault]) -> Chaos:
    """Kill it everywhere. StopRun testing.boundaries_exceeded over KILLS_MAX, testing.worker_lost for a broken worker."""
    message = stage.prepare(rows)
    with tempfile.TemporaryDirectory(prefix="dative-chaos-") as place, _forge() as forge:
        attempts = _Attempts(stage, message, Path(place), faults, forge)
        whole, passed = attempts.whole()
        telling = {name: times for name, times in passed.items() if name.partition(":")[0] not in ECHOES}
        boundaries = [(name, number) for name, times in telling.items() for number in range(1, times + 1)]
        if len(boundaries) > KILLS_MAX:
            raise StopRun(
                f"the case passes {len(boundaries)} boundaries; at most {KILLS_MAX}", code=BOUNDARIES_EXCEEDED
            )
        found: list[Difference] = []
        for boundary in boundaries:
            found += _unlike(stage.process, boundary, whole, attempts.killed(boundary))
        return Chaos(len(boundaries), found)


@contextmanager
def _forge() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "dative_atom.testing.forge"]
    forge = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield forge
    finally:
        if forge.stdin is not None:
            forge.stdin.close()
        forge.wait(END_S)
        if forge.stdout is not None:
            forge.stdout.close()


class _Attempts:
    """Runs of one case, each in a copy of its folder."""

    def __init__(
        self, stage: Stage, message: Any, place: Path, faults: Sequence[Fault], forge: subprocess.Popen[str]
    ) -> None:
        self._stage, self._message, self._place, self._forge = stage, message, place, forge
        self._faults = [fault.model_dump(mode="json", exclude_defaults=True) for fault in faults]

    def whole(self) -> tuple[Played, Counter[str]]:
        """The run without a kill, and how often it passed which boundary."""
        folder = self._copy("whole")
        self._attempt(folder, "")
        return self._in(folder).read(), Counter(json.loads((folder / PASSED).read_text(encoding="utf-8")))

    def killed(self, boundary: Boundary) -> Played:
        """The end of a run that was killed there and resumed."""
        name, number = boundary
        folder = self._copy(f"{name}-{number}")
        status = self._ask(folder, f"{name}:{number}")
        if status != -signal.SIGKILL:
            raise StopRun(f"{VARIABLE}={name}:{number} was passed once and not again (exit {status})", code=WORKER_LOST)
        if not self._in(folder).ended():
            self._attempt(folder, "")
        played = self._in(folder).read()
        shutil.rmtree(folder)
        return played

    def _copy(self, name: str) -> Path:
        folder = self._place / name
        shutil.copytree(self._stage.folder, folder)
        message = msgspec.structs.replace(self._message, journal=str(folder / "journal.db"))
        (folder / MESSAGE).write_bytes(msgspec.json.encode(message))
        return folder

    def _attempt(self, folder: Path, failpoint: str) -> None:
        status = self._ask(folder, failpoint)
        if status != 0:
            raise StopRun(f"a worker of the case ended with {status} where nothing kills it", code=WORKER_LOST)

    def _ask(self, folder: Path, failpoint: str) -> int:
        asked = {"folder": str(folder), "failpoint": failpoint, "faults": self._faults}
        assert self._forge.stdin is not None  # noqa: S101 - both are pipes
        assert self._forge.stdout is not None  # noqa: S101
        self._forge.stdin.write(json.dumps({**asked, "now": self._stage.now.isoformat()}) + "\n")
        self._forge.stdin.flush()
        answer = self._forge.stdout.readline()
        if not answer:
            raise StopRun("the process that makes the workers has gone", code=WORKER_LOST)
        return int(json.loads(answer)["status"])

    def _in(self, folder: Path) -> Stage:
        return Stage(folder, self._stage.process, self._stage.now)


def _unlike(process: Process, boundary: Boundary, whole: Played, killed: Played) -> Iterator[Difference]:
    """What a kill changed."""
    where = f"killed at {boundary[0]}, time {boundary[1]}"
    for name in ("read", "written", "filtered", "returned", "dead_lettered"):
        wanted, actual = getattr(whole.counts, name), getattr(killed.counts, name)
        if wanted != actual:
            yield Difference(where, name, wanted, actual)
    wanted_end, end = _end(whole), _end(killed)
    if wanted_end != end:
        yield Difference(where, "dead letters and failure", wanted_end, end)
    if whole.links != killed.links:
        yield Difference(where, "links", dict(whole.links), dict(killed.links))
    yield from _unlike_effects(process, where, whole, killed)


def _end(played: Played) -> tuple[Any, ...]:
    letters = [(one.parked.document, one.parked.code, one.parked.field, one.parked.step) for one in played.dead_letters]
    return letters, (played.failure or {}).get("code")


def _unlike_effects(process: Process, where: str, whole: Played, killed: Played) -> Iterator[Difference]:
    wanted, actual = _counted(process, whole), _counted(process, killed)
    for (step, key, document), times in sorted((actual | wanted).items()):
        if wanted[step, key, document] != actual[step, key, document]:
            what = key or document
            note = f"step {step} applied {what} {actual[step, key, document]} times, expected {wanted[step, key, document]}"
            yield Difference(where, "effect", wanted[step, key, document], times, note)


def _counted(process: Process, played: Played) -> Counter[tuple[str, str, str]]:
    """How often each document was applied. A target without transactions that may safely repeat a write counts once."""
    counted = Counter((one.step, one.key, json.dumps(dict(one.document))) for one in played.effects)
    repeatable = {step.id for step, settings, _ in process.operations() if _repeatable(settings)}
    return Counter({effect: 1 if effect[0] in repeatable else times for effect, times in counted.items()})


def _repeatable(settings: Any) -> bool:
    spec = connector_spec(settings.connector).operations[settings.operation]
    return spec.idempotent and not spec.transactional
