"""A recording as files beside the tests: `recordings/NAME/recording.json` and one readable file an exchange.

Written whole or not at all (Invariant 5), after everything secret was taken out (Invariant 6), and proven so: a text in
which a known secret still stands is not written. Each file's digest stands in the index, so that one that was cut short
is not taken for an answer.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from dative.errors.base import StopRun
from dative.errors.testing import NOTHING_RECORDED, RECORDING_DAMAGED, RECORDING_LEAKS, RECORDING_MISSING
from dative.process.classes import Classification
from dative.process.lineage import follow
from dative.process.model import Process

from dative_atom.testing.scrub import Scrubber
from dative_atom.testing.tape import Exchange

FOLDER: Final = "recordings"
INDEX: Final = "recording.json"


@dataclass(frozen=True)
class RecordedConnection:
    """secrets: name -> "pem" or "text": which form a stand-in must have."""

    connector: str
    settings: Mapping[str, str]
    secrets: Mapping[str, str]


@dataclass(frozen=True)
class Recording:
    """at: where the clock stood. profile: the source's fields and their types, which is the contract with its system."""

    process: str
    at: datetime
    connections: Mapping[str, RecordedConnection]
    profile: Mapping[str, str]
    exchanges: Sequence[Exchange] = field(repr=False)


def scrubber_of(process: Process, secrets: Sequence[str] = ()) -> Scrubber:
    """Classified are the fields of `classify`, and every field at any step that still carries a class."""
    classified = Classification.of(process.spec)
    names = {*classified.plain_names(), *classified.patterns()}
    lineage = follow(process)
    for fields in lineage.classes.values():
        names |= {name for name, classes in fields.items() if classes}
    made = [(name, of) for fields in lineage.sources.values() for name, of in fields.items()]
    return Scrubber(secrets, names, {name for name, of in made if any(one in classified for one in of)})


def save(folder: Path, recording: Recording, scrubber: Scrubber) -> Path:
    """Write the recording below `folder` (of the tests), in place of a former one. Returns its own folder.

    StopRun testing.nothing_recorded, testing.recording_leaks.
    """
    if not recording.exchanges:
        raise StopRun("no connection exchanged anything", code=NOTHING_RECORDED)
    files = _scrubbed(recording, scrubber)
    leaks = sorted(name for name, text in files.items() if any(form in text for form in scrubber.secret_forms))
    if leaks:
        raise StopRun(f"a secret stands in {', '.join(leaks[:3])}", code=RECORDING_LEAKS)
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".recording-", dir=folder.parent))
    try:
        for name, text in files.items():
            (beside / name).write_text(text, encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def _scrubbed(recording: Recording, scrubber: Scrubber) -> dict[str, str]:
    """File name -> text. Everything is learned before anything is scrubbed."""
    for exchange in recording.exchanges:
        scrubber.learn_values(exchange)
    files = {}
    for number, exchange in enumerate(recording.exchanges, 1):
        what = exchange["request"].get("method") or exchange["request"]["call"]
        name = f"{number:04d}-{exchange['connection']}-{what.lower()}.json"
        files[name] = _json(scrubber.values(exchange))
    connections = {
        name: {
            "connector": one.connector,
            "settings": scrubber.values(dict(one.settings)),
            "secrets": dict(one.secrets),
        }
        for name, one in recording.connections.items()
    }
    files[INDEX] = _json(
        {
            "apiVersion": "dative/v1",
            "kind": "Recording",
            "process": recording.process,
            "at": recording.at.isoformat(),
            "connections": connections,
            "profile": dict(recording.profile),
            "exchanges": [{"file": name, "sha256": _digest(text)} for name, text in files.items()],
        }
    )
    return files


def load(folder: Path) -> Recording:
    """Read and check it whole. StopRun testing.recording_missing, testing.recording_damaged."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        exchanges = [json.loads(_checked(folder, entry["file"], entry["sha256"])) for entry in index["exchanges"]]
        connections = {
            name: RecordedConnection(one["connector"], one["settings"], one["secrets"])
            for name, one in index["connections"].items()
        }
        at = datetime.fromisoformat(index["at"])
        return Recording(index["process"], at, connections, index["profile"], exchanges)
    except FileNotFoundError as error:
        if not folder.exists():
            raise StopRun(f"there is no recording {folder.name}", code=RECORDING_MISSING) from error
        raise StopRun(f"recording {folder.name} lacks a file", code=RECORDING_DAMAGED) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StopRun(f"the index of recording {folder.name} does not read", code=RECORDING_DAMAGED) from error


def _checked(folder: Path, name: str, digest: str) -> str:
    if Path(name).name != name:
        raise StopRun(f"recording {folder.name} names a file elsewhere", code=RECORDING_DAMAGED)
    text = (folder / name).read_text(encoding="utf-8")
    if _digest(text) != digest:
        raise StopRun(f"{name} of recording {folder.name} is not as it was recorded", code=RECORDING_DAMAGED)
    return text


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
