"""Plays the test files beside processes and judges each case: `dative-atom test PATH`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from dative.errors.base import DativeError
from dative.errors.testing import CONTRACT_DRIFT
from dative.process.case_model import Case, ProcessTest
from dative.process.cases import default_start, load_test
from dative.process.load import load

from dative_atom.testing.bindings import read_bindings
from dative_atom.testing.chaos import every_boundary
from dative_atom.testing.compare import Difference, differences
from dative_atom.testing.files import ProcessFile, against_profiles, called_beside
from dative_atom.testing.recorded import Replayed, live_drift
from dative_atom.testing.recording import FOLDER
from dative_atom.testing.recording import load as load_recording
from dative_atom.testing.samples import case_rows
from dative_atom.testing.stage import Played, Stage
from dative_atom.testing.system import CaseSystem


@dataclass(frozen=True)
class Verdict:
    """One case of one process. differences: why it failed, none when it passed. steps: documents after every step.

    kills: of a chaos case, how many workers were killed. seconds: of real time.
    """

    process: str
    file: str
    name: str
    differences: Sequence[Difference] = ()
    steps: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    kills: int = 0
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return not self.differences

    @property
    def message(self) -> str:
        return "; ".join(str(difference) for difference in self.differences)


@dataclass(frozen=True, kw_only=True)
class TestFile(ProcessFile):
    """A test file that was read, with its process."""

    __test__ = False  # pytest: a class of the product, no tests

    path: Path
    test: ProcessTest


def run_path(path: Path, only: str = "") -> Iterator[Verdict]:
    """Every case of the process file, or of all processes in the folder and below. A file that does not load fails.

    only: part of a case's name; the others are left out.
    """
    for found in test_files(path):
        if isinstance(found, Verdict):
            yield found
            continue
        for case in found.test.cases:
            if only in case.name:
                yield judged(found, case)[0]


def test_files(path: Path) -> Iterator[TestFile | Verdict]:
    """The tests of the process file, or of all below the folder; a verdict where a file does not load."""
    files = [path] if path.is_file() else sorted(path.rglob("*.y*ml"))
    for file in files:
        yield from _process(file, required=path.is_file())


test_files.__test__ = False  # type: ignore[attr-defined]  # pytest: a function of the product, no test


def _process(file: Path, *, required: bool) -> Iterator[TestFile | Verdict]:
    text = file.read_bytes()
    if not required and b"kind: Process\n" not in text.replace(b"\r", b""):
        return
    loaded = load(text, filename=file.name)
    if loaded.process is None:
        yield _broken(file.name, file.name, "loads", [finding.message for finding in loaded.findings])
        return
    called = called_beside(loaded.process, file)
    if unfit := against_profiles(loaded.process, file, called):
        yield _broken(loaded.process.name, file.name, "fits its profiles", unfit)
    beside = {name: process for name, (process, _) in called.items()}
    for path in sorted([*file.parent.glob("tests/*.yaml"), *file.parent.glob("tests/*.yml")]):
        found = load_test(
            path.read_bytes(),
            filename=path.name,
            process=loaded.process,
            processes=beside.get,
        )
        if found.test is None:
            yield _broken(loaded.process.name, path.name, path.name, [str(finding) for finding in found.findings])
        elif found.test.process in (None, loaded.process.name):
            yield TestFile(process=loaded.process, folder=file.parent, called=called, path=path, test=found.test)


def _broken(process: str, file: str, name: str, messages: Sequence[str]) -> Verdict:
    return Verdict(process, file, name, [Difference(name, "", None, None, message) for message in messages])


def judged(file: TestFile, case: Case) -> tuple[Verdict, Played | None]:
    """Play one case. The second is None when it could not be played."""
    started_s = time.perf_counter()
    try:
        played, found, kills = _played(file, case)
    except DativeError as error:
        reason = Difference("case", "", None, None, f"{error}; {error.next}")
        return Verdict(file.process.name, file.path.name, case.name, [reason]), None
    seconds = time.perf_counter() - started_s
    return Verdict(file.process.name, file.path.name, case.name, found, played.steps, kills, seconds), played


def _played(file: TestFile, case: Case) -> tuple[Played, list[Difference], int]:
    if case.recording is not None:
        return *_replayed(file, case, case.recording), 0
    with tempfile.TemporaryDirectory(prefix="dative-case-") as place:
        stage = _stage(Path(place), file, case, default_start())
        rows = case_rows(file.process, file.test, case, file.path.parent)
        played = stage.play(stage.prepare(rows), CaseSystem(stage.folder, case.faults).connect)
        found = differences(case, played)
        if case.kill is None or found:
            return played, found, 0
    with tempfile.TemporaryDirectory(prefix="dative-case-") as place:
        stage.folder = Path(place)
        chaos = every_boundary(stage, rows, case.faults)
    return played, list(chaos.differences), chaos.kills


def _replayed(file: TestFile, case: Case, name: str) -> tuple[Played, list[Difference]]:
    """From a recording: its moment is the case's, and what drifted since comes before what came out otherwise."""
    replayed = Replayed(file.process, file.path.parent / FOLDER / name, case.faults)
    with tempfile.TemporaryDirectory(prefix="dative-case-") as place:
        stage = _stage(Path(place), file, case, replayed.recording.at)
        stage.bindings = replayed.bindings()
        played = stage.play(stage.prepare(None), replayed.connect(CaseSystem(stage.folder, case.faults)))
    drift = [_drift(sentence) for sentence in replayed.drift(played)]
    return played, drift or differences(case, played)


def _drift(sentence: str) -> Difference:
    return Difference("contract", "", None, None, f"{sentence} ({CONTRACT_DRIFT.name})")


def _stage(place: Path, file: TestFile, case: Case, start: datetime) -> Stage:
    return file.stage(
        place,
        case.now or start,
        tables=file.tables(case.tables),
        parameters=case.parameters,
        batch_rows=case.batch_rows,
    )


def drift_verdicts(path: Path, bound: Sequence[str]) -> Iterator[Verdict]:
    """One verdict a recording that a case uses: does the bound system still have what was recorded? Reads no document."""
    for found in test_files(path):
        if isinstance(found, Verdict):
            yield found
            continue
        for name in dict.fromkeys(case.recording for case in found.test.cases if case.recording):
            try:
                recording = load_recording(found.path.parent / FOLDER / name)
                sentences = live_drift(found.process, recording, read_bindings(found.process, bound))
                differences = [_drift(sentence) for sentence in sentences]
            except DativeError as error:
                differences = [Difference("contract", "", None, None, f"{error}; {error.next}")]
            yield Verdict(found.process.name, found.path.name, f"contract of {name}", differences)
