"""A process file, with everything that belongs to it: the processes that it calls, and the tables of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from dative.errors.base import ConfigError
from dative.process.calls import called_by, closure
from dative.process.load import check, load
from dative.process.model import Process
from dative.process.profiles import read_recorded

from dative_atom.testing.samples import table_texts
from dative_atom.testing.stage import Stage


@dataclass(frozen=True)
class ProcessFile:
    """folder: of the process. called: name -> (process, its folder)."""

    process: Process
    folder: Path
    called: Mapping[str, tuple[Process, Path]] = field(default_factory=dict)

    def tables(self, given: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, str]:
        """CSV text of every table, given rows instead of its file's; of a called process as "<process>/<table>"."""
        tables = table_texts(self.process, self.folder, given)
        for name, (process, folder) in self.called.items():
            tables.update({f"{name}/{table}": text for table, text in table_texts(process, folder, {}).items()})
        return tables

    def stage(self, place: Path, now: datetime, **more: Any) -> Stage:
        """A stage in that folder. more: as `Stage` has it; tables are those of the files where none are given."""
        called = {name: process for name, (process, _) in self.called.items()}
        return Stage(place, self.process, now, called=called, **{"tables": self.tables({}), **more})


def read_process(path: Path) -> ProcessFile:
    """ConfigError with every finding."""
    if not path.is_file():
        raise ConfigError(f"{path} is no process file", where=str(path))
    loaded = load(path.read_bytes(), filename=path.name)
    if loaded.process is None:
        raise ConfigError("; ".join(str(finding) for finding in loaded.findings), where=path.name)
    return ProcessFile(loaded.process, path.parent, called_beside(loaded.process, path))


def against_profiles(process: Process, file: Path, called: Mapping[str, tuple[Process, Path]]) -> list[str]:
    """What the profiles that were recorded beside it find wrong with a process; nothing where there are none."""
    recorded = read_recorded(file.parent, process)
    if not recorded.profiles and not recorded.findings:
        return []
    beside = {name: one for name, (one, _) in called.items()}
    found = check(file.read_bytes(), filename=file.name, processes=beside.get, recorded=lambda _: recorded)
    return [str(finding) for finding in found.findings if finding.severity == "error"]


def called_beside(process: Process, file: Path) -> dict[str, tuple[Process, Path]]:
    """Everything that the process calls, from files in its folder, below, and in the folders beside it."""
    if not called_by(process):
        return {}
    known: dict[str, tuple[Process, Path]] = {process.name: (process, file.parent)}
    for other in sorted([*file.parent.rglob("*.y*ml"), *file.parent.parent.glob("*/*.y*ml")]):
        text = other.read_bytes()
        if b"kind: Process\n" in text.replace(b"\r", b"") and (read := load(text, filename=other.name).process):
            known.setdefault(read.name, (read, other.parent))
    names = closure(process.name, lambda name: called_by(known[name][0]) if name in known else ())
    return {name: known[name] for name in names if name in known}
