"""Process files on this machine: found by path or name, read, checked, with the tables that stand beside them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dative.errors.cli import FINDINGS, PROCESS_NOT_FOUND, CliError

if TYPE_CHECKING:
    from dative.process.findings import Finding
    from dative.process.model import Process
    from dative.process.profiles import Recorded

FILES_MAX = 1000
"""At the bound the search stops with an error: somebody named a home directory."""
TABLE_BYTES_MAX = 64 << 20
FILE_BYTES_MAX = 16 << 20
"""Read at most; the language's own limit is lower and gives the finding."""
_KIND = re.compile(r"^kind:\s*['\"]?Process['\"]?\s*(#.*)?$", re.MULTILINE)
_NAME = re.compile(r"\A[a-z0-9][a-z0-9._-]{0,127}\Z")


Profiles = Callable[["Process", Path], "Recorded"]
"""The profiles of a process' steps; the path is its file's folder."""


@dataclass(frozen=True)
class Source:
    """One process file, checked. process: None when it has errors."""

    path: Path
    process: Process | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Ready:
    """A process that may be packed. definition: canonical JSON. tables: name -> CSV. warnings: findings to show."""

    name: str
    definition: bytes
    tables: dict[str, bytes]
    warnings: tuple[Finding, ...]


def files(paths: tuple[str, ...]) -> list[Path]:
    """Process files under the paths; a file named outright is taken whatever it holds.

    Errors: cli.process_not_found for a path that is not there, or when there is none at all.
    """
    found: list[Path] = []
    for text in paths or (".",):
        path = Path(text)
        if path.is_dir():
            found += [file for file in _yaml_below(path) if _is_process(file)]
        elif path.is_file():
            found.append(path)
        else:
            raise CliError(f"there is no {text}", code=PROCESS_NOT_FOUND)
    if not found:
        raise CliError(f"no process file under {', '.join(paths or ('.',))}", code=PROCESS_NOT_FOUND)
    return list(dict.fromkeys(found))


def named(text: str) -> Path:
    """The one file that a path or a process' name (or unique prefix of one) means, searched below here.

    Errors: cli.process_not_found, also when several fit.
    """
    path = Path(text)
    if path.is_file():
        return path
    if path.is_dir():
        below = files((text,))
        if len(below) == 1:
            return below[0]
        raise CliError(f"{text} holds {len(below)} processes; name one of them", code=PROCESS_NOT_FOUND)
    if _NAME.match(text) is None:
        raise CliError(f"there is no {text}", code=PROCESS_NOT_FOUND)
    candidates = {file: _declared_name(file) for file in _yaml_below(Path()) if _is_process(file)}
    exact = [file for file, name in candidates.items() if name == text]
    for fitting in (exact, [file for file, name in candidates.items() if name.startswith(text)]):
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            there = ", ".join(str(file) for file in fitting)
            raise CliError(f"{text} fits more than one process: {there}", code=PROCESS_NOT_FOUND)
    raise CliError(f"no process {text} in a file below {Path.cwd().name}/", code=PROCESS_NOT_FOUND)


class Beside:
    """The processes in the files beside one, found by name when it calls them: its folder first, then below here."""

    def __init__(self, path: Path) -> None:
        self._folders = (path.parent, Path())
        self._read: dict[str, Path | None] = {}

    def path(self, name: str) -> Path | None:
        """The file of that process; None where there is none. Errors: cli.process_not_found when several hold it."""
        if name not in self._read:
            self._read[name] = next((found for folder in self._folders if (found := self._in(folder, name))), None)
        return self._read[name]

    def _in(self, folder: Path, name: str) -> Path | None:
        fitting = [file for file in _yaml_below(folder) if _is_process(file) and _declared_name(file) == name]
        if len(fitting) > 1:
            there = ", ".join(str(file) for file in fitting)
            raise CliError(f"{name} is called, and more than one file holds it: {there}", code=PROCESS_NOT_FOUND)
        return fitting[0] if fitting else None

    def process(self, name: str) -> Process | None:
        """As far as it can be read: its own findings are told in its own file."""
        from dative.process.load import load

        path = self.path(name)
        if path is None:
            return None
        with path.open("rb") as file:
            return load(file.read(FILE_BYTES_MAX), filename=str(path)).draft


def check(path: Path, recorded: Callable[[Process], Recorded] | None = None) -> Source:
    """Load and validate one file with what it calls; bad input is findings, never an exception.

    recorded: the profiles of its steps; those that stand beside it, unless others are given.
    """
    from dative.process.load import check as check_text
    from dative.process.profiles import read_recorded

    with path.open("rb") as file:
        text = file.read(FILE_BYTES_MAX)
    held = recorded or (lambda process: read_recorded(path.parent, process))
    loaded = check_text(text, filename=str(path), processes=Beside(path).process, recorded=held)
    return Source(path, loaded.process, tuple(loaded.findings))


def ready(path: Path, recorded: Profiles | None = None) -> Ready:
    """The process of a file with its tables. Errors: cli.process_invalid with every finding, cli.process_not_found."""
    from dative.process.load import canonical_process

    source = check(path, (lambda process: recorded(process, path.parent)) if recorded else None)
    if source.process is None:
        raise _invalid(path, source.findings)
    process = source.process
    return Ready(process.name, canonical_process(process), _tables(path, process), source.findings)


def built(path: Path) -> Process:
    """The process of a file that can be read, whatever else is wrong with it. Errors: cli.process_invalid."""
    from dative.process.load import load

    with path.open("rb") as file:
        loaded = load(file.read(FILE_BYTES_MAX), filename=str(path))
    if loaded.process is None:
        raise _invalid(path, loaded.findings)
    return loaded.process


def _invalid(path: Path, findings: Iterable[Finding]) -> CliError:
    errors = [finding for finding in findings if finding.severity == "error"]
    listed = "\n".join(f"  {line}" for finding in errors for line in finding_lines(finding))
    count = f"{len(errors)} finding{'s' if len(errors) != 1 else ''}"
    return CliError(f"{path} has {count}:\n{listed}", code=FINDINGS, next=f"dative process validate {path}")


def ready_with_called(path: Path, recorded: Profiles | None = None) -> list[Ready]:
    """The process of a file, then every process that it calls, directly and through others. Errors: as `ready`.

    recorded: the profiles that each is checked with; those beside it, unless others are given.
    """
    from dative.process.calls import names_called

    found: dict[Path, Ready] = {}
    waiting = [path]
    while waiting:
        here = waiting.pop(0)
        if here in found:
            continue
        found[here] = ready(here, recorded)
        # That every name has a file is what the check has just seen.
        waiting += [file for name in names_called(found[here].definition) if (file := Beside(here).path(name))]
    return list(found.values())


def finding_lines(finding: Finding) -> list[str]:
    """Place, what, code; then what helps."""
    head = (
        f"{finding.file}:{finding.line}:{finding.column}: {finding.severity}: {finding.message} ({finding.code.name})"
    )
    return [head, f"  next: {finding.next}"] if finding.next else [head]


def _tables(path: Path, process: Process) -> dict[str, bytes]:
    """Name -> CSV. The rows of one environment stand under "<table>.<environment>"; a table's name has no dot."""
    from dative.process.tables import FileTable

    found: dict[str, bytes] = {}
    for name, table in process.spec.tables.items():
        for environment, file in table.files() if isinstance(table, FileTable) else ():
            found[f"{name}.{environment}" if environment else name] = _table(path, name, file)
    return found


def _table(path: Path, name: str, named: str) -> bytes:
    file = path.parent / named
    # A process file may come from anybody; it packs what lies beside it, nothing else of this machine.
    if not file.resolve().is_relative_to(path.parent.resolve()):
        raise CliError(f"table {name}: {named} is not beside the process", code=FINDINGS, where=str(path))
    if not file.is_file():
        raise CliError(f"table {name}: there is no {named}", code=PROCESS_NOT_FOUND, where=str(path))
    if file.stat().st_size > TABLE_BYTES_MAX:
        raise CliError(f"table {name}: over {TABLE_BYTES_MAX} bytes", code=FINDINGS, where=str(file))
    return file.read_bytes()


def _yaml_below(directory: Path) -> Iterator[Path]:
    count = 0
    for pattern in ("*.yaml", "*.yml"):
        for file in sorted(directory.rglob(pattern)):
            if any(part.startswith(".") for part in file.relative_to(directory).parts):
                continue
            count += 1
            if count > FILES_MAX:
                raise CliError(f"over {FILES_MAX} YAML files below {directory}; name a folder", code=PROCESS_NOT_FOUND)
            yield file


def _is_process(file: Path) -> bool:
    with file.open("rb") as opened:
        return _KIND.search(opened.read(FILE_BYTES_MAX).decode(errors="replace")) is not None


def _declared_name(file: Path) -> str:
    from dative.process.load import load

    with file.open("rb") as opened:
        loaded = load(opened.read(FILE_BYTES_MAX), filename=str(file))
    return loaded.draft.name if loaded.draft else ""
