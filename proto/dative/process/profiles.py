"""Profiles recorded beside a process, one file a step: which fields its system has, read before anything runs.

They stand in profiles/<process>/<step>.yaml in the process file's folder, so that several processes of one folder keep
theirs apart. A file that was recorded for another operation, table or object than the step names now is told and left
out. The live profile of a system is compared with the recorded one field by field.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Final

from dative.errors import DativeError
from dative.errors import profiles as codes
from dative.process.datatypes import parse_type
from dative.process.findings import Finding, Path, Report, nearest
from dative.process.model import Process
from dative.process.targets import parse_target
from dative.process.text import BYTES_MAX, read_yaml

FOLDER: Final = "profiles"
FIELDS_MAX: Final = 2000
"""Of one profile; a system with more is not profiled, and a file with more is refused."""
FILES_MAX: Final = 200
"""Of one process; at the bound the rest is not read, and a finding says so."""
ABOUT: Final = ("object", "table", "columns", "fields", "sql", "incremental")
"""Options that decide which fields an operation has; another value makes a recorded profile stale."""
UNASKED: Final = ("where", "order")
"""Texts of an operation that have nothing to do with its fields, and so are not sent along with the question."""
_KEYS: Final = ("apiVersion", "kind", "step", "operation", "about", "recorded", "fields")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_WORDS = frozenset(("true", "false", "null"))
_BREAKING = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
"""What JSON writes as it is, and YAML refuses or reads as the end of a line."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The fields of one step. about: see `ABOUT`. recorded: the day, as 2026-03-01. fields: name -> type as text."""

    step: str
    operation: str
    about: Mapping[str, Any]
    recorded: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Question:
    """One step whose system is asked for its fields. options: without `UNASKED`."""

    step: str
    connection: str
    operation: str
    options: Mapping[str, Any]
    is_source: bool

    @property
    def about(self) -> dict[str, Any]:
        return {name: self.options[name] for name in ABOUT if name in self.options}


@dataclass(frozen=True)
class Recorded:
    """What is known of a process' steps. profiles: step -> field -> type. days: step -> when it was recorded."""

    profiles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    days: Mapping[str, str] = field(default_factory=dict)


def questions(process: Process) -> list[Question]:
    """Every step that reads from or writes to a system, the source first."""
    return [
        Question(
            step.id,
            settings.connection,
            f"{settings.connector}.{settings.operation}",
            {name: value for name, value in settings.options.items() if name not in UNASKED},
            step is process.spec.source,
        )
        for step, settings, _ in process.operations()
    ]


def profile_path(folder: FilePath, process: str, step: str) -> FilePath:
    return folder / FOLDER / process / f"{step}.yaml"


def read_recorded(folder: FilePath, process: Process) -> Recorded:
    """The profiles beside a process in that folder; bad files are findings, never an exception."""
    place = folder / FOLDER / process.name
    asked = {one.step: one for one in questions(process)}
    found: dict[str, Profile] = {}
    findings: list[Finding] = []
    paths = sorted([*place.glob("*.yaml"), *place.glob("*.yml")])
    for number, path in enumerate(paths[: FILES_MAX + 1]):
        report = Report(str(path))
        if number == FILES_MAX:
            report.value(codes.INVALID, f"{len(paths)} profiles here, at most {FILES_MAX} are read", ())
        elif (profile := _read_file(path, report, asked)) is None:
            pass
        elif profile.step in found:
            report.value(codes.INVALID, f'another file here is of step "{profile.step}" too', ("step",))
        else:
            found[profile.step] = profile
        findings += report.findings
    return Recorded(
        {step: one.fields for step, one in found.items()},
        tuple(findings),
        {step: one.recorded for step, one in found.items()},
    )


def _read_file(path: FilePath, report: Report, asked: Mapping[str, Question]) -> Profile | None:
    try:
        if not path.is_file():  # a pipe would be waited for without end
            raise IsADirectoryError("no file")
        with path.open("rb") as file:
            text = file.read(BYTES_MAX + 1)
    except OSError as error:
        report.value(codes.INVALID, f"it can not be read: {error.strerror or error}", ())
        return None
    return read_profile(text, report, asked)


def read_profile(text: bytes, report: Report, asked: Mapping[str, Question]) -> Profile | None:
    """One file. None when it is no profile, or of something else than the step is now: why is in the report."""
    data = read_yaml(text, report)
    if report.failed or not _is_whole(data, report):
        return None
    profile = Profile(data["step"], data["operation"], data["about"], data["recorded"], data["fields"])
    question = asked.get(profile.step)
    if question is None:
        message = f'the process has no operation "{profile.step}"{nearest(profile.step, asked)}'
        report.warn(codes.STALE, message, ("step",))
        return None
    if (profile.operation, profile.about) != (question.operation, question.about):
        message = f"recorded for {_told(profile.operation, profile.about)}; the step is {_told(question.operation, question.about)}"
        report.warn(codes.STALE, message, ("operation",))
        return None
    return profile if _types_hold(profile, question, report) else None


def _is_whole(data: Any, report: Report) -> bool:
    if not isinstance(data, dict):
        report.key(codes.INVALID, "a profile is a mapping of apiVersion, kind, step, operation, about and fields", ())
        return False
    for key in data:
        if key not in _KEYS:
            report.key(codes.INVALID, f'unknown key "{key}"{nearest(str(key), _KEYS)}', (key,))
    for key, value in (("apiVersion", "dative/v1"), ("kind", "Profile")):
        if data.get(key) != value:
            report.value(codes.INVALID, f'{key} is "{value}" here', (key,))
    for key in ("step", "operation", "recorded"):
        if not isinstance(data.get(key), str):
            report.value(codes.INVALID, f'"{key}" is a text', (key,))
    fields = data.get("fields")
    if not isinstance(fields, dict) or not all(isinstance(value, str) for value in fields.values()):
        report.value(codes.INVALID, '"fields" is a mapping of names to types', ("fields",))
    elif len(fields) > FIELDS_MAX:
        report.value(codes.INVALID, f"a profile has at most {FIELDS_MAX} fields", ("fields",))
    if not isinstance(data.get("about"), dict):
        report.value(codes.INVALID, '"about" is a mapping: what of the system the operation names', ("about",))
    return not report.failed


def _types_hold(profile: Profile, question: Question, report: Report) -> bool:
    for name, text in profile.fields.items():
        path: Path = ("fields", name)
        if problem := _type_problem(text, question):
            report.value(codes.INVALID, problem, path)
    return not report.failed


def _type_problem(text: str, question: Question) -> str:
    try:
        if question.is_source:
            parse_type(text)
        else:
            parse_target({"": text})
    except ValueError as error:
        return str(error)
    return ""


def rendered(profile: Profile) -> str:
    """The file's text. Only what does not read back as it is, is quoted."""
    lines = [
        "# Recorded by `dative process profile --write`: what the step's system has. Edit it only to test a change.",
        "apiVersion: dative/v1",
        "kind: Profile",
        f"step: {_scalar(profile.step)}",
        f"operation: {_scalar(profile.operation)}",
        f"about: {_quoted(profile.about)}",
        f'recorded: "{profile.recorded}"',
        "fields:" if profile.fields else "fields: {}",
    ]
    lines += [f"  {_scalar(name)}: {_quoted(text)}" for name, text in profile.fields.items()]
    return "\n".join(lines) + "\n"


def _scalar(text: str) -> str:
    plain = _PLAIN.fullmatch(text) is not None and text.lower() not in _WORDS
    return text if plain else _quoted(text)


def _quoted(value: Any) -> str:
    """JSON that YAML reads back as it was."""
    return _BREAKING.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False, sort_keys=True))


def _as_data(profile: Profile) -> dict[str, Any]:
    about = json.loads(json.dumps(profile.about))
    values = ("dative/v1", "Profile", profile.step, profile.operation, about, profile.recorded, dict(profile.fields))
    return dict(zip(_KEYS, values, strict=True))


def write_profile(folder: FilePath, process: str, profile: Profile) -> FilePath:
    """Written whole beside, under a name that nobody else has, then renamed (Invariant 5).

    Errors: profile.unwritable for what every check would refuse to read.
    """
    path, text = profile_path(folder, process, profile.step), rendered(profile)
    report = Report(str(path))
    if read_yaml(text, report) != _as_data(profile):
        reason = report.findings[0].message if report.findings else "it would not read back as it is"
        raise DativeError(f"the profile of {profile.step} can not be kept in a file: {reason}", code=codes.UNWRITABLE)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    beside = FilePath(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        beside.chmod(0o644)  # no secret: as any other file of the repository
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return path


def drift(recorded: Mapping[str, str], live: Mapping[str, str]) -> list[str]:
    """What became of every field that is not as it was recorded: "+ new: text", "- gone", "~ x: text → integer"."""
    return [line for name in dict.fromkeys((*recorded, *live)) for line in _drift(name, recorded, live)]


def _drift(name: str, recorded: Mapping[str, str], live: Mapping[str, str]) -> Iterator[str]:
    if name not in live:
        yield f"- {name}: {recorded[name]}"
    elif name not in recorded:
        yield f"+ {name}: {live[name]}"
    elif recorded[name] != live[name]:
        yield f"~ {name}: {recorded[name]} → {live[name]}"


@dataclass(frozen=True)
class Answer:
    """What one step's system said. fields: None where it has none of its own, or `code` and `reason` say why not."""

    step: str
    fields: Mapping[str, str] | None = None
    code: str = ""
    reason: str = ""


def answered(question: Question, fields: Mapping[str, str]) -> Answer:
    """A system's answer from outside: fields with types that the language knows, or why not. No field: none of its own."""
    for name, text in fields.items():
        if problem := _type_problem(text, question):
            return Answer(question.step, code=codes.UNKNOWN_TYPE.name, reason=f"{name}: {problem}")
    return Answer(question.step, fields or None)


@dataclass(frozen=True)
class Compared:
    """One step of a look at the systems. state: same, drifted, new (nothing was recorded), none (no fields), failed."""

    step: str
    operation: str
    state: str
    changes: tuple[str, ...] = ()
    code: str = ""
    reason: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        told = {
            "same": "as recorded",
            "drifted": "drifted from what was recorded",
            "new": f"{len(self.fields)} fields, none recorded",
            "none": "no fields of its own",
            "failed": f"{self.reason} ({self.code})",
        }
        lines = [f"{self.step}  {self.operation}: {told[self.state]}", *(f"  {line}" for line in self.changes)]
        # Names are a foreign system's: what would move the cursor or colour the terminal is shown as a question mark.
        return ["".join(sign if sign.isprintable() else "?" for sign in line) for line in lines]


def compare(asked: Iterable[Question], recorded: Recorded, answers: Iterable[Answer]) -> list[Compared]:
    """Step by step, in the order of the questions. One that got no answer has none."""
    said = {one.step: one for one in answers}
    found = []
    for one in asked:
        answer = said.get(one.step, Answer(one.step))
        if answer.code:
            found.append(Compared(one.step, one.operation, "failed", code=answer.code, reason=answer.reason))
        elif answer.fields is None:
            found.append(Compared(one.step, one.operation, "none"))
        elif one.step not in recorded.profiles:
            found.append(Compared(one.step, one.operation, "new", fields=answer.fields))
        else:
            changes = tuple(drift(recorded.profiles[one.step], answer.fields))
            state = "drifted" if changes else "same"
            found.append(Compared(one.step, one.operation, state, changes, fields=answer.fields))
    return found


def record(folder: FilePath, process: Process, compared: Iterable[Compared], day: str) -> list[FilePath]:
    """Write the profile of every step that is not as recorded; the others keep their file and its day."""
    asked = {one.step: one for one in questions(process)}
    return [
        write_profile(folder, process.name, Profile(one.step, one.operation, asked[one.step].about, day, one.fields))
        for one in compared
        if one.state in ("new", "drifted")
    ]


def _told(operation: str, about: Mapping[str, Any]) -> str:
    named = next((about[name] for name in ("table", "object") if name in about), None)
    others = [name for name in about if name not in ("table", "object")]
    return operation + (f" of {named}" if named else "") + (f" with its {', '.join(others)}" if others else "")
