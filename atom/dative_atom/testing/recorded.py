"""Records a run against bound systems, replays it, and tells what of its contract has drifted."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from dative.errors.base import StopRun, code_named
from dative.errors.testing import BINDING_INVALID, CONTRACT_DRIFT
from dative.process.case_model import Fault
from dative.process.lineage import follow
from dative.process.model import Process
from dative.process.shapes import OperationSettings

from dative_atom.connectors.base import ConnectionConfig, Connector, Operation, Reader, RunContext
from dative_atom.connectors.connection import open_connection
from dative_atom.engine.run import Connect
from dative_atom.testing.files import ProcessFile
from dative_atom.testing.recording import RecordedConnection, Recording, load, save, scrubber_of
from dative_atom.testing.stage import Played, Stage
from dative_atom.testing.system import CaseSystem
from dative_atom.testing.tape import Recorder, Replay, Tape
from dative_atom.worker.protocol import Binding

GONE = ("salesforce.field_unknown", "database.column_unknown", "disk.column_missing")
"""Codes with which a source says, when it is opened, that a field is not there."""


class Profiled:
    """A connector that notes what its source delivers: field -> type, with what refines the type."""

    def __init__(self, inner: Connector, profile: dict[str, str]) -> None:
        self._inner, self._profile = inner, profile

    def reader(self, operation: Operation, context: RunContext) -> Reader:
        reader = self._inner.reader(operation, context)
        self._profile.update({field.name: str(field.type) for field in reader.profile})
        return reader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def record(
    file: ProcessFile,
    bindings: Mapping[str, Binding],
    folder: Path,
    now: datetime,
    parameters: Mapping[str, str],
) -> Played:
    """Run the process once, bound connections against their systems, all others in files, and keep what was said.

    folder: where the recording goes. now: of the clock, which stands still. StopRun when the run fails: nothing is kept.
    """
    tape, profile, process = Tape(), dict[str, str](), file.process
    settings = process.spec.source.settings
    if isinstance(settings, OperationSettings) and settings.connection not in bindings:
        raise StopRun(
            f"the source reads {settings.connection}, which is not bound: --connection {settings.connection}=FILE",
            code=BINDING_INVALID,
        )
    with tempfile.TemporaryDirectory(prefix="dative-record-") as place:
        stage = file.stage(Path(place), now, parameters=parameters, bindings=bindings)
        system = CaseSystem(stage.folder)

        def connect(config: ConnectionConfig) -> Connector:
            if config.name not in bindings:
                return system.connect(config)
            wired = dataclasses.replace(config, wire=Recorder(tape, config.name))
            return Profiled(open_connection(wired), profile)

        played = stage.play(stage.prepare(None), connect)
    if played.failure is not None:
        code = code_named(played.failure["code"]) or BINDING_INVALID
        raise StopRun(played.failure["message"], code=code, where=played.failure["where"])
    secrets = [value for binding in bindings.values() for value in binding.secrets.values()]
    connections = {name: _recorded(binding) for name, binding in bindings.items()}
    recording = Recording(process.name, now, connections, profile, tape.exchanges)
    save(folder, recording, scrubber_of(process, secrets))
    return played


def _recorded(binding: Binding) -> RecordedConnection:
    forms = {name: "pem" if "-----BEGIN" in value else "text" for name, value in binding.secrets.items()}
    return RecordedConnection(binding.connector, binding.settings, forms)


class Replayed:
    """A recording that is played again. Needs no network and no secret."""

    def __init__(self, process: Process, folder: Path, faults: Sequence[Fault]) -> None:
        """folder: of the recording. StopRun testing.recording_missing, testing.recording_damaged."""
        self.recording = load(folder)
        self.profile: dict[str, str] = {}
        self._process = process
        self._replay = Replay(self.recording.exchanges, scrubber_of(process), faults)

    def bindings(self) -> dict[str, Binding]:
        return {
            name: Binding(
                name, one.connector, dict(one.settings), {key: _stand_in(form) for key, form in one.secrets.items()}
            )
            for name, one in self.recording.connections.items()
        }

    def connect(self, system: CaseSystem) -> Connect:
        """Recorded connections answer from the recording, all others are the case's files."""

        def connect(config: ConnectionConfig) -> Connector:
            if config.name not in self.recording.connections:
                return system.connect(config)
            wired = dataclasses.replace(config, wire=self._replay.wire(config.name))
            return Profiled(open_connection(wired), self.profile)

        return connect

    def drift(self, played: Played) -> Iterator[str]:
        """What the source no longer has of what was recorded, as far as the process reads it."""
        if played.failure is not None and played.failure["code"] in GONE:
            yield played.failure["message"]
        elif self.profile:
            yield from drifted(self._process, self.recording.profile, self.profile)


@lru_cache(maxsize=1)
def _throwaway_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem.decode()


def _stand_in(form: str) -> str:
    """What a connector may sign or log in with where nobody listens."""
    return _throwaway_key() if form == "pem" else "replayed"


def live_drift(process: Process, recording: Recording, bindings: Mapping[str, Binding]) -> list[str]:
    """Open the source at the bound system, read nothing, and compare what it has with the recording's contract."""
    profile: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="dative-drift-") as place:
        stage = Stage(Path(place), process, recording.at, bindings=bindings)

        def connect(config: ConnectionConfig) -> Connector:
            return _Opened(open_connection(config), profile)

        played = stage.play(stage.prepare(None), connect)
    failure = played.failure or {}
    if failure.get("code") in GONE:
        return [failure["message"]]
    if failure.get("code") != CONTRACT_DRIFT.name:
        raise StopRun(
            f"the source could not be opened: {failure.get('message', 'it opened and ended')}",
            code=code_named(failure.get("code", "")) or BINDING_INVALID,
        )
    return list(drifted(process, recording.profile, profile))


class _Opened(Profiled):
    """Stops the run as soon as the source has said what it has."""

    def reader(self, operation: Operation, context: RunContext) -> Reader:
        reader = super().reader(operation, context)
        reader.close()
        raise StopRun("opened, and nothing was read", code=CONTRACT_DRIFT)


def drifted(process: Process, recorded: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """One sentence a field that the process reads and that is gone, or has another type."""
    read = _read_fields(process)
    for name, kind in recorded.items():
        if read is not None and name not in read:
            continue
        if name not in now:
            yield f"field {name} ({kind} when it was recorded) is gone"
        elif now[name] != kind:
            yield f"field {name} was {kind} when it was recorded and is {now[name]} now"


def _read_fields(process: Process) -> set[str] | None:
    """Source fields that anything is made of; None where the source lists what it wants: then it is all of those."""
    lineage, source = follow(process), process.spec.source.id
    if source not in lineage.open:
        return None
    fields = {
        name for step, sources in lineage.sources.items() if step != source for one in sources.values() for name in one
    }
    return fields | {key.field for key in process.spec.tracked_keys}
